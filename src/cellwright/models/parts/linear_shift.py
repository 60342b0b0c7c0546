"""Linear shift: the change of a label as a linear function of its control mean, by ridge regression over labels.

    control means (n_shared, n_points), changes (n_shared, n_points) -> weights of the changes, for every label

With k the product of two control means about their centre, the change of a label is the mean change plus
k(label, shared) (k(shared, shared) + penalty I)^-1 (changes - mean change). There are few labels and many genes, so the
regression is solved in the labels. The penalty is the one that predicts each label best from the others.

References: [Hoerl70] ridge regression; [AhlmannEltze25] linear baselines of responses.
"""

from typing import Literal

import numpy as np

from cellwright.models.parts.mean_shift import MeanShiftOptions
from cellwright.models.parts.responses import Means

PENALTIES = tuple(float(10.0**power) for power in np.arange(-3, 4.1, 0.5))  # in mean squared lengths of control means


class LinearShift(MeanShiftOptions):
    """Changes of the labels with both sides, weighted by ridge regression on control means."""

    name: Literal["linear"] = "linear"

    def of_label(self, means: Means, label: int, condition: int) -> np.ndarray:
        shared = means.shared(condition)
        penalty = chosen_penalty(means, shared, condition)
        control = means.mean[:, means.control]
        return ridge_weights(control[shared], control[label], penalty) @ means.change(shared, condition)


def ridge_weights(known: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    """How much the response at each of `known (n, n_vars)` counts for that at `wanted (n_vars,)`; they sum to 1."""
    n, centre = len(known), known.mean(axis=0)
    inner = (known - centre) @ (known - centre).T
    scale = max(float(np.trace(inner)) / n, 1e-12)
    solved = np.linalg.solve(inner + penalty * scale * np.eye(n), (known - centre) @ (wanted - centre))
    # the changes are centred too: a weight of theirs takes from the mean what it gives to one
    return solved + (1 - solved.sum()) / n


def chosen_penalty(means: Means, shared: np.ndarray, condition: int) -> float:
    """The penalty with the least squared error, predicting the change of each shared label from the others.

    Of several the largest: with two shared labels, each is predicted from one, and every penalty has the same error.
    """
    control, change = means.mean[shared, means.control], means.change(shared, condition)
    errors = np.zeros(len(PENALTIES))
    for left_out in range(len(shared)):
        others = np.delete(np.arange(len(shared)), left_out)
        for index, penalty in enumerate(PENALTIES):
            weights = ridge_weights(control[others], control[left_out], penalty)
            errors[index] += np.square(weights @ change[others] - change[left_out]).sum()
    return PENALTIES[int(np.flatnonzero(errors == errors.min())[-1])]
