"""The section on integrations: the answer, the warning, a row per model, and a mark where something is lost."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections import leaderboard, per_type
from cellwright.report.sections.integration import context

FOLDER = runpy.run_path(str(Path(__file__).parents[1] / "integration_folder.py"))


@pytest.fixture
def contents(tmp_path):
    return read_contents(FOLDER["write_integration"](tmp_path / "study"))


def rows(found):
    return {row["title"]: row for row in found["rows"]}


def test_models_stand_by_their_total_and_what_failed_is_last(contents):
    assert [*rows(context(contents))] == ["harmony", "vae", "mmd_vae", "pca", "semi_vae"]
    assert rows(context(contents))["semi_vae"]["failed"]


def test_the_recommended_row_is_tagged_and_the_answer_is_first(contents):
    found = context(contents)
    assert [title for title, row in rows(found).items() if row["is_recommended"]] == ["harmony"]
    assert found["answer"][0].startswith("Use harmony")


def test_the_warning_stands_apart_from_the_findings(contents, tmp_path):
    found = context(contents)
    assert len(found["warning"]) == 1
    assert not any(said.startswith("Warning") for said in found["answer"])
    plain = read_contents(FOLDER["write_integration"](tmp_path / "plain", is_confounded=False))
    assert context(plain)["warning"] == []


def test_what_is_lost_is_marked_in_its_column(contents):
    found = context(contents)
    titles = [heading.title for heading in found["headings"]]
    marked = {
        (title, heading)
        for title, row in rows(found).items()
        for heading, cell in zip(titles, row["cells"], strict=True)
        if cell["mark"]
    }
    assert marked == {("mmd_vae", "bio"), ("mmd_vae", "order in time")}


def test_bands_cover_the_columns(contents):
    found = context(contents)
    assert sum(band["n"] for band in found["bands"]) == len(found["headings"])
    assert [band["title"] for band in found["bands"]] == ["totals", "biology", "batches"]


def test_without_labels_there_is_a_table_all_the_same(tmp_path):
    study = FOLDER["write_integration"](tmp_path / "study", labels=False)
    assert [heading.title for heading in context(read_contents(study))["headings"]] == ["order in time", "iLISI"]


def test_sections_of_comparisons_leave_it_alone(contents):
    assert leaderboard.context(contents) is None
    assert per_type.context(contents) is None
