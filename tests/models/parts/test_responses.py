"""Means by label and condition are those of a plain group-by, block by block, and say which labels have both sides."""

import numpy as np
import pandas as pd
import pytest

from cellwright.core.schema import Categories, Schema
from cellwright.errors import DataError
from cellwright.models.parts.responses import Means, Responses, Sums

SCHEMA = Schema(
    features={"X": ("g1", "g2")},
    label=Categories(key="label", values=("a", "b", "c")),
    condition=Categories(key="condition", values=("drug", "none", "other")),
    control="none",
)


@pytest.fixture(scope="module")
def responses():
    """Every kind of cell at random, labels and conditions that are unknown as well, but no c under the drug."""
    rng = np.random.default_rng(0)
    label, condition = rng.integers(-1, 3, 200), rng.integers(-1, 2, 200)
    label[(label == 2) & (condition == 0)] = 0
    return Responses(rng.normal(size=(200, 2)), label, condition, rng.uniform(0.5, 2, 200), SCHEMA)


def test_means_variances_and_weights_are_those_of_a_weighted_group_by(responses):
    cells = pd.DataFrame(responses.points, columns=["g1", "g2"])
    cells["label"], cells["condition"], cells["weight"] = responses.label, responses.condition, responses.weight
    means = responses.means
    known = cells[(cells["label"] >= 0) & (cells["condition"] >= 0)]
    for (label, condition), kind in known.groupby(["label", "condition"]):
        expected = np.average(kind[["g1", "g2"]], axis=0, weights=kind["weight"])
        np.testing.assert_allclose(means.mean[label, condition], expected)
        spread = np.average((kind[["g1", "g2"]] - expected) ** 2, axis=0, weights=kind["weight"])
        np.testing.assert_allclose(means.variance[label, condition], spread)
        np.testing.assert_allclose(means.weight[label, condition], kind["weight"].sum())
    np.testing.assert_allclose(means.weight.sum(), known["weight"].sum())


def test_blocks_add_up_to_the_whole(responses):
    sums = Sums(SCHEMA, 2)
    for part in np.array_split(np.arange(200), 7):
        sums.add(responses.points[part], responses.label[part], responses.condition[part], responses.weight[part])
    np.testing.assert_allclose(sums.means.mean, responses.means.mean, atol=1e-12)
    np.testing.assert_allclose(sums.means.variance, responses.means.variance, atol=1e-12)


def test_labels_with_both_sides_and_conditions_with_cells_are_found(responses):
    means = responses.means
    assert means.control == 1
    assert means.shared(0).tolist() == [0, 1]
    assert means.treated == [0]
    assert means.with_control == [0, 1, 2]
    expected = means.mean[:2, 0] - means.mean[:2, 1]
    np.testing.assert_array_equal(means.change(np.array([0, 1]), 0), expected)


@pytest.mark.parametrize(
    ("kept", "found"), [((0,), "a is the only one"), ((), "none has")], ids=["one label", "no label"]
)
def test_fewer_than_two_labels_with_both_sides_are_refused_by_name(responses, kept, found):
    rows = np.flatnonzero((responses.condition == 1) | np.isin(responses.label, kept))
    parts = (responses.points, responses.label, responses.condition, responses.weight)
    few = Responses(*(part[rows] for part in parts), SCHEMA)
    with pytest.raises(DataError, match=f"2 labels or more with cells of both 'none' and 'drug'; {found}. Hold out"):
        few.means.shared(0)


def test_cells_of_one_kind_are_found(responses):
    np.testing.assert_array_equal(
        responses.of(1, 0), responses.points[(responses.label == 1) & (responses.condition == 0)]
    )


def weighted(weight):
    nothing = np.zeros((3, 3, 2))
    return Means(nothing, nothing, np.array(weight, dtype=float), 1, SCHEMA)


def test_conditions_that_two_labels_have_on_both_sides_can_be_learnt():
    """`other` has cells of two labels, of which one has controls."""
    few = weighted([[3, 2, 1], [4, 1, 0], [5, 0, 2]])
    assert few.treated == [0, 2]
    assert few.learnable() == [0]
    assert weighted([[3, 2, 1], [4, 1, 0], [5, 1, 2]]).learnable() == [0, 2]
    assert weighted([[0, 2, 0]] * 3).learnable() == []


def test_where_no_condition_can_be_learnt_the_first_is_refused():
    with pytest.raises(DataError, match="2 labels or more with cells of both 'none' and 'drug'; a is the only one"):
        weighted([[3, 2, 1], [0, 1, 0], [0, 0, 2]]).learnable()
