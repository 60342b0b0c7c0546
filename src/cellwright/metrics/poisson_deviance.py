"""Poisson deviance of hidden molecules: how far a predicted mean is from counts that it has not seen.

x_hidden, x_expected (n_obs, n_vars), counts -> 2 sum (x log(x / mean) - (x - mean)) / sum x

Proper for a predicted mean: it is least where the expectation is right, whatever the counts' own noise [Gneiting11].
A squared error of logarithms is not: of few hidden molecules E log(1 + x) is far below log(1 + E x), so it favours what
predicts too little.

References: [McCullagh89] deviance; [Gneiting11] scores of which the mean is the best forecast; [Batson19] molecules.
"""

import numpy as np
from scipy.special import xlogy

from cellwright.metrics.hidden import hidden_pair
from cellwright.metrics.metric import Metric, within_labels

# expected hidden counts. Where a tenth is hidden, that is a thousandth of a molecule of the nine tenths that were seen;
# where another share is, it is another part of a molecule there, and the same here, where costs are counted.
SMALLEST = 1e-3 / 9


def poisson_deviance(x_hidden: np.ndarray, x_expected: np.ndarray) -> float:
    """The deviance per hidden molecule over all entries of `(n_obs, n_vars)`; 0 for expecting exactly what came.

    An expectation of nothing counts as `SMALLEST`, for a molecule where none is possible would cost infinitely much.
    Raises `DataError` where nothing was hidden, `UnsuitableValues` for what is no count.
    """
    hidden, expected = hidden_pair("poisson_deviance", x_hidden, x_expected)
    expected = np.maximum(expected, SMALLEST)
    return float(2 * (xlogy(hidden, hidden / expected) - (hidden - expected)).sum() / hidden.sum())


POISSON_DEVIANCE = Metric(
    function=poisson_deviance,
    title="Poisson deviance per hidden molecule",
    task="impute",
    better="lower",
    bounds=(0.0, np.inf),
    needs=("x_hidden", "x_expected"),
    citation="Batson19",
    by_label=within_labels(poisson_deviance),
)
