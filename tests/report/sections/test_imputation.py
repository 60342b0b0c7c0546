import math
import shutil
from itertools import count
from pathlib import Path

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.page import _environment, render_section
from cellwright.report.sections import history, latent, leaderboard, per_type
from cellwright.report.sections.imputation import SECTION, SHOWN, context
from cellwright.run import Run


@pytest.fixture
def shown(recovery_builder, tmp_path):
    numbers = count()

    def show(**story):
        folder = tmp_path / str(next(numbers))
        return context(read_contents(recovery_builder["write_recovery"](folder, recovery_builder["Story"](**story))))

    return show


@pytest.fixture
def view(recovery):
    return context(read_contents(recovery))


def cell(view, title, metric):
    row = next(row for row in view["rows"] if row["title"] == title)
    return row["cells"][[name for name in SHOWN if name in view["metrics"]].index(metric)]


def html_of(folder):
    return str(render_section("imputation", SECTION, read_contents(folder), _environment()))


def test_the_answer_is_first_on_the_page(recovery):
    text = html_of(recovery)
    assert text.index("Use vae, a network") < text.index("<table")


def test_rows_are_ordered_by_deviance_and_the_heading_says_so(view):
    assert [row["title"] for row in view["rows"]] == ["vae", "knn_gamma", "magic", "as_measured"]
    assert [heading.title for heading in view["headings"] if heading.is_main] == ["deviance"]


def test_baselines_the_floor_and_what_is_recommended_are_marked(view):
    rows = view["rows"]
    assert [row["is_baseline"] for row in rows] == [False, True, True, True]
    assert [row["is_recommended"] for row in rows] == [True, False, False, False]
    assert [row["note"] for row in rows] == ["", "", "", "floor"]


def test_harm_beyond_the_limit_is_marked_of_expectations_and_of_draws(view, recovery):
    marked = {
        (row["title"], heading.above, heading.title.replace("\u00ad", ""))
        for row in view["rows"]
        for heading, one in zip(view["headings"], row["cells"], strict=True)
        if one["mark"]
    }
    assert marked == {
        ("vae", "expected", "false correlation"),
        *((model, "expected", "false markers") for model in ("vae", "knn_gamma", "magic")),
        ("knn_gamma", "drawn", "false markers"),
    }
    assert html_of(recovery).count('<abbr class="mark"') == len(marked)  # a sign, not a colour alone


def test_the_least_harm_is_no_merit(view):
    harms = [name for name, (band, *_) in SHOWN.items() if band == "harm"]
    assert not any(cell(view, row["title"], name)["best"] for row in view["rows"] for name in harms)
    assert cell(view, "vae", "poisson_deviance")["best"]


def test_a_correlation_with_proteins_is_told_against_the_rna_as_measured(view):
    assert cell(view, "vae", "protein_spearman")["against"] == "+0.200"
    assert cell(view, "as_measured", "protein_spearman")["against"] == ""


def test_bands_cover_the_columns(view):
    assert [(band["title"], band["n"]) for band in view["bands"]] == [("gain", 6), ("harm", 5), ("cell types", 2)]


def test_without_proteins_there_is_no_column_of_them(shown):
    assert "protein_spearman" not in shown(proteins=False)["metrics"]


def test_a_model_that_failed_is_the_last_row_with_its_reason(shown):
    last = shown(failed="knn_gamma", reason="it must have 30 cells")["rows"][-1]
    assert (last["title"], last["failed"], last["reason"]) == ("knn_gamma", True, "it must have 30 cells")


def test_one_seed_has_no_interval(shown, view):
    assert view["several_seeds"]
    assert cell(view, "vae", "poisson_deviance")["spread"] == "± 0.050"
    one = shown(n_seeds=1)
    assert not one["several_seeds"]
    assert cell(one, "vae", "poisson_deviance")["spread"] == ""


def test_a_setting_is_said_once_beneath_the_table_and_the_model_is_still_recommended(shown):
    view = shown(setting="likelihood=poisson")
    assert (view["rows"][0]["title"], view["rows"][0]["is_recommended"]) == ("vae", True)
    assert view["shared"] == ["vae: likelihood=poisson"]


def test_without_the_recommendation_the_table_stands_alone(recovery, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    (folder / "recommendation.csv").unlink()
    view = context(read_contents(folder))
    assert view["answer"] == []
    assert len(view["rows"]) == 4


def test_a_recommendation_without_numbers_costs_no_page(recovery, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    table = pd.read_csv(folder / "recommendation.csv")
    table[["deviance", "n_seeds", "false_markers"]] = math.nan
    table.to_csv(folder / "recommendation.csv", index=False)
    assert context(read_contents(folder))["answer"][0].startswith("Use vae")


def test_a_training_that_the_cap_stopped_says_so(recovery, recovery_builder, tmp_path):
    folder = Path(shutil.copytree(recovery, tmp_path / "study"))
    Run(recovery_builder["recovery_run"](folder, "vae", 1)).note("endings", ["cap"])
    assert [row["title"] for row in context(read_contents(folder))["rows"] if row["cut_short"]] == ["vae"]


def test_names_and_reasons_are_escaped(recovery_builder, tmp_path):
    story = recovery_builder["Story"](failed="magic", reason="<img src=x>", setting="<b>=1")
    text = html_of(recovery_builder["write_recovery"](tmp_path / "study", story))
    assert "<img" not in text
    assert "<b>=1" not in text


def test_the_page_has_no_second_order_of_the_same_models(recovery):
    contents = read_contents(recovery)
    assert [section.context(contents) for section in (leaderboard, per_type, latent, history)] == [None] * 4
