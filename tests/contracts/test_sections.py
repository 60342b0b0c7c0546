"""Over every entry of SECTIONS: it has a file and a template, it does without what is missing, it repeats."""

import runpy
import shutil
from pathlib import Path

import plotly.graph_objects as go
import pytest

from cellwright.report import SECTIONS, sections
from cellwright.report.contents import read_contents
from cellwright.report.page import _environment, render_section
from cellwright.report.theme import Figure

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "report" / "study_folder.py"))
RESPONSES = runpy.run_path(str(Path(__file__).parents[1] / "report" / "response_folder.py"))
AUGMENT = runpy.run_path(str(Path(__file__).parents[1] / "report" / "augment_folder.py"))
TISSUE = runpy.run_path(str(Path(__file__).parents[1] / "report" / "tissue_folder.py"))
INTEGRATION = runpy.run_path(str(Path(__file__).parents[1] / "report" / "integration_folder.py"))
RECOVERY = runpy.run_path(str(Path(__file__).parents[1] / "report" / "recovery_folder.py"))
TRANSLATION = runpy.run_path(str(Path(__file__).parents[1] / "report" / "translation_rows.py"))
FORECASTS = runpy.run_path(str(Path(__file__).parents[1] / "report" / "forecast_rows.py"))
CLASSIFICATION = runpy.run_path(str(Path(__file__).parents[1] / "report" / "classification_folder.py"))
FOLDER = Path(sections.__file__).parent
OF_FORECASTS = {"forecasts", "state_transitions"}
OF_TISSUES = {"tissue", "enrichment"}
OF_ANSWERS = {"confusion", "calibration"}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    return BUILDER["write_study"](tmp_path_factory.mktemp("sections") / "study")


@pytest.fixture(scope="module")
def responses(tmp_path_factory):
    effects = {(remedy, "training"): (0.01, 0.02) for remedy in RESPONSES["REMEDIES"]}
    story = RESPONSES["Story"](effects=effects, is_screen=True)  # so that each section has something
    return RESPONSES["write_responses"](tmp_path_factory.mktemp("sections") / "responses", story)


@pytest.fixture(scope="module")
def augmentation(tmp_path_factory):
    return AUGMENT["write_augmentation"](tmp_path_factory.mktemp("sections") / "augmentation")


@pytest.fixture(scope="module")
def recovery(tmp_path_factory):
    return RECOVERY["write_recovery"](tmp_path_factory.mktemp("sections") / "recovery")


@pytest.fixture(scope="module")
def translation(tmp_path_factory):
    return TRANSLATION["with_translations"](BUILDER["write_study"](tmp_path_factory.mktemp("sections") / "translation"))


@pytest.fixture(scope="module")
def forecasts(tmp_path_factory):
    return FORECASTS["with_forecasts"](BUILDER["write_study"](tmp_path_factory.mktemp("sections") / "forecasts"))


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    return TISSUE["write_tissue"](tmp_path_factory.mktemp("sections") / "tissue")


@pytest.fixture(scope="module")
def integration(tmp_path_factory):
    return INTEGRATION["write_integration"](tmp_path_factory.mktemp("sections") / "integration")


@pytest.fixture(scope="module")
def classification(tmp_path_factory):
    return CLASSIFICATION["write_classification"](tmp_path_factory.mktemp("sections") / "classification")


@pytest.fixture
def study(
    name, classification, comparison, responses, augmentation, recovery, integration, tissue, translation, forecasts
):
    """The kind of study that the section is for."""
    if name in OF_FORECASTS:
        return forecasts
    if name == "translation":
        return translation
    if name.startswith("augment"):
        return augmentation
    if name.startswith("imput"):
        return recovery
    if name.startswith("integration"):
        return integration
    if name in OF_TISSUES:
        return tissue
    if name in OF_ANSWERS:
        return classification
    return responses if name.startswith("respon") or name == "remedies" else comparison


