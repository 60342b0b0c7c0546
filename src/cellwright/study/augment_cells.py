"""Augment cells: training cells of rare classes made more, by copies, by cells between cells, or by generated ones.

source, split, how many cells each class lacks -> a source with the new cells behind its own, a split that trains on
them; validation and test cells are what they were
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.data.balance import Over, Smote
from cellwright.data.prepare import Prepared
from cellwright.data.source import Matrix, StoredSource
from cellwright.data.split import Split
from cellwright.data.synthetic import Enlarged, appended, most_alike, with_synthetic


@dataclass(frozen=True, eq=False)
class Lack:
    """The rare classes of one split: how many training cells each has, and how many are added; by code."""

    n_cells: Mapping[int, int]
    n_new: Mapping[int, int]
    names: Mapping[int, str]

    def by_name(self, counts: Mapping[int, int]) -> dict[str, int]:
        """One of the two, by name."""
        return {self.names[code]: n for code, n in counts.items()}


@dataclass(frozen=True, eq=False)
class Wider:
    """Cells with new ones behind them; `notes` say what was done otherwise for some classes."""

    source: StoredSource
    split: Split
    notes: dict[str, dict[str, int]] = field(default_factory=dict)


def lack_of(cells: Prepared, target: int) -> Lack:
    """The classes with a training cell, but fewer than `target`. A class without any cannot be learnt."""
    label = cells.source.schema.label
    assert label is not None, "data without labels are refused before"
    sizes = np.bincount(_labels(cells)[_labels(cells) >= 0], minlength=label.n)
    rare = [int(code) for code in np.flatnonzero((sizes > 0) & (sizes < target))]
    n_cells = {code: int(sizes[code]) for code in rare}
    return Lack(n_cells, {code: target - n for code, n in n_cells.items()}, dict(enumerate(label.values)))


def unchanged(cells: Prepared) -> Wider:
    """The cells as they are."""
    return Wider(cells.source, cells.split)


def with_copies(cells: Prepared, target: int, over: Over, rng: np.random.Generator) -> Wider:
    """Cells of rare classes once more, with replacement, as `Over` draws them."""
    train = cells.split.train
    remedy = over.model_copy(update={"target": target})
    of = np.sort(remedy.resample(train[:, None], _labels(cells), rng).of)
    again = train[of[1:][of[1:] == of[:-1]]]  # the first of each is the cell itself
    return _wider(cells, appended(cells.source, _read(cells.source, again), again))


def with_smote(cells: Prepared, lack: Lack, smote: Smote, rng: np.random.Generator) -> Wider:
    """Cells between cells of a rare class, as `Smote` makes them.

    A class of which no kind (label, condition, batch) has enough cells for `n_neighbours` takes as many neighbours as
    there are, and one of single cells is copied: the alternative, to refuse, would leave the rarest classes out. Which
    those are, and how many neighbours they had, is in the notes.
    """
    rows = {code: cells.split.train[_labels(cells) == code] for code in lack.n_new}
    near = {code: min(smote.n_neighbours, most_alike(cells.source.annotation, at) - 1) for code, at in rows.items()}
    classes = [Enlarged(lack.names[code], rows[code], n, near[code]) for code, n in lack.n_new.items()]
    fewer = {lack.names[code]: n for code, n in near.items() if n < smote.n_neighbours}
    return _wider(
        cells, with_synthetic(cells.source, classes, smote.space, rng), {"fewer_neighbours": fewer} if fewer else {}
    )


def with_generated(cells: Prepared, made: AnnData, rng: np.random.Generator) -> Wider:
    """The cells `made` by `generate` behind the others, each annotated like a training cell of its kind."""
    values = made.X
    if isinstance(_read(cells.source, cells.split.train[:1]), np.ndarray):
        values = values.toarray()
    return _wider(cells, appended(cells.source, values, _alike(cells, made.obs, rng)))


def _labels(cells: Prepared) -> np.ndarray:
    return cells.source.annotation.label[cells.split.train]


def _alike(cells: Prepared, obs: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """For each generated cell a training cell of its label, batch and condition, (n_new,); there is one, it was lent.

    A batch or condition that `generate` left open is any.
    """
    annotation, schema, train = cells.source.annotation, cells.source.schema, cells.split.train
    known = {name: getattr(schema, name) for name in ("label", "batch", "condition")}
    codes = {name: obs[field.key].cat.codes.to_numpy() for name, field in known.items() if field is not None}
    like = np.empty(len(obs), dtype=np.int64)
    kinds, kind_of = np.unique(np.stack(list(codes.values()), axis=1), axis=0, return_inverse=True)
    for at, kind in enumerate(kinds):
        fits = np.ones(len(train), dtype=bool)
        for name, code in zip(codes, kind, strict=True):
            fits &= (code < 0) | (getattr(annotation, name)[train] == code)
        mine = kind_of.ravel() == at
        like[mine] = rng.choice(train[fits], mine.sum())
    return like


def _read(source: StoredSource, rows: np.ndarray) -> Matrix:
    """The values of rows in any order, some of them several times."""
    ascending, at = np.unique(rows, return_inverse=True)
    return source.read(source.schema.modalities[0], ascending)[at]


def _wider(cells: Prepared, source: StoredSource, notes: dict[str, dict[str, int]] | None = None) -> Wider:
    new = np.arange(cells.source.n_obs, source.n_obs)
    split = Split(np.concatenate([cells.split.train, new]), cells.split.validation, cells.split.test)
    return Wider(source, split, notes or {})
