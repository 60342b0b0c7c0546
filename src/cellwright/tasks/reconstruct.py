"""Reconstruct: how well a model gives a cell back from its latent, on cells that it was not trained on.

model with `encodes` and `decodes`, rows -> log p(x | z) per cell, and x against its mean on log-normalised values
"""

from typing import Any

import numpy as np
import pandas as pd
import torch

from cellwright.core.abilities import Decodes, Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.data.source import StoredSource
from cellwright.metrics import METRICS
from cellwright.models.model import Model
from cellwright.nn import transform as transforms
from cellwright.nn.transform import Transform
from cellwright.tasks.ask import cells_for, needs
from cellwright.tasks.score import score_rows
from cellwright.train.infer import over_cells

AT_MOST_CELLS = 5000  # values of both sides are dense here: 5,000 x 20,000 take 800 MB


def score_reconstruction(model: Model, data: Any, rows: np.ndarray, *, held_out: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `reconstruct`, over `rows` (a seeded sample of 5,000 if there are more).

    `r2` compares the values log(1 + 10,000 x / library) with what the model expects of them, so that models with
    different likelihoods can be compared (real-valued data are compared as they are). `nll` is -log p(x | z) per cell
    in nats under the model's own likelihood: it compares runs of one likelihood only.
    """
    encoder, decoder = needs(model, Encodes, "reconstruct"), needs(model, Decodes, "reconstruct")
    source = cells_for(model, data, "reconstruct")
    if len(rows) > AT_MOST_CELLS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, AT_MOST_CELLS, replace=False))
    scale = common_scale(source, rows)

    def both(minibatch: Minibatch) -> torch.Tensor:
        latent = encoder.encode(minibatch)
        predict = decoder.decode if scale == "none" else decoder.expected_log
        predicted = predict(latent, minibatch)
        return torch.stack([transforms.apply(scale, minibatch.x).dense(), predicted], dim=1)

    values = over_cells(both, source, rows, block_rows=512)
    nll = over_cells(lambda m: -decoder.log_prob(encoder.encode(m), m), source, rows, block_rows=512)
    labels = label_names(source, rows)
    table = score_rows(METRICS["r2"], "r2", labels, x_true=values[:, 0], x_predicted=values[:, 1])
    table += score_rows(METRICS["nll"], "nll", labels, log_prob=-nll)
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)


def common_scale(source: StoredSource, rows: np.ndarray) -> Transform:
    """The scale on which all models of a comparison are scored: that of logarithms, unless values are negative.

    The data decide, not the model.
    """
    values = source.read(source.schema.modalities[0], rows)
    return "none" if values.min() < 0 else "log_normalise"


def label_names(source: StoredSource, rows: np.ndarray) -> pd.Series | None:
    """The label of each of `rows`, None where it is missing; no series where none of them has one."""
    codes = source.annotation.label[rows]
    if source.schema.label is None or (codes < 0).all():
        return None
    names = np.array([*source.schema.label.values, None], dtype=object)
    return pd.Series(names[codes])
