import runpy
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from anndata.io import write_elem

from cellwright.errors import RunError
from cellwright.report.contents import read_contents, read_table


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "copy")


def test_a_study_has_its_runs_and_its_leaderboard(study):
    contents = read_contents(study)
    assert contents.is_study
    assert len(contents.runs) == 13
    assert set(contents.leaderboard["model"]) == {"pca", "ae", "vae", "gnn", "gan"}
    assert contents.problems == []


def test_flags_are_read_as_truth_values(study):
    leaderboard = read_contents(study).leaderboard
    assert set(leaderboard.loc[leaderboard["is_baseline"], "model"]) == {"pca"}
    assert leaderboard["held_out"].dtype == bool


def test_the_shown_run_of_a_model_is_its_first_finished_seed(copy, study_builder):
    folder = study_builder["run_folder"](copy, "vae", 0)
    text = (folder / "run.json").read_text().replace('"status": "done"', '"status": "failed"')
    (folder / "run.json").write_text(text)
    shown = read_contents(copy).shown("pbmc")
    assert {title: run.record.seed for title, run in shown.items()} == {"pca": 0, "ae": 0, "vae": 1, "gnn": 0}


def test_the_map_is_the_umap_or_else_the_first_two_latent_dimensions(study):
    shown = read_contents(study).shown("pbmc")
    assert {title: run.cells.map.is_umap for title, run in shown.items()} == {
        "pca": True, "ae": True, "vae": True, "gnn": False,
    }  # fmt: skip
    assert shown["gnn"].cells.map.coordinates.shape == (700, 2)
    assert np.isfinite(shown["gnn"].cells.map.coordinates).all()


def test_a_run_belongs_to_the_data_that_its_folder_names(study):
    assert {(run.data, run.record.data["name"]) for run in read_contents(study).runs} == {("pbmc", "pbmc.h5ad")}


def test_labels_are_counted_in_natural_order(study, study_builder):
    sizes = read_contents(study).label_sizes("pbmc")
    assert sizes == dict(zip(study_builder["Names"]().labels, study_builder["SIZES"], strict=True))
    assert list(sizes)[:4] == ["B cell", "CD4 T cell", "CD8 T cell", "CD14 monocyte"]


def test_the_scores_of_a_single_run_are_its_leaderboard(study, study_builder):
    folder = study_builder["run_folder"](study, "vae", 1)
    contents = read_contents(folder)
    scores = contents.runs[0].run.table("scores.csv")
    assert not contents.is_study
    assert contents.leaderboard["mean"].tolist() == scores["value"].tolist()
    assert contents.leaderboard["group"].tolist() == scores["group"].fillna("").tolist()


def test_a_broken_cells_file_is_a_problem_that_is_told(copy, study_builder):
    (study_builder["run_folder"](copy, "vae", 0) / "cells.h5ad").write_bytes(b"no HDF5")
    contents = read_contents(copy)
    assert contents.shown("pbmc")["vae"].cells is None
    assert "cells.h5ad of pbmc-vae-1a2b3c4d-s0 could not be read" in contents.problems[0]


def test_a_broken_run_is_left_out_and_told(copy, study_builder):
    (study_builder["run_folder"](copy, "ae", 2) / "run.json").write_text("{")
    contents = read_contents(copy)
    assert len(contents.runs) == 12
    assert "run.json cannot be read" in contents.problems[0]


def test_a_group_called_nan_is_a_group(tmp_path):
    (tmp_path / "t.csv").write_text("group,mean\nnan,1\nNA,nan\n1e5,x\n")
    table = read_table(tmp_path / "t.csv", ["group"], ["mean"])
    assert table["group"].tolist() == ["nan", "NA", "1e5"]
    assert table["mean"].isna().tolist() == [False, True, True]


def test_missing_columns_and_files_have_no_values(tmp_path):
    (tmp_path / "t.csv").write_text("group\na\n")
    table = read_table(tmp_path / "t.csv", ["group", "reason"], ["mean"])
    assert table["reason"].tolist() == [""]
    assert table["mean"].isna().all()
    assert read_table(tmp_path / "none.csv", ["group"], ["mean"]).shape == (0, 2)


def test_a_folder_that_is_neither_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(RunError, match=r"must be a run folder or a study folder.*cellwright compare"):
        read_contents(tmp_path)


def test_a_table_that_is_none_is_refused(tmp_path):
    (tmp_path / "leaderboard.csv").write_bytes(b'"\xff\n')
    with pytest.raises(RunError, match="cannot be read as a table"):
        read_contents(tmp_path)


def test_a_plan_that_cannot_be_read_is_empty_and_said(copy):
    (copy / "study.toml").write_text("= [")
    contents = read_contents(copy)
    assert contents.plan == {}
    assert contents.plan == {}
    assert [problem.startswith("study.toml could not be read") for problem in contents.problems] == [True]


def test_a_table_of_the_study_that_is_not_there_is_empty(study):
    contents = read_contents(study)
    assert len(contents.table("remedies.csv", ["model"], ["difference"])) == 0
    assert contents.problems == []


@pytest.fixture
def trajectories(tmp_path):
    builder = runpy.run_path(str(Path(__file__).with_name("trajectory_folder.py")))
    story = builder["Story"](models=("vae",), n_seeds=1)
    return builder["write_trajectory"](tmp_path / "trajectories", story)


def test_the_trajectory_and_the_changes_of_a_run_are_read(trajectories):
    cells = read_contents(trajectories).shown("marrow")["vae"].cells
    assert list(cells.trajectory["tree"]["segment"]) == ["trunk", "erythroid", "myeloid"]
    assert len(cells.changes) == len(cells.changes_curves) == 8


def test_what_is_no_trajectory_is_none(study, trajectories):
    cells = read_contents(study).shown("pbmc")["vae"].cells
    assert (cells.trajectory, cells.changes, cells.changes_curves) == (None, None, None)
    (path,) = (trajectories / "runs").glob("marrow-vae-*-s0/cells.h5ad")
    with h5py.File(path, "a") as file:
        for name in ("trajectory", "changes", "changes_curves"):
            del file["uns"][name]
            write_elem(file["uns"], name, "another's")
    contents = read_contents(trajectories)
    cells = contents.shown("marrow")["vae"].cells
    assert (cells.trajectory, cells.changes, cells.changes_curves) == (None, None, None)
    assert contents.problems == []
