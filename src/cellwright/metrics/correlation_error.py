"""Correlation error: whether features that go together in real cells go together in generated ones.

x_real, x_generated (n_obs, n_vars) -> correlations between features, of either side -> mean absolute difference
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.two_samples import most_variable, two_samples

AT_MOST_FEATURES = 50  # 1,225 pairs; the more there are, the more of them are uncorrelated and say nothing


def correlation_error(x_real: np.ndarray, x_generated: np.ndarray) -> float:
    """Mean |difference| of the Pearson correlations of all pairs among the 50 features that vary most in real cells.

    0 for equal correlations, at most 2; a feature that is constant in the generated cells correlates with none. A
    sample of real cells is not at 0 either (about 1.1 / sqrt(n) for n cells): compare with real cells against real
    cells. Give log-normalised values.

    Raises `DataError` for fewer than three cells of a side, or where fewer than two features vary among the real cells.
    """
    real, generated = two_samples(x_real, x_generated, "correlation_error", at_least=3)
    features = most_variable(real, AT_MOST_FEATURES)
    if len(features) < 2:
        raise DataError(
            f"correlation_error needs two features that vary among the real cells; {len(features)} does. "
            "Hold out other cells."
        )
    pairs = np.triu_indices(len(features), k=1)
    difference = _correlations(real[:, features]) - _correlations(generated[:, features])
    return float(np.abs(difference[pairs]).mean())


def _correlations(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = np.ptp(values, axis=0) > 0
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=varies)
    return np.clip(unit.T @ unit, -1.0, 1.0)


CORRELATION_ERROR = Metric(
    function=correlation_error,
    title="Error of gene-gene correlations",
    task="generate",
    better="lower",
    bounds=(0.0, 2.0),
    needs=("x_real", "x_generated"),
    by_label=within_labels(correlation_error),
)
