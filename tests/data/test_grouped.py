"""No group on both sides, every cell held out once, and sentences where groups do not allow it."""

import warnings

import numpy as np
import pandas as pd
import pytest

from cellwright.data.grouped import given_split, grouped_fold_split, grouped_split
from cellwright.data.prepare import OpenOptions, SplitOptions, prepare
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import DataError, MissingKey

RNG = np.random.default_rng(0)
GROUPS = pd.Series([f"donor {i}" for i in np.repeat(np.arange(8), 25)], name="donor")
CODES = RNG.choice(3, size=200, p=[0.6, 0.3, 0.1])


def sides(split, groups):
    return [set(np.asarray(groups)[rows]) for rows in (split.train, split.validation, split.test)]


@pytest.mark.parametrize("repeat", [0, 3, 4, 11])
def test_no_group_is_in_two_parts(repeat):
    train, validation, test = sides(grouped_fold_split(CODES, GROUPS, 4, repeat=repeat, validation=0.2), GROUPS)
    assert train
    assert validation
    assert test
    assert train.isdisjoint(test | validation)
    assert validation.isdisjoint(test)


def test_the_folds_hold_out_every_cell_once_in_each_round():
    for first in (0, 4):
        tested = [grouped_fold_split(CODES, GROUPS, 4, repeat=first + k).test for k in range(4)]
        assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(200))


def test_classes_are_as_even_as_whole_groups_allow():
    """Two groups of one class and two of the other: each of two folds gets one of both."""
    groups = pd.Series(np.repeat(list("abcd"), 10), name="g")
    codes = np.repeat([0, 0, 1, 1], 10)
    for repeat in range(4):
        test = grouped_fold_split(codes, groups, 2, repeat=repeat).test
        assert np.bincount(codes[test]).tolist() == [10, 10]


def test_a_share_of_the_groups_is_held_out_without_folds():
    split = grouped_split(CODES, GROUPS, validation=0.1, test=0.25, seed=1)
    train, validation, test = sides(split, GROUPS)
    assert (len(test), len(validation)) == (2, 1)
    assert train.isdisjoint(test | validation)
    assert validation.isdisjoint(test)
    assert not len(grouped_split(CODES, GROUPS, test=0.0).test)


def test_seeds_hold_out_different_groups():
    tested = [sides(grouped_split(CODES, GROUPS, test=0.25, seed=seed), GROUPS)[2] for seed in range(4)]
    assert set.union(*tested) == set(GROUPS)


def test_of_two_training_groups_none_is_given_away_for_validation():
    groups = pd.Series(np.repeat(list("abc"), 20), name="donor")
    split = grouped_fold_split(np.tile([0, 1], 30), groups, 3, repeat=0, validation=0.2)
    train, validation, test = sides(split, groups)
    assert train == validation
    assert len(train) == 2
    assert not train & test


def test_fewer_groups_than_folds_are_refused():
    with pytest.raises(DataError, match=r"9 folds by 'donor' must have a group each; there are 8 groups\."):
        grouped_fold_split(CODES, GROUPS, 9, repeat=0)


def test_a_single_group_is_refused():
    with pytest.raises(DataError, match="two groups at least; there is one"):
        grouped_split(CODES, GROUPS.where(GROUPS == "", "all"), test=0.1)


def test_a_cell_without_a_group_is_refused():
    with pytest.raises(DataError, match=r"obs\['donor'\] \(group_key\) .* 25 of 200 have none"):
        grouped_fold_split(CODES, GROUPS.mask(GROUPS == "donor 3"), 4, repeat=0)


def test_a_class_of_the_test_cells_alone_is_warned_of():
    codes = np.where(GROUPS == "donor 5", 2, np.arange(200) % 2)
    warned = []
    for repeat in range(4):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            split = grouped_fold_split(codes, GROUPS, 4, repeat=repeat)
        warned.append([str(warning.message) for warning in caught])
        assert bool(warned[-1]) == (2 in codes[split.test])
    assert sum(map(len, warned)) == 1
    assert "1 of 3 classes of the test cells are in no training cell" in max(warned)[0]


def test_one_group_per_class_is_refused():
    groups = pd.Series(np.repeat(list("abc"), 10), name="plate")
    with pytest.raises(DataError, match=r"split by 'plate' .* all 1 classes of the test cells are in no other group"):
        grouped_fold_split(np.repeat([0, 1, 2], 10), groups, 3, repeat=0)


def test_cells_without_labels_are_dealt_out_by_groups_alone():
    split = grouped_fold_split(np.full(200, -1), GROUPS, 4, repeat=0)
    assert len(split.test) == 50


def test_a_given_split_is_taken_as_it_is_and_validation_comes_from_train():
    parts = pd.Series(np.where(np.arange(200) % 4, "train", "test"), name="split").astype("category")
    split = given_split(parts, CODES, validation=0.2, seed=0)
    assert np.array_equal(split.test, np.flatnonzero(parts == "test"))
    assert len(split.validation) == 30
    assert set(split.validation) <= set(np.flatnonzero(parts == "train"))
    named = parts.cat.add_categories("validation")
    named.iloc[[1, 2]] = "validation"
    assert given_split(named, CODES, validation=0.2).validation.tolist() == [1, 2]
    assert len(given_split(parts, CODES, validation=0.0).validation) == 0


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (["train", "Test", "test"], "it has 'Test' for 1 of 3"),
        (["train", None, "test"], "it has '' for 1 of 3"),
        (["test", "test", "validation"], "must call cells 'train'; it calls none"),
    ],
    ids=["word", "missing", "no train"],
)
def test_a_column_that_is_no_split_is_refused(parts, said):
    with pytest.raises(DataError, match=said):
        given_split(pd.Series(parts, name="split"), np.zeros(3, dtype=int))


def test_prepare_reads_the_columns_and_refuses_those_that_are_not_there():
    cells = simulate(SimulateOptions(n_obs=80, n_vars=10, label_shares=(0.6, 0.4)), seed=0).adata
    cells.obs["donor"] = np.arange(80) // 10
    cells.obs["part"] = np.where(np.arange(80) < 60, "train", "test")
    keys = OpenOptions(label_key="label")
    grouped = prepare(cells, keys, SplitOptions(folds=4, group_key="donor")).split
    assert len(np.unique(cells.obs["donor"].to_numpy()[grouped.test])) == 2
    assert prepare(cells, keys, SplitOptions(split_key="part")).split.test.tolist() == list(range(60, 80))
    assert len(prepare(cells, keys, SplitOptions(group_key="donor", test=0.25)).split.test) == 20
    with pytest.raises(MissingKey, match=r"obs has no 'doner' \(group_key\).*Did you mean 'donor'"):
        prepare(cells, keys, SplitOptions(group_key="doner"))


def test_a_fold_that_got_no_group_is_refused(monkeypatch):
    monkeypatch.setattr("cellwright.data.grouped._folds", lambda codes, *rest: np.zeros(len(codes), dtype=int))
    with pytest.raises(DataError, match="fold 1 of 8 unequal groups got none"):
        grouped_fold_split(CODES, GROUPS, 4, repeat=1)
