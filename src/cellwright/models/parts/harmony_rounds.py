"""Harmony rounds: points are moved, cluster by cluster, until the batches overlap in every cluster.

    points (n_obs, n_latent), batch (n_obs,) -learn-> of each round: centroids, factors, moves
    points, batch -forward: the same rounds, each cell by itself-> points (n_obs, n_latent)

A round has two steps. Soft clusters on the unit sphere, of which a cell's share is the larger, the fewer cells of its
batch are there against what is expected: with y_k the centroids and x_i where the last round left the cell,

    R(i, k) ~ exp(-2 (1 - y_k . x_i / |x_i|) / sigma) ((E_kb + 1) / (O_kb + 1))^theta

O_kb are the cells of batch b in cluster k, E_kb those that its share of all cells would give. Then in each cluster a
ridge regression of the first points on the batch, whose coefficients w_kb are taken off:
x_i = z_i - sum_k R(i, k) w_kb.

Centroids, factors and coefficients are kept, so that a cell that was not there goes the same way, alone, and a cell
that was there is where it was put. [Kang21] assigns new cells to the last round's clusters by where they start. A cell
of an unknown batch has the mean factor and the mean move of all batches.
Differs from [Korsunsky19] in that the shares by which cells are moved are computed once more with the factors that the
clustering ended with, for all cells alike.

References: [Korsunsky19] algorithms 1 to 3, and its defaults; [Kang21] Symphony.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellwright.errors import DataError
from cellwright.nn.from_data import FromData

CELLS_PER_CLUSTER, AT_MOST_CLUSTERS = 30, 100
BLOCK_SHARE = 0.05  # of the cells whose shares are computed before the counts of the clusters are
AT_MOST_PASSES = 20  # over the cells in a round
ENOUGH_OF_PASSES, ENOUGH_OF_ROUNDS = 1e-5, 1e-4  # relative gains below which there is none
WINDOW = 3  # passes that the gain is averaged over


@dataclass(frozen=True)
class Diversity:
    """How clusters are made and batches moved."""

    theta: float  # reward for clusters of all batches
    sigma: float  # width of the soft clusters, in squared distances on the unit sphere
    ridge: float  # penalty on a batch's move, in cells
    n_rounds: int  # at most


class HarmonyRounds(nn.Module):
    """The rounds of the training cells, replayed."""

    def __init__(self, n_latent: int, n_batch: int, how: Diversity) -> None:
        super().__init__()
        self.n_batch, self.how = n_batch, how
        self.kept = FromData(
            {
                "centroids": torch.zeros(0, 0, n_latent),  # (n_rounds, n_clusters, n_latent)
                "factors": torch.zeros(0, 0, n_batch + 1),  # the last is of an unknown batch
                "moves": torch.zeros(0, 0, n_batch + 1, n_latent),
            }
        )

    def forward(
        self, points: Float[Tensor, "n_obs n_latent"], batch: Int[Tensor, " n_obs"]
    ) -> Float[Tensor, "n_obs n_latent"]:
        """Where the rounds bring each cell."""
        placed = points
        batch = batch % (self.n_batch + 1)
        for centroids, factors, moves in zip(self.kept.centroids, self.kept.factors, self.kept.moves, strict=True):
            near = -2 * (1 - nn.functional.normalize(placed, dim=1) @ centroids.T) / self.how.sigma
            shares = torch.softmax(near + factors.log().T[batch], dim=1)
            # of one batch after another: moves of each cell would take n_obs n_clusters n_latent numbers
            placed = points.clone()
            for code in batch.unique():
                cells = batch == code
                placed[cells] -= shares[cells] @ moves[:, code]
        return placed

    def learn(self, points: np.ndarray, batch: np.ndarray, rng: np.random.Generator) -> None:
        """Find the rounds from the cells whose batch is known."""
        known = batch >= 0
        if len(np.unique(batch[known])) < 2:
            raise DataError(
                "Harmony must have training cells of two batches at least; they have "
                f"{len(np.unique(batch[known]))}. Give another batch_key, or use pca."
            )
        points = points[known].astype(np.float64)
        member = np.eye(self.n_batch)[batch[known]]  # (n_obs, n_batch)
        rounds = list(_rounds(points, member, self.how, rng))
        mean = member.mean(axis=0) > 0  # a batch without training cells has no say
        self.kept.set(
            centroids=_stacked([each.centroids for each in rounds]),
            factors=_stacked([_with_mean(each.factors, mean) for each in rounds]),
            moves=_stacked([_with_mean(each.moves, mean) for each in rounds]),
        )


@dataclass(frozen=True, eq=False)
class _Round:
    centroids: np.ndarray  # (n_clusters, n_latent)
    factors: np.ndarray  # (n_clusters, n_batch)
    moves: np.ndarray  # (n_clusters, n_batch, n_latent)


def _rounds(points: np.ndarray, member: np.ndarray, how: Diversity, rng: np.random.Generator) -> Iterator[_Round]:
    shares, placed, reached = _first_shares(points, how, rng), points, np.inf
    for _ in range(how.n_rounds):
        clusters = _Clusters(_unit(placed), member, how, shares)
        objective = clusters.settle(rng)
        shares = clusters.shares_of_all()
        moves = _moves(points, member, shares, how.ridge)
        yield _Round(clusters.centroids, clusters.factors, moves)
        placed = points - np.einsum("nk,nb,kbd->nd", shares, member, moves, optimize=True)
        if reached - objective < ENOUGH_OF_ROUNDS * abs(objective):
            return
        reached = objective


def _first_shares(points: np.ndarray, how: Diversity, rng: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import KMeans  # takes two seconds

    n_clusters = max(2, min(AT_MOST_CLUSTERS, round(len(points) / CELLS_PER_CLUSTER)))
    x = _unit(points)
    found = KMeans(n_clusters, n_init=10, max_iter=25, random_state=int(rng.integers(2**31))).fit(x)
    return _normalised(np.exp(-_distances(x, _unit(found.cluster_centers_)) / how.sigma))


class _Clusters:
    """Soft clusters of one round."""

    def __init__(self, x: np.ndarray, member: np.ndarray, how: Diversity, shares: np.ndarray) -> None:
        self.x, self.member, self.how, self.shares = x, member, how, shares
        self.batch_share = member.mean(axis=0)
        self.expected = np.outer(shares.sum(axis=0), self.batch_share)  # (n_clusters, n_batch)
        self.observed = shares.T @ member
        self.centroids = _unit(shares.T @ x)

    @property
    def factors(self) -> np.ndarray:
        """((E + 1) / (O + 1))^theta."""
        return ((self.expected + 1) / (self.observed + 1)) ** self.how.theta

    def settle(self, rng: np.random.Generator) -> float:
        """Passes over the cells until the objective gains nothing; its last value."""
        reached: list[float] = []
        for _ in range(AT_MOST_PASSES):
            self.centroids = _unit(self.shares.T @ self.x)
            distances = _distances(self.x, self.centroids)
            near = np.exp(-distances / self.how.sigma)
            order = rng.permutation(len(self.x))
            for block in np.array_split(order, min(len(order), round(1 / BLOCK_SHARE))):
                self._update(block, near[block])
            reached.append(self._objective(distances))
            if len(reached) > WINDOW:
                before, now = sum(reached[-WINDOW - 1 : -1]), sum(reached[-WINDOW:])
                if before - now < ENOUGH_OF_PASSES * abs(before):
                    break
        return reached[-1]

    def shares_of_all(self) -> np.ndarray:
        """The shares of all cells for the centroids and factors as they are."""
        near = np.exp(-_distances(self.x, self.centroids) / self.how.sigma)
        return _normalised(near * (self.member @ self.factors.T))

    def _update(self, block: np.ndarray, near: np.ndarray) -> None:
        """The block's cells leave the clusters, and come back by what is there without them."""
        self._count(block, -1)
        self.shares[block] = _normalised(near * (self.member[block] @ self.factors.T))
        self._count(block, 1)

    def _count(self, block: np.ndarray, sign: int) -> None:
        self.expected += sign * np.outer(self.shares[block].sum(axis=0), self.batch_share)
        self.observed += sign * self.shares[block].T @ self.member[block]

    def _objective(self, distances: np.ndarray) -> float:
        entropy = self.shares * np.log(np.maximum(self.shares, 1e-300))
        mixing = self.shares * (self.member @ np.log((self.observed + 1) / (self.expected + 1)).T)
        return float((self.shares * distances).sum() + self.how.sigma * (entropy + self.how.theta * mixing).sum())


def _moves(points: np.ndarray, member: np.ndarray, shares: np.ndarray, ridge: float) -> np.ndarray:
    """Of each cluster the coefficients of the batches in a regression of the points with an intercept."""
    design = np.concatenate([np.ones((len(member), 1)), member], axis=1)  # (n_obs, 1 + n_batch)
    penalty = ridge * np.diag(np.r_[0.0, np.ones(member.shape[1])])
    moves = []
    for share in shares.T:
        weighted = design * share[:, None]
        moves.append(np.linalg.solve(weighted.T @ design + penalty, weighted.T @ points)[1:])
    return np.stack(moves)


def _distances(x: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    return 2 * (1 - x @ centroids.T)


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _normalised(shares: np.ndarray) -> np.ndarray:
    return shares / shares.sum(axis=1, keepdims=True)


def _with_mean(values: np.ndarray, has_cells: np.ndarray) -> np.ndarray:
    """Values by batch, and their mean behind them, which also stands for a batch without training cells."""
    mean = values[:, has_cells].mean(axis=1)
    known = np.where(has_cells.reshape(1, -1, *(1,) * (values.ndim - 2)), values, mean[:, None])
    return np.concatenate([known, mean[:, None]], axis=1)


def _stacked(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(arrays)).float()
