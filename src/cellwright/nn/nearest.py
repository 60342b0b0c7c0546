"""Nearest references of each query, exactly, a block of queries at a time.

    queries (n_obs, n_dims), references (n_references, n_dims) -> positions (n_obs, n_neighbors), distances

Memory is that of `BLOCK_ENTRIES` distances, whatever the number of queries. A query that is one of the references is
known by its distance, for the same cell has other row numbers in another data set.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK_ENTRIES = 2**24  # distances at a time: 64 MB
SPARE = 10  # candidates beyond those asked for: room for references at distance zero; more where they are more
EXACT_DIMS = 4  # up to so many, differences are cheaper than they are inaccurate as products


def nearest(
    queries: Float[Tensor, "n_obs n_dims"],
    references: Float[Tensor, "n_references n_dims"],
    n_neighbors: int,
    *,
    same: float | None = 0.0,
) -> tuple[Int[Tensor, "n_obs n_neighbors"], Float[Tensor, "n_obs n_neighbors"]]:
    """Positions and Euclidean distances of the nearest references, nearest first; -1 and infinity where there are none.

    References at a distance of at most `same` times the query's norm are the query itself, and are left out; with None
    none is.
    """
    index = torch.full((len(queries), n_neighbors), -1, dtype=torch.int64, device=queries.device)
    distance = torch.full(index.shape, torch.inf, device=queries.device)
    width = min(n_neighbors, len(references))
    if width and len(queries):
        pieces = [
            _nearest_of_block(block, references, width, same)
            for block in queries.split(max(1, BLOCK_ENTRIES // len(references)))
        ]
        index[:, :width], distance[:, :width] = (torch.cat(part) for part in zip(*pieces, strict=True))
    return index, distance


def position_among(
    queries: Float[Tensor, "n_obs n_dims"], references: Float[Tensor, "n_references n_dims"], *, same: float = 0.0
) -> Int[Tensor, " n_obs"]:
    """Which reference each query is, by the distance at which `nearest` leaves it out; -1 where it is none."""
    if not len(references):
        return torch.full((len(queries),), -1, dtype=torch.int64, device=queries.device)
    found = []
    for block in queries.split(max(1, BLOCK_ENTRIES // len(references))):
        candidates, distance, itself = _candidates(block, references, 1 + SPARE, same)
        first = torch.where(itself, distance, torch.inf).argmin(dim=1, keepdim=True)
        found.append(torch.where(itself.any(dim=1), candidates.gather(1, first)[:, 0], -1))
    return torch.cat(found)


def _nearest_of_block(
    queries: Tensor, references: Tensor, width: int, same: float | None, spare: int = SPARE
) -> tuple[Tensor, Tensor]:
    candidates, distance, itself = _candidates(queries, references, width + spare, same)
    order = torch.where(itself, torch.inf, distance).sort(dim=1, stable=True)
    index = torch.where(order.values.isinf(), -1, candidates.gather(1, order.indices))[:, :width]
    distance = order.values[:, :width]
    if candidates.shape[1] < len(references):
        # more references are the query itself than there was room for
        short = torch.nonzero(index[:, -1] < 0)[:, 0]
        for rows in short.split(max(1, BLOCK_ENTRIES // references.numel())):
            index[rows], distance[rows] = _nearest_of_block(queries[rows], references, width, same, 4 * spare)
    return index, distance


def _candidates(queries: Tensor, references: Tensor, n: int, same: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of the `n` nearest references, ascending; their distances; which are the query itself."""
    proximity = _proximity(queries, references)
    # ascending, so that ties have one order whatever the rounding
    candidates = proximity.topk(min(n, len(references)), dim=1, largest=False).indices.sort(dim=1).values
    # squares from products are off by rounding errors of the norms, which near zero is everything
    distance = (references[candidates] - queries[:, None]).square().sum(dim=2).sqrt()
    least = -1.0 if same is None else same * queries.norm(dim=1, keepdim=True)
    return candidates, distance, distance <= least


def _proximity(queries: Tensor, references: Tensor) -> Tensor:
    """What orders the references of each query as their distances do."""
    if queries.shape[1] <= EXACT_DIMS:
        return torch.cdist(queries, references, compute_mode="donot_use_mm_for_euclid_dist")
    return references.square().sum(dim=1) - 2 * queries @ references.T
