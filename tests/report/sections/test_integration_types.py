"""Which cell type was mixed away, by which model; which one is least mixed over batches."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.integration_types import context

FOLDER = runpy.run_path(str(Path(__file__).parents[1] / "integration_folder.py"))


@pytest.fixture
def rows(tmp_path):
    found = context(read_contents(FOLDER["write_integration"](tmp_path / "study")))
    return {row["title"]: row for row in found["rows"]}


def test_the_type_that_was_lost_is_named_with_its_size_and_the_types_around_it(rows):
    assert rows["mmd_vae"]["lost"] == "plasma (10) 1.2 → 2.2"
    assert rows["harmony"]["lost"] == rows["vae"]["lost"] == ""


def test_the_uncorrected_cells_are_what_is_compared_with_and_no_row(rows):
    assert [*rows] == ["harmony", "vae", "mmd_vae"]


def test_the_least_mixed_type_is_named(rows):
    assert rows["vae"]["apart"] == "B <cells> (30) 0.30"


def test_without_labels_there_is_none(tmp_path):
    assert context(read_contents(FOLDER["write_integration"](tmp_path / "plain", labels=False))) is None
