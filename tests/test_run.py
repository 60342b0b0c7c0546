"""A run folder keeps its promises: whole files only, checksums, one record."""

import errno
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from cellwright.errors import RunError
from cellwright.run import SCORE_COLUMNS, Run, RunRecord, replacing

RECORD = RunRecord(command="fit vae", model="vae", options={"n_latent": 10}, fit_options={}, seed=0, data={"name": "x"})


@pytest.fixture
def run(tmp_path):
    return Run.start(tmp_path / "run", RECORD)


def test_the_record_comes_back_as_it_was_written(run):
    there = run.record
    assert (there.model, there.options, there.status) == ("vae", {"n_latent": 10}, "running")


def test_finish_writes_checksums_that_verify_and_notice_a_flipped_byte(run):
    run.write_text("schema.json", "{}")
    run.finish(wall_seconds=1.0)
    assert run.record.status == "done"
    assert run.verify() == []
    (run.path / "schema.json").write_text("[]")
    assert run.verify() == ["schema.json"]


def test_a_file_added_after_the_end_is_in_the_checksums(run):
    run.finish()
    run.write_text("extra.txt", "x")
    assert "extra.txt" in json.loads((run.path / "checksums.json").read_text())
    assert run.verify() == []


def test_a_file_that_changed_is_noticed_also_after_another_was_written(run):
    run.write_text("schema.json", "{}")
    (run.path / "schema.json").write_text("[]")
    run.write_text("extra.txt", "x")
    assert run.verify() == ["schema.json"]


def test_a_finished_run_is_not_started_again(run):
    run.finish()
    with pytest.raises(RunError, match="already holds a finished run"):
        Run.start(run.path, RECORD)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.docx").write_text("x")
    with pytest.raises(RunError, match="holds other files"):
        Run.start(tmp_path, RECORD)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_folder_that_is_no_run_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(RunError, match=r"has no run\.json"):
        _ = Run(tmp_path).record


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as path:
        path.write_text("half of the new")
        1 / 0  # noqa: B018
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_is_on_the_disk_as_a_whole_before_it_has_its_name(tmp_path, monkeypatch):
    target, forced = tmp_path / "a.txt", []
    monkeypatch.setattr(os, "fsync", lambda number: forced.append((os.fstat(number).st_size, target.exists())))
    with replacing(target) as path:
        path.write_text("whole")
    assert forced == [(5, False)]
    assert target.read_text() == "whole"


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RunError, match=r"the disk is full.*untouched"), replacing(target) as path:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_device_without_space_raises_the_same_sentence(tmp_path):
    with pytest.raises(RunError, match="the disk is full"), replacing(tmp_path / "a.txt"):
        Path("/dev/full").write_text("x")


def test_scores_of_the_same_measure_replace_the_old_ones(run):
    rest = ["higher", "", False, 0]
    first = pd.DataFrame([["cluster", "ari", 0.5, *rest], ["cluster", "nmi", 0.4, *rest]])
    again = pd.DataFrame([["cluster", "ari", 0.6, *rest]])
    run.add_scores(first.set_axis(SCORE_COLUMNS, axis=1))
    run.add_scores(again.set_axis(SCORE_COLUMNS, axis=1))
    table = run.table("scores.csv")
    assert dict(zip(table["metric"], table["value"], strict=True)) == {"ari": 0.6, "nmi": 0.4}


def test_files_have_the_permissions_of_the_umask(run):
    before = os.umask(0o022)
    try:
        run.write_text("a.txt", "x")
    finally:
        os.umask(before)
    assert (run.path / "a.txt").stat().st_mode & 0o777 == 0o644
