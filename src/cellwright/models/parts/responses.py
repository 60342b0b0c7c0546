"""Responses: what training cells tell of a treatment, in the space where a shift is estimated.

    points (n_obs, n_points), label and condition of each -Sums-> mean, variance and weight of each label and condition
    -> which labels have both sides (`shared`), under which conditions there are enough (`learnable`), and how much each
       label changed (`change`)

The space is that of genes, of principal components, or of a network's latent.
"""

from dataclasses import dataclass

import numpy as np

from cellwright.core.schema import Schema
from cellwright.errors import DataError

LEAST_SHARED = 2  # with one, whatever is particular to it would be taken for the response


@dataclass(frozen=True, eq=False)
class Means:
    """Mean and variance `(n_labels, n_conditions, n_points)`, weight `(n_labels, n_conditions)` of the training cells.

    A label without cells under a condition has the weight 0 there, and a mean and a variance that say nothing.
    """

    mean: np.ndarray
    variance: np.ndarray  # of single cells, divided by n
    weight: np.ndarray
    control: int  # code of the control condition
    schema: Schema

    def shared(self, condition: int) -> np.ndarray:
        """The labels with cells on both sides, ascending. Raises `DataError` for fewer than two."""
        found = self.with_both(condition)
        if len(found) < LEAST_SHARED:
            raise too_few_labels(self.schema, found.tolist(), condition)
        return found

    def with_both(self, condition: int) -> np.ndarray:
        """The labels with cells on both sides, ascending, however few."""
        return np.flatnonzero((self.weight[:, self.control] > 0) & (self.weight[:, condition] > 0))

    def learnable(self) -> list[int]:
        """The treated conditions that two labels or more have on both sides, ascending; nobody need ask for the others.

        Raises `DataError` where there are treated cells, but no such condition.
        """
        found = [condition for condition in self.treated if len(self.with_both(condition)) >= LEAST_SHARED]
        if self.treated and not found:
            self.shared(self.treated[0])
        return found

    def change(self, labels: np.ndarray, condition: int) -> np.ndarray:
        """How far each of these labels moved, (n, n_points)."""
        return self.mean[labels, condition] - self.mean[labels, self.control]

    @property
    def treated(self) -> list[int]:
        """The conditions, other than control, under which the training cells have any; ascending."""
        found = np.flatnonzero(self.weight.sum(axis=0) > 0).tolist()
        return [condition for condition in found if condition != self.control]

    @property
    def with_control(self) -> list[int]:
        """The labels that have control cells, ascending: those whose response can be predicted."""
        found: list[int] = np.flatnonzero(self.weight[:, self.control] > 0).tolist()
        return found


def too_few_labels(schema: Schema, found: list[int], condition: int) -> DataError:
    """What is said of a condition that only the labels `found` (none, or one) have on both sides."""
    assert schema.condition is not None
    assert schema.label is not None
    names = ", ".join(schema.label.values[code] for code in found) or "none"
    return DataError(
        f"a response must be learnt from {LEAST_SHARED} labels or more with cells of both "
        f"{schema.control!r} and {schema.condition.values[condition]!r}; {names} "
        f"{'is the only one' if found else 'has'}. Hold out fewer labels, or choose another condition."
    )


class Sums:
    """Adds up points by label and condition, a block at a time."""

    def __init__(self, schema: Schema, n_points: int) -> None:
        self.schema = schema
        self.total = np.zeros((schema.n_labels, schema.n_conditions, n_points))
        self.squares = np.zeros_like(self.total)
        self.weight = np.zeros((schema.n_labels, schema.n_conditions))

    def add(self, points: np.ndarray, label: np.ndarray, condition: np.ndarray, weight: np.ndarray) -> None:
        """Add cells; one whose label or condition is unknown (-1) is in no mean."""
        known = (label >= 0) & (condition >= 0)
        at = label[known], condition[known]
        np.add.at(self.weight, at, weight[known])
        # one product instead of adding row by row: (n_kinds, n_obs) @ (n_obs, n_points)
        kind = at[0] * self.schema.n_conditions + at[1]
        share = np.zeros((self.schema.n_labels * self.schema.n_conditions, len(kind)))
        share[kind, np.arange(len(kind))] = weight[known]
        self.total += (share @ points[known]).reshape(self.total.shape)
        self.squares += (share @ np.square(points[known], dtype=np.float64)).reshape(self.total.shape)

    @property
    def means(self) -> Means:
        """What the cells so far tell."""
        n = np.maximum(self.weight, 1e-300)[:, :, None]
        mean = self.total / n
        variance = np.maximum(self.squares / n - np.square(mean), 0)
        return Means(mean, variance, self.weight, self.schema.control_code, self.schema)


@dataclass(frozen=True, eq=False)
class Responses:
    """Training cells as points: `points (n_obs, n_points)`, codes of label and condition, weight of each cell."""

    points: np.ndarray
    label: np.ndarray
    condition: np.ndarray
    weight: np.ndarray
    schema: Schema

    @property
    def means(self) -> Means:
        """Their means by label and condition."""
        sums = Sums(self.schema, self.points.shape[1])
        sums.add(self.points, self.label, self.condition, self.weight)
        return sums.means

    def of(self, label: int, condition: int) -> np.ndarray:
        """The points of one label under one condition, (n, n_points)."""
        return self.points[(self.label == label) & (self.condition == condition)]
