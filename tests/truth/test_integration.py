"""Known answers of batch removal: a planted batch goes, what the cells are stays; slow."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.models import build
from cellwright.study.integrate import PATIENT
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit

pytestmark = pytest.mark.slow
LONG = PATIENT.model_copy(update={"max_epochs": 100})


@pytest.fixture(scope="module")
def batches():
    """Two batches with the same labels in the same shares."""
    options = SimulateOptions(
        n_obs=2000, n_vars=300, n_latent=4, n_batch=2, label_shares=(0.5, 0.3, 0.2), label_distance=4
    )
    return simulate(options, seed=1).adata


@pytest.fixture(scope="module")
def unequal(batches):
    """The same; the second batch has none of the first label."""
    keep = (batches.obs["batch"] != "batch_2") | (batches.obs["label"] != "type_1")
    return batches[keep.to_numpy()].copy()


def latent(adata, name, **options):
    data = open_data(adata, batch_key="batch", label_key="label")
    model = build(name, data.schema, **options)
    fit(model, data, LONG, progress=False)
    return model, np.asarray(next(iter(reduce(model, data).obsm.values())))


def told(z, of):
    """Balanced accuracy of a linear classifier; a half is chance for two batches."""
    return cross_val_score(LogisticRegression(max_iter=1000), z, of, cv=5, scoring="balanced_accuracy").mean()


@pytest.mark.parametrize("name", ["pca_centred", "harmony", "vae", "mmd_vae", "semi_vae"])
def test_a_planted_batch_goes_and_the_labels_stay(batches, name):
    batch, label = batches.obs["batch"].to_numpy(), batches.obs["label"].to_numpy()
    _, before = latent(batches, "pca", n_latent=10)
    _, after = latent(batches, name, n_latent=10)
    assert told(before, batch) > 0.9
    assert told(after, batch) < 0.65
    assert told(after, label) > told(before, label) - 0.03


@pytest.mark.parametrize("name", ["harmony", "vae", "mmd_vae"])
def test_a_label_that_one_batch_lacks_is_not_mixed_with_another(unequal, name):
    _, after = latent(unequal, name, n_latent=10)
    label = unequal.obs["label"].to_numpy()
    near = cross_val_score(KNeighborsClassifier(15), after, label, cv=5, scoring="balanced_accuracy").mean()
    assert near > 0.9


@pytest.mark.parametrize("name", ["harmony", "vae"])
def test_cells_of_a_batch_that_was_not_there_find_their_labels_in_the_reference(name):
    options = SimulateOptions(
        n_obs=2400, n_vars=300, n_latent=4, n_batch=3, label_shares=(0.5, 0.3, 0.2), label_distance=4
    )
    cells = simulate(options, seed=2).adata
    new = (cells.obs["batch"] == "batch_3").to_numpy()
    model, reference = latent(cells[~new].copy(), name, n_latent=10)
    mapped = np.asarray(next(iter(reduce(model, cells[new].copy()).obsm.values())))
    classifier = KNeighborsClassifier(15).fit(reference, cells.obs["label"][~new])
    known = cross_val_score(KNeighborsClassifier(15), reference, cells.obs["label"][~new], cv=5).mean()
    assert classifier.score(mapped, cells.obs["label"][new]) > known - 0.1
