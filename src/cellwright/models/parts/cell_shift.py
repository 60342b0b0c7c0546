"""Cell shift: how far a cell moves depends on where it is.

    control and treated cells of each label -pairs-> a control cell and the cell that it became (n_pairs, n_points)
    `regression`  change = points @ slope + offset, by ridge regression over the pairs
    `transport`   change of the pairs whose control cells are nearest, in proportion to exp(-distance^2 / bandwidth^2)

Pairs are made within a label: the assignment of equally many control and treated cells with the least sum of squared
distances, after both sides are moved to the label's mean [Bunne23, for transport between control and treated cells].
A measurement destroys the cell, so nobody knows the true pairs.

References: [Bunne23] CellOT; [Kuhn55] assignment.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from cellwright.core.schema import Schema
from cellwright.models.parts.responses import Responses
from cellwright.models.parts.shift import Known, Shift, ShiftOptions
from cellwright.nn.from_data import FromData

AT_MOST_PAIRS = 500  # of a label; the assignment of 500 to 500 takes 20 ms, and its cost grows with the cube


class RegressionShift(ShiftOptions):
    """The change as a linear function of the cell's place."""

    name: Literal["regression"] = "regression"
    penalty: float = Field(1.0, ge=0, description="of the slopes, in units of the mean variance of the points")

    def build(self, schema: Schema, n_points: int) -> "CellShift":
        return CellShift(self, schema, n_points)

    def fitted(
        self, start: np.ndarray, change: np.ndarray, weight: np.ndarray
    ) -> tuple[Float[np.ndarray, "n_points n_points"], Float[np.ndarray, " n_points"]]:
        """Slope and offset of the weighted ridge regression of the pairs' change on where they start."""
        total = weight.sum()
        mean_start, mean_change = weight @ start / total, weight @ change / total
        centred = (start - mean_start) * np.sqrt(weight / total)[:, None]
        square = centred.T @ centred
        square += self.penalty * np.trace(square) / len(square) * np.eye(len(square)) + 1e-9 * np.eye(len(square))
        slope = np.linalg.solve(square, centred.T @ ((change - mean_change) * np.sqrt(weight / total)[:, None]))
        return slope, mean_change - mean_start @ slope


class TransportShift(ShiftOptions):
    """The change of the pairs that start nearest."""

    name: Literal["transport"] = "transport"
    n_neighbors: int = Field(50, ge=1, description="pairs that a cell is moved like; the farthest sets the bandwidth")

    def build(self, schema: Schema, n_points: int) -> "CellShift":
        return CellShift(self, schema, n_points)

    def of_pairs(self, points: Tensor, start: Tensor, change: Tensor, weight: Tensor) -> Tensor:
        """Mean change of the nearest pairs, (n_obs, n_points)."""
        distance, nearest = torch.cdist(points, start).topk(min(self.n_neighbors, len(start)), largest=False)
        share = weight[nearest] * torch.exp(-(distance / distance[:, -1:].clamp(min=1e-12)).square())
        share = share / share.sum(dim=1, keepdim=True)
        return torch.einsum("nk,nkp->np", share, change[nearest])


class CellShift(Shift):
    """Keeps the pairs, or the regression over them, of every condition."""

    def __init__(self, options: RegressionShift | TransportShift, schema: Schema, n_points: int) -> None:
        super().__init__()
        self.options = options
        self.known = Known(schema)
        self.schema = schema
        self.pairs = FromData(_nothing(n_points))

    def learn(self, responses: Responses, rng: np.random.Generator) -> None:
        means = responses.means
        conditions = means.learnable()
        self.known.learn(means, conditions)
        found = {condition: _pairs(responses, condition, means.shared(condition), rng) for condition in conditions}
        n_points = responses.points.shape[1]
        self.pairs.set(**_nothing(n_points))  # of an earlier fit, or of the other shift (see `train.relearn`)
        if isinstance(self.options, RegressionShift):
            slope = np.zeros((self.schema.n_conditions, n_points, n_points))
            offset = np.zeros((self.schema.n_conditions, n_points))
            for condition, pairs in found.items():
                slope[condition], offset[condition] = self.options.fitted(*pairs)
            self.pairs.set(slope=torch.from_numpy(slope), offset=torch.from_numpy(offset))
        elif found:
            start, change, weight = (np.concatenate(parts) for parts in zip(*found.values(), strict=True))
            of = np.repeat(list(found), [len(pairs[0]) for pairs in found.values()])
            self.pairs.set(
                start=torch.from_numpy(start),
                change=torch.from_numpy(change),
                weight=torch.from_numpy(weight),
                condition=torch.from_numpy(of),
            )

    def forward(
        self, points: Float[Tensor, "n_obs n_points"], label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]
    ) -> Float[Tensor, "n_obs n_points"]:
        self.known.check(label, condition)
        shift = torch.zeros_like(points)
        for code in condition.unique().tolist():
            if code == self.schema.control_code:
                continue
            rows = condition == code
            if isinstance(self.options, RegressionShift):
                shift[rows] = points[rows] @ self.pairs.slope[code] + self.pairs.offset[code]
            else:
                of = self.pairs.condition == code
                pairs = (part[of] for part in (self.pairs.start, self.pairs.change, self.pairs.weight))
                shift[rows] = self.options.of_pairs(points[rows], *pairs)
        return shift


def _nothing(n_points: int) -> dict[str, Tensor]:
    """The buffers of a shift that has learnt nothing."""
    return {
        "start": torch.zeros(0, n_points),
        "change": torch.zeros(0, n_points),
        "weight": torch.zeros(0),
        "condition": torch.zeros(0, dtype=torch.int64),
        "slope": torch.zeros(0, n_points, n_points),
        "offset": torch.zeros(0, n_points),
    }


def _pairs(
    responses: Responses, condition: int, shared: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Start, change and weight of the pairs of one condition; the pairs of a label weigh as much as its cells."""
    starts, changes, weights = [], [], []
    for label in shared.tolist():
        control = _some(responses, label, responses.schema.control_code, rng)
        treated = _some(responses, label, condition, rng)
        n = min(len(control), len(treated))
        control, treated = control[:n], treated[:n]
        starts.append(control)
        changes.append(treated[_assigned(control, treated)] - control)
        of_label = responses.weight[(responses.label == label) & (responses.condition == condition)]
        weights.append(np.full(n, of_label.sum() / n))
    return tuple(np.concatenate(parts) for parts in (starts, changes, weights))  # type: ignore[return-value]


def _some(responses: Responses, label: int, condition: int, rng: np.random.Generator) -> np.ndarray:
    points = responses.of(label, condition)
    return points[rng.permutation(len(points))[:AT_MOST_PAIRS]]


def _assigned(control: np.ndarray, treated: np.ndarray) -> np.ndarray:
    """For each control cell the treated cell that it is paired with; both sides moved to their means."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(control - control.mean(axis=0), treated - treated.mean(axis=0), "sqeuclidean")
    _, column = linear_sum_assignment(cost)
    return column
