"""The study of tissues: baselines beside every model, scores of labelled cells alone, early refusals."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cellwright.data.prepare import OpenOptions
from cellwright.errors import AbilityError, DataError, OptionError, RunError
from cellwright.metrics.ari import ari
from cellwright.study.spatial import SpatialStudyOptions, arms_of, spatial_study
from cellwright.study.spatial_scores import neighbours_in_sections
from cellwright.tasks.spatial import SpatialOptions
from cellwright.train.options import FitOptions

KEYS = OpenOptions(label_key="region", batch_key="section", coordinates_key="spatial")
SMALL = SpatialStudyOptions(models=("spatial_gae:n_components=5:n_latent=4",), seeds=2, baseline_width=4)
DOMAINS = SpatialOptions(n_permutations=99)
SHORT = FitOptions(max_epochs=2)


def tissue(side=10):
    rng = np.random.default_rng(0)
    square = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    places = np.concatenate([square, square])
    half = (places[:, 0] >= side / 2).astype(int)
    label = np.array(["left", "right"])[half].astype(object)
    label[:5] = "unlabelled"
    counts = rng.poisson(4 * rng.gamma(2, 1, (2, 20))[half]).astype(np.float32)
    obs = pd.DataFrame({"region": label, "section": np.repeat(["s1", "s2"], side**2)})
    obs.index = [f"spot{i}" for i in range(len(obs))]
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, obsm={"spatial": places})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("spatial") / "study"


@pytest.fixture(scope="module")
def board(folder):
    return spatial_study(tissue(), SMALL, out=folder, keys=KEYS, spatial=DOMAINS, fit_options=SHORT, name="tissue")


def overall(board, task, metric):
    rows = board[(board["task"] == task) & (board["metric"] == metric) & (board["group"] == "")]
    return rows.set_index("model")["mean"]


def test_baselines_with_and_without_space_are_always_there(board):
    assert set(board["model"]) == {"pca", "pca_unscaled", "pca_smoothed", "spatial_gae"}
    assert (board["status"] == "done").all()
    assert board.set_index("model")["is_baseline"].groupby(level=0).first().to_dict() == {
        "pca": True, "pca_unscaled": True, "pca_smoothed": True, "spatial_gae": False,
    }  # fmt: skip


def test_baselines_have_the_width_that_was_asked_for(folder, board):
    for path in (folder / "runs").glob("*-pca*-s0"):
        cells = ad.read_h5ad(path / "cells.h5ad")
        (latent,) = (value for key, value in cells.obsm.items() if key.startswith("X_"))
        assert latent.shape == (200, 4)


def test_planted_halves_are_found(board):
    assert overall(board, "cluster", "ari")["pca_smoothed"] > 0.8


def test_domains_and_refined_domains_have_scores_of_their_own(board):
    for task in ("cluster", "refine"):
        for metric in ("ari", "nmi", "balanced_ari", "spatial_coherence"):
            assert len(overall(board, task, metric)) == 4
    gained = overall(board, "refine", "spatial_coherence") - overall(board, "cluster", "spatial_coherence")
    assert (gained >= 0).all()
    assert gained.max() > 0


def test_cells_whose_label_says_that_there_is_none_are_not_scored(folder, board):
    (run,) = (folder / "runs").glob("*-pca-*-s0")
    cells = ad.read_h5ad(run / "cells.h5ad")
    rows = cells.obs["region"] != "unlabelled"
    found = pd.read_csv(run / "scores.csv", keep_default_na=False).query("task == 'cluster' and metric == 'ari'")
    assert found["value"].item() == pytest.approx(ari(cells.obs["region"][rows], cells.obs["domain"][rows]))
    assert cells.obs["domain"].nunique() == 2
    assert "unlabelled" not in set(board["group"])


def test_a_run_has_the_places_and_the_enrichment(folder, board):
    (run,) = (folder / "runs").glob("*-spatial_gae-*-s1")
    cells = ad.read_h5ad(run / "cells.h5ad")
    assert cells.obsm["spatial"].shape == (200, 2)
    assert {"first", "second", "z", "p_adjusted"} <= set(cells.uns["enrichment"].columns)


def test_given_again_it_finds_its_runs(folder, board):
    seen = []
    again = spatial_study(
        tissue(), SMALL, out=folder, keys=KEYS, spatial=DOMAINS, fit_options=SHORT, name="tissue", watch=seen.append
    )
    assert all(outcome.found for outcome in seen)
    pd.testing.assert_frame_equal(again, board)


def test_another_graph_is_another_study(folder, board):
    with pytest.raises(RunError, match="another n_permutations"):
        spatial_study(
            tissue(), SMALL, out=folder, keys=KEYS, spatial=SpatialOptions(n_permutations=199), fit_options=SHORT,
            name="tissue",
        )  # fmt: skip


def test_a_model_asked_for_keeps_its_own_width():
    arms = arms_of(SpatialStudyOptions(models=("pca:n_latent=7",), baseline_width=4))
    assert [arm.changes["n_latent"] for arm in arms if arm.model == "pca"] == [7]


@pytest.mark.parametrize(
    ("models", "error", "said"),
    [(("gene_mean",), AbilityError, "cannot find domains"), (("vae", "vae"), OptionError, "there twice")],
    ids=["no latent", "twice"],
)
def test_models_that_cannot_are_refused(models, error, said):
    with pytest.raises(error, match=said):
        arms_of(SpatialStudyOptions(models=models))


def test_data_without_coordinates_are_refused_before_anything_is_written(tmp_path):
    keys = OpenOptions(label_key="region")
    with pytest.raises(DataError, match="must have the places of the cells"):
        spatial_study(tissue(), SMALL, out=tmp_path / "study", keys=keys)
    assert not (tmp_path / "study").exists()


def test_sections_with_too_few_cells_have_no_say_in_the_coherence():
    places = np.random.default_rng(0).random((30, 2))
    section = np.array([0] * 20 + [1] * 3 + [2] * 7)
    rows, found = neighbours_in_sections(places, section)
    assert rows.tolist() == [*range(20), *range(23, 30)]
    assert (section[rows][found.indices] == section[rows][:, None]).all()
