"""What is asked of an integration: codes become names, cells without a label stay out, components are fitted once."""

import numpy as np
import pytest

from cellwright.data.prepare import OpenOptions, SplitOptions, prepare
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.metrics import METRICS
from cellwright.study import integrate_scores as module
from cellwright.study.arm import Arm
from cellwright.study.integrate_scores import Examination, column_of
from cellwright.tasks.cluster import ClusterOptions, cluster_labels


@pytest.fixture(scope="module")
def cells():
    """A third of the cells has no label; days in obs."""
    adata = simulate(SimulateOptions(n_obs=120, n_vars=30, n_latent=3, n_batch=2), seed=0).adata
    adata.obs["label"] = np.array(["a", "b"], dtype=object)[np.arange(120) % 2]
    adata.obs.loc[adata.obs_names[::3], "label"] = None
    adata.obs["day"] = np.arange(120) % 4 + 0.0
    keys = OpenOptions(batch_key="batch", label_key="label", time_key="day")
    return prepare(adata, keys, SplitOptions(seed=0))


def test_a_column_has_the_names_of_its_codes_and_nothing_where_there_is_none(cells):
    labels = column_of(cells, "label")
    assert labels.name == "label"
    assert labels.isna().to_numpy().tolist() == [i % 3 == 0 for i in range(120)]
    assert labels[1] == "b"
    assert column_of(cells, "condition") is None


def test_k_means_is_of_labelled_cells_with_as_many_clusters_as_labels(cells, monkeypatch):
    monkeypatch.setattr(module, "diffusion_pseudotime", lambda *_: cells.source.annotation.time)
    latent, labels = np.random.default_rng(0).normal(size=(120, 3)), column_of(cells, "label")
    rows = module._further_rows(latent, labels, cells, 0).set_index("metric")["value"]
    known = labels.notna().to_numpy()
    clusters = cluster_labels(latent[known], ClusterOptions(n_clusters=2, seed=0)).labels
    assert rows["ari"] == METRICS["ari"].function(labels_true=labels[known].to_numpy(), clusters=clusters)
    assert rows["time_order"] == pytest.approx(1)


def test_the_uncorrected_components_are_fitted_once_for_a_seed(cells, monkeypatch):
    fits = []
    fit = module.fit
    monkeypatch.setattr(module, "fit", lambda *args, **more: fits.append(args) or fit(*args, **more))
    examination = Examination(Arm("pca", {"n_latent": 3}))
    first, again = examination._before(cells, 0), examination._before(cells, 0)
    assert first is again
    assert first.shape == (120, 3)
    examination._before(cells, 1)
    assert len(fits) == 2
