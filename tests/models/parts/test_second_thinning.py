"""Second thinning: the setting that predicts hidden molecules best, by Poisson deviance, and nothing else."""

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import DataError
from cellwright.metrics.poisson_deviance import poisson_deviance
from cellwright.models.parts.second_thinning import KEPT, best_setting, deviance, thinned_again

SHARES = np.linspace(1, 5, 20) / np.linspace(1, 5, 20).sum()


@pytest.fixture
def parts():
    counts = np.random.default_rng(0).poisson(200 * SHARES, (150, 20)).astype(np.float32)
    counts[7] = 0
    return thinned_again(open_data(AnnData(sparse.csr_matrix(counts))), np.arange(150), np.random.default_rng(1))


def test_a_cell_that_keeps_no_molecule_is_not_asked(parts):
    assert parts.kept.n_obs == parts.hidden.shape[0] == 149


@pytest.mark.parametrize("settings", [("flat", "planted"), ("planted", "flat")])
def test_the_planted_setting_is_chosen_whatever_its_place(parts, settings):
    shares = {"flat": torch.full((20,), 1 / 20), "planted": torch.from_numpy(SHARES).float()}

    def expected(minibatch):
        return [minibatch.library * shares[name] for name in settings]

    assert best_setting(parts, settings, expected, np.random.default_rng(0)) == "planted"


def test_the_deviance_orders_as_the_metric_does(parts):
    minibatch = next(iter(in_order(parts.kept, None, 149)))
    flat, planted = (minibatch.library * s for s in (torch.full((20,), 1 / 20), torch.from_numpy(SHARES).float()))
    ours = deviance(parts.hidden, flat) - deviance(parts.hidden, planted)
    hidden = parts.hidden.toarray()
    scale = (1 - KEPT) / KEPT
    reference = [poisson_deviance(hidden, means.numpy() * scale) for means in (flat, planted)]
    np.testing.assert_allclose(ours / hidden.sum(), reference[0] - reference[1], rtol=1e-5)


def test_cells_that_keep_nothing_at_all_are_refused():
    with pytest.raises(DataError, match="keeps any"):
        thinned_again(open_data(AnnData(np.zeros((4, 3), np.float32))), np.arange(4), np.random.default_rng(0))
