"""Classify: say which label each cell has, and how well that agrees with what is known.

model with `classifies`, cells -> probabilities (n_obs, n_labels) -> obs["predicted"], the most probable label, or
"unsure" where its probability is below a threshold
held-out rows, their labels -> rows of scores.csv
"""

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.core.abilities import Classifies
from cellwright.core.schema import Categories
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.errors import OptionError
from cellwright.metrics import METRICS
from cellwright.models.model import Model
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.ask import annotated, cells_for, needs
from cellwright.tasks.confidence import Confidence, scaled
from cellwright.tasks.score import ScoreRow, score_rows
from cellwright.train.infer import over_cells

# the first is what models are ordered by: a rare label counts as much as a frequent one
SCORES = ("balanced_accuracy", "accuracy", "macro_f1", "macro_precision", "macro_recall")
OF_PROBABILITIES = ("ece", "brier", "log_loss")
UNSURE = "unsure"


def classify(
    model: Model,
    data: Any,
    *,
    key_added: str = "predicted",
    split: Split | None = None,
    threshold: float = 0.0,
    temperature: float = 1.0,
) -> AnnData:
    """The label of every cell. `data` is a source or what `open_data` takes, new cells included; it is left alone.

    Returns an AnnData with the input's `obs`, feature names and order, without values, and

    - `obs[key_added]`: the most probable label, a category of the model's labels, in their order; with a `threshold`,
      `unsure_label(labels)` behind them for cells whose most probable label has a lower probability;
    - `obs[f"{key_added}_probability"]`: the probability of the most probable label;
    - `obsm[f"{key_added}_probabilities"]` (n_obs, n_labels), float32: that of each label, in the same order.

    `uns["cellwright"]` says what made it, with the threshold and temperature if there are such. With the `split` of the
    training, `obs["split"]` says which part a cell had. A cell of a type that the model never saw gets one of its
    labels all the same, often with a high probability: a threshold finds only some of these. `confidence_of` chooses
    it, and the `temperature` that probabilities are scaled with, on validation cells.

    Raises `AbilityError` if the model does not classify, `OptionError` if the input has such columns already or for a
    threshold that is no probability, `SchemaMismatch` if no feature is in common.
    """
    needs(model, Classifies, "classify")
    source = cells_for(model, data, "classify")
    cells = annotated(model, source, split)
    add_labels(cells, model, source, key_added=key_added, confidence=Confidence(temperature, threshold))
    return cells


def add_labels(
    cells: AnnData,
    model: Model,
    source: StoredSource,
    *,
    key_added: str,
    confidence: Confidence = Confidence(),  # noqa: B008  frozen
) -> None:
    """Write what `classify` writes into `cells`, which are those of `source`. Raises as `classify`."""
    classifier = needs(model, Classifies, "classify")
    columns = [key_added, f"{key_added}_probability"]
    if taken := [column for column in columns if column in cells.obs]:
        raise OptionError(
            f"key_added of classify must name new columns of obs; the data have {taken[0]!r}. Choose another key_added."
        )
    # infinity says that no cell is to be answered
    if not (0 <= confidence.threshold <= 1 or confidence.threshold == math.inf):
        raise OptionError(
            f"threshold of classify must be a probability, 0 for none; it is {confidence.threshold}. Give another."
        )
    probabilities = scaled(over_cells(classifier.classify, source), confidence.temperature)
    cells.obs[columns[0]] = _answers(probabilities, _labels_of(model), confidence.threshold)
    cells.obs[columns[1]] = probabilities.max(axis=1)
    cells.obsm[f"{key_added}_probabilities"] = probabilities
    if confidence != Confidence():
        cells.uns["cellwright"] = {**cells.uns["cellwright"], **asdict(confidence)}


def unsure_label(labels: Iterable[str]) -> str:
    """What a cell without an answer is called: `unsure`, unless that is one of the `labels`."""
    return f"cellwright_{UNSURE}" if UNSURE in set(labels) else UNSURE


def score_classification(
    model: Model,
    data: Any,
    rows: np.ndarray,
    *,
    held_out: bool,
    seed: int = 0,
    confidence: Confidence = Confidence(),  # noqa: B008  frozen
) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `classify`, over the labelled cells among `rows`; no rows if there is none.

    Of the most probable labels, whatever the threshold: accuracy, balanced accuracy and the macro means of precision,
    recall and F1, the last three per label, too. Of the probabilities: calibration error, Brier score and log loss.
    With a threshold: the share of cells that are answered, per label, too, and the accuracy among them, which has no
    row where no cell is answered.
    """
    classifier = needs(model, Classifies, "classify")
    source = cells_for(model, data, "classify")
    rows = rows[source.annotation.label[rows] >= 0]
    table: list[ScoreRow] = []
    if len(rows):
        probabilities = scaled(over_cells(classifier.classify, source, rows), confidence.temperature)
        table = _score_table(probabilities, source.annotation.label[rows], _labels_of(model), confidence.threshold)
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _score_table(probabilities: np.ndarray, codes: np.ndarray, labels: Categories, threshold: float) -> list[ScoreRow]:
    arrays = {
        "labels_true": np.asarray(labels.values)[codes],
        "labels_predicted": np.asarray(labels.values)[probabilities.argmax(axis=1)],
        "codes_true": codes,
        "probabilities": probabilities,
        "answered": probabilities.max(axis=1) >= threshold,
    }
    of_answers = ["coverage", "answered_accuracy"] if threshold else []
    if not arrays["answered"].any():
        of_answers = of_answers[:1]  # of no answer there is no accuracy
    table: list[ScoreRow] = []
    for name in (*SCORES, *OF_PROBABILITIES, *of_answers):
        needed = {argument: arrays[argument] for argument in METRICS[name].needs}
        table += score_rows(METRICS[name], name, arrays["labels_true"], **needed)
    return table


def _labels_of(model: Model) -> Categories:
    assert model.schema.label is not None, "a classifier is refused where there are no labels"
    return model.schema.label


def _answers(probabilities: np.ndarray, labels: Categories, threshold: float) -> "pd.Categorical[str]":
    codes: np.ndarray = probabilities.argmax(axis=1)
    names = list(labels.values)
    if threshold:
        codes = np.where(probabilities.max(axis=1) < threshold, len(names), codes)
        names.append(unsure_label(names))
    return pd.Categorical.from_codes(codes, categories=pd.Index(names))
