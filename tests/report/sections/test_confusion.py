import runpy
from pathlib import Path

import numpy as np
import pytest

from cellwright.report.answers import Answers, answers_of
from cellwright.report.contents import read_contents
from cellwright.report.sections.confusion import context, counts_of, order_of

BUILDER = runpy.run_path(str(Path(__file__).parents[1] / "classification_folder.py"))


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    return read_contents(BUILDER["write_classification"](tmp_path_factory.mktemp("confusion") / "study"))


def answers(codes, said, answered=None, labels=("a", "b", "c", "d")):
    p = 0.1 + np.eye(len(labels))[said]
    answered = np.ones(len(codes), dtype=bool) if answered is None else np.asarray(answered)
    return Answers("m", list(labels), np.asarray(codes), p, answered, False, np.ones(len(codes)), 1)


def test_counts_are_by_true_and_given_label_and_the_unsure_stand_last():
    table = counts_of(answers([0, 0, 1, 3], [0, 1, 1, 0], answered=[True, True, False, True]))
    assert table.tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]]


def test_labels_that_are_mistaken_for_each_other_stand_side_by_side():
    table = np.zeros((4, 5), dtype=int)
    np.fill_diagonal(table, 10)
    table[0, 2] = table[2, 0] = 8
    table[1, 3] = table[3, 1] = 8
    order = order_of(list("abcd"), [table])
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(3)) == 1


def test_a_label_without_a_cell_that_nobody_gives_is_left_out():
    table = counts_of(answers([0, 1, 1], [0, 1, 0]))
    assert sorted(order_of(list("abcd"), [table])) == [0, 1]


def test_the_heat_map_holds_shares_of_the_true_label(contents):
    block = context(contents)["blocks"][0]
    first = answers_of(contents, "blood")[0]
    view = next(iter(block["figure"].views.values()))
    rows = [text.split(" (")[0] for text in view["layout"]["yaxis"]["ticktext"]]
    columns = view["layout"]["xaxis"]["ticktext"]
    table = counts_of(first)
    names = [*first.labels, "unsure"]
    for i, true in enumerate(rows):
        for j, said in enumerate(columns):
            counts = table[names.index(true)]
            assert view["data"][0]["z"][i][j] == pytest.approx(100 * counts[names.index(said)] / counts.sum(), abs=0.06)
    assert columns[-1] == "unsure"


def test_the_sentence_names_what_is_mistaken_most(contents):
    sentence = context(contents)["blocks"][0]["sentence"]
    assert "NK for T" in sentence
    assert "T for NK" in sentence


def test_hostile_labels_are_text(tmp_path):
    story = BUILDER["Story"](labels=("<b>T</b>", "B", "<img src=x>"))
    folder = BUILDER["write_classification"](tmp_path / "study", story)
    block = context(read_contents(folder))["blocks"][0]
    view = next(iter(block["figure"].views.values()))
    assert "<b>T" not in str(view)
    assert "<img" not in str(view)
