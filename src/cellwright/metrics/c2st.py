"""Classifier two-sample test: how well a classifier can tell generated cells from real ones.

    x_real, x_generated (n_obs, n_vars) -> principal components of both together (n_obs, <= 30)
    -> logistic regression, boosted trees -> share of held-out cells whose side is recognised; 5-fold cross-validation

The logistic regression sees means, the trees also how much features vary and what they do together.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.two_samples import components, two_samples

N_FOLDS = 5


def c2st(x_real: np.ndarray, x_generated: np.ndarray) -> float:
    """Held-out accuracy of the two classifiers, their mean [LopezPaz17]: .5 if they cannot tell, 1 if they always can.

    Accuracy is the mean of two shares, of real cells recognised as real and of generated ones recognised as generated
    (`recalls`), so sides of different size count alike. Below .5 nothing was found either, and it becomes .5. Compare
    with real cells against real cells: for n cells a side chance scatters it by .35 / sqrt(n). Give
    log-normalised values. At most 2,000 cells of each side are used.

    Raises `DataError` for fewer than 10 cells of a side.
    """
    return max(0.5, float(np.mean(list(recalls(x_real, x_generated).values()))))


def recalls(x_real: np.ndarray, x_generated: np.ndarray) -> dict[str, tuple[float, float]]:
    """By classifier the share of held-out real cells that it takes for real, and of generated for generated.

    If only the real cells are recognised, the generated ones keep to a part of the range of the real ones.
    """
    real, generated = components(*two_samples(x_real, x_generated, "c2st", at_least=2 * N_FOLDS))
    values = np.concatenate([real, generated])
    spread = values.std(axis=0)
    values = values / np.where(spread > 0, spread, 1.0)
    is_generated = np.repeat([0, 1], [len(real), len(generated)])
    # where both sides are the same cells, a cell and its copy are held out together: nothing is learned by heart
    folds = np.concatenate([np.arange(len(side)) % N_FOLDS for side in (real, generated)])
    return {name: _recalls(make, values, is_generated, folds) for name, make in _classifiers().items()}


def _classifiers() -> dict[str, Callable[[], Any]]:
    """Both are kept simple, because some hundred cells must do to train them."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # see `components`
    from sklearn.linear_model import LogisticRegression

    return {
        "logistic": lambda: LogisticRegression(C=0.1, max_iter=1000),
        "boosting": lambda: HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False, random_state=0
        ),
    }


def _recalls(
    make: Callable[[], Any], values: np.ndarray, is_generated: np.ndarray, folds: np.ndarray
) -> tuple[float, float]:
    said = np.empty(len(values), dtype=np.int64)
    for fold in range(N_FOLDS):
        held_out = folds == fold
        said[held_out] = make().fit(values[~held_out], is_generated[~held_out]).predict(values[held_out])
    is_right = said == is_generated
    return float(is_right[is_generated == 0].mean()), float(is_right[is_generated == 1].mean())


C2ST = Metric(
    function=c2st,
    title="Classifier two-sample test (accuracy)",
    task="generate",
    better="lower",
    bounds=(0.5, 1.0),
    needs=("x_real", "x_generated"),
    citation="LopezPaz17",
    by_label=within_labels(c2st),
)
