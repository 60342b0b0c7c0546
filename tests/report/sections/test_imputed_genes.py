import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.imputed_genes import MOST_CELLS, MOST_TYPES, context
from cellwright.report.sections.latent import OTHER
from cellwright.run import Run


@pytest.fixture
def figure(recovery):
    return context(read_contents(recovery))["figure"]


def panels_of(figure, model):
    return [figure.shared["panels"][at] for at in figure.views[model]["panels"]]


def test_models_that_impute_are_in_the_list_best_first(figure):
    assert list(figure.views) == ["vae", "knn_gamma", "magic"]
    assert figure.as_list == "Model"


def test_measured_stands_left_of_imputed_in_the_same_axes(figure, recovery, recovery_builder):
    table = pd.read_csv(recovery_builder["recovery_run"](recovery, "magic") / "gene_pairs.csv")
    first = table[table["gene_x"] == "CD3D"]
    before, after, *_ = panels_of(figure, "magic")
    assert before["x"] == pytest.approx(first["before_x"].tolist(), abs=0.006)
    assert after["y"] == pytest.approx(first["after_y"].tolist(), abs=0.006)
    look = figure.views["magic"]["layout"]
    assert look["xaxis"]["domain"][1] < look["xaxis2"]["domain"][0]
    assert (look["xaxis"]["range"], look["yaxis"]["range"]) == (look["xaxis2"]["range"], look["yaxis2"]["range"])
    assert [note["text"] for note in look["annotations"][:2]] == ["<b>measured</b>", "<b>imputed</b>"]


def test_axes_hold_all_points_and_are_the_same_for_every_model(figure):
    ranges = [figure.views[model]["layout"]["xaxis"]["range"] for model in figure.views]
    assert ranges[0] == ranges[1] == ranges[2]
    values = [x for model in figure.views for panel in panels_of(figure, model)[:2] for x in panel["x"]]
    assert ranges[0][0] < min(values) <= max(values) < ranges[0][1]


def test_axes_have_the_names_of_the_genes(figure):
    look = figure.views["vae"]["layout"]
    assert [look[name]["title"]["text"] for name in ("xaxis", "yaxis", "xaxis3", "yaxis3")] == [
        "CD3D", "CD3E", "LYZ", "S100A8",
    ]  # fmt: skip


def test_a_cell_has_the_colour_of_its_type(figure, recovery_builder):
    names = figure.shared["keys"]["type"]["categories"]
    codes = panels_of(figure, "vae")[0]["codes"]["type"]
    labels = np.repeat(recovery_builder["Story"]().types, recovery_builder["SIZES"])
    assert [names[code] for code in codes] == labels.tolist()


def test_without_labels_all_cells_have_one_colour(recovery_builder, tmp_path):
    story = recovery_builder["Story"](types=())
    view = context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story)))
    assert view["figure"].shared["keys"]["type"]["categories"] == []
    assert panels_of(view["figure"], "vae")[0]["codes"] == {}
    assert not view["has_types"]


def test_the_rarest_of_many_types_share_a_colour(recovery, recovery_builder, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    for path in folder.glob("runs/*/gene_pairs.csv"):
        table = pd.read_csv(path)
        table["label"] = [f"t{i % 30}" for i in range(len(table))]
        table.to_csv(path, index=False)
    key = context(read_contents(folder))["figure"].shared["keys"]["type"]
    assert (len(key["categories"]), key["categories"][-1]) == (MOST_TYPES, OTHER)


def test_a_model_with_other_pairs_shows_its_own(recovery, recovery_builder, tmp_path):
    """Seeds hide other molecules, so another seed may have other pairs."""
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    Run(recovery_builder["recovery_run"](folder, "vae", 0)).fail("it diverged")
    path = recovery_builder["recovery_run"](folder, "vae", 1) / "gene_pairs.csv"
    table = pd.read_csv(path)
    table[table["gene_x"] == "LYZ"].to_csv(path, index=False)
    figure = context(read_contents(folder))["figure"]
    assert [len(figure.views[model]["panels"]) for model in ("vae", "magic")] == [2, 4]
    assert figure.views["vae"]["layout"]["xaxis"]["title"]["text"] == "LYZ"


def test_a_large_or_damaged_table_is_cut_and_its_gaps_are_left_out(recovery, recovery_builder, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    path = recovery_builder["recovery_run"](folder, "vae") / "gene_pairs.csv"
    table = pd.concat([pd.read_csv(path)] * 20).astype({"before_x": object})
    table.iloc[0, table.columns.get_loc("before_x")] = "what"
    table.to_csv(path, index=False)
    first = panels_of(context(read_contents(folder))["figure"], "vae")[0]
    assert first["x"][0] is None
    assert len(first["x"]) == MOST_CELLS


def test_the_pairs_stand_below_one_another_in_a_narrow_window(figure):
    narrow, wide = figure.views["vae"]["narrow"], figure.views["vae"]["layout"]
    assert narrow["xaxis"]["domain"] == narrow["xaxis3"]["domain"]
    assert wide["xaxis2"]["domain"][1] < wide["xaxis3"]["domain"][0]


def test_without_a_table_of_pairs_there_is_no_section(recovery, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    for path in folder.glob("runs/*/gene_pairs.csv"):
        path.unlink()
    assert context(read_contents(folder)) is None


def test_names_of_genes_and_types_are_escaped(recovery_builder, tmp_path):
    story = recovery_builder["Story"](types=("<b>T</b>", "B", "C"), genes=("<a href=x>", "B", "C", "D"))
    figure = context(read_contents(recovery_builder["write_recovery"](tmp_path / "study", story)))["figure"]
    assert "&lt;b&gt;T&lt;/b&gt;" in figure.shared["keys"]["type"]["categories"]
    assert figure.views["vae"]["layout"]["xaxis"]["title"]["text"] == "&lt;a href=x&gt;"
