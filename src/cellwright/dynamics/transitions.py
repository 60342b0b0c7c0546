"""Transitions: a random walk on the cell graph that goes forward in pseudotime.

    affinities of neighbours, pseudotime -scheme-> CSR (n_obs, n_obs), rows sum to one; a cell without a way stays

- `hard`: of the neighbours the nearest `KEPT_SHARE` stay whatever their pseudotime, so that the walk does not break
  where pseudotime is noisy; of the others those that are not earlier [Setty19].
- `soft`: every neighbour stays; one that is earlier weighs less, by 2 / (1 + exp(STEEPNESS x lag)), with the lag as a
  share of the whole pseudotime: the logistic weight of [Stassen21], brought to 1 at no lag.

References: [Setty19] the hard scheme; [Stassen21] the soft one; [Lange22] both side by side.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import sparse

from cellwright.dynamics.cell_graph import CellGraph

KEPT_SHARE = 0.3
KEPT_AT_MOST = 30
STEEPNESS = 50.0  # a neighbour that is a hundredth of the whole pseudotime earlier weighs .76, a tenth .013


def hard(graph: CellGraph, pseudotime: np.ndarray) -> sparse.csr_matrix:
    """Neighbours that are not earlier, and the nearest whatever they are."""
    kept = _lag(graph, pseudotime) <= 0
    kept[:, : min(KEPT_AT_MOST, int(KEPT_SHARE * kept.shape[1]))] = True
    return stochastic(graph.affinities.multiply(graph.of_values(kept.astype(np.float64))).tocsr())


def soft(graph: CellGraph, pseudotime: np.ndarray) -> sparse.csr_matrix:
    """All neighbours, the earlier the less."""
    lag = np.maximum(_lag(graph, pseudotime), 0)
    weight = 2 / (1 + np.exp(STEEPNESS * lag))
    return stochastic(graph.affinities.multiply(graph.of_values(weight)).tocsr())


SCHEMES: Mapping[str, Callable[[CellGraph, np.ndarray], sparse.csr_matrix]] = {"hard": hard, "soft": soft}


def over_bridges(
    transitions: sparse.csr_matrix, bridges: sparse.csr_matrix, pseudotime: np.ndarray, n_neighbors: int
) -> sparse.csr_matrix:
    """The walk that also goes over each bridge from its earlier end, as to one more of `n_neighbors`.

    Without, a walk would end where pseudotime goes on, and cells before a bridge would have no fate.
    """
    ends = bridges.tocoo()
    forward = pseudotime[ends.col] >= pseudotime[ends.row]
    weight = np.full(forward.sum(), 1 / n_neighbors)
    over = sparse.csr_matrix((weight, (ends.row[forward], ends.col[forward])), shape=transitions.shape)
    return stochastic(transitions + over)


def stochastic(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """The weights divided by the sum of their row; a row without any stays where it is."""
    weights = weights.tocsr()
    weights.eliminate_zeros()
    total = np.asarray(weights.sum(axis=1)).ravel()
    alone = sparse.diags((total == 0).astype(np.float64))
    return (sparse.diags(1 / np.where(total > 0, total, 1.0)) @ weights + alone).tocsr()


def _lag(graph: CellGraph, pseudotime: np.ndarray) -> np.ndarray:
    """By how much each neighbour is earlier than the cell, (n_obs, n_neighbors), negative where it is later."""
    finite = pseudotime[np.isfinite(pseudotime)]
    # cells that are not reached are walked among each other as the graph has it
    order = np.where(np.isfinite(pseudotime), pseudotime, finite.max()) / (np.ptp(finite) or 1.0)
    return order[:, None] - order[graph.indices]
