"""What a model says of cells, one array per ability: `answers(model, source)`; and the same as a program.

python answers.py RUN DATA OUT  -> the answers of a saved run, from another process
"""

import sys
from contextlib import suppress

import numpy as np
import torch

from cellwright.core.abilities import (
    Attends,
    Classifies,
    Draws,
    DrawsForecast,
    Encodes,
    Forecasts,
    Generates,
    Imputes,
    Perturbs,
    Translates,
    Wanted,
)
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import CellwrightError
from cellwright.train.saved import load_run

N_GENERATED = 20


@torch.no_grad()
def per_cell(model, source, rows):
    """What is said of each cell by itself, first axis cells."""
    minibatch = next(iter(in_order(source, rows, len(rows))))
    found = {}
    if isinstance(model, Encodes):
        found["encodes"] = model.encode(minibatch)
    if isinstance(model, Classifies):
        found["classifies"] = model.classify(minibatch)
    if isinstance(model, Forecasts):
        found["forecasts"] = model.forecast(minibatch, 2)
    if isinstance(model, DrawsForecast):
        found["draws_forecast"] = model.draw_forecast(minibatch, 2, torch.Generator().manual_seed(0), hidden=1)
    if isinstance(model, Attends):
        with suppress(CellwrightError):  # an option decides whether it weighs its neighbours
            found["attends"] = model.attend(minibatch).weights
    return {name: tensor.numpy() for name, tensor in found.items()}


@torch.no_grad()
def answers(model, source, seed=0):
    """All that it can be asked, of all cells; what is drawn at random is drawn with `seed`."""
    found = per_cell(model, source, np.arange(source.n_obs))
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model, Generates):
        anything = torch.full((N_GENERATED,), -1, dtype=torch.int64)
        found["generates"] = model.generate(Wanted(anything, anything, anything), generator).numpy()
    if isinstance(model, Imputes):
        minibatch = next(iter(in_order(source, np.arange(16))))
        found["imputes"] = model.impute(minibatch, generator).numpy()
    if isinstance(model, Draws):
        minibatch = next(iter(in_order(source, np.arange(16))))
        found["draws"] = model.draw(minibatch, generator).numpy()
    if isinstance(model, Translates):
        minibatch = next(iter(in_order(source, np.arange(16))))
        modality = source.schema.modalities[-1]
        found["translates"] = model.translate(minibatch, modality, generator).numpy()
    if isinstance(model, Perturbs):
        minibatch = next(iter(in_order(source, np.arange(source.n_obs), source.n_obs)))
        treated = (minibatch.condition * 0 + 1 - source.schema.control_code).clamp(min=0)
        found["perturbs"] = model.perturb(minibatch, treated, generator).numpy()
    return found


if __name__ == "__main__":
    run, data, out = sys.argv[1:]
    loaded = load_run(run)
    np.savez(out, **answers(loaded, open_data(data, schema=loaded.schema)))
