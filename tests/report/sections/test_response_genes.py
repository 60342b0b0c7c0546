import shutil
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.response_genes import MOST_GENES, NAMED, context
from cellwright.run import Run


@pytest.fixture
def figure(responses):
    return context(read_contents(responses))["figure"]


def names_in(figure, model, panel=0):
    suffix = "" if panel == 0 else str(panel + 1)
    notes = figure.views[model]["layout"]["annotations"]
    return [note for note in notes if note["showarrow"] and note["xref"] == f"x{suffix}"]


def test_the_networks_come_first_in_the_list_then_the_baselines(figure):
    assert list(figure.views) == ["scgen", "gene_shift", "no_change"]
    assert figure.as_list == "Model"


def test_a_point_is_a_gene_at_its_real_and_its_predicted_mean(figure, responses_builder):
    panel = figure.shared["panels"][0]
    assert panel["genes"] == list(responses_builder["GENES"])
    assert panel["treated"][0] == pytest.approx(2.5)
    assert panel["control"][0] == pytest.approx(0.5)
    assert panel["predicted"]["scgen"][0] == pytest.approx(0.5 + 0.8 * 2)
    assert panel["predicted"]["no_change"] == panel["control"]


def test_the_genes_that_changed_most_have_their_names_at_their_points(figure, responses_builder):
    notes = names_in(figure, "scgen")
    assert {note["text"] for note in notes} == set(responses_builder["GENES"][:NAMED])
    first = next(note for note in notes if note["text"] == "ISG15")
    assert (first["x"], first["y"]) == (pytest.approx(2.5), pytest.approx(2.1))


def test_the_heading_of_a_panel_has_the_type_and_the_score_of_its_run(figure):
    titles = [note["text"] for note in figure.views["gene_shift"]["layout"]["annotations"] if not note["showarrow"]]
    assert [title.startswith(f"<b>{name}</b>") for title, name in zip(titles, ("CD4T", "NK"), strict=True)] == [
        True
    ] * 2
    assert ["R² 0.950" in titles[0], "R² 0.930" in titles[1]] == [True, True]


def test_all_points_lie_within_the_axes(figure):
    for panel, name in zip(figure.shared["panels"], ("xaxis", "xaxis2"), strict=True):
        low, high = figure.views["scgen"]["layout"][name]["range"]
        values = [*panel["treated"], *panel["control"], *panel["predicted"]["scgen"]]
        assert low < min(values) <= max(values) < high


def test_a_model_without_a_run_of_a_type_says_so_there(responses, responses_builder, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    shutil.rmtree(responses_builder["response_run"](folder, "scgen", 1))
    figure = context(read_contents(folder))["figure"]
    titles = [note["text"] for note in figure.views["scgen"]["layout"]["annotations"] if not note["showarrow"]]
    assert titles[1] == "<b>NK, not predicted</b>"
    assert names_in(figure, "scgen", panel=1) == []


def test_of_many_genes_the_most_changed_are_drawn(responses_builder, tmp_path):
    genes = tuple(f"G{i}" for i in range(MOST_GENES + 50))
    view = context(
        read_contents(responses_builder["write_responses"](tmp_path, responses_builder["Story"](genes=genes)))
    )
    assert view["figure"].shared["panels"][0]["genes"] == list(genes[:MOST_GENES])
    assert view["is_cut"]


def test_without_genes_there_is_no_section(responses, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    for path in folder.glob("runs/*/genes.csv"):
        path.unlink()
    assert context(read_contents(folder)) is None


def test_a_failed_run_is_not_shown(responses, responses_builder, tmp_path):
    folder = Path(shutil.copytree(responses, tmp_path / "study"))
    Run(responses_builder["response_run"](folder, "scgen", 0)).fail("it diverged")
    assert "scgen" not in context(read_contents(folder))["figure"].shared["panels"][0]["predicted"]


def test_names_of_genes_are_escaped(responses_builder, tmp_path):
    genes = ("<a href=x>", "B", "C")
    figure = context(
        read_contents(responses_builder["write_responses"](tmp_path, responses_builder["Story"](genes=genes)))
    )["figure"]
    assert figure.shared["panels"][0]["genes"][0] == "&lt;a href=x&gt;"
    assert all("<a" not in note["text"] for note in names_in(figure, "scgen"))
