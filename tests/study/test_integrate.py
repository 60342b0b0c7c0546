"""A study of integrations: its folder, its baselines, what it refuses, and cells that are hard to score."""

import numpy as np
import pandas as pd
import pytest

from cellwright.data.prepare import OpenOptions
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError, MissingKey, OptionError
from cellwright.run import Run
from cellwright.study import compare as loop
from cellwright.study.integrate import IntegrateOptions, integrate
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.tasks.score_integration import score_integration
from cellwright.train.options import FitOptions

QUICK = FitOptions(max_epochs=2, batch_size=64)
BASELINES = ("pca:n_latent=3", "pca_unscaled:n_latent=3", "pca_centred:n_latent=3", "harmony:n_latent=3")
ONE = IntegrateOptions(models=("mmd_vae:n_latent=3", *BASELINES), seeds=1, validation=0.2)
KEYS = OpenOptions(batch_key="batch", label_key="label")


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=150, n_vars=30, n_latent=3, n_batch=2, label_shares=(0.5, 0.3, 0.2))
    adata = simulate(options, seed=0).adata
    adata.obs["day"] = np.arange(150) % 5 + 0.0
    return adata


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    """UMAP compiles for a quarter of a minute; it has its own tests. The same of diffusion."""
    monkeypatch.setattr("cellwright.study.integrate_scores.embed", lambda adata, use_rep: None)
    monkeypatch.setattr(
        "cellwright.study.integrate_scores.diffusion_pseudotime", lambda latent, root, seed: latent[:, 0]
    )


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellwright.study.integrate_scores.embed", lambda adata, use_rep: None)
        patch.setattr("cellwright.study.integrate_scores.diffusion_pseudotime", lambda latent, root, seed: latent[:, 0])
        keys = KEYS.model_copy(update={"time_key": "day"})
        two = ONE.model_copy(update={"seeds": 2})
        return out, integrate(cells, two, out=out, keys=keys, fit_options=QUICK, name="cells")


def run(cells, tmp_path, keys=KEYS, options=ONE, **more):
    return integrate(cells, options, out=tmp_path / "study", keys=keys, fit_options=QUICK, name="cells", **more)


def test_the_tables_on_disk_are_the_ones_returned(study):
    out, found = study
    there = pd.read_csv(out / "leaderboard.csv")
    assert there.columns.tolist() == LEADERBOARD_COLUMNS
    assert len(there) == len(found.leaderboard)
    assert (there["n_seeds"] == 2).all()
    assert pd.read_csv(out / "recommendation.csv")["model"].tolist() == found.recommendation["model"].tolist()
    assert pd.read_csv(out / "confounding.csv")["key"].tolist() == ["label", "day"]


def test_every_baseline_of_batch_removal_is_there_without_being_asked(cells, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("cellwright.study.integrate.run_study", lambda study, *_: seen.extend(study.arms) or [])
    run(cells, tmp_path, options=IntegrateOptions(models=("mmd_vae",), seeds=1))
    assert [arm.model for arm in seen] == ["pca", "pca_unscaled", "pca_centred", "harmony", "mmd_vae"]


def test_scores_are_those_of_the_latent_that_is_kept(study):
    out, _ = study
    (folder,) = (out / "runs").glob("cells-harmony-*-s1")
    from anndata import read_h5ad

    adata = read_h5ad(folder / "cells.h5ad")
    again = score_integration(
        adata.obsm["X_harmony"], labels=adata.obs["label"], batches=adata.obs["batch"], seed=1
    ).query("metric == 'ilisi' and group == ''")["value"]
    kept = Run(folder).table("scores.csv").query("metric == 'ilisi' and group == ''")["value"]
    assert kept.item() == pytest.approx(again.item(), abs=1e-6)


def test_every_model_is_asked_for_bio_batch_time_and_each_label(study):
    _, found = study
    for _, rows in found.leaderboard.groupby("model"):
        overall = rows[rows["group"] == ""]
        assert {"bio_total", "batch_total", "integration_total", "ari", "time_order"} <= set(overall["metric"])
        assert set(rows.loc[rows["metric"] == "clisi", "group"]) == {"", "type_1", "type_2", "type_3"}


def test_a_study_continues_where_it_was(cells, study, monkeypatch):
    out, found = study
    monkeypatch.setattr(loop, "fit", lambda *_, **__: pytest.fail("a finished run was repeated"))
    keys = KEYS.model_copy(update={"time_key": "day"})
    two = ONE.model_copy(update={"seeds": 2})
    again = integrate(cells, two, out=out, keys=keys, fit_options=QUICK, name="cells")
    pd.testing.assert_frame_equal(again.recommendation, found.recommendation)


def test_genes_are_chosen_within_batches(cells, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("cellwright.study.integrate.run_study", lambda study, first, *_: seen.append(first) or [])
    run(cells, tmp_path, preprocessing=PreprocessOptions(n_top_genes=20))
    assert seen[0].report["options"]["batch_key"] == "batch"


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        pytest.param(OpenOptions(), DataError, "batch_key", id="no-batch"),
        pytest.param(OpenOptions(batch_key="one"), DataError, "two batches", id="one-batch"),
        pytest.param(OpenOptions(batch_key="donor"), MissingKey, "donor", id="batch-key-not-there"),
        pytest.param(OpenOptions(batch_key="batch", label_key="nothing"), DataError, "nothing", id="no-label-anywhere"),
    ],
)
def test_what_cannot_be_integrated_is_refused_before_anything_is_written(cells, tmp_path, keys, error, said):
    cells = cells.copy()
    cells.obs["one"] = "the only"
    cells.obs["nothing"] = pd.Series([None] * cells.n_obs, index=cells.obs_names, dtype=object)
    with pytest.raises(error, match=said):
        run(cells, tmp_path, keys)
    assert not (tmp_path / "study").exists()


