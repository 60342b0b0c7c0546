"""A study of trajectories: its folder, its baselines, its scores, and what is refused before anything is written."""

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.data.prepare import OpenOptions
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError, MissingKey, OptionError, RunError
from cellwright.metrics.branch_f1 import branch_f1
from cellwright.metrics.time_order import time_order
from cellwright.run import Run
from cellwright.study import compare as loop
from cellwright.study.statistics import LEADERBOARD_COLUMNS
from cellwright.study.trajectory import TrajectoryStudyOptions, arms_of, trajectory_study
from cellwright.tasks.trajectory import TrajectoryOptions

PCA = ("pca:n_latent=3", "pca_unscaled:n_latent=3")
ONE = TrajectoryStudyOptions(models=PCA, seeds=1, validation=0.2)
KEYS = OpenOptions(label_key="label", time_key="time")
ORDER = "trunk < branch_1"


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(
        n_obs=200, n_vars=40, n_latent=3, n_branches=2, label_shares=(0.4, 0.3, 0.3), label_distance=8
    )
    adata = simulate(options, seed=0).adata
    adata.obs["known"] = adata.obs["label"].astype(str)
    return adata


def places(adata, use_rep):
    """In the stead of UMAP, which compiles for a quarter of a minute and has its own tests."""
    adata.obsm[f"{use_rep}_umap"] = np.asarray(adata.obsm[use_rep])[:, :2]


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    monkeypatch.setattr("cellwright.study.trajectory_scores.embed", places)


