"""Known answers of trajectories: a simulated stem that divides into two or three; slow.

Planted: cells with counts of 500 features, whose latent goes from a root (pseudotime 0) straight to a fork at .4, and
from there at right angles along the branches to their ends at 1; the whole way is a hundred standard deviations of the
noise long (docs/trajectory.md has shorter ways, and what can be known at best). A cell's planted fate is its branch; in
the stem it is the share of each branch. The root is given by the first of five time points.

What was asked for is asked of the mean over three seeds; that branches hold the planted cells, of a fork in two.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from anndata import AnnData
from scipy import stats

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, Simulation, simulate
from cellwright.metrics.branch_f1 import branch_f1
from cellwright.models import build
from cellwright.tasks.reduce import reduce
from cellwright.tasks.trajectory import TrajectoryOptions, trajectory
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow
SHARES = {2: (0.4, 0.3, 0.3), 3: (0.4, 0.2, 0.2, 0.2)}


@dataclass(frozen=True, eq=False)
class Found:
    """The truth, and the cells with the trajectory through their thirty principal components."""

    truth: Simulation
    cells: AnnData

    @property
    def fates(self) -> list[str]:
        return self.cells.uns["trajectory"]["fates"].tolist()


@pytest.fixture(scope="module", params=SHARES, ids="{} branches".format)
def found(request):
    return [_found(request.param, seed) for seed in range(3)]


def _found(n_branches, seed):
    options = SimulateOptions(n_obs=2000, n_branches=n_branches, label_shares=SHARES[n_branches], label_distance=20)
    truth = simulate(options, seed)
    data = open_data(truth.adata, label_key="label", time_key="time")
    model = build("pca", data.schema, n_latent=30)
    fit(model, data, FitOptions(seed=seed), progress=False)
    cells = truth.adata
    cells.obsm["X_pca"] = np.asarray(reduce(model, data).obsm["X_pca"])
    trajectory(cells, TrajectoryOptions(), use_rep="X_pca", label_key="label", time_key="time", seed=seed)
    return Found(truth, cells)


def test_pseudotime_is_in_the_planted_order(found):
    for one in found:
        assert stats.spearmanr(one.cells.obs["pseudotime"], one.truth.pseudotime).statistic >= 0.95


def test_there_is_one_terminal_state_per_branch_at_its_end(found):
    for one in found:
        assert sorted(one.fates) == [f"branch_{k}" for k in range(1, one.truth.label.max() + 1)]
        for name in one.fates:
            inside = (one.cells.obs["terminal"] == name).to_numpy()
            assert np.median(one.truth.pseudotime[inside]) > 0.9
            assert (one.cells.obs["label"][inside] == name).mean() > 0.9


def test_fates_are_the_planted_ones(found):
    assert np.mean([_agreement_of_fates(one) for one in found]) >= 0.9


def _agreement_of_fates(one):
    branch = np.array([int(name.removeprefix("branch_")) for name in one.fates])
    of_stem = np.bincount(one.truth.label)[branch] / (one.truth.label > 0).sum()
    planted = np.where(one.truth.label[:, None] == 0, of_stem, one.truth.label[:, None] == branch)
    return np.corrcoef(one.cells.obsm["fates"].ravel(), planted.ravel())[0, 1]


def test_branches_of_a_fork_in_two_hold_the_planted_cells():
    found = [_found(2, seed) for seed in range(3)]
    scores = [branch_f1(one.truth.label, one.cells.obs["branch"].astype(object).to_numpy()) for one in found]
    assert np.mean(scores) >= 0.9