def test_a_model_that_does_not_encode_is_refused(cells, tmp_path):
    with pytest.raises(AbilityError, match="gan cannot integrate"):
        run(cells, tmp_path, options=IntegrateOptions(models=("gan",)))
    with pytest.raises(OptionError, match="twice"):
        run(cells, tmp_path, options=IntegrateOptions(models=("vae", "vae")))


def test_one_cell_in_a_batch_is_scored_with_the_others(cells, tmp_path):
    cells = cells.copy()
    cells.obs["batch"] = cells.obs["batch"].astype(str)
    cells.obs.loc[cells.obs_names[3], "batch"] = "lone"
    found = run(cells, tmp_path)
    assert (found.leaderboard["status"] == "done").all()
    assert found.leaderboard.query("metric == 'ilisi' and group == ''")["mean"].notna().all()


def test_a_batch_without_any_label_is_embedded_and_not_scored(cells, tmp_path):
    cells = cells.copy()
    cells.obs["label"] = cells.obs["label"].astype(object).where(cells.obs["batch"] != "batch_1", None)
    third = np.arange(cells.n_obs) % 3 == 0
    cells.obs["batch"] = np.where(third & (cells.obs["batch"] != "batch_1"), "batch_3", cells.obs["batch"].astype(str))
    with pytest.warns(UserWarning, match="batch_1 of .* have no cell with a label"):
        found = run(cells, tmp_path)
    assert (found.leaderboard["status"] == "done").all()
    assert found.leaderboard.query("metric == 'clisi' and group == ''")["mean"].notna().all()


def test_without_labels_mixing_is_scored_and_nothing_is_recommended(cells, tmp_path):
    """For the model that mixes most may have mixed the cell types."""
    found = run(cells, tmp_path, OpenOptions(batch_key="batch"))
    assert set(found.leaderboard["reason"]) == {""}
    assert "ilisi" in set(found.leaderboard["metric"])
    assert "clisi" not in set(found.leaderboard["metric"])
    assert found.recommendation["is_recommended"].sum() == 0


def test_several_modalities_are_refused_before_anything_is_written(cells, tmp_path):
    with pytest.raises(DataError, match=r"must be of one modality; the data have a, b\. Name it: modality='a'"):
        run({"a": cells, "b": cells}, tmp_path, OpenOptions(batch_key="batch"))
    assert not list(tmp_path.iterdir())


def test_a_model_that_fails_is_a_row_that_says_why(cells, tmp_path):
    with_labels = ONE.model_copy(update={"models": ("semi_vae", *BASELINES)})
    found = run(cells, tmp_path, OpenOptions(batch_key="batch"), with_labels)
    failed = found.leaderboard[found.leaderboard["status"] == "failed"]
    assert failed["model"].tolist() == ["semi_vae"]
    assert "label_key" in failed["reason"].item()
