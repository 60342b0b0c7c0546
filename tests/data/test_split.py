"""Splits: sizes, disjointness and invariants that follow from their definitions."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwright.data.split import (
    Split,
    apportion,
    fold_split,
    held_out_batch_split,
    held_out_combination_split,
    random_split,
    stratified_folds,
    stratified_split,
)
from cellwright.errors import DataError, DataFileError, OptionError, SchemaMismatch

CODES = np.repeat([0, 1, 2, 3], [40, 11, 3, 1])


def parts(split):
    return split.train, split.validation, split.test


@given(n_obs=st.integers(3, 400), validation=st.floats(0, 0.45), test=st.floats(0, 0.45), seed=st.integers(0, 2**32))
def test_every_row_is_in_one_part(n_obs, validation, test, seed):
    split = random_split(n_obs, validation=validation, test=test, seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts(split))), np.arange(n_obs))


@given(codes=st.lists(st.integers(-1, 5), min_size=14, max_size=80), seed=st.integers(0, 1000))
def test_stratified_no_class_is_lost_from_train(codes, seed):
    codes = np.array(codes)
    split = stratified_split(codes, validation=0.3, test=0.3, seed=seed)
    assert set(codes[split.train]) == set(codes)


def test_parts_are_ascending_int64():
    for rows in parts(random_split(50, validation=0.2, test=0.2, seed=3)):
        assert rows.dtype == np.int64
        assert np.all(np.diff(rows) > 0)


@pytest.mark.parametrize(
    ("n_obs", "expected"),
    [(100, (70, 10, 20)), (10, (7, 1, 2)), (7, (5, 1, 1)), (3, (1, 1, 1))],
    ids=["100", "10", "rounded", "at least one"],
)
def test_fractions_give_rounded_sizes(n_obs, expected):
    assert tuple(map(len, parts(random_split(n_obs, validation=0.1, test=0.2)))) == expected


def test_same_seed_same_split_and_another_seed_another():
    first, again, other = (random_split(200, validation=0.3, seed=seed).validation for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "make",
    [lambda v: random_split(55, validation=v, test=0.2), lambda v: stratified_split(CODES, validation=v, test=0.2)],
    ids=["random", "stratified"],
)
def test_test_cells_do_not_depend_on_the_validation_fraction(make):
    assert np.array_equal(make(0.0).test, make(0.5).test)


def test_stratified_gives_each_class_its_share_within_one_cell():
    split = stratified_split(CODES, validation=0.2, test=0.3)
    for rows, fraction in ((split.validation, 0.2), (split.test, 0.3)):
        sizes = np.bincount(CODES[rows], minlength=4)
        assert np.all(np.abs(sizes - fraction * np.bincount(CODES)) < 1)
        assert len(rows) == np.floor(fraction * len(CODES) + 0.5)


def test_stratified_keeps_a_class_of_one_cell_in_train():
    for seed in range(20):
        assert len(CODES) - 1 in stratified_split(CODES, validation=0.4, test=0.4, seed=seed).train


def test_stratified_does_not_depend_on_how_classes_are_numbered():
    renumbered = np.array([7, 0, -1, 3])[CODES]
    one, other = stratified_split(CODES, validation=0.3, seed=5), stratified_split(renumbered, validation=0.3, seed=5)
    assert np.array_equal(one.names(), other.names())


def test_a_cell_is_left_to_train_on_where_both_parts_round_up():
    assert tuple(map(len, parts(random_split(4, validation=0.4, test=0.4)))) == (1, 1, 2)


@pytest.mark.parametrize("held_out", [2, [2], np.array([2, 0])], ids=["code", "list", "array"])
def test_held_out_batches_are_the_test(held_out):
    split = held_out_batch_split(CODES, held_out, validation=0.2)
    assert np.array_equal(split.test, np.flatnonzero(np.isin(CODES, held_out)))
    assert len(split.validation) == np.floor(0.2 * (len(CODES) - len(split.test)) + 0.5)


def test_held_out_combination_is_the_test():
    label, condition = np.tile([0, 1, 2], 20), np.repeat([0, 1], 30)
    split = held_out_combination_split(label, condition, label=2, condition=1, validation=0.1)
    assert set(split.test) == {row for row in range(60) if label[row] == 2 and condition[row] == 1}
    assert len(split.validation) == 5


def test_held_out_combinations_of_several_labels_are_the_test():
    label, condition = np.tile([0, 1, 2], 20), np.repeat([0, 1], 30)
    split = held_out_combination_split(label, condition, label=[2, 0], condition=1, validation=0.1)
    assert set(split.test) == {row for row in range(60) if label[row] != 1 and condition[row] == 1}
    with pytest.raises(DataError, match="label code 5 under condition code 1"):
        held_out_combination_split(label, condition, label=[2, 5], condition=1)


def test_held_out_combinations_under_several_conditions_are_the_test():
    label, condition = np.tile([0, 1, 2], 20), np.repeat([0, 1, 2], 20)
    split = held_out_combination_split(label, condition, label=2, condition=[1, 2], validation=0.1)
    assert set(split.test) == {row for row in range(60) if label[row] == 2 and condition[row] > 0}
    with pytest.raises(DataError, match="label code 5 under condition code 1, 2"):
        held_out_combination_split(label, condition, label=[2, 5], condition=[1, 2])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: random_split(0), DataError, "needs a cell to train on; it has none of 0"),
        (lambda: random_split(1), DataError, "validation=0.1 needs a cell for it; none of 1 can be spared"),
        (lambda: random_split(2, validation=0.1, test=0.1), DataError, "validation=0.1 needs a cell"),
        (lambda: stratified_split(np.arange(6), test=0.5), DataError, "each of 6 classes keeps one"),
        (lambda: random_split(10, validation=0.5, test=0.5), OptionError, "leave something for training"),
        (lambda: random_split(10, validation=-0.1), OptionError, "fractions from 0"),
        (lambda: random_split(10, validation=float("nan")), OptionError, "fractions from 0"),
        (lambda: held_out_batch_split(CODES, [0, 1, 2, 3]), DataError, "it is all 55 cells"),
        (lambda: held_out_batch_split(CODES, 9), DataError, "9 has no cell"),
        (lambda: held_out_combination_split(CODES, CODES, label=0, condition=1), DataError, "has no cell"),
        (lambda: Split(np.array([0, 1]), np.array([1]), np.array([])), DataError, "missing or repeated"),
        (lambda: Split(np.array([0, 3]), np.array([1]), np.array([])), DataError, "missing or repeated"),
    ],
    ids=[
        "no cell",
        "one cell",
        "two cells",
        "lone classes",
        "sum 1",
        "negative",
        "nan",
        "all batches",
        "no batch",
        "no combination",
        "overlap",
        "gap",
    ],
)
def test_what_cannot_be_split_is_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_names_say_the_part_of_each_cell():
    split = Split(np.array([3, 0]), np.array([2]), np.array([1]))
    assert split.names().tolist() == ["train", "test", "validation", "train"]


@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=3, max_size=20, unique=True))
def test_write_then_read_gives_the_split_for_any_names(names, tmp_path_factory):
    path = tmp_path_factory.mktemp("split") / "split.csv"
    split = random_split(len(names), validation=0.3, test=0.3)
    split.write(path, names)
    assert np.array_equal(Split.read(path, names).names(), split.names())


def test_read_matches_cells_by_name(tmp_path):
    names = np.array([f"cell {row}" for row in range(20)])
    split = random_split(20, validation=0.3, seed=1)
    split.write(tmp_path / "split.csv", names)
    order = np.random.default_rng(0).permutation(20)
    assert np.array_equal(Split.read(tmp_path / "split.csv", names[order]).names(), split.names()[order])


def test_file_has_the_columns_obs_and_split(tmp_path):
    random_split(4).write(tmp_path / "split.csv", "abcd")
    rows = list(csv.DictReader((tmp_path / "split.csv").read_text().splitlines()))
    assert [row["obs"] for row in rows] == list("abcd")
    assert sorted(row["split"] for row in rows) == ["train"] * 3 + ["validation"]


def test_read_refuses_other_cells(tmp_path):
    random_split(4).write(tmp_path / "split.csv", "abcd")
    with pytest.raises(SchemaMismatch, match="2 of them are not in it and 1 of its cells"):
        Split.read(tmp_path / "split.csv", "abcxy")


def test_repeated_names_are_refused(tmp_path):
    with pytest.raises(DataError, match="1 of 4 are repeated"):
        random_split(4).write(tmp_path / "split.csv", "abca")


def test_another_number_of_names_is_refused(tmp_path):
    with pytest.raises(DataError, match="must name the 4 cells of the split; it names 3"):
        random_split(4).write(tmp_path / "split.csv", "abc")


@pytest.mark.parametrize(
    "content", ["", "cell,split\na,train\n", "obs,split\na,training\n", "obs,split\na\n", "\xff\x00"],
    ids=["empty", "columns", "word", "width", "binary"],
)  # fmt: skip
def test_a_file_that_is_not_a_split_is_refused(content, tmp_path):
    (tmp_path / "split.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataFileError, match="split"):
        Split.read(tmp_path / "split.csv", "a")


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(DataFileError, match="not readable"):
        Split.read(tmp_path / "none.csv", "a")


@given(
    quotas=st.lists(st.floats(0, 30), min_size=1, max_size=12),
    total=st.integers(0, 400),
    bounds=st.tuples(st.integers(0, 3), st.integers(3, 40)),
)
def test_apportion_reaches_the_total_that_the_bounds_allow(quotas, total, bounds):
    least, most = (np.full(len(quotas), bound) for bound in bounds)
    counts = apportion(np.array(quotas), total, least, most)
    assert np.all((counts >= least) & (counts <= most))
    assert counts.sum() == np.clip(total, least.sum(), most.sum())


def test_apportion_gives_seats_by_largest_remainder():
    # 100 seats, votes 47,000 16,000 15,900 12,000 6,000 3,100: the worked example of Hamilton's method
    quotas = np.array([47_000, 16_000, 15_900, 12_000, 6_000, 3_100]) / 10_000
    counts = apportion(quotas, 10, np.zeros(6, int), np.full(6, 10))
    assert counts.tolist() == [5, 2, 1, 1, 1, 0]


@given(codes=st.lists(st.integers(-1, 5), min_size=10, max_size=80), k=st.integers(2, 10), seed=st.integers(0, 1000))
def test_folds_partition_the_cells_and_every_class_within_one_cell(codes, k, seed):
    codes = np.array(codes)
    folds = stratified_folds(codes, k, seed=seed)
    assert folds.shape == codes.shape
    assert np.ptp(np.bincount(folds, minlength=k)) <= 1
    for code in np.unique(codes):
        assert np.ptp(np.bincount(folds[codes == code], minlength=k)) <= 1


def test_folds_ignore_how_classes_are_numbered_and_repeat_under_their_seed():
    one, other = stratified_folds(CODES, 5, seed=3), stratified_folds(np.array([7, 0, -1, 3])[CODES], 5, seed=3)
    assert np.array_equal(one, other)
    assert not np.array_equal(one, stratified_folds(CODES, 5, seed=4))


@pytest.mark.parametrize("first", [0, 5], ids=["first division", "second division"])
def test_the_tests_of_as_many_repeats_as_folds_are_every_cell_once(first):
    splits = [fold_split(CODES, 5, repeat=first + fold, validation=0.2) for fold in range(5)]
    assert np.array_equal(np.sort(np.concatenate([split.test for split in splits])), np.arange(len(CODES)))
    for split in splits:
        assert np.array_equal(np.sort(np.concatenate(parts(split))), np.arange(len(CODES)))
        assert len(split.validation) == np.floor(0.2 * (len(CODES) - len(split.test)) + 0.5)
        assert set(CODES[split.train]) >= {0, 1, 2}


def test_repeats_beyond_the_folds_divide_the_cells_in_another_way():
    assert not np.array_equal(fold_split(CODES, 5, repeat=0).test, fold_split(CODES, 5, repeat=5).test)


@pytest.mark.parametrize(("n_folds", "error"), [(1, OptionError), (56, DataError)])
def test_one_fold_or_more_folds_than_cells_are_refused(n_folds, error):
    with pytest.raises(error, match=r"fewer folds|2 or more"):
        stratified_folds(CODES, n_folds)
