"""What is known: labels with control cells, under the conditions that training cells had, and nothing else."""

import numpy as np
import pytest
import torch

from cellwright.core.schema import Categories, Schema
from cellwright.errors import DataError
from cellwright.models.parts.responses import Means
from cellwright.models.parts.shift import Known
from cellwright.models.parts.shifts import SHIFTS

SCHEMA = Schema(
    features={"X": ("g",)},
    label=Categories(key="label", values=("a", "b", "c")),
    condition=Categories(key="condition", values=("none", "drug", "other")),
    control="none",
)
# c has no control cells, nobody had the other treatment
WEIGHT = np.array([[3.0, 2.0, 0.0], [4.0, 0.0, 0.0], [0.0, 5.0, 0.0]])


def means_of(weight):
    nothing = np.zeros((3, 3, 1))
    return Means(mean=nothing, variance=nothing, weight=weight, control=0, schema=SCHEMA)


@pytest.fixture
def known():
    known = Known(SCHEMA)
    known.learn(means_of(WEIGHT), [1])
    return known


def test_labels_with_control_cells_under_trained_conditions_are_known(known):
    assert known.pairs.tolist() == [[True, True, False], [True, True, False], [False] * 3]
    known.check(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]))


@pytest.mark.parametrize(
    ("label", "condition", "named"),
    [
        (2, 1, "label 'c' under 'drug'"),
        (0, 2, "label 'a' under 'other'"),
        (-1, 1, "label None under 'drug'"),
        (1, -1, "label 'b' under None"),
    ],
    ids=["no control cells", "untrained condition", "unknown label", "unknown condition"],
)
def test_anything_else_is_refused_by_name(known, label, condition, named):
    with pytest.raises(DataError, match=f"had control cells in training.*{named} is none of these. Train on"):
        known.check(torch.tensor([0, label]), torch.tensor([1, condition]))


def test_learning_again_forgets_what_was_known(known):
    known.learn(means_of(WEIGHT[::-1].copy()), [1])
    assert known.pairs.tolist() == [[False] * 3, [True, True, False], [True, True, False]]


@pytest.mark.parametrize(
    ("weight", "found"), [(WEIGHT, "a is the only one"), (WEIGHT[1:], "none has")], ids=["one label", "no label"]
)
@pytest.mark.parametrize("label", [0, 1])
def test_a_condition_that_was_left_out_for_too_few_labels_is_refused_when_it_is_asked_for(weight, found, label):
    known = Known(SCHEMA)
    known.learn(means_of(np.concatenate([weight, np.zeros((3 - len(weight), 3))])), [])
    known.check(torch.tensor([0, 0]), torch.tensor([0, 0]))
    with pytest.raises(DataError, match=f"from 2 labels or more with cells of both 'none' and 'drug'; {found}"):
        known.check(torch.tensor([0, label]), torch.tensor([0, 1]))
    with pytest.raises(DataError, match="label 'a' under 'other' is none of these"):
        known.check(torch.tensor([0]), torch.tensor([2]))


@pytest.mark.parametrize("name", list(SHIFTS))
def test_a_shift_in_the_table_has_its_name_and_survives_json(name):
    options = SHIFTS[name]()
    assert options.name == name
    assert SHIFTS[name](**options.model_dump(mode="json")) == options
