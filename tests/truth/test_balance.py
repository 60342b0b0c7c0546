"""Known answers for remedies: a classifier finds cells of a rare type only if its training knows that it is rare."""

import numpy as np
import pytest
from sklearn.metrics import recall_score

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import Split
from cellwright.models import build
from cellwright.tasks.classify import classify
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

SPLIT = Split(np.arange(1000), np.arange(1000, 1200), np.arange(1200, 2400))


@pytest.fixture(scope="module")
def cells():
    """Three types that overlap; the third has 34 of the 1,000 training cells."""
    options = SimulateOptions(
        n_obs=2400, n_vars=60, n_latent=3, label_shares=(0.5, 0.46, 0.04), label_distance=1.5, library_mean=100.0
    )
    return simulate(options, seed=0).adata


def recalls(cells, balance: str, seed: int) -> np.ndarray:
    """Of each label, the rarest last, on test cells."""
    data = open_data(cells, label_key="label")
    model = build("transformer_classifier", data.schema, n_hidden=16)
    fit(model, data, FitOptions(batch_size=64, balance=balance, seed=seed), split=SPLIT, progress=False)
    true, predicted = (cells.obs["label"], classify(model, data).obs["predicted"])
    names = true.value_counts().index.astype(str)
    return recall_score(
        true.astype(str).iloc[SPLIT.test], predicted.astype(str).iloc[SPLIT.test], labels=names, average=None
    )


@pytest.fixture(scope="module")
def unbalanced(cells):
    return [recalls(cells, "none", seed) for seed in range(3)]


@pytest.mark.parametrize("balance", ["over", "weights", "mixed", "smote", "sampling", "under"])
def test_a_remedy_finds_cells_of_a_rare_type_that_are_lost_without(cells, unbalanced, balance):
    """Without one nearly every such cell is called by the name of a frequent type, as suits the mean loss."""
    balanced = [recalls(cells, balance, seed) for seed in range(3)]
    assert max(recall[-1] for recall in unbalanced) < 0.1
    assert min(recall[-1] for recall in balanced) > 0.2
    assert np.mean(balanced) > np.mean(unbalanced) + 0.03  # the mean over types: balanced accuracy
