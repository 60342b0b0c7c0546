"""A file that is sorted by cell type trains from disk as it does from memory; slow."""

import numpy as np
import pytest

from cellwright.data import plan
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.models import build
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

# several buffers of 16,384 cells; eight types, the largest of them as long as half a buffer
OPTIONS = SimulateOptions(n_obs=60_000, n_vars=100, label_shares=(8, 7, 6, 5, 4, 3, 2, 1), library_mean=200)


@pytest.fixture(scope="module")
def sorted_file(tmp_path_factory):
    """Cells in the order of their types."""
    adata = simulate(OPTIONS, seed=0).adata
    path = tmp_path_factory.mktemp("sorted") / "cells.h5ad"
    adata[np.argsort(adata.obs["label"].cat.codes.to_numpy(), kind="stable")].copy().write_h5ad(path)
    return path


def validation_losses(path, n_seeds, batch_size, **how) -> np.ndarray:
    """Of the VAE after three epochs, by seed; the validation cells of a seed are the same in every way."""
    data = open_data(path, in_memory=how.pop("in_memory"))
    losses = []
    for seed in range(n_seeds):
        model = build("vae", data.schema, n_latent=5, n_hidden=32)
        options = FitOptions(max_epochs=3, batch_size=batch_size, seed=seed, **how)
        table = fit(model, data, options, progress=False).table
        losses.append(table.query("split == 'validation' and term == 'loss'")["value"].iloc[-1])
    return np.array(losses)


@pytest.mark.parametrize("batch_size", [128, 1024])
def test_the_final_loss_of_a_sorted_file_from_disk_is_that_of_an_exact_shuffle(sorted_file, batch_size):
    streamed = validation_losses(sorted_file, 3, batch_size, in_memory=False)
    exact = validation_losses(sorted_file, 3, batch_size, in_memory=True)
    assert abs(streamed.mean() - exact.mean()) < exact.std(ddof=1)


def test_it_is_not_where_a_buffer_holds_one_place_of_the_file(sorted_file, monkeypatch):
    """The other side of the test above: a worse shuffle is found out."""
    exact = validation_losses(sorted_file, 3, 128, in_memory=True)
    monkeypatch.setattr(plan, "BUFFER_ROWS", 2048)
    monkeypatch.setattr(plan, "BLOCKS_PER_BUFFER", 1)
    unmixed = validation_losses(sorted_file, 1, 128, in_memory=False, shuffle_block_rows=2048)
    assert unmixed[0] - exact[0] > exact.std(ddof=1)
