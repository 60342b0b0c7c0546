"""Place graph: which cells lie beside which in the tissue, within each section and never across.

    places (n_obs, n_coordinates), section (n_obs,) -> CSR (n_obs, n_obs): row i has a one for each neighbour of cell i

A cell is not its own neighbour. Cells at one place are neighbours of each other like any others: `nearest` and `radius`
find them at distance zero, `delaunay` links them to each other and each to the neighbours of their place. A section of
one cell has no edge; Delaunay triangles of places on one line do not exist, so there each place is linked to the next.

References: [Palla22] graphs of spots; [Delaunay34].
"""

from typing import Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator
from scipy import sparse
from scipy.spatial import Delaunay, KDTree, QhullError

from cellwright.core.options import Options
from cellwright.errors import DataError

_ONLY_FOR = {"n_neighbors": "nearest", "radius": "radius"}
USUAL_NEIGHBOURS = 6  # spots of a hexagonal array touch six others


class PlaceGraphOptions(Options):
    """Which cells are neighbours in space."""

    kind: Literal["nearest", "radius", "delaunay"] = Field(
        "nearest", description="the nearest so many; all within a radius; those whose Voronoi cells touch"
    )
    n_neighbors: int | None = Field(
        None, ge=1, description=f"nearest: how many neighbours of each cell; None takes {USUAL_NEIGHBOURS}"
    )
    radius: float | None = Field(None, gt=0, description="radius: how far a neighbour is at most, in the data's unit")

    @field_validator("n_neighbors", "radius")
    @classmethod
    def _belongs_to_the_kind(cls, value: float | None, info: ValidationInfo) -> float | None:
        kind, owner = info.data.get("kind"), _ONLY_FOR[str(info.field_name)]
        if value is not None and kind not in (None, owner):
            raise ValueError(f"must be left out for kind {kind!r}, because only {owner!r} reads it")
        if value is None and kind == owner == "radius":
            raise ValueError("must be given for kind 'radius'")
        return value


def place_graph(
    places: np.ndarray,
    section: np.ndarray,
    options: PlaceGraphOptions = PlaceGraphOptions(),  # noqa: B008  frozen
) -> sparse.csr_array:
    """The neighbours of every cell, (n_obs, n_obs) CSR of ones, float32, indices ascending.

    `places (n_obs, n_coordinates)` in any unit, `section (n_obs,)` a code or a name for each cell. With `nearest` the
    graph is directed: a cell at the rim is no neighbour of its own neighbours; `undirected` makes it symmetric.
    Raises `DataError` where places and sections are not of the same cells, or a place is not finite.
    """
    _refuse(places, section)
    edges = [np.zeros((2, 0), dtype=np.int64)]
    for name in np.unique(section):
        rows = np.flatnonzero(section == name)
        if len(rows) > 1:
            edges.append(rows[_EDGES[options.kind](places[rows].astype(np.float64), options)])
    takers, givers = np.concatenate(edges, axis=1)
    n_obs = len(places)
    graph = sparse.csr_array((np.ones(len(takers), np.float32), (takers, givers)), shape=(n_obs, n_obs))
    graph.sort_indices()
    return graph


def undirected(graph: sparse.csr_array) -> sparse.csr_array:
    """The graph with every edge in both directions."""
    return graph.maximum(graph.T).tocsr()


def _nearest(places: np.ndarray, options: PlaceGraphOptions) -> np.ndarray:
    """Taker and giver of each edge to the nearest other cells, (2, n_edges)."""
    n_obs = len(places)
    width = min(options.n_neighbors or USUAL_NEIGHBOURS, n_obs - 1)
    # among several cells at one place, the cell itself may stand anywhere, or not at all if they are many
    found = KDTree(places).query(places, k=width + 1)[1]
    itself = found == np.arange(n_obs)[:, None]
    itself[~itself.any(axis=1), -1] = True
    return np.stack([np.repeat(np.arange(n_obs), width), found[~itself]])


def _within_radius(places: np.ndarray, options: PlaceGraphOptions) -> np.ndarray:
    assert options.radius is not None, "checked at construction"
    pairs = KDTree(places).query_pairs(options.radius, output_type="ndarray").astype(np.int64)
    return np.concatenate([pairs, pairs[:, ::-1]]).T


def _delaunay(places: np.ndarray, options: PlaceGraphOptions) -> np.ndarray:
    """The edges of triangles between distinct places, and all edges between cells whose places are linked or equal."""
    distinct, place_of = np.unique(places, axis=0, return_inverse=True)
    n = len(distinct)
    linked = np.concatenate([_between(distinct), np.stack([np.arange(n)] * 2)], axis=1)
    beside = sparse.csr_array((np.ones(linked.shape[1]), tuple(linked)), shape=(n, n))
    lies_at = sparse.csr_array((np.ones(len(places)), (np.arange(len(places)), place_of.ravel())))
    takers, givers = (lies_at @ beside @ lies_at.T).nonzero()
    return np.stack([takers, givers])[:, takers != givers].astype(np.int64)


def _between(distinct: np.ndarray) -> np.ndarray:
    """Edges between distinct places in both directions: of Delaunay triangles, or along a line where there is none."""
    n = len(distinct)
    if n < 2:
        return np.zeros((2, 0), dtype=np.int64)
    try:
        simplices = Delaunay(distinct).simplices
    except (QhullError, ValueError):  # too few places, all on one line, or of a single coordinate
        along = np.argsort((distinct - distinct.mean(axis=0)) @ _direction(distinct), kind="stable")
        edges = np.stack([along[:-1], along[1:]])
    else:
        width = simplices.shape[1]
        edges = np.concatenate([simplices[:, [i, j]] for i in range(width) for j in range(i)]).T
    return np.concatenate([edges, edges[::-1]], axis=1).astype(np.int64)


def _direction(distinct: np.ndarray) -> np.ndarray:
    """The direction in which the places spread most, (n_coordinates,)."""
    return np.linalg.svd(distinct - distinct.mean(axis=0), full_matrices=False)[2][0]


def _refuse(places: np.ndarray, section: np.ndarray) -> None:
    if places.ndim != 2 or len(places) != len(section):
        raise DataError(
            f"places must be (n_obs, n_coordinates) and section (n_obs,), of the same cells; their shapes are "
            f"{places.shape} and {np.shape(section)}. Give a row and a section for each cell."
        )
    if n_bad := int((~np.isfinite(places)).any(axis=1).sum()):
        raise DataError(f"places must be finite numbers; {n_bad} cells have others. Leave those cells out.")


_EDGES = {"nearest": _nearest, "radius": _within_radius, "delaunay": _delaunay}
