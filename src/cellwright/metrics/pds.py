"""Perturbation discrimination score: whether a prediction is nearest to the perturbation that it is meant for.

true_means, predicted_means (n_perturbations, n_vars) -> L1 distances of each prediction to every true profile
-> rank r of its own among N (0 is nearest) -> mean of 1 - r / N
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric
from cellwright.metrics.responses import check_cells


def pds(true_means: np.ndarray, predicted_means: np.ndarray, target_gene: np.ndarray) -> float:
    """The score of the Virtual Cell Challenge [Roohani25]: 1 if every prediction is nearest to its own, 1 / N at worst.

    Row p of either array is the mean profile of the cells of perturbation p, `(n_perturbations, n_vars)`; changes from
    the means of the real control cells give the same distances. `target_gene (n_perturbations,)` is the position of the
    gene that p targets, left out of all distances of prediction p (everybody knows that it falls), or -1 where it is
    not measured. Among equal distances the own one has the middle rank, so that one and the same prediction for all
    scores (N + 1) / 2N on average over the perturbations.

    Raises `DataError` for fewer than two perturbations, arrays that do not fit, or a position that does not exist.
    """
    return float(1 - own_ranks(true_means, predicted_means, target_gene).mean() / len(true_means))


def own_ranks(true_means: np.ndarray, predicted_means: np.ndarray, target_gene: np.ndarray) -> np.ndarray:
    """How many true profiles are nearer to each prediction than its own, `(n_perturbations,)`; 0 is nearest.

    Half of those as near count. Arguments and errors as those of `pds`.
    """
    check_cells("pds", 1, true_means=true_means, predicted_means=predicted_means)
    n_perturbations, n_vars = true_means.shape
    if n_perturbations < 2:
        raise DataError("pds needs at least 2 perturbations to tell apart; there is 1. Use change_pearson.")
    if predicted_means.shape != true_means.shape or np.shape(target_gene) != (n_perturbations,):
        raise DataError(
            f"pds needs a true and a predicted profile and a target gene of each perturbation; there are "
            f"{n_perturbations}, {len(predicted_means)} and {np.size(target_gene)}. Give them in the same order."
        )
    if not np.isin(target_gene, np.arange(-1, n_vars)).all():
        raise DataError(
            f"pds needs target_gene to be positions among {n_vars} features, or -1 where it is not measured; it holds "
            f"values from {np.min(target_gene)} to {np.max(target_gene)}. Give the positions in the profiles."
        )
    return np.array([_rank(true_means, predicted_means[p], p, int(target_gene[p])) for p in range(n_perturbations)])


def _rank(true_means: np.ndarray, predicted: np.ndarray, own: int, target: int) -> float:
    """How many true profiles are nearer to the prediction than its own, and half of those as near."""
    differences = np.abs(true_means - predicted.astype(np.float64))
    if target >= 0:
        differences[:, target] = 0.0
    distances = differences.sum(axis=1)
    return float((distances < distances[own]).sum() + ((distances == distances[own]).sum() - 1) / 2)


PDS = Metric(
    function=pds,
    title="Perturbation discrimination score",
    task="perturb",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("true_means", "predicted_means", "target_gene"),
    citation="Roohani25",
)
