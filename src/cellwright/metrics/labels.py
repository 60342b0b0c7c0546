"""Labels of cells as codes and as tables of counts; a missing label (NaN, None) means: not labelled, left out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellwright.errors import DataError

Labels = Sequence | np.ndarray | pd.Series | pd.Index | pd.Categorical


def codes_of(labels: Labels, role: str) -> tuple[np.ndarray, list[str]]:
    """Codes `(n_obs,)` in order of first appearance, -1 where missing, and the name of each code.

    Raises `DataError` if no cell is labelled; `role` is how the sentence calls the labels.
    """
    codes, values = pd.factorize(pd.Series(labels))
    if len(values) == 0:
        raise DataError(f"{role} must hold at least one label; all {len(codes)} are missing. Choose another column.")
    return codes.astype(np.int64), [label_name(value) for value in values]


def label_name(value: object) -> str:
    """What a label is called in tables."""
    # pandas makes floats of integers that stand beside a missing value; 1.0 and 1 must be one label
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def labels_and_batches(labels_true: Labels, batches: Labels) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Codes of label and of batch `(n_obs,)`, -1 where missing, and the labels' names.

    Raises `DataError` if the lengths differ, or if no cell has a label and a batch.
    """
    if len(labels_true) != len(batches):
        raise DataError(
            f"labels_true and batches must be of the same cells; they have {len(labels_true)} and {len(batches)} "
            "entries. Take both from one AnnData."
        )
    labels, names = codes_of(labels_true, "labels_true")
    of_batch, _ = codes_of(batches, "batches")
    if not ((labels >= 0) & (of_batch >= 0)).any():
        raise DataError(f"labels_true and batches must both be known of a cell; of {len(labels)} none has both.")
    return labels, of_batch, names


def contingency(labels_true: Labels, clusters: Labels) -> tuple[np.ndarray, list[str]]:
    """Cells per label and cluster `(n_labels, n_clusters)`, and the labels' names; unlabelled cells are left out."""
    true, predicted, names = labelled_pairs(labels_true, clusters)
    table = np.zeros((len(names), predicted.max() + 1), dtype=np.int64)
    np.add.at(table, (true, predicted), 1)
    return table[:, table.sum(axis=0) > 0], names


def labelled_pairs(labels_true: Labels, clusters: Labels) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Codes of label and cluster of the labelled cells, and the labels' names.

    Raises `DataError` if the lengths differ, if no cell is labelled, or if a cell has no cluster.
    """
    if len(labels_true) != len(clusters):
        raise DataError(
            f"labels_true and clusters must be of the same cells; they have {len(labels_true)} and {len(clusters)} "
            "entries. Take both from one AnnData."
        )
    true, names = codes_of(labels_true, "labels_true")
    predicted, _ = cluster_codes(clusters)
    return true[true >= 0], predicted[true >= 0], names


def cluster_codes(clusters: Labels) -> tuple[np.ndarray, list[str]]:
    """Codes `(n_obs,)` of the clusters and their names.

    Raises `DataError` if a cell has none: to leave out the cells that a method could not place would flatter it.
    """
    codes, names = codes_of(clusters, "clusters")
    if missing := int((codes < 0).sum()):
        raise DataError(
            f"clusters must name a cluster for every cell; {missing} of {len(codes)} are missing. "
            'Give cells without a cluster a cluster of their own, such as "-1".'
        )
    return codes, names


def confusion(labels_true: Labels, labels_predicted: Labels) -> tuple[np.ndarray, list[str]]:
    """Labelled cells by true (row) and predicted (column) label, and the names of both; unlabelled cells are left out.

    The labels are all that occur on either side, those of labelled cells first: a label that is predicted only has a
    row of zeros. Raises `DataError` if the lengths differ, if no cell is labelled, or if one has no prediction.
    """
    if len(labels_true) != len(labels_predicted):
        raise DataError(
            f"labels_true and labels_predicted must be of the same cells; they have {len(labels_true)} and "
            f"{len(labels_predicted)} entries. Take both from one AnnData."
        )
    codes, names = codes_of(labels_true, "labels_true")
    predicted, predicted_names = codes_of(labels_predicted, "labels_predicted")
    if missing := int((predicted < 0).sum()):
        raise DataError(
            f"labels_predicted must name a label for every cell; {missing} of {len(predicted)} are missing. "
            "To leave out what a classifier is unsure of would flatter it."
        )
    every = list(dict.fromkeys([*names, *predicted_names]))
    table = np.zeros((len(every), len(every)), dtype=np.int64)
    place = np.array([every.index(name) for name in predicted_names])
    np.add.at(table, (codes[codes >= 0], place[predicted[codes >= 0]]), 1)
    # of a label that only unlabelled cells are predicted to have, nothing is known
    kept = (table.sum(axis=0) > 0) | (table.sum(axis=1) > 0)
    return table[np.ix_(kept, kept)], [name for name, keep in zip(every, kept, strict=True) if keep]


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0: what is never predicted is never right."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
