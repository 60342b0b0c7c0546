import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwright.report.text import counted, duration, in_figure, listed, natural, number, short, size, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\nb\tc", "a b c"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
        ("\ud800", "\ufffd"),
        ("ß café", "ß café"),
    ],
    ids=["nul", "white space", "right-to-left override", "lone surrogate", "letters"],
)
def test_visible_replaces_what_cannot_be_seen_and_nothing_else(text, shown):
    assert visible(text) == shown


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_short_is_never_longer_than_asked_and_encodes(text, at_most):
    shown = short(text, at_most)
    assert len(shown) <= at_most
    shown.encode("utf-8")


@given(st.text())
def test_text_for_figures_holds_no_markup(text):
    assert "<" not in in_figure(text)
    assert ">" not in in_figure(text)


def test_natural_order_counts():
    assert sorted(["10", "9", "b2", "b10", "-1", "a"], key=natural) == ["9", "10", "-1", "a", "b2", "b10"]


@given(st.lists(st.text(max_size=8)))
def test_natural_order_compares_any_names(names):
    ordered = sorted(names, key=natural)
    assert all(natural(a) <= natural(b) for a, b in itertools.pairwise(ordered))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.8123, "0.812"),
        (-0.5, "−0.500"),
        (12345.6, "12,346"),
        (2.1e-5, "2.1e-05"),
        (0.0, "0.000"),
        (math.nan, "–"),
        (math.inf, "∞"),
    ],
    ids=str,
)
def test_numbers_are_written_for_people(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 00 min"),
        (math.nan, "–"),
    ],
    ids=str,
)
def test_durations_round_into_the_next_unit(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("n_bytes", "shown"), [(212e6, "212 MB"), (1.44e9, "1.4 GB"), (999, "999 B"), (0, "–"), (math.nan, "–")], ids=str
)
def test_sizes_are_powers_of_1000(n_bytes, shown):
    assert size(n_bytes) == shown


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (list("abc"), "a, b and c"),
        (list("abcdefgh"), "a, b, c, d, e and 3 more"),
    ],
    ids=["none", "one", "two", "three", "many"],
)
def test_lists_read_as_a_sentence(names, shown):
    assert listed(names) == shown


def test_counted_nouns_agree():
    assert [counted(1, "seed"), counted(2, "seed"), counted(1200, "cell")] == ["1 seed", "2 seeds", "1,200 cells"]
