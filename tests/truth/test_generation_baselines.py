"""The baseline of generators finds planted means and thetas, and the metrics find what it lacks; slow."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import stratified_split
from cellwright.models import build
from cellwright.tasks.generate import generate, score_generation
from cellwright.train.fit import fit

pytestmark = pytest.mark.slow


def test_planted_shares_and_thetas_are_found_label_by_label():
    rng = np.random.default_rng(0)
    n, n_vars = 6000, 50
    label = rng.integers(0, 2, n)
    share = rng.dirichlet(np.ones(n_vars), size=2)
    theta = np.exp(rng.normal(1.0, 0.7, size=(2, n_vars)))
    library = rng.lognormal(np.log(5000), 0.3, n)
    mean = library[:, None] * share[label]
    counts = rng.poisson(mean * rng.gamma(theta[label]) / theta[label]).astype(np.float32)
    obs = pd.DataFrame({"label": np.array(["a", "b"])[label]}, index=np.arange(n).astype(str))
    data = open_data(AnnData(sparse.csr_matrix(counts), obs=obs), label_key="label")
    model = build("nb_by_label", data.schema)
    fit(model, data, progress=False)
    for code in (0, 1):
        of_label = mean[label == code]
        error = np.sqrt((of_label + of_label**2 / theta[code]).sum(axis=0)) / of_label.sum(axis=0)
        # features share the library, which is their sum: that moves all of them together
        assert (np.abs(model.share[code].numpy() / share[code] - 1) < 5 * error + 0.02).all()
        common = of_label.mean(axis=0) > 20
        assert common.sum() > 30
        np.testing.assert_allclose(np.log(model.theta[code].numpy()[common]), np.log(theta[code, common]), atol=0.25)


@pytest.fixture(scope="module")
def planted():
    """Within a label, features go together: the latent moves them."""
    options = SimulateOptions(n_obs=6000, n_vars=200, n_latent=3, label_shares=(0.5, 0.3, 0.2))
    data = open_data(simulate(options, seed=0).adata, label_key="label")
    return data, stratified_split(data.annotation.label, validation=0, test=0.3, seed=0)


@pytest.fixture(scope="module")
def scores(planted):
    data, split = planted
    found = {}
    for name in ("nb_by_label", "real_cells"):
        model = build(name, data.schema)
        fit(model, data, split=split, progress=False)
        found[name] = score_generation(model, data, split.test, held_out=True).set_index(["metric", "group"])["value"]
    return found


def test_real_cells_cannot_be_told_from_held_out_ones(scores):
    assert scores["real_cells"]["c2st", ""] < 0.52
    assert scores["real_cells"]["mmd", ""] < 1e-3


def test_independent_features_lack_the_correlations_of_real_ones_in_every_label(scores):
    labels = set(scores["real_cells"].index.get_level_values("group"))
    assert len(labels) == 4
    for group in labels:
        real, independent = (scores[name]["correlation_error", group] for name in ("real_cells", "nb_by_label"))
        assert independent > 1.5 * real


def test_classifier_and_discrepancy_find_independent_features_out(scores):
    assert scores["nb_by_label"]["c2st", ""] > scores["real_cells"]["c2st", ""] + 0.1
    assert scores["nb_by_label"]["mmd", ""] > scores["real_cells"]["mmd", ""] + 1e-3


def test_generated_cells_of_a_rare_label_augment_it(planted):
    """A hundred cells of the rarest label lie with its held-out cells: the nearest mean is that of their label."""
    data, split = planted
    model = build("nb_by_label", data.schema)
    fit(model, data, split=split, progress=False)
    rarest = int(model.population.label_counts.argmin())
    made = generate(model, 100, labels=data.schema.label.values[rarest]).X.toarray()
    logs = np.log1p(made * 1e4 / made.sum(axis=1, keepdims=True))
    held_out = data.read("X", split.test).toarray()
    real = np.log1p(held_out * 1e4 / held_out.sum(axis=1, keepdims=True))
    codes = data.annotation.label[split.test]
    means = np.stack([real[codes == code].mean(axis=0) for code in range(3)])
    nearest = ((logs[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == rarest).mean() > 0.95
