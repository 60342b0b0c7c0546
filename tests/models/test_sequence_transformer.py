"""The transformer over steps: what it may look at, and that times are read."""

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.models import build


def made(times, seed=0):
    rows = np.random.default_rng(0).normal(size=(6, len(times))).astype(np.float32)
    var = pd.DataFrame({"t": times}, index=[f"t{i}" for i in range(len(times))])
    source = open_data(AnnData(rows, var=var), step_key="t")
    torch.manual_seed(seed)
    model = build("transformer_forecaster", source.schema, n_hidden=8).eval()
    model.prepare(0, source, np.arange(6), np.random.default_rng(0))
    return model, next(iter(in_order(source)))


@torch.no_grad()
def states_of(model, minibatch, change=None):
    sequences = model.grid(minibatch.x)
    inputs = model.grid.inputs(sequences)
    if change is not None:
        inputs[:, change:] += 3
    return model._read(inputs, sequences.times, sequences.lengths)


def test_a_step_reads_itself_and_the_steps_before_it_only():
    model, minibatch = made([0, 1, 2, 3, 4])
    first, changed = states_of(model, minibatch), states_of(model, minibatch, change=3)
    torch.testing.assert_close(first[:, :3], changed[:, :3])
    assert not torch.allclose(first[:, 3:], changed[:, 3:])


def test_the_times_of_steps_are_read():
    """The same values at other times, with the same gaps as inputs, are read otherwise."""
    model, minibatch = made([0, 1, 2, 3, 4])
    sequences = model.grid(minibatch.x)
    inputs = model.grid.inputs(sequences)
    with torch.no_grad():
        one, other = (model._read(inputs, sequences.times * factor, sequences.lengths) for factor in (1, 2))
    assert not torch.allclose(one, other)