@pytest.fixture
def run_of(name):
    """The folder of a network's run in such a study."""

    def folder(study):
        if name.startswith("augment"):
            return AUGMENT["augment_run"](study)
        if name.startswith("imput"):
            return RECOVERY["recovery_run"](study, "vae")
        if name.startswith("integration"):
            return INTEGRATION["integration_run"](study)
        if name in OF_TISSUES:
            return TISSUE["tissue_run"](study, "spatial_gae")
        if name in OF_ANSWERS:
            return CLASSIFICATION["classification_run"](study, "gru")
        if name.startswith("respon") or name == "remedies":
            return RESPONSES["response_run"](study, "scgen")
        return BUILDER["run_folder"](study, "vae", 0)

    return folder


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


def test_every_view_of_a_section_is_a_figure_of_plotly(name, study):
    """It refuses what it does not know: a misspelt property would not be drawn, and nobody would be told."""
    for figure in figures_in(SECTIONS[name].context(read_contents(study))):
        for view in figure.views.values():
            for layout in filter(None, (view["layout"], view.get("narrow"))):
                go.Figure(view.get("data", []), layout)


def figures_in(value):
    if isinstance(value, Figure):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [figure for item in items for figure in figures_in(item)]


def test_a_section_repeats(name, study):
    first, second = (render_section(name, SECTIONS[name], read_contents(study), _environment()) for _ in range(2))
    assert first == second


def test_a_section_of_an_empty_study_is_none(name, tmp_path):
    (tmp_path / "study.toml").write_text("")
    assert SECTIONS[name].context(read_contents(tmp_path)) is None


@pytest.mark.parametrize(
    "missing",
    [
        "cells.h5ad",
        "history.csv",
        "scores.csv",
        "schema.json",
        "checksums.json",
        "genes.csv",
        "places.csv",
        "gene_pairs.csv",
        "proteins.csv",
        "forecasts.csv",
        "transitions.csv",
    ],
)
def test_a_section_does_without_a_file(name, missing, study, run_of, tmp_path):
    run = Path(shutil.copytree(run_of(study), tmp_path / "run"))
    (run / missing).unlink(missing_ok=True)
    contents = read_contents(run)
    render_section(name, SECTIONS[name], contents, _environment())
    assert contents.problems == []


def test_a_section_of_a_failed_run_renders(name, comparison):
    contents = read_contents(BUILDER["run_folder"](comparison, "gan", 0))
    render_section(name, SECTIONS[name], contents, _environment())
    assert contents.problems == []


def test_a_section_says_nothing_or_something_of_the_other_kinds_of_study(
    name, comparison, responses, augmentation, recovery, tissue
):
    for study in (comparison, responses, augmentation, recovery, tissue):
        contents = read_contents(study)
        render_section(name, SECTIONS[name], contents, _environment())
        assert contents.problems == []


@pytest.mark.parametrize(
    "missing",
    [
        "networks.csv",
        "remedies.csv",
        "augment.csv",
        "verdict.txt",
        "recommendation.csv",
        "leaderboard.csv",
        "study.toml",
    ],
)
def test_a_section_does_without_a_table_of_the_study(name, missing, study, tmp_path):
    folder = Path(shutil.copytree(study, tmp_path / "study"))
    (folder / missing).unlink(missing_ok=True)
    contents = read_contents(folder)
    render_section(name, SECTIONS[name], contents, _environment())
    assert contents.problems == []


@pytest.mark.parametrize("damaged", ["recommendation.csv", "gene_pairs.csv", "proteins.csv"])
def test_a_damaged_table_of_a_study_of_imputations_is_a_problem_and_no_failure(name, damaged, recovery, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    for path in folder.rglob(damaged):
        path.write_text('a,b\n"1\n')
    contents = read_contents(folder)
    render_section(name, SECTIONS[name], contents, _environment())
    assert all(damaged in problem for problem in contents.problems)


def test_no_module_of_the_report_imports_torch():
    for path in FOLDER.parent.rglob("*.py"):
        assert "import torch" not in path.read_text()
