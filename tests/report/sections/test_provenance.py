import shutil

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.provenance import checked, context
from cellwright.run import Run


@pytest.fixture
def copy(study, tmp_path):
    return shutil.copytree(study, tmp_path / "copy")


def test_untouched_runs_are_verified_and_a_changed_file_is_named(copy, study_builder):
    (study_builder["run_folder"](copy, "vae", 1) / "history.csv").write_text("changed")
    (study_builder["run_folder"](copy, "gan", 0) / "checksums.json").unlink()
    found = {run.run.path.name: checked(run) for run in read_contents(copy).runs}
    assert found.pop("pbmc-vae-1a2b3c4d-s1") == "changed: history.csv"
    assert found.pop("pbmc-gan-1a2b3c4d-s0") == "none"
    assert set(found.values()) == {"verified"}


def test_a_report_made_anew_is_no_change(copy, study_builder):
    folder = study_builder["run_folder"](copy, "vae", 0)
    for text in ("first", "second"):
        (folder / "report.html").write_text(text)
    assert checked(read_contents(folder).runs[0]) == "verified"


def test_broken_checksums_are_unreadable(copy, study_builder):
    folder = study_builder["run_folder"](copy, "vae", 0)
    (folder / "checksums.json").write_text("{")
    assert checked(read_contents(folder).runs[0]) == "unreadable"


def test_changed_options_are_shown_where_the_run_noted_them_else_all(copy, study_builder):
    for seed in (0, 1, 2):
        Run(study_builder["run_folder"](copy, "vae", seed)).note("changed_options", {"n_latent": 20})
    shown = {model["model"]: model for model in context(read_contents(copy))["options"]}
    assert shown["vae"]["pairs"] == [("n latent", "20")]
    assert shown["vae"]["only_changed"]
    names = [name for name, _ in shown["ae"]["pairs"]]
    assert names == ["n latent", "n layers", "likelihood", "max epochs", "batch size"]


def test_versions_that_differ_between_runs_are_all_shown(copy, study_builder):
    run = Run(study_builder["run_folder"](copy, "vae", 0))
    run.update(versions={**run.record.versions, "torch": "2.14.0"})
    assert dict(context(read_contents(copy))["versions"])["torch"] == "2.13.0 / 2.14.0"


def test_a_command_that_all_runs_share_stands_once(study):
    assert len(context(read_contents(study))["commands"]) == 1


def test_runs_of_a_study_of_responses_say_what_was_held_out(study, responses):
    assert {run["held_out"] for run in context(read_contents(responses))["runs"]} == {"CD4T held out", "NK held out"}
    assert {run["held_out"] for run in context(read_contents(study))["runs"]} == {""}
