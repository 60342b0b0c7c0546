"""Fates: where a cell's random walk ends, among the terminal states.

    transitions T, terminal states -> (I - T_tt) F = T_ta, t the other cells, a the terminal ones -> F (n_obs, n_states)

The walk goes forward, so that with cells in the order of pseudotime I - T is nearly triangular: its upper triangle
solved by substitution is the preconditioner, and some ten steps of GMRES do the rest. No matrix is factorised whose
factors would fill up, which those of a neighbour graph do.

References: [Kemeny60] absorption probabilities; [Lange22] for cells; [Saad86] GMRES.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import LinearOperator, gmres, splu

TOLERANCE = 1e-8  # of the residual, relative
STEPS, RESTARTS = 60, 20


def fates(transitions: sparse.csr_matrix, terminal: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """The probability of each terminal state, `(n_obs, n_states)`; rows sum to one.

    - `terminal`: the rows of each state's cells; no cell is of two.
    - `order (n_obs,)`: pseudotime, which only the speed depends on.

    NaN for cells from which no terminal state can be reached; from others the walk never steps to such cells.
    """
    n_obs = transitions.shape[0]
    state = np.full(n_obs, -1)
    for code, rows in enumerate(terminal):
        state[rows] = code
    out = np.full((n_obs, len(terminal)), np.nan)
    out[state >= 0] = np.eye(len(terminal))[state[state >= 0]]
    moving = np.flatnonzero((state < 0) & _reaches(transitions, state >= 0))
    moving = moving[np.argsort(order[moving], kind="stable")]
    if len(moving):
        out[moving] = _solved(transitions, moving, terminal)
    return out


def lineage_end(pseudotime: np.ndarray, fate: np.ndarray) -> float:
    """The pseudotime at which a lineage ends: its latest cell with half of the highest `fate (n_obs,)` or more.

    Cells of other lineages go on for longer, and hardly any fate is exactly zero. Raises `ValueError` for no cells.
    """
    return float(pseudotime[fate >= fate.max() / 2].max())


def _reaches(transitions: sparse.csr_matrix, ends: np.ndarray) -> np.ndarray:
    """Which cells have a way to an end."""
    n_obs = len(ends)
    from_start = sparse.csr_matrix(ends.astype(np.float64)[None])
    # a start before all ends, walked backwards
    backwards = sparse.bmat([[transitions.T, None], [from_start, sparse.csr_matrix((1, 1))]], format="csr")
    found = csgraph.breadth_first_order(backwards, n_obs, return_predecessors=False)
    reached = np.zeros(n_obs + 1, dtype=bool)
    reached[found] = True
    return reached[:n_obs]


def _solved(transitions: sparse.csr_matrix, moving: np.ndarray, terminal: Sequence[np.ndarray]) -> np.ndarray:
    of_moving = transitions[moving]
    inside = of_moving[:, moving]
    # a step to a cell from which no end is reached is taken again, so that the walk ends
    to_ends = np.column_stack([np.asarray(of_moving[:, rows].sum(axis=1)).ravel() for rows in terminal])
    going_on = np.asarray(inside.sum(axis=1)).ravel() + to_ends.sum(axis=1)
    inside, to_ends = sparse.diags(1 / going_on) @ inside, to_ends / going_on[:, None]
    matrix = (sparse.eye(len(moving)) - inside).tocsr()
    upper = splu(sparse.triu(matrix).tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0)
    preconditioner = LinearOperator(matrix.shape, upper.solve)
    columns = []
    # the last is what the others leave, since all sum to one
    for column in to_ends.T[:-1]:
        found, failed = gmres(matrix, column, rtol=TOLERANCE, restart=STEPS, maxiter=RESTARTS, M=preconditioner)
        if failed:
            warnings.warn(
                f"fate probabilities did not converge in {STEPS * RESTARTS} steps; they are approximate. Give "
                "transitions 'hard', which are easier to solve, or more neighbours.",
                UserWarning,
                stacklevel=2,
            )
        columns.append(found)
    known = np.clip(np.column_stack([*columns, np.zeros(len(moving))]), 0, 1)
    known /= np.maximum(known.sum(axis=1, keepdims=True), 1)
    known[:, -1] = 1 - known[:, :-1].sum(axis=1)
    return known
