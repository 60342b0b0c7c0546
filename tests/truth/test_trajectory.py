"""Known answers of trajectories: a simulated stem that divides into two or three; slow.

Planted: cells with counts of 500 features, whose latent goes from a root (pseudotime 0) straight to a fork at .4, and
from there at right angles along the branches to their ends at 1; a standard deviation of noise is a twelfth of a label
distance, of which the whole way is five. A cell's planted fate is its branch; in the stem it is the share of each
branch. The root is given by the first of five time points.
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


@pytest.fixture(
    scope="module", params=[(n, seed) for n in SHARES for seed in range(3)], ids="{0[0]} branches, {0[1]}".format
)
def found(request):
    n_branches, seed = request.param
    options = SimulateOptions(n_obs=2000, n_branches=n_branches, label_shares=SHARES[n_branches], label_distance=12)
    truth = simulate(options, seed)
    data = open_data(truth.adata, label_key="label", time_key="time")
    model = build("pca", data.schema, n_latent=30)
    fit(model, data, FitOptions(seed=seed), progress=False)
    cells = truth.adata
    cells.obsm["X_pca"] = np.asarray(reduce(model, data).obsm["X_pca"])
    trajectory(cells, TrajectoryOptions(), use_rep="X_pca", label_key="label", time_key="time", seed=seed)
    return Found(truth, cells)


def test_pseudotime_is_in_the_planted_order(found):
    assert stats.spearmanr(found.cells.obs["pseudotime"], found.truth.pseudotime).statistic >= 0.95


def test_there_is_one_terminal_state_per_branch_at_its_end(found):
    n_branches = found.truth.label.max()
    assert sorted(found.fates) == [f"branch_{k}" for k in range(1, n_branches + 1)]
    for name in found.fates:
        inside = (found.cells.obs["terminal"] == name).to_numpy()
        assert np.median(found.truth.pseudotime[inside]) > 0.9
        assert (found.cells.obs["label"][inside] == name).mean() > 0.9


def test_fates_are_the_planted_ones(found):
    branch = np.array([int(name.removeprefix("branch_")) for name in found.fates])
    of_stem = np.bincount(found.truth.label)[branch] / (found.truth.label > 0).sum()
    planted = np.where(found.truth.label[:, None] == 0, of_stem, found.truth.label[:, None] == branch)
    assert np.corrcoef(found.cells.obsm["fates"].ravel(), planted.ravel())[0, 1] >= 0.9


def test_branches_hold_the_planted_cells(found):
    assert branch_f1(found.truth.label, found.cells.obs["branch"].astype(object).to_numpy()) >= 0.9
