"""Interactions: which cell types attend to which, more or less than if types did not matter.

    model with `attends`, cells -> weights of each cell's neighbours -> mean per (target type, neighbour type)
    the same with the neighbours' labels permuted within each section -> expectation, z, p

The null keeps every weight and every place and takes from the labels of the neighbours all relation to either. It is
therefore rejected by types that lie together, whether or not they are weighed more: `share`, the same mean with equal
weights, says how much of the attention is nearness. Attention is what the model makes use of, no proof of signalling.

References: [Palla22] permutation of labels over a spatial graph; [Phipson10] p-values of permutations;
[Benjamini95] adjustment; [Brody22] attention.
"""

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
from cellwright.train.infer import BLOCK_ROWS

# of weight: log2 of a ratio of weights near zero would dominate otherwise
PSEUDOWEIGHT = 1e-3
ROUNDING = 1e-9  # a permutation that leaves the labels as they were is as extreme as they are


class InteractionOptions(Options):
    """How attention is compared with its null."""

    n_permutations: int = Field(1_000, ge=99, description="of the neighbours' labels; the least p is 1 / (1 + this)")
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

    Cells without a label are no targets; references without one are permuted along. Raises `AbilityError` for a model
    without attention, `OptionError` where an option has switched it off, `DataError` without labels.
    """
    attending = needs(model, Attends, "interactions")
    source = cells_for(model, data, "interactions")
    label = _labels_of(model, source)
    attention, equal, references = _received(attending, source, label.n)
    kind = references.label.numpy()
    n_cells = np.bincount(source.annotation.label[source.annotation.label >= 0], minlength=label.n)
    n_references = np.bincount(kind[kind >= 0], minlength=label.n)
    pairs = np.ix_(n_cells >= options.min_cells, n_references >= options.min_cells)
    if not all(len(axis.ravel()) for axis in pairs):
        raise DataError(
            f"interactions must have a label with {options.min_cells} cells, and one with as many training cells; "
            "there is none. Lower min_cells, or give data with labels."
        )
    mean, equal = (received / np.maximum(n_cells, 1)[:, None] for received in (attention, equal))
    table = _compared(
        _by_label(mean, kind, label.n)[pairs], _null(mean, references, label.n, options)[:, pairs[0], pairs[1]]
    )
    table["share"] = _by_label(equal, kind, label.n)[pairs].ravel()
    targets, neighbours = np.meshgrid(*(np.array(label.values)[axis.ravel()] for axis in pairs), indexing="ij")
    table = table.assign(target=targets.ravel(), neighbour=neighbours.ravel())
    table["n_cells"] = np.repeat(n_cells[pairs[0].ravel()], pairs[1].size)
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


@torch.no_grad()
def _received(model: Attends, source: StoredSource, n_labels: int) -> tuple[np.ndarray, np.ndarray, Attention]:
    """What each reference gets from the cells of each label, summed: attention, and equal shares; and the references.

    Both are (n_labels, n_references); memory is that of a block of cells and of these.
    """
    received, attention = np.zeros(()), None
    for minibatch in in_order(source, None, BLOCK_ROWS):
        attention = model.attend(minibatch)
        there = attention.weights > 0
        equal = there / there.sum(dim=1, keepdim=True).clamp(min=1)
        label = minibatch.label.numpy()
        received = received + np.stack(
            [_summed(weights.numpy(), attention, label, n_labels) for weights in (attention.weights, equal)]
        )
    assert attention is not None
    return received[0], received[1], attention


def _summed(weights: np.ndarray, attention: Attention, label: np.ndarray, n_labels: int) -> np.ndarray:
    known = label >= 0
    givers = attention.neighbours.numpy()[known]
    takers = np.repeat(label[known], givers.shape[1])
    shape = (n_labels, len(attention.label))
    # entries of one place are added
    return sparse.coo_array((weights[known].ravel().astype(np.float64), (takers, givers.ravel())), shape).toarray()


def _by_label(received: np.ndarray, label: np.ndarray, n_labels: int) -> np.ndarray:
    """Sums over the references of each label, (n_labels, n_labels)."""
    known = np.flatnonzero(label >= 0)
    membership = sparse.csr_array((np.ones(len(known)), (known, label[known])), shape=(len(label), n_labels))
    return np.asarray(received @ membership)


def _null(received: np.ndarray, cells: Attention, n_labels: int, options: InteractionOptions) -> np.ndarray:
    """`_by_label` for each permutation of the labels within each section, (n_permutations, n_labels, n_labels)."""
    rng = np.random.default_rng(options.seed)
    label, batch = cells.label.numpy(), cells.batch.numpy()
    sections = [np.flatnonzero(batch == section) for section in np.unique(batch)]
    found = np.empty((options.n_permutations, n_labels, n_labels))
    permuted = label.copy()
    for number in range(options.n_permutations):
        for rows in sections:
            permuted[rows] = label[rng.permutation(rows)]
        found[number] = _by_label(received, permuted, n_labels)
    return found


def _compared(observed: np.ndarray, null: np.ndarray) -> pd.DataFrame:
    """Observed (n_targets, n_neighbours) against its permutations (n_permutations, ...), a row per pair."""
    expected, sd = null.mean(axis=0), null.std(axis=0, ddof=1)
    off = np.abs(observed - expected)
    p_value = (1 + (np.abs(null - expected) >= off - ROUNDING).sum(axis=0)) / (1 + len(null))
    z = np.divide(observed - expected, sd, out=np.full_like(observed, np.nan), where=sd > ROUNDING)
    columns = {
        "attention": observed,
        "expected": expected,
        "effect": np.log2((observed + PSEUDOWEIGHT) / (expected + PSEUDOWEIGHT)),
        "z": z,
        "p_value": p_value,
    }
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
    return table.assign(p_adjusted=stats.false_discovery_control(table["p_value"]))
