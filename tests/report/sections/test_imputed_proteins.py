import shutil
from pathlib import Path

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.imputed_proteins import FALLS, MOST_PROTEINS, RISES, context


@pytest.fixture
def view(recovery):
    return context(read_contents(recovery))


def test_proteins_stand_by_the_correlation_as_measured_with_their_genes(view):
    shown = view["figure"].views["vae"]
    assert shown["layout"]["yaxis"]["ticktext"] == ["CD19", "CD3 · CD3E", "CD14"]
    assert shown["data"][0]["x"] == [0.6, 0.3, -0.1]


def test_a_narrow_window_has_room_for_the_names_of_proteins_alone(view):
    assert view["figure"].views["vae"]["narrow"]["yaxis"]["ticktext"] == ["CD19", "CD3", "CD14"]


def test_a_row_goes_from_measured_to_imputed_in_the_colour_of_its_direction(view):
    shown = view["figure"].views["vae"]
    assert shown["data"][1]["x"] == pytest.approx([0.8, 0.5, -0.3])
    assert shown["data"][1]["marker"]["color"] == [RISES, RISES, FALLS]
    assert [(line["x0"], line["x1"]) for line in shown["layout"]["shapes"]] == [(0.6, 0.8), (0.3, 0.5), (-0.1, -0.3)]


def test_the_mean_of_every_model_is_said_with_the_measured_rna_first(view):
    assert view["means"] == (
        "Mean rank correlation over proteins: RNA as measured 0.300 ± 0.050, vae 0.500 ± 0.050, "
        "knn_gamma 0.450 ± 0.050 and magic 0.400 ± 0.050."
    )


def test_what_imputes_nothing_is_not_in_the_list(view):
    assert list(view["figure"].views) == ["vae", "knn_gamma", "magic"]


def test_axes_are_the_same_for_every_model_and_hold_all_points(view):
    shown = view["figure"].views.values()
    ranges = [one["layout"]["xaxis"]["range"] for one in shown]
    values = [x for one in shown for trace in one["data"] for x in trace["x"]]
    assert ranges[0] == ranges[1] == ranges[2]
    assert ranges[0][0] < min(values) <= max(values) < ranges[0][1]


def test_of_many_proteins_those_that_rna_ranks_best_are_shown(recovery, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    n = MOST_PROTEINS + 20
    table = pd.DataFrame({"protein": [f"P{i}" for i in range(n)], "gene": "G"})
    table["measured"] = table["imputed"] = [i / n for i in range(n)]
    for path in folder.glob("runs/*/proteins.csv"):
        table.to_csv(path, index=False)
    view = context(read_contents(folder))
    assert (view["n_shown"], view["n_proteins"]) == (MOST_PROTEINS, n)
    assert view["figure"].views["vae"]["data"][0]["x"][-1] == pytest.approx(20 / n, abs=1e-4)


def test_a_protein_without_a_correlation_is_left_out(recovery, recovery_builder, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    path = recovery_builder["recovery_run"](folder, "vae") / "proteins.csv"
    table = pd.read_csv(path)
    table.loc[table["protein"] == "CD19", ["measured", "imputed"]] = float("nan")
    table.to_csv(path, index=False)
    shown = context(read_contents(folder))["figure"].views
    assert sorted(shown["vae"]["data"][1]["x"], key=str).count(None) == 1
    assert None not in shown["magic"]["data"][1]["x"]
    assert len(shown["vae"]["layout"]["shapes"]) == 2


def test_without_proteins_there_is_no_section(recovery_builder, tmp_path):
    story = recovery_builder["Story"](proteins=False)
    assert context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story))) is None


def test_names_of_proteins_are_escaped(recovery, recovery_builder, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    path = recovery_builder["recovery_run"](folder, "vae") / "proteins.csv"
    table = pd.DataFrame({"protein": ["<b>P</b>"], "gene": ["<i>"], "measured": [0.1], "imputed": [0.9]})
    table.to_csv(path, index=False)
    shown = context(read_contents(folder))["figure"].views["vae"]
    assert "&lt;b&gt;P&lt;/b&gt; · &lt;i&gt;" in shown["layout"]["yaxis"]["ticktext"]
    assert all("<b>P" not in text for text in shown["data"][0]["text"])
