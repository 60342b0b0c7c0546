"""Classify: say which label each cell has, and how well that agrees with what is known.

model with `classifies`, cells -> probabilities (n_obs, n_labels) -> obs["predicted"], the most probable label
held-out rows, their labels -> rows of scores.csv
"""

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
from cellwright.tasks.score import ScoreRow, score_rows
from cellwright.train.infer import over_cells

# the first is what models are ordered by: a rare label counts as much as a frequent one
SCORES = ("balanced_accuracy", "accuracy", "macro_f1", "macro_precision", "macro_recall")


def classify(model: Model, data: Any, *, key_added: str = "predicted", split: Split | None = None) -> AnnData:
    """The label of every cell. `data` is a source or what `open_data` takes, new cells included; it is left alone.

    Returns an AnnData with the input's `obs`, feature names and order, without values, and

    - `obs[key_added]`: the most probable label, a category of the model's labels, in their order;
    - `obs[f"{key_added}_probability"]`: its probability;
    - `obsm[f"{key_added}_probabilities"]` (n_obs, n_labels), float32: that of each label, in the same order.

    `uns["cellwright"]` says what made it. With the `split` of the training, `obs["split"]` says which part a cell had.
    A cell of a type that the model never saw gets one of its labels all the same, often with a high probability.

    Raises `AbilityError` if the model does not classify, `OptionError` if the input has such columns already,
    `SchemaMismatch` if no feature is in common.
    """
    needs(model, Classifies, "classify")
    source = cells_for(model, data, "classify")
    cells = annotated(model, source, split)
    add_labels(cells, model, source, key_added=key_added)
    return cells


def add_labels(cells: AnnData, model: Model, source: StoredSource, *, key_added: str) -> None:
    """Write what `classify` writes into `cells`, which are those of `source`. Raises as `classify`."""
    classifier = needs(model, Classifies, "classify")
    columns = [key_added, f"{key_added}_probability"]
    if taken := [column for column in columns if column in cells.obs]:
        raise OptionError(
            f"key_added of classify must name new columns of obs; the data have {taken[0]!r}. Choose another key_added."
        )
    probabilities = over_cells(classifier.classify, source)
    cells.obs[columns[0]] = _most_probable(probabilities, _labels_of(model))
    cells.obs[columns[1]] = probabilities.max(axis=1)
    cells.obsm[f"{key_added}_probabilities"] = probabilities


def score_classification(model: Model, data: Any, rows: np.ndarray, *, held_out: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `classify`, over the labelled cells among `rows`; no rows if there is none.

    Accuracy, balanced accuracy and the macro means of precision, recall and F1; the last three per label, too.
    """
    classifier = needs(model, Classifies, "classify")
    source = cells_for(model, data, "classify")
    rows = rows[source.annotation.label[rows] >= 0]
    table: list[ScoreRow] = []
    if len(rows):
        labels = _labels_of(model)
        predicted = np.asarray(_most_probable(over_cells(classifier.classify, source, rows), labels))
        true = np.asarray(labels.values)[source.annotation.label[rows]]
        for name in SCORES:
            table += score_rows(METRICS[name], name, true, labels_true=true, labels_predicted=predicted)
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _labels_of(model: Model) -> Categories:
    assert model.schema.label is not None, "a classifier is refused where there are no labels"
    return model.schema.label


def _most_probable(probabilities: np.ndarray, labels: Categories) -> "pd.Categorical[str]":
    codes: np.ndarray = probabilities.argmax(axis=1)
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels.values))
