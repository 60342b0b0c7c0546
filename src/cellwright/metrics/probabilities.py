"""Probabilities of labels and the labels themselves, checked and without the cells that have none."""

import numpy as np

from cellwright.errors import DataError


def labelled(codes_true: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, of the labelled cells (code 0 and above); float64.

    Raises `DataError` if the numbers of cells differ, if no cell is labelled, or for a code without a column.
    """
    codes, probabilities = np.asarray(codes_true), np.asarray(probabilities, dtype=np.float64)
    if len(codes) != len(probabilities):
        raise DataError(
            f"codes_true and probabilities must be of the same cells; there are {len(codes)} and {len(probabilities)}. "
            "Take both from one AnnData."
        )
    known = codes >= 0
    if not known.any():
        raise DataError(f"codes_true must hold a label; all {len(codes)} cells are without one. Give labelled cells.")
    if (highest := int(codes.max())) >= probabilities.shape[1]:
        raise DataError(
            f"codes_true must be columns of probabilities, 0 to {probabilities.shape[1] - 1}; one is {highest}. "
            "Give codes in the order of the columns."
        )
    return codes[known], probabilities[known]


def of_the_true(codes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The probability that each cell's own label has, (n_obs,)."""
    return np.take_along_axis(probabilities, codes[:, None], axis=1)[:, 0]
