"""Exam: a question that shows what an imputation is worth, or what harm it does.

    cells -exam makes others of them (molecules hidden, genes permuted, halves)-> impute(those) -> scores, tables

An exam does not know what imputes: it gets a function that fits a new model on the cells it is given and says what is
expected of them. So nothing that an exam hides can reach the model.

What is expected of a cell has less variance than a cell: a prediction should, data to be tested should not [Little19].
So what is invented is asked of the expectations, and of a draw of what could have been measured: names of scores of
draws end with `_drawn`.

References: [Little19], chapter 4, on imputing means and imputing draws.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from scipy import sparse

from cellwright.data.prepare import as_anndata
from cellwright.data.preprocess import PreprocessOptions, preprocess
from cellwright.data.proteins import Proteins
from cellwright.data.source import StoredSource
from cellwright.data.thinning import Thinned, in_memory
from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.nn.transform import TARGET_SUM
from cellwright.tasks.score import ScoreRow, score_rows


class Imputed(Protocol):
    """What a model that was fitted to some cells says of them, (n_obs, n_vars) float32 at the cells' own libraries."""

    @property
    def mean(self) -> np.ndarray:
        """What is expected of a second measurement."""

    @property
    def draw(self) -> np.ndarray | None:
        """A second measurement as it could be: counts, with the noise of counting; None for what does not draw."""


Impute = Callable[[StoredSource], Imputed]


@dataclass(frozen=True, eq=False)
class Asked:
    """What an exam is about: cells with counts, how genes are chosen, a share to hide, a seed, proteins if known."""

    source: StoredSource
    hidden: float
    preprocessing: PreprocessOptions | None
    seed: int
    proteins: Proteins | None = None

    def rng(self, exam: int) -> np.random.Generator:
        """The random numbers of one exam, the same for every model."""
        return np.random.default_rng([self.seed, exam])


@dataclass(frozen=True, eq=False)
class Examined:
    """Rows of `scores.csv` (task, metric, value, better, group), and tables for people to look at, by file name."""

    scores: list[ScoreRow]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Exam:
    """A line of EXAMS. `needs` says what the data must have beside counts: `proteins`, or nothing."""

    function: Callable[[Asked, Impute], Examined]
    summary: str
    needs: str = ""


def within_reach(parts: Thinned, preprocessing: PreprocessOptions | None) -> Thinned:
    """What a model can be asked for: genes chosen from what was kept alone, cells that kept a molecule of them.

    Of preprocessing it is the choice of features that counts; cells are all kept, for it is they that are asked for.

    Raises `DataError` where no cell is left.
    """
    features = chosen_features(parts.kept, preprocessing)
    values = sparse.csr_matrix(as_anndata(parts.kept).X)[:, features]
    rows = np.flatnonzero(np.asarray(values.sum(axis=1)).ravel() > 0)
    if not len(rows):
        raise DataError(
            f"none of {parts.kept.n_obs} cells keeps a molecule of the chosen genes. Hide less, or choose more."
        )
    names = tuple(np.asarray(parts.kept.schema.var_names)[features])
    return Thinned(in_memory(parts.kept, rows, values[rows], names), parts.hidden[rows][:, features])


def chosen_features(source: StoredSource, preprocessing: PreprocessOptions | None) -> np.ndarray:
    """Positions of the features that preprocessing chooses from these cells, ascending; None chooses all."""
    if preprocessing is None:
        return np.arange(source.schema.n_vars)
    report = preprocess(as_anndata(source), preprocessing).report
    return pd.Index(source.schema.var_names).get_indexer(pd.Index(report["features"]))


def only(source: StoredSource, rows: np.ndarray, features: np.ndarray | None = None) -> StoredSource:
    """These cells (ascending) over these features (positions; None: all), without cells that have no molecule of them.

    Raises `DataError` where no cell is left.
    """
    kept = slice(None) if features is None else features
    values = sparse.csr_matrix(source.read(source.schema.modalities[0], rows))[:, kept]
    there = np.asarray(values.sum(axis=1)).ravel() > 0
    if not there.any():
        raise DataError(f"none of {len(rows)} cells has a molecule of the chosen features. Give other cells.")
    return in_memory(source, rows[there], values[there], tuple(np.asarray(source.schema.var_names)[kept]))


def normalised(counts: np.ndarray) -> np.ndarray:
    """Every cell scaled to a total of 10,000, (n_obs, n_vars) float32; a row of zeros stays one."""
    total = counts.sum(axis=1, keepdims=True)
    return (counts * (TARGET_SUM / np.maximum(total, 1e-12))).astype(np.float32)


def counts_of(source: StoredSource) -> np.ndarray:
    """The values of all cells, dense (n_obs, n_vars) float32."""
    values = source.read(source.schema.modalities[0], np.arange(source.n_obs))
    return values if isinstance(values, np.ndarray) else values.toarray()


def drawn(rows: list[ScoreRow]) -> list[ScoreRow]:
    """Rows of scores as those of draws."""
    return [(task, f"{name}_drawn", value, better, group) for task, name, value, better, group in rows]


def scored(name: str, labels: pd.Series | None, **arrays: np.ndarray) -> list[ScoreRow]:
    """The rows of one metric; none where the data have not what it is about (`DataError`).

    Raises `UnsuitableValues` where an imputation holds what it must not: it has failed.
    """
    try:
        return score_rows(METRICS[name], name, labels, **arrays)
    except UnsuitableValues:
        raise
    except DataError:
        return []
