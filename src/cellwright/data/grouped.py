"""Grouped and given splits: no donor on both sides, and the split that a column of the data names.

    label codes, groups (n_obs,), seed -> Split whose test cells are of other groups than the others
    column of obs (train / validation / test) -> Split, with a validation drawn from train where it names none

Cells of one donor resemble each other more than cells of two, so a split by cells says how well a model does on more
cells of known donors. The folds are those of scikit-learn's StratifiedGroupKFold: whole groups, with the classes as
even as they allow. What is most even is often one division only, so a second round of folds may be the first again.
"""

import warnings

import numpy as np
import pandas as pd

from cellwright.data.split import PARTS, Split, stratified_split
from cellwright.errors import DataError

# fewer groups than this cannot give one to validation and keep several to train on
MIN_GROUPS = 3


def grouped_fold_split(
    codes: np.ndarray, groups: pd.Series, n_folds: int, *, repeat: int, validation: float = 0.1
) -> Split:
    """Cross-validation over whole groups: test on one of `n_folds` sets of groups.

    `codes (n_obs,)` are the classes, -1 for none; `repeat` counts through the folds, and again beyond them. The
    validation cells are of whole groups, too, where at least `MIN_GROUPS` are left, and else a stratified share of the
    cells that are left. Warns of a class that is in no training cell. Raises `DataError` for cells without a group, for
    fewer groups than folds, and where no class of the test cells is in a training cell.
    """
    members = _codes_of(groups)
    if (n_groups := members.max() + 1) < n_folds:
        raise DataError(
            f"{n_folds} folds by {groups.name!r} must have a group each; there are {n_groups} groups. Use fewer folds."
        )
    division, fold = divmod(repeat, n_folds)
    held_out = _folds(codes, members, n_folds, division) == fold
    if not held_out.any():
        raise DataError(
            f"each of {n_folds} folds by {groups.name!r} must get a group; fold {fold} of {n_groups} unequal groups "
            "got none. Use fewer folds."
        )
    return _split(codes, members, held_out, validation, repeat, groups.name)


def grouped_split(
    codes: np.ndarray, groups: pd.Series, *, validation: float = 0.1, test: float = 0.0, seed: int = 0
) -> Split:
    """Hold out whole groups, about a share `test` of the cells; one group at least. Else as `grouped_fold_split`.

    Seeds count through the sets of groups that can be held out: two of them hold out different ones.
    """
    members = _codes_of(groups)
    held_out: np.ndarray | None = np.zeros(len(members), dtype=bool)
    if test:
        held_out = _share_of_groups(codes, members, test, seed)
    if held_out is None:
        raise DataError(
            f"a split by {groups.name!r} must have two groups at least; there is one. Use a split by cells."
        )
    return _split(codes, members, held_out, validation, seed, groups.name)


def given_split(parts: pd.Series, codes: np.ndarray, *, validation: float = 0.1, seed: int = 0) -> Split:
    """The split that a column names: `train`, `validation` or `test` of each cell.

    Where no cell is called `validation`, a share of the training cells, stratified by class, is drawn with the seed; a
    share of 0 draws none. Raises `DataError` for other words, and for cells without one.
    """
    names = parts.astype(object).where(parts.notna(), "").astype(str).to_numpy()
    if unknown := sorted(set(names) - set(PARTS)):
        raise DataError(
            f"obs[{parts.name!r}] (split_key) must say train, validation or test of each cell; it has {unknown[0]!r} "
            f"for {np.sum(names == unknown[0])} of {len(names)}. Rename it, or give another split_key."
        )
    if "train" not in names:
        raise DataError(f"obs[{parts.name!r}] (split_key) must call cells 'train'; it calls none. Give another column.")
    if validation and "validation" not in names:
        rows = np.flatnonzero(names == "train")
        inner = stratified_split(np.asarray(codes)[rows], validation=validation, seed=seed)
        names = names.astype("<U10")
        names[rows[inner.validation]] = "validation"
    split = Split.of_names(names)
    _check_classes(codes, split, str(parts.name))
    return split


def _codes_of(groups: pd.Series) -> np.ndarray:
    members, _ = pd.factorize(groups)
    if missing := int((members < 0).sum()):
        raise DataError(
            f"obs[{groups.name!r}] (group_key) must name a group for every cell, or a cell could be on both sides; "
            f"{missing} of {len(groups)} have none. Leave these cells out, or name their groups."
        )
    return members


def _split(
    codes: np.ndarray, members: np.ndarray, held_out: np.ndarray, validation: float, seed: int, name: object
) -> Split:
    rest = np.flatnonzero(~held_out)
    parts = np.where(held_out, "test", "train").astype("<U10")
    if validation:
        is_validation = None
        if len(np.unique(members[rest])) >= MIN_GROUPS:
            is_validation = _share_of_groups(codes[rest], members[rest], validation, seed)
        if is_validation is None:
            inner = stratified_split(codes[rest], validation=validation, seed=seed)
            is_validation = inner.names() == "validation"
        parts[rest[is_validation]] = "validation"
    split = Split.of_names(parts)
    _check_classes(codes, split, str(name))
    return split


def _share_of_groups(codes: np.ndarray, members: np.ndarray, share: float, seed: int) -> np.ndarray | None:
    """Whether each cell is in the groups that make up about `share`, (n_obs,); None where there is a single group."""
    n_groups = len(np.unique(members))
    if n_groups < 2:
        return None
    n_folds = min(n_groups, max(2, round(1 / share)))
    division, fold = divmod(seed, n_folds)
    return _folds(codes, members, n_folds, division) == fold


def _folds(codes: np.ndarray, members: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """The fold of each cell, (n_obs,); no group is in two."""
    from sklearn.model_selection import StratifiedGroupKFold

    # it refuses where no class has a cell for each fold; whole groups can be dealt out all the same
    sizes = np.unique(codes, return_counts=True)[1]
    classes = codes if sizes.max() >= n_folds else np.zeros_like(codes)
    folds = np.empty(len(codes), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")  # `_check_classes` says what that comes to
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        for fold, (_, rows) in enumerate(splitter.split(classes, classes, members)):
            folds[rows] = fold
    return folds


def _check_classes(codes: np.ndarray, split: Split, name: str) -> None:
    """A class without a training cell is never said: its test cells count as errors, which one has to know."""
    tested, learnt = (set(np.unique(codes[rows]).tolist()) - {-1} for rows in (split.test, split.train))
    if not (unknown := tested - learnt):
        return
    if not tested & learnt:
        raise DataError(
            f"a split by {name!r} must leave training cells of a class that is tested; all {len(tested)} classes of "
            "the test cells are in no other group. Split by something else, or by cells."
        )
    warnings.warn(
        f"{len(unknown)} of {len(tested)} classes of the test cells are in no training cell of the split by {name!r}: "
        "no model can know them, and their cells count as errors.",
        stacklevel=4,
    )