@pytest.fixture(scope="module")
def study(cells, tmp_path_factory):
    """Two seeds, with branches and orders."""
    out = tmp_path_factory.mktemp("studies") / "study"
    options = ONE.model_copy(update={"seeds": 2, "branch_key": "known", "orders": (ORDER,)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellwright.study.trajectory_scores.embed", places)
        return out, trajectory_study(cells, options, out=out, keys=KEYS, name="cells")


def run(cells, tmp_path, keys=KEYS, options=ONE, **trajectory):
    way = TrajectoryOptions(**trajectory)
    return trajectory_study(cells, options, out=tmp_path / "study", keys=keys, trajectory=way, name="cells")


def stored(study, model, seed):
    (folder,) = (study[0] / "runs").glob(f"cells-{model}-*-s{seed}")
    return Run(folder), read_h5ad(folder / "cells.h5ad")


def test_the_table_on_disk_is_the_one_returned(study):
    out, found = study
    there = pd.read_csv(out / "leaderboard.csv")
    assert there.columns.tolist() == LEADERBOARD_COLUMNS
    assert len(there) == len(found)
    assert (there["n_seeds"] == 2).all()
    assert (there["status"] == "done").all()


def test_every_model_is_asked_for_time_labels_orders_and_branches(study):
    for _, rows in study[1].groupby("model"):
        groups = {metric: set(of["group"]) for metric, of in rows.groupby("metric")}
        assert groups == {"time_order": {"", "trunk", "branch_1", "branch_2", ORDER}, "branch_f1": {""}}
        assert set(rows["task"]) == {"trajectory"}
        assert not rows["held_out"].any()


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_are_those_of_the_cells_that_are_kept(study, cells, seed):
    of_run, adata = stored(study, "pca", seed)
    scores = of_run.table("scores.csv").fillna({"group": ""}).set_index(["metric", "group"])["value"]
    order = adata.obs["pseudotime"].to_numpy()
    assert scores["time_order", ""] == pytest.approx(time_order(order, cells.obs["time"].to_numpy()))
    assert scores["branch_f1", ""] == pytest.approx(branch_f1(cells.obs["known"], adata.obs["branch"].astype(object)))
    rank = cells.obs["known"].map({"trunk": 0.0, "branch_1": 1.0}).to_numpy()
    assert scores["time_order", ORDER] == pytest.approx(time_order(order, rank))


def test_the_first_seed_is_kept_for_looking_and_of_others_what_is_small(study):
    _, first = stored(study, "pca", 0)
    _, second = stored(study, "pca", 1)
    assert "transitions" in first.obsp
    assert "transitions" not in second.obsp
    assert {"changes", "changes_curves"} <= set(first.uns)
    assert first.uns["trajectory"]["curves"].shape[::2] == (len(first.uns["trajectory"]["fates"]), 3)
    assert first.uns["trajectory"]["arrows"].shape[1] == 4
    assert {"pseudotime", "branch", "terminal"} <= set(second.obs)


def test_a_run_says_where_time_is_and_whether_its_model_read_labels(study):
    of_run, _ = stored(study, "pca", 0)
    notes = of_run.record.notes
    assert (notes["time_key"], notes["label_key"], notes["reads_labels"]) == ("time", "label", False)


def test_a_study_continues_where_it_was(cells, study, monkeypatch):
    out, found = study
    monkeypatch.setattr(loop, "fit", lambda *_, **__: pytest.fail("a finished run was repeated"))
    options = ONE.model_copy(update={"seeds": 2, "branch_key": "known", "orders": (ORDER,)})
    again = trajectory_study(cells, options, out=out, keys=KEYS, name="cells")
    pd.testing.assert_frame_equal(again, found)


def test_another_trajectory_in_the_same_folder_is_refused(cells, study):
    options = ONE.model_copy(update={"seeds": 2, "branch_key": "known", "orders": (ORDER,)})
    other = TrajectoryOptions(n_smooth=1)
    with pytest.raises(RunError, match="another n_smooth: 8, now 1"):
        trajectory_study(cells, options, out=study[0], keys=KEYS, trajectory=other, name="cells")


def test_baselines_that_encode_are_added_in_the_width_of_the_study():
    arms = arms_of(TrajectoryStudyOptions(models=("vae:n_latent=5", "pca:n_latent=4"), baseline_width=7))
    assert [(arm.model, arm.changes["n_latent"]) for arm in arms] == [("pca_unscaled", 7), ("vae", 5), ("pca", 4)]


def test_without_labels_the_order_in_time_is_scored_overall(cells, tmp_path):
    found = run(cells, tmp_path, OpenOptions(time_key="time"))
    assert found["reason"].eq("").all()
    assert set(found["group"]) == {""}


def test_without_a_time_orders_are_scored_from_a_given_root(cells, tmp_path):
    first = cells.obs_names[cells.obs["time"].argmin()]
    options = ONE.model_copy(update={"orders": (ORDER, "trunk<branch_2")})
    found = run(cells, tmp_path, OpenOptions(label_key="label"), options, root=first)
    assert set(found["group"]) == {"", ORDER, "trunk<branch_2"}
    assert (found["mean"] > 0.7).all()
    for _, of_model in found.set_index("group").groupby("model")["mean"]:
        assert of_model[""] == pytest.approx(of_model.drop("").mean())


def test_with_nothing_to_score_by_a_row_says_so(cells, tmp_path):
    found = run(cells, tmp_path, OpenOptions(), root=cells.obs_names[0])
    assert len(found) == 2
    assert found["mean"].isna().all()
    assert (tmp_path / "study" / "runs").is_dir()


def test_cells_without_a_time_or_a_label_are_in_the_trajectory_and_not_in_the_scores(cells, tmp_path):
    cells = cells.copy()
    cells.obs["time"] = cells.obs["time"].where(np.arange(200) % 4 > 0)
    cells.obs["label"] = cells.obs["label"].astype(object).where(np.arange(200) % 3 > 0, None)
    found = run(cells, tmp_path)
    assert found["reason"].eq("").all()
    assert found["mean"].notna().all()
    kept = stored((tmp_path / "study", None), "pca", 0)[1]
    assert np.isfinite(kept.obs["pseudotime"]).all()


def test_values_without_a_scale_have_a_trajectory(cells, tmp_path):
    cells = cells.copy()
    cells.X = np.log1p(cells.X.toarray()) - 1
    found = run(cells, tmp_path, options=ONE.model_copy(update={"models": ("pca:n_latent=3:transform=none",)}))
    assert (found["status"] == "done").all()


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("trunk", "has one"),
        ("trunk<brunch_1", r"has 'brunch_1'\. Did you mean 'branch_1'"),
        ("trunk<", "has ''"),
        ("trunk<trunk", "has one of them twice"),
    ],
    ids=["one label", "unknown", "nothing", "twice"],
)
def test_orders_of_labels_that_are_none_are_refused_before_anything_is_written(cells, tmp_path, order, said):
    with pytest.raises(OptionError, match=said):
        run(cells, tmp_path, options=ONE.model_copy(update={"orders": (order,)}))
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("keys", "options", "trajectory", "error", "said"),
    [
        (KEYS, {}, {"root": "trank"}, OptionError, "Did you mean 'trunk'"),
        (KEYS, {}, {"terminal": ("branch_9",)}, OptionError, "'branch_9' is none"),
        (OpenOptions(), {}, {"transitions": "transport"}, OptionError, "no time_key is given"),
        (OpenOptions(time_key="one"), {}, {}, DataError, "two different times"),
        (OpenOptions(time_key="known"), {}, {}, DataError, "must hold numbers"),
        (OpenOptions(), {"orders": ("a<b",)}, {}, OptionError, "name label_key"),
        (KEYS, {"branch_key": "branches"}, {}, MissingKey, "obs has no 'branches'"),
        (KEYS, {"branch_key": "nothing"}, {}, DataError, "it is missing for all"),
        (KEYS, {"models": ("gan",)}, {}, AbilityError, "gan cannot give a trajectory"),
        (KEYS, {"models": ("ae", "ae")}, {}, OptionError, "twice"),
    ],
    ids=[
        "no such root", "no such end", "transport without time", "one time", "time of text", "order without labels",
        "no such branches", "no branch", "no encoder", "a model twice",
    ],
)  # fmt: skip
def test_what_no_model_can_mend_is_refused_before_anything_is_written(
    cells, tmp_path, keys, options, trajectory, error, said
):
    cells = cells.copy()
    cells.obs["one"], cells.obs["nothing"] = 1.0, pd.Series([None] * 200, cells.obs_names, dtype=object)
    with pytest.raises(error, match=said):
        run(cells, tmp_path, keys, ONE.model_copy(update=options), **trajectory)
    assert not (tmp_path / "study").exists()


def test_columns_that_a_trajectory_writes_are_refused_before_anything_is_written(cells, tmp_path):
    cells = cells.copy()
    cells.obs["branch"] = cells.obs["known"]
    with pytest.raises(DataError, match="obs must not have 'branch'"):
        run(cells, tmp_path)
    assert not (tmp_path / "study").exists()


def test_several_modalities_are_refused(cells, tmp_path):
    with pytest.raises(DataError, match=r"a study of trajectories must be of one modality; the data have a, b"):
        run({"a": cells, "b": cells}, tmp_path, OpenOptions())


def test_an_end_that_is_not_reached_in_the_latent_of_a_model_is_a_row_that_says_so(cells, tmp_path):
    cells = cells.copy()
    lone = cells.obs["known"].to_numpy() == "branch_2"
    cells.X = cells.X.toarray()
    cells.X[lone, :20] *= 400
    first = cells.obs_names[cells.obs["time"].argmin()]
    with pytest.warns(UserWarning, match="nothing connects"):
        found = run(cells, tmp_path, root=first, terminal=("branch_2",), n_smooth=0, n_neighbors=10)
    assert "failed" in set(found["status"])
    assert found["reason"].str.contains("must be reached from the root").any()
