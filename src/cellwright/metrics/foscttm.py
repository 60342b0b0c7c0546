"""FOSCTTM: the fraction of samples closer than the true match, of cells that two modalities measured.

latent_first, latent_second (n_obs, n_latent) -> distances, block by block -> other cells nearer than the own one
-> share of all other cells -> mean over cells and both directions
"""

import numpy as np

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric

BLOCK_ENTRIES = 2**22  # distances at a time: 32 MB


def foscttm(latent_first: np.ndarray, latent_second: np.ndarray) -> float:
    """The mean share of other cells that lie nearer to a cell than its own measurement by the other modality [Liu19].

    Row i is the same cell on either side. From each side the other cells of the other side are counted that are
    strictly nearer (Euclidean); the mean is over both directions. 0 where every cell is nearest to itself, .5 in
    expectation for a random order, 1 where it is the farthest. The time grows with the square of the cells: about ten
    seconds for 20,000.

    Raises `DataError` where the shapes differ or there are fewer than two cells, `UnsuitableValues` for NaN.
    """
    return float(_nearer(latent_first, latent_second).mean())


def foscttm_by_label(labels_true: Labels, latent_first: np.ndarray, latent_second: np.ndarray) -> dict[str, float]:
    """The mean over the cells of each label, by its name; what is nearer may be a cell of any label."""
    codes, names = codes_of(labels_true, "labels_true")
    nearer = _nearer(latent_first, latent_second)
    return {name: float(nearer[codes == code].mean()) for code, name in enumerate(names)}


def _nearer(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The share of other cells that are nearer `(n_obs,)`, the mean of both directions."""
    from scipy.spatial.distance import cdist  # half a second, and a report needs only the titles

    _check(first, second)
    first, second = first.astype(np.float64), second.astype(np.float64)
    n_obs = len(first)
    blocks = [slice(start, start + BLOCK_ENTRIES // n_obs + 1) for start in range(0, n_obs, BLOCK_ENTRIES // n_obs + 1)]
    # by the same function as the other distances: one that is equal must not look smaller by its rounding
    own = np.concatenate([cdist(first[block], second[block], "sqeuclidean").diagonal() for block in blocks])
    nearer = np.zeros(n_obs)
    for block in blocks:
        distances = cdist(first[block], second, "sqeuclidean")
        nearer[block] += (distances < own[block, None]).sum(axis=1)
        nearer += (distances < own).sum(axis=0)
    # of the other cells, not of all as in scglue.metrics.foscttm: then a random order is .5 whatever their number
    return nearer / (2 * (n_obs - 1))


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.ndim != 2 or first.shape != second.shape or len(first) < 2:
        raise DataError(
            "foscttm needs latent_first and latent_second of the same cells, at least two, in one latent space "
            f"(n_obs, n_latent); their shapes are {first.shape} and {second.shape}. Give the same cells in the same "
            "order."
        )
    for role, latent in (("latent_first", first), ("latent_second", second)):
        if not np.isfinite(latent).all():
            raise UnsuitableValues(
                f"{role} must be finite; it holds NaN or infinity. Look at the model's training history."
            )


FOSCTTM = Metric(
    function=foscttm,
    title="Fraction of samples closer than the true match",
    task="align",
    better="lower",
    bounds=(0.0, 1.0),
    needs=("latent_first", "latent_second"),
    citation="Liu19",
    by_label=foscttm_by_label,
)
