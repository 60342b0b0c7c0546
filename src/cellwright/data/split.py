"""Split: which cells train, validate and test. Row arithmetic only; no values are touched.

    codes (n_obs,), fractions, seed -> Split(train, validation, test), each an ascending array of rows

The seed determines one permutation of the rows. Within what is drawn from (all cells, one class, the cells that are
not held out), the first cells of that permutation are the test, the next the validation, the rest the training cells.
So the test cells of a seed do not depend on the validation fraction, and a stratified split does not depend on how the
classes are numbered.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cellwright.errors import DataError, DataFileError, OptionError, SchemaMismatch

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of the three parts: int64, ascending, disjoint; together every cell once. Training cells are never none."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def __post_init__(self) -> None:
        for part in PARTS:
            object.__setattr__(self, part, np.sort(np.asarray(getattr(self, part), dtype=np.int64)))
        every = np.sort(np.concatenate([getattr(self, part) for part in PARTS]))
        if not np.array_equal(every, np.arange(len(every))):
            raise DataError(
                f"the parts of a split must hold the rows 0 to {len(every) - 1} once; a row is missing or repeated."
                " Give each cell one part."
            )
        if not len(self.train):
            raise DataError(f"a split needs a cell to train on; it has none of {len(every)}. Hold out fewer cells.")

    @property
    def n_obs(self) -> int:
        """How many cells are divided."""
        return len(self.train) + len(self.validation) + len(self.test)

    def names(self) -> np.ndarray:
        """`"train"`, `"validation"` or `"test"` of each cell, (n_obs,)."""
        names = np.full(self.n_obs, "train", dtype="<U10")
        names[self.validation], names[self.test] = "validation", "test"
        return names

    def write(self, path: Path | str, obs_names: Iterable[str]) -> None:
        """Write `split.csv`: columns `obs` (the cell's name) and `split`.

        Raises `DataError` where the names are not unique or not one per cell.
        """
        names = _unique_names(obs_names)
        if len(names) != self.n_obs:
            raise DataError(f"obs_names must name the {self.n_obs} cells of the split; it names {len(names)}.")
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("obs", "split"), *zip(names, self.names(), strict=True)])

    @classmethod
    def read(cls, path: Path | str, obs_names: Iterable[str]) -> "Split":
        """Read `split.csv` for the cells `obs_names`; cells are matched by name, their order in the file is free.

        Raises `DataFileError` for a file that is not a split, `SchemaMismatch` where it divides other cells.
        """
        part_of, names = _read_parts(Path(path)), _unique_names(obs_names)
        if part_of.keys() != set(names):
            unknown, extra = set(names) - part_of.keys(), part_of.keys() - set(names)
            raise SchemaMismatch(
                f"{path} must divide the {len(names)} cells of the data; {len(unknown)} of them are not in it and "
                f"{len(extra)} of its cells are not in the data. Give the data that the split was made for."
            )
        return cls.of_names([part_of[name] for name in names])

    @classmethod
    def of_names(cls, names: Sequence[str] | np.ndarray) -> "Split":
        """The split in which each cell has the part that is named, (n_obs,)."""
        parts = np.asarray(names)
        return cls(*(np.flatnonzero(parts == part) for part in PARTS))


def random_split(n_obs: int, *, validation: float = 0.1, test: float = 0.0, seed: int = 0) -> Split:
    """Divide cells at random. A fraction is rounded to the nearest number of cells, to at least one if above zero.

    One cell is always left to train on. Raises `OptionError` for fractions that are not in [0, 1) or have a sum of 1 or
    more, `DataError` where there are too few cells to give one to each part that was asked for.
    """
    return stratified_split(np.zeros(n_obs, dtype=np.int64), validation=validation, test=test, seed=seed)


def stratified_split(codes: np.ndarray, *, validation: float = 0.1, test: float = 0.0, seed: int = 0) -> Split:
    """Divide the cells of each class in proportion; `codes (n_obs,)`, where -1 (no class) is a class like the others.

    The totals are those of `random_split`, shared among the classes by largest remainder; every class keeps a cell in
    train, so a class with one cell is there only. Raises as `random_split`.
    """
    _check_fractions(validation, test)
    order = np.random.default_rng(seed).permutation(len(codes))
    # numbered in the order in which the permutation meets them, so that ties ignore the numbers of the caller
    class_of = pd.factorize(np.asarray(codes)[order])[0]
    place_in_class = pd.Series(class_of).groupby(class_of).cumcount().to_numpy()
    sizes = np.bincount(class_of)
    n_test = _n_per_class(sizes, test, sizes - 1, "test")
    n_validation = _n_per_class(sizes, validation, sizes - 1 - n_test, "validation")
    is_test = place_in_class < n_test[class_of]
    is_train = place_in_class >= (n_test + n_validation)[class_of]
    return Split(order[is_train], order[~is_train & ~is_test], order[is_test])


def stratified_folds(codes: np.ndarray, n_folds: int, *, seed: int = 0) -> np.ndarray:
    """The fold, 0 to `n_folds` - 1, of each cell: (n_obs,) int64; of one size within one cell, in all classes.

    `codes (n_obs,)`, where -1 (no class) is a class like the others. The cells of a class are dealt to the folds in
    random order, and the next class goes on where the last one stopped; a class of fewer cells than folds is missing
    in some of them.

    Raises `OptionError` for fewer than two folds, `DataError` where there are fewer cells than folds.
    """
    if n_folds < 2:
        raise OptionError(f"n_folds must be 2 or more; it is {n_folds}. Use a split where nothing is to be repeated.")
    if len(codes) < n_folds:
        raise DataError(f"{n_folds} folds must have a cell each; there are {len(codes)} cells. Use fewer folds.")
    order = np.random.default_rng(seed).permutation(len(codes))
    # classes in the order in which the permutation meets them, so that their numbers mean nothing
    class_of = pd.factorize(np.asarray(codes)[order])[0]
    folds = np.empty(len(codes), dtype=np.int64)
    folds[order[np.argsort(class_of, kind="stable")]] = np.arange(len(codes)) % n_folds
    return folds


def fold_split(codes: np.ndarray, n_folds: int, *, repeat: int, validation: float = 0.1) -> Split:
    """Cross-validation: test on one of `stratified_folds`. Validation is a stratified share of the others.

    `repeat` counts through the folds, 0 to `n_folds` - 1, and beyond them through those of another division. Raises as
    `stratified_folds` and `stratified_split`.
    """
    division, fold = divmod(repeat, n_folds)
    held_out = stratified_folds(codes, n_folds, seed=division) == fold
    rest = np.flatnonzero(~held_out)
    inner = stratified_split(np.asarray(codes)[rest], validation=validation, seed=repeat)
    return Split(rest[inner.train], rest[inner.validation], np.flatnonzero(held_out))


def held_out_batch_split(
    batch_codes: np.ndarray, held_out: int | Sequence[int], *, validation: float = 0.1, seed: int = 0
) -> Split:
    """Test on whole batches: the cells whose code is in `held_out`. Validation is random among the others.

    Raises `DataError` for a batch without cells, or where the held-out batches leave nothing to train on.
    """
    codes = np.asarray(batch_codes)
    wanted = np.atleast_1d(np.asarray(held_out, dtype=np.int64))
    if absent := sorted(set(wanted.tolist()) - set(codes.tolist())):
        raise DataError(
            f"the held-out batches must be codes of the data, {_listed(np.unique(codes))}; "
            f"{_listed(absent)} has no cell. Name batches that occur."
        )
    return _held_out(np.isin(codes, wanted), validation, seed)


def held_out_combination_split(
    label_codes: np.ndarray,
    condition_codes: np.ndarray,
    *,
    label: int | Sequence[int],
    condition: int | Sequence[int],
    validation: float = 0.1,
    seed: int = 0,
) -> Split:
    """Test on one label, or several, under one condition, or several (a cell type never seen treated).

    Validation is random among the others. Raises `DataError` where a combination has no cell, or where nothing is left
    to train on.
    """
    conditions = np.atleast_1d(np.asarray(condition, dtype=np.int64))
    under = np.isin(condition_codes, conditions)
    wanted = np.atleast_1d(np.asarray(label, dtype=np.int64))
    if absent := sorted(set(wanted.tolist()) - set(np.asarray(label_codes)[under].tolist())):
        raise DataError(
            f"the held-out combination must occur in the data; label code {_listed(absent)} under condition code "
            f"{_listed(conditions)} has no cell. Choose a combination that does."
        )
    return _held_out(under & np.isin(label_codes, wanted), validation, seed)


def apportion(quotas: np.ndarray, total: int, at_least: np.ndarray, at_most: np.ndarray) -> np.ndarray:
    """Whole numbers within bounds that follow `quotas (n,)`, with the sum `total` where the bounds allow it.

    This is the method of the largest remainder. Ties go to the earlier entry.
    """
    counts = np.clip(np.floor(quotas).astype(np.int64), at_least, at_most)
    while counts.sum() < total and (counts < at_most).any():
        counts[np.argmax(np.where(counts < at_most, quotas - counts, -np.inf))] += 1
    while counts.sum() > total and (counts > at_least).any():
        counts[np.argmax(np.where(counts > at_least, counts - quotas, -np.inf))] -= 1
    return counts


def _held_out(held_out: np.ndarray, validation: float, seed: int) -> Split:
    if held_out.all():
        raise DataError(
            f"what is held out must leave cells to train on; it is all {len(held_out)} cells. Hold out less of them."
        )
    rest = np.flatnonzero(~held_out)
    inner = random_split(len(rest), validation=validation, seed=seed)
    return Split(rest[inner.train], rest[inner.validation], np.flatnonzero(held_out))


def _n_of(n: int, fraction: float) -> int:
    return max(1, int(np.floor(fraction * n + 0.5))) if fraction > 0 and n else 0


def _n_per_class(sizes: np.ndarray, fraction: float, spare: np.ndarray, part: str) -> np.ndarray:
    wanted = _n_of(int(sizes.sum()), fraction)
    counts = apportion(fraction * sizes, wanted, np.zeros_like(sizes), spare)
    if wanted and not counts.any():
        raise DataError(
            f"a split with {part}={fraction} needs a cell for it; none of {sizes.sum()} can be spared, for each of "
            f"{len(sizes)} classes keeps one to train on. Set {part}=0, or use more cells or fewer classes."
        )
    return counts


def _check_fractions(validation: float, test: float) -> None:
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise OptionError(
            "validation and test must be fractions from 0 to below 1 that leave something for training; "
            f"they are {validation} and {test}. Give smaller ones."
        )


def _read_parts(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise DataFileError(
            f"{path} must be a CSV file of the columns obs, split; it is not readable: {error}."
        ) from None
    if head != ["obs", "split"] or any(len(row) != 2 or row[1] not in PARTS for row in rows):
        raise DataFileError(
            f"{path} must have the columns obs, split and one of {', '.join(PARTS)} in each row; it has other content. "
            "Give the split.csv of a run."
        )
    _unique_names(row[0] for row in rows)
    return dict(rows)


def _unique_names(obs_names: Iterable[str]) -> list[str]:
    names = [str(name) for name in obs_names]
    if repeated := len(names) - len(set(names)):
        raise DataError(
            f"cells are matched by name, so obs_names must be unique; {repeated} of {len(names)} are repeated. "
            "Call adata.obs_names_make_unique() first."
        )
    return names


def _listed(codes: Iterable[int]) -> str:
    return ", ".join(str(int(code)) for code in codes)
