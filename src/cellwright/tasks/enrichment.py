"""Enrichment: which cell types lie beside which, more or less than if types were dealt out at random.

    places, sections -place graph-> edges;  edges, labels -> edges per pair of labels
    the same with the labels permuted within each section -> expectation, z, p

Edges are undirected and counted once. Labels are dealt out among the cells that have one, whatever their places: types
that fill regions of their own are enriched with themselves at any size of region, and depleted with all others. That
two types lie in one region says nothing of a contact between them.

References: [Palla22] enrichment over a graph of spots; [Phipson10] p-values of permutations; [Benjamini95] adjustment.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import sparse, stats

from cellwright.core.options import Options
from cellwright.data.annotate import category_values, codes_of, column_of
from cellwright.data.place_graph import PlaceGraphOptions, place_graph, undirected
from cellwright.errors import DataError
from cellwright.tasks.neighbours import representation
from cellwright.tasks.permuted import against, permutations

COLUMNS = ["first", "second", "n_edges", "expected", "effect", "z", "p_value", "p_adjusted"]
PSEUDOEDGE = 0.5  # log2 of a ratio of edges would be infinite where there is none


class EnrichmentOptions(Options):
    """How edges are compared with their null."""

    n_permutations: int = Field(1_000, ge=99, description="of the labels; the least p is 1 / (1 + this)")
    min_cells: int = Field(10, ge=1, description="types with fewer cells are in the null, but their pairs are left out")
    seed: int = Field(0, ge=0, lt=2**32, description="of the permutations")


def enrichment(
    adata: AnnData,
    options: EnrichmentOptions = EnrichmentOptions(),  # noqa: B008  frozen
    *,
    label_key: str,
    coordinates_key: str = "spatial",
    batch_key: str | None = None,
    graph: PlaceGraphOptions = PlaceGraphOptions(),  # noqa: B008  frozen
    key_added: str = "enrichment",
) -> None:
    """Count the edges between cells of every two labels, against permuted labels.

    Writes `uns[key_added]`, a DataFrame with a row per unordered pair of labels. Nothing else is changed.

    - `first`, `second`: the labels; the same twice for edges within a label
    - `n_edges`: between cells of the two; `expected`: its mean over the permutations
    - `effect`: log2((n_edges + 0.5) / (expected + 0.5))
    - `z`: n_edges minus expected, in standard deviations over the permutations; NaN where these do not vary
    - `p_value`: two-sided, (1 + permutations at least as far from expected) / (1 + permutations)
    - `p_adjusted`: Benjamini-Hochberg over all pairs

    Cells without a label, and their edges, are left out. Sections are the values of `obs[batch_key]`: no edge and no
    permutation crosses them. Raises `MissingKey` for a key that is not there, `DataError` for fewer than two labels
    with `min_cells` cells and for a tissue without an edge.
    """
    places = representation(adata, coordinates_key, role="coordinates_key")
    column = column_of(adata.obs, label_key, "label_key")
    names = category_values(column)
    section = np.zeros(adata.n_obs) if batch_key is None else codes_of_sections(adata.obs, batch_key)
    label = codes_of(column, names)
    adata.uns[key_added] = enriched(place_graph(places, section, graph), label, names, section, options)


def codes_of_sections(obs: pd.DataFrame, batch_key: str) -> np.ndarray:
    """The section of each cell, (n_obs,) int64; cells that say none are together in one, -1."""
    column = column_of(obs, batch_key, "batch_key")
    return codes_of(column, category_values(column))


def enriched(
    graph: sparse.csr_array, label: np.ndarray, names: Sequence[str], section: np.ndarray, options: EnrichmentOptions
) -> pd.DataFrame:
    """The table of a graph `(n_obs, n_obs)` and codes `(n_obs,)`, -1 for none (see `enrichment`)."""
    labelled = np.flatnonzero(label >= 0)
    label, section = label[labelled], section[labelled]
    edges = np.stack(sparse.triu(undirected(graph[labelled][:, labelled]), k=1).coords)
    wanted = np.flatnonzero(np.bincount(label, minlength=len(names)) >= options.min_cells)
    _refuse(edges, wanted, options)
    first, second = (wanted[side] for side in np.triu_indices(len(wanted)))
    observed = edges_by_pair(edges, label, len(names))[first, second]
    drawn = permutations(label, section, options.n_permutations, options.seed)
    found = against(observed, np.stack([edges_by_pair(edges, other, len(names))[first, second] for other in drawn]))
    effect = np.log2((observed + PSEUDOEDGE) / (found["expected"] + PSEUDOEDGE))
    text = np.array(list(names))
    pairs = {"first": text[first], "second": text[second], "n_edges": observed}
    adjusted = stats.false_discovery_control(found["p_value"])
    return pd.DataFrame({**pairs, **found, "effect": effect, "p_adjusted": adjusted})[COLUMNS]


def edges_by_pair(edges: np.ndarray, label: np.ndarray, n_labels: int) -> np.ndarray:
    """How many of the edges `(2, n_edges)` lie between each two labels, (n_labels, n_labels) int64, symmetric."""
    low, high = np.sort(label[edges], axis=0)
    counts = np.bincount(low * n_labels + high, minlength=n_labels**2).reshape(n_labels, n_labels)
    return counts + np.triu(counts, k=1).T


def _refuse(edges: np.ndarray, wanted: np.ndarray, options: EnrichmentOptions) -> None:
    if len(wanted) < 2:
        raise DataError(
            f"`enrichment` must have two labels with {options.min_cells} cells each; there are {len(wanted)}. "
            "Lower min_cells, or give another label_key."
        )
    if not edges.shape[1]:
        raise DataError(
            "`enrichment` must have cells with neighbours that have a label; none has one. Give a larger radius, or "
            "kind='nearest'."
        )
