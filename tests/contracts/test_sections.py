"""Over every entry of SECTIONS: it has a file and a template, it does without what is missing, it repeats."""

import runpy
import shutil
from pathlib import Path

import pytest

from cellwright.report import SECTIONS, sections
from cellwright.report.contents import read_contents
from cellwright.report.page import _environment, render_section

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "report" / "study_folder.py"))
FOLDER = Path(sections.__file__).parent


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return BUILDER["write_study"](tmp_path_factory.mktemp("sections") / "study")


@pytest.fixture(params=SECTIONS, ids=str)
def name(request):
    return request.param


def test_every_file_is_in_the_table():
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(SECTIONS)


def test_every_section_has_a_template_of_its_name(name):
    assert (FOLDER.parent / "templates" / f"{name}.html").is_file()


def test_a_section_shows_something_of_a_full_study(name, study):
    html = render_section(name, SECTIONS[name], read_contents(study), _environment())
    assert html
    assert html.count("<div") == html.count("</div>")


def test_a_section_repeats(name, study):
    first, second = (render_section(name, SECTIONS[name], read_contents(study), _environment()) for _ in range(2))
    assert first == second


def test_a_section_of_an_empty_study_is_none(name, tmp_path):
    (tmp_path / "study.toml").write_text("")
    assert SECTIONS[name].context(read_contents(tmp_path)) is None


@pytest.mark.parametrize("missing", ["cells.h5ad", "history.csv", "scores.csv", "schema.json", "checksums.json"])
def test_a_section_does_without_a_file(name, missing, study, tmp_path):
    run = Path(shutil.copytree(BUILDER["run_folder"](study, "vae", 0), tmp_path / "run"))
    (run / missing).unlink()
    contents = read_contents(run)
    render_section(name, SECTIONS[name], contents, _environment())
    assert contents.problems == []


def test_a_section_of_a_failed_run_renders(name, study):
    contents = read_contents(BUILDER["run_folder"](study, "gan", 0))
    render_section(name, SECTIONS[name], contents, _environment())
    assert contents.problems == []


def test_no_module_of_the_report_imports_torch():
    for path in FOLDER.parent.rglob("*.py"):
        assert "import torch" not in path.read_text()
