import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.page import _environment, render_section
from cellwright.report.sections.leaderboard import SECTION, context, verdict
from cellwright.report.standing import Column, Entry, Score, Standing
from cellwright.report.text import MISSING
from cellwright.run import Run

ARI = Column("cluster", "ari", "higher")


def entry(title, mean, half=0.0, *, baseline=False, seconds=1.0, n_seeds=3):
    return Entry(title, baseline, seconds, math.nan, "", {ARI: Score(mean, half, n_seeds)})


def views_of(study, group="Embedding"):
    return context(read_contents(study))["blocks"]["pbmc"][group]


def said(*entries, held_out=False):
    return " ".join(verdict(Standing("d", held_out, [ARI], list(entries))))


def test_a_baseline_that_ties_with_the_best_leaves_it_open_and_the_cost_is_told():
    text = said(entry("vae", 0.8, 0.03, seconds=90.0), entry("pca", 0.79, baseline=True, seconds=2.0))
    assert text == (
        "vae has the best adjusted Rand index: 0.800 ± 0.030; "
        "within the spread of the seeds pca cannot be told apart from it. "
        "With these seeds it is not shown that a network is better than the baseline pca "
        "(2.0 s for pca, 1 min 30 s for vae); more seeds may tell."
    )


def test_a_baseline_that_is_best_is_enough():
    text = said(entry("pca", 0.8, baseline=True, seconds=2.0), entry("vae", 0.7, 0.01, seconds=90.0))
    assert "pca has the best adjusted Rand index: 0.800 ± 0.000. pca is enough here" in text


def test_of_several_baselines_the_better_one_is_named_though_another_takes_less_time():
    scaled, unscaled = entry("pca", 0.75, 0.1, baseline=True), entry("pca_unscaled", 0.8, baseline=True, seconds=2.0)
    assert "pca_unscaled is enough here" in said(unscaled, scaled, entry("vae", 0.7, seconds=90.0))
    assert "better than the baseline pca_unscaled" in said(entry("vae", 0.81, 0.1, seconds=90.0), unscaled, scaled)


def test_a_network_beyond_the_spread_is_ahead_by_the_difference():
    text = said(entry("vae", 0.8, 0.01, seconds=90.0), entry("pca", 0.7, baseline=True, seconds=2.0))
    assert "A network pays off here: the best baseline, pca, reaches 0.700 ± 0.000, which is worse by 0.100" in text


def test_without_a_baseline_it_is_open_whether_a_network_is_needed():
    assert "No baseline was scored" in said(entry("vae", 0.8), entry("ae", 0.7))


def test_without_a_network_only_baselines_are_named():
    assert "Only baselines were scored." in said(entry("pca", 0.8, baseline=True), entry("knn", 0.7, baseline=True))


def test_one_seed_is_a_caveat():
    entries = [entry("vae", 0.8, math.nan, n_seeds=1), entry("pca", 0.7, math.nan, baseline=True, n_seeds=1)]
    assert "one seed only" in said(*entries)
    assert "±" not in said(*entries)


def test_unknown_times_are_not_compared():
    text = said(entry("pca", 0.8, baseline=True, seconds=math.nan), entry("vae", 0.7, seconds=90.0))
    assert text.endswith("than this baseline.")


def test_one_model_is_told_without_a_comparison():
    assert said(entry("vae", 0.8, 0.01), held_out=True) == (
        "vae reaches 0.800 ± 0.010 in adjusted Rand index on held-out cells."
    )


def test_the_table_marks_the_best_and_the_tied_of_every_column(study):
    view = views_of(study)[0]
    for i in range(len(view["columns"])):
        cells = [row["cells"][i] for row in view["rows"] if not row["failed"]]
        assert sum(cell["best"] for cell in cells) == 1
        assert not any(cell["best"] and cell["tied"] for cell in cells)


def test_the_best_of_a_column_has_the_best_value_in_its_direction(study):
    view = views_of(study)[0]
    for i, column in enumerate(view["columns"]):
        cells = [row["cells"][i] for row in view["rows"] if not row["failed"]]
        best = next(cell["value"] for cell in cells if cell["best"])
        assert best == (min if column.better == "lower" else max)(cell["value"] for cell in cells)


def test_the_strip_spans_the_column(study):
    view = views_of(study)[0]
    for i in range(len(view["columns"])):
        bars = [row["cells"][i]["bar"] for row in view["rows"] if not row["failed"]]
        assert min(bar["left"] for bar in bars) == 0
        assert max(bar["left"] + bar["width"] for bar in bars) == pytest.approx(100, abs=0.11)  # two roundings to 0.1
        assert all(bar["left"] <= bar["mean"] <= bar["left"] + bar["width"] + 0.11 for bar in bars)


def test_a_failed_model_is_a_row_that_says_why(study):
    row = views_of(study)[0]["rows"][-1]
    assert (row["title"], row["failed"]) == ("gan", True)
    assert row["reason"] == "the loss of the critic was not finite in step 412"


def test_tasks_that_ask_for_another_ability_stand_in_a_table_of_their_own(study):
    blocks = context(read_contents(study))["blocks"]["pbmc"]
    assert list(blocks) == ["Embedding", "Impute"]
    assert {column.task for column in blocks["Embedding"][0]["columns"]} == {"cluster", "reduce"}
    assert [column.task for column in blocks["Impute"][0]["columns"]] == ["impute"]
    assert "gan" not in [row["title"] for row in blocks["Impute"][0]["rows"]]


def test_a_ceiling_is_no_competitor_but_in_the_table():
    board = [("real_cells", 0.99), ("gan", 0.8), ("nb_by_label", 0.7)]
    entries = [
        Entry(title, title != "gan", 1.0, math.nan, "", {ARI: Score(mean, 0.01, 3)}, is_ceiling=title == "real_cells")
        for title, mean in board
    ]
    standing = Standing("d", False, [ARI], entries)
    assert [entry.title for entry in standing.ranked(ARI)] == ["gan", "nb_by_label"]
    assert verdict(standing)[0].startswith("gan has the best")


def test_a_model_that_the_cap_on_epochs_stopped_says_so(study, study_builder, tmp_path):
    copy = Path(shutil.copytree(study, tmp_path / "study"))
    Run(study_builder["run_folder"](copy, "vae", 1)).note("endings", ["patience", "cap"])
    Run(study_builder["run_folder"](copy, "ae", 1)).note("endings", ["patience"])
    assert [row["title"] for row in views_of(copy)[0]["rows"] if row["cut_short"]] == ["vae"]
    assert "stopped by the cap" in render_section("leaderboard", SECTION, read_contents(copy), _environment())


def test_a_model_that_one_metric_does_not_apply_to_has_an_empty_cell(study, tmp_path):
    """A model that encodes and does not decode has no R2 beside models that have one."""
    copy = Path(shutil.copytree(study, tmp_path / "study"))
    board = pd.read_csv(copy / "leaderboard.csv")
    board = board[~((board["model"] == "vae") & (board["metric"] == "nmi"))]
    board.to_csv(copy / "leaderboard.csv", index=False)
    view = views_of(copy)[0]
    at = [column.metric for column in view["columns"]].index("nmi")
    cells = {row["title"]: row["cells"][at] for row in view["rows"] if not row["failed"]}
    assert cells["vae"]["text"] == MISSING
    assert sum(bool(cell["best"]) for cell in cells.values()) == 1
    assert MISSING in render_section("leaderboard", SECTION, read_contents(copy), _environment())
