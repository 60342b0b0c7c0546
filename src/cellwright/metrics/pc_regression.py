"""PC regression: how much of the variance that batches explain did an integration take away.

    latent before and after -> sum over principal components of variance x R2(component ~ batch) / sum of variances
    -> (before - after) / before

Over all components the sum does not depend on the rotation: it is the share of the sum of squares that lies between the
batches' means. So no components are sought, and the time is that of one pass.
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric
from cellwright.metrics.silhouette import check_latent

NOTHING = 1e-12  # share of the variance: what rounding leaves of none


def pc_regression(latent_before: np.ndarray, latent: np.ndarray, batches: Labels) -> float:
    """(before - after) / before of the share of variance that the batches explain, 0 where it grew [Buttner19].

    `latent_before (n_obs, n_features)` is the uncorrected representation, `latent (n_obs, n_latent)` the corrected one,
    with row i of both the same cell. Batches of other compositions differ for good reasons, and to take that away is
    rewarded, too: read it beside what is said of the labels. Cells without a batch are left out.

    Raises `DataError` where the rows differ in number, there is a single batch, or batches explained nothing before.
    """
    codes, names = codes_of(batches, "batches")
    if len(names) < 2:
        raise DataError(f"pc_regression needs at least two batches; all cells are of {names[0]!r}. Give more cells.")
    before, after = (batch_share(values, codes) for values in (latent_before, latent))
    if before <= NOTHING:
        raise DataError(
            "pc_regression needs batches that differ in latent_before; they explain none of its variance. "
            "Give the uncorrected representation; if it is, there is nothing to correct."
        )
    return float(np.clip((before - after) / before, 0, 1))


def batch_share(latent: np.ndarray, codes: np.ndarray) -> float:
    """The share of the sum of squares that lies between batches; 0 where nothing varies."""
    check_latent(latent, len(codes))
    latent, codes = latent[codes >= 0].astype(np.float64), codes[codes >= 0]
    centred = latent - latent.mean(axis=0)
    sizes = np.bincount(codes)
    sums = np.stack([centred[codes == code].sum(axis=0) for code in range(len(sizes))])
    total = (centred**2).sum()
    return float((sums**2 / sizes[:, None]).sum() / total) if total > 0 else 0.0


PC_REGRESSION = Metric(
    function=pc_regression,
    title="Batch variance taken away (PC regression)",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("latent_before", "latent", "batches"),
    citation="Buttner19",
)
