import math

import pytest

from cellwright.report.score_table import between_ends, headings, interval, row, spread, strip_of
from cellwright.report.standing import Column, Entry, Score, Standing
from cellwright.report.text import MISSING

R2 = Column("perturb", "mean_r2", "higher")
DISTANCE = Column("perturb", "e_distance", "lower")


def entry(title, *, half=0.1, **scores):
    found = {column: Score(scores[column.metric], half, 3) for column in (R2, DISTANCE) if column.metric in scores}
    return Entry(title, is_baseline=False, seconds=1.0, peak_bytes=1e6, reason="", scores=found)


A, B = entry("a", mean_r2=0.9, e_distance=2.0), entry("b", mean_r2=0.5)
TABLE = Standing("d", True, [R2, DISTANCE], [A, B], "Perturb")


def test_a_strip_has_the_mean_and_the_interval_in_per_cent():
    assert strip_of(A, R2, 0.0, 2.0) == {"left": 40.0, "width": 10.0, "mean": 45.0, "outside": False}


def test_a_strip_is_cut_off_at_its_ends_and_says_so():
    assert strip_of(A, R2, 0.0, 0.85) == {"left": 94.1, "width": 5.9, "mean": 100.0, "outside": True}


@pytest.mark.parametrize("ends", [(1.0, 1.0), (math.nan, 1.0)], ids=["no span", "unknown"])
def test_without_a_span_there_is_no_strip(ends):
    assert strip_of(A, R2, *ends) is None


def test_strips_between_the_ends_begin_at_the_lowest_interval():
    strip = between_ends(TABLE)
    assert strip(B, R2)["left"] == 0
    assert strip(A, R2)["left"] + strip(A, R2)["width"] == pytest.approx(100)


def test_an_unknown_interval_is_the_mean_twice_and_has_no_spread():
    assert interval(entry("a", half=math.nan, mean_r2=0.9), R2) == (0.9, 0.9)
    assert spread(math.nan) == ""
    assert spread(0.0125) == " ± 0.013"


def test_a_row_has_a_cell_for_every_column_and_a_dash_where_there_is_no_score():
    cells = row(TABLE, B, [R2, DISTANCE], between_ends(TABLE))["cells"]
    assert [cell["text"] for cell in cells] == ["0.500", MISSING]
    assert cells[1]["bar"] is None


def test_headings_say_the_direction_and_which_column_orders_the_rows():
    assert [(h.title, h.better, h.is_main) for h in headings([R2, DISTANCE], R2)] == [
        ("R2 of means (squared correlation)", "higher", True),
        ("E-distance", "lower", False),
    ]
