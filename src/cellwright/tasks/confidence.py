"""Confidence: when a classifier should say that it is unsure, and how sure its probabilities may sound.

    validation cells, their labels -> temperature: probabilities that mean what they say
                                   -> threshold: the probability below which the answer is "unsure"

Both are chosen on validation cells, which no weight was trained on (early stopping has seen them); held-out cells enter
neither. What is chosen on few cells is rough: with 50 of them an accuracy of .95 is known to about .03, and a
temperature fitted to cells that are all right makes a model certain. In studies of 63 to 220 samples it made the log
loss of every network on held-out samples worse (docs/classification.md), so few cells are warned of.

References: [Guo17] temperature scaling; [ElYaniv10] answers with a reject option; [Abdelaal19] for it on cells.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from cellwright.core.abilities import Classifies
from cellwright.data.split import Split
from cellwright.errors import DataError, OptionError
from cellwright.metrics.log_loss import log_loss
from cellwright.models.model import Model
from cellwright.tasks.ask import cells_for, needs
from cellwright.train.infer import over_cells

# beyond these all answers are as good as certain, or as good as drawn
TEMPERATURES = (0.05, 20.0)
FEW = 50  # validation cells below which a temperature and a threshold are worth little


@dataclass(frozen=True)
class Confidence:
    """How a classifier's probabilities are read: what `classify` takes as `temperature` and `threshold`.

    A `threshold` of infinity answers no cell: not even the surest validation cells were right often enough.
    """

    temperature: float = 1.0
    threshold: float = 0.0


def confidence_of(
    model: Model, data: Any, split: Split, *, accuracy: float | None = None, calibrate: bool = False
) -> Confidence:
    """The confidence of a fitted classifier, from the labelled validation cells of the split it was trained with.

    With `calibrate` the temperature is fitted; with an `accuracy` the threshold is the lowest at which the validation
    cells that are answered are right that often. Warns of fewer than `FEW` cells. Raises `AbilityError` if the model
    does not classify, `DataError` where there is no labelled validation cell, `OptionError` for an accuracy that is not
    in (0, 1].
    """
    classifier = needs(model, Classifies, "classify")
    source = cells_for(model, data, "classify")
    rows = split.validation[source.annotation.label[split.validation] >= 0]
    if not len(rows):
        raise DataError(
            "the confidence of a classifier must be chosen on validation cells with a label; there is none. "
            "Give a share for validation, or a threshold of your own."
        )
    probabilities = over_cells(classifier.classify, source, rows)
    return chosen_on(probabilities, source.annotation.label[rows], accuracy=accuracy, calibrate=calibrate)


def chosen_on(
    probabilities: np.ndarray, codes: np.ndarray, *, accuracy: float | None = None, calibrate: bool = False
) -> Confidence:
    """As `confidence_of`, from `probabilities (n_obs, n_labels)` and the column of each cell's label."""
    if len(codes) < FEW:
        warnings.warn(
            f"a temperature and a threshold are rough where there are few validation cells; there are {len(codes)}. "
            f"Keep {FEW} at least.",
            stacklevel=2,
        )
    temperature = fitted_temperature(probabilities, codes) if calibrate else 1.0
    if accuracy is None:
        return Confidence(temperature)
    return Confidence(temperature, threshold_for(scaled(probabilities, temperature), codes, accuracy))


def fitted_temperature(probabilities: np.ndarray, codes: np.ndarray) -> float:
    """The temperature with the lowest log loss on these cells [Guo17]: above 1 where the model is too sure.

    `codes (n_obs,)` is the column of each cell's label.
    """

    def loss(log_temperature: float) -> float:
        return log_loss(codes, scaled(probabilities, math.exp(log_temperature)))

    bounds = tuple(map(math.log, TEMPERATURES))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by the temperature, (n_obs, n_labels) of the same dtype.

    The answer stays the same, and what was impossible stays so. Raises `OptionError` for one that is not above zero.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise OptionError(f"temperature must be a number above 0, 1 for none; it is {temperature}. Give another.")
    if temperature == 1:
        return probabilities
    with np.errstate(divide="ignore"):  # the logarithm of what is impossible
        logits = np.log(probabilities.astype(np.float64)) / temperature
    return np.exp(logits - logsumexp(logits, axis=1, keepdims=True)).astype(probabilities.dtype)


def threshold_for(probabilities: np.ndarray, codes: np.ndarray, accuracy: float) -> float:
    """The lowest probability at which the cells that are answered are right at least as often as `accuracy`.

    Answered are cells whose most probable label has at least this probability; of the thresholds that reach the
    accuracy it is the one that answers most. Infinite where none does. Raises `OptionError` for one outside (0, 1].
    """
    if not 0 < accuracy <= 1:
        raise OptionError(
            f"the accuracy among the answered must be above 0 and at most 1; it is {accuracy}. Give one like 0.95."
        )
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == codes
    order = np.argsort(-confidence, kind="stable")
    found = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # cells of one probability are answered together or not at all
    is_last = np.append(confidence[order][1:] < confidence[order][:-1], True)
    reached = np.flatnonzero(is_last & (found >= accuracy))
    return float(confidence[order][reached[-1]]) if len(reached) else math.inf
