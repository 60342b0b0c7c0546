"""Interactions: which cell types attend to which, more or less than if types did not matter.

    model with `attends`, cells -> weights of each cell's neighbours -> mean per (target type, neighbour type)
    the same with the labels of the training cells permuted within each section -> expectation, z, p

The null keeps every weight and every place and takes from the labels all relation to either. It is therefore rejected
by types that lie together, whether or not they are weighed more: `share`, the same mean with equal weights, says how
much of the attention is nearness. Attention is what the model makes use of, no proof of signalling.

A training cell is a target and the neighbour of others: its label is permuted in both roles at once. If only the
neighbours' labels were, each pair of cells that hear each other would count as two, and p-values would be too small.

References: [Palla22] permutation of labels over a spatial graph; [Phipson10] p-values of permutations;
[Benjamini95] adjustment; [Brody22] attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from pydantic import Field
from scipy import sparse, stats

from cellwright.core.abilities import Attends, Attention
from cellwright.core.options import Options
from cellwright.core.schema import Categories
from cellwright.data.source import StoredSource, in_order
from cellwright.errors import DataError
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.tasks.ask import annotated, cells_for, needs
from cellwright.tasks.permuted import against, permutations
from cellwright.train.infer import BLOCK_ROWS

# of weight: log2 of a ratio of weights near zero would dominate otherwise
PSEUDOWEIGHT = 1e-3


class InteractionOptions(Options):
    """How attention is compared with its null."""

    n_permutations: int = Field(1_000, ge=99, description="of the labels; the least p is 1 / (1 + this)")
    min_cells: int = Field(10, ge=1, description="types with fewer cells, as target or as neighbour, are left out")
    seed: int = Field(0, ge=0, lt=2**32, description="of the permutations")


def interactions(
    model: Model,
    data: Any,
    options: InteractionOptions = InteractionOptions(),  # noqa: B008  frozen
) -> AnnData:
    """Mean attention per pair of cell types, against permuted labels. `data` is left alone.

    Returns an AnnData with the input's `obs` and `uns["interactions"]`, a DataFrame with a row per pair:

    - `target`, `neighbour`: the labels; `n_cells` of the target's
    - `attention`: mean over the target's cells of the weight of neighbours with that label, in [0, 1]
    - `share`: the same with equal weights: the share of neighbours that have the label
    - `expected`: mean attention over the permutations
    - `effect`: log2((attention + 0.001) / (expected + 0.001))
    - `z`: attention minus expected, in standard deviations over the permutations; NaN where these do not vary
    - `p_value`: two-sided, (1 + permutations at least as far from expected) / (1 + permutations)
    - `p_adjusted`: Benjamini-Hochberg over all pairs

    A cell that is among the training cells that the model kept has the label that it has there. Cells without a label
    are no targets; kept cells without one are permuted along. Raises `AbilityError` for a model
    without attention, `OptionError` where an option has switched it off, `DataError` without labels.
    """
    attending = needs(model, Attends, "interactions")
    source = cells_for(model, data, "interactions")
    label = _labels_of(model, source)
    attention, equal, references = _received(attending, source, label.n)
    kind = references.label.numpy()
    observed, n_cells = attention.means(kind)
    pairs = np.ix_(n_cells >= options.min_cells, np.bincount(kind[kind >= 0], minlength=label.n) >= options.min_cells)
    if not pairs[0].size * pairs[1].size:
        raise DataError(
            f"interactions must have a label with {options.min_cells} cells, and one with as many training cells; "
            "there is none. Lower min_cells, or give data with labels."
        )
    null = np.stack([attention.means(permuted)[0][pairs] for permuted in _permuted(references, options)])
    table = _compared(observed[pairs], null)
    table["share"] = equal.means(kind)[0][pairs].ravel()
    names = np.array(label.values)
    targets, neighbours = np.meshgrid(names[pairs[0].ravel()], names[pairs[1].ravel()], indexing="ij")
    table = table.assign(target=targets.ravel(), neighbour=neighbours.ravel())
    table["n_cells"] = np.repeat(n_cells[pairs[0].ravel()].astype(np.int64), pairs[1].size)
    adata = annotated(model, source)
    adata.uns["interactions"] = table[COLUMNS]
    return adata


COLUMNS = ["target", "neighbour", "n_cells", "attention", "share", "expected", "effect", "z", "p_value", "p_adjusted"]


def _labels_of(model: Model, source: StoredSource) -> Categories:
    if model.schema.label is None or not (source.annotation.label >= 0).any():
        raise DataError(
            f"`interactions` must have labels, of the cells and of those that {name_of(model)} was trained on; there "
            "are none. Give label_key when the model is fitted, and data that have it."
        )
    return model.schema.label


@dataclass(frozen=True, eq=False)
class _Received:
    """What each reference gets, by who attends to it: the references, then for each label the cells that are none."""

    weights: sparse.csr_array  # (n_references + n_labels, n_references), summed over cells
    n_cells: np.ndarray  # (n_references + n_labels,): how many cells each of the rows stands for
    n_labels: int

    def means(self, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per label mean weight of neighbours by label, (n_labels, n_labels), for these labels of the references.

        And how many cells of each label there then are. -1 is no label.
        """
        width = self.n_labels + 1
        kind = np.concatenate([np.where(label >= 0, label, self.n_labels), np.arange(self.n_labels)])
        takers, givers = self.weights.tocoo().coords
        sums = np.bincount(kind[takers] * width + kind[givers], self.weights.data, minlength=width**2)
        n_cells = np.bincount(kind, self.n_cells, minlength=width)[:-1]
        return sums.reshape(width, width)[:-1, :-1] / np.maximum(n_cells, 1)[:, None], n_cells


@torch.no_grad()
def _received(model: Attends, source: StoredSource, n_labels: int) -> tuple[_Received, _Received, Attention]:
    """Attention, and what it would be with equal weights; and the references, in the attention of some cells.

    Memory is that of a block of cells, of the references' neighbours and of n_labels numbers per reference.
    """
    weights: list[sparse.csr_array] = []
    n_cells: np.ndarray = np.zeros(1)
    attention = None
    for minibatch in in_order(source, None, BLOCK_ROWS):
        attention = model.attend(minibatch)
        n_references = len(attention.label)
        label, itself = minibatch.label.numpy(), attention.itself.numpy()
        taker = np.where(itself >= 0, itself, n_references + label)
        known = (itself >= 0) | (label >= 0)
        there = attention.weights > 0
        equal = there / there.sum(dim=1, keepdim=True).clamp(min=1)
        block = [_by_taker(w.numpy(), attention, taker, known, n_labels) for w in (attention.weights, equal)]
        weights = [one + other for one, other in zip(weights, block, strict=True)] if weights else block
        n_cells = n_cells + np.bincount(taker[known], minlength=n_references + n_labels)
    assert attention is not None  # open_data refuses no cells
    return _Received(weights[0], n_cells, n_labels), _Received(weights[1], n_cells, n_labels), attention


def _by_taker(
    weights: np.ndarray, attention: Attention, taker: np.ndarray, known: np.ndarray, n_labels: int
) -> sparse.csr_array:
    givers = attention.neighbours.numpy()[known]
    entries = weights[known].ravel().astype(np.float64), (np.repeat(taker[known], givers.shape[1]), givers.ravel())
    n_references = len(attention.label)
    return sparse.csr_array(entries, shape=(n_references + n_labels, n_references))  # entries of one place are added


def _permuted(references: Attention, options: InteractionOptions) -> Iterator[np.ndarray]:
    """The references' labels, permuted within each section."""
    label, section = references.label.numpy(), references.batch.numpy()
    return permutations(label, section, options.n_permutations, options.seed)


def _compared(observed: np.ndarray, null: np.ndarray) -> pd.DataFrame:
    """Observed (n_targets, n_neighbours) against its permutations (n_permutations, ...), a row per pair."""
    found = against(observed, null)
    effect = np.log2((observed + PSEUDOWEIGHT) / (found["expected"] + PSEUDOWEIGHT))
    columns = {"attention": observed, "effect": effect, **found}
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    return table.assign(p_adjusted=stats.false_discovery_control(table["p_value"]))
