"""Series: samples at times become sequences of those they were taken from: a donor, a culture, a patient.

    samples (rows) with a time and a donor in obs -> one row per donor, its values at every time; NaN where there is no
    sample

For bulk data and pseudobulk, whose times are exact. Cells, which are many at any time, are summarised by `windows`.
"""

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_numeric_dtype
from scipy import sparse

from cellwright.data.annotate import column_of
from cellwright.data.sequences import dense, named_quantities, of_groups, quantities
from cellwright.errors import DataError


def series(adata: AnnData, *, time: str, by: str, use_rep: str | None = None) -> AnnData:
    """One row per group with the values of its samples at every time that any group has; NaN where it has none.

    - `time`: column of `obs` with numbers (hours, days). Samples without one are left out.
    - `by`: column of `obs` with the group (donor). Samples without one are left out.
    - `use_rep`: key in `obsm` whose columns are the quantities; without it, the features of `X`.

    Several samples of a group at one time are replicates: their mean counts, over those that were measured (NaN is
    left out). Values are taken as they are; give logarithms where differences are to be ratios.

    Returns one row per group (its name is the index; columns of `obs` that are constant within every group are kept,
    the label among them, and `n_samples`), `X (n_groups, n_times * n_quantities)` float32, `var["step"]` (the time, in
    its unit), `var["quantity"]`, and `layers["n_samples"]` (samples behind a value). Open it with
    `open_data(..., step_key="step", quantity_key="quantity")`. A single time gives sequences of length one.

    Raises `MissingKey`, and `DataError` for a time that is not numeric, and where no sample has a time and a group.
    """
    times, members = _times(column_of(adata.obs, time, "time")), column_of(adata.obs, by, "by")
    values, names = quantities(adata, use_rep)
    kept = np.isfinite(times) & members.notna().to_numpy()
    if not kept.any():
        raise DataError(
            f"a sample must have a time in obs[{time!r}] and a group in obs[{by!r}]; of {adata.n_obs} none has both. "
            "Give other columns."
        )
    groups = pd.Categorical(members.where(kept)).remove_unused_categories()
    steps, step = np.unique(times[kept], return_inverse=True)
    shape = (len(groups.categories), len(steps), len(names))
    place = groups.codes[kept].astype(np.int64) * shape[1] + step
    means, n_samples = _means(dense(values)[kept], place, shape[0] * shape[1])
    var = pd.DataFrame(
        {"step": np.repeat(steps, shape[2]), "quantity": named_quantities(names, shape[1])},
        index=[f"{name}_{step:g}" for step in steps for name in names],
    )
    obs = of_groups(adata.obs, groups, kept).rename(columns={"n_cells": "n_samples"})
    out = AnnData(means.reshape(shape[0], -1), obs=obs, var=var)
    out.layers["n_samples"] = n_samples.reshape(shape[0], -1)
    return out


def _times(column: pd.Series) -> np.ndarray:
    if not is_numeric_dtype(column):
        raise DataError(f"obs[{column.name!r}] (time) must hold numbers; it holds {column.dtype}. Convert it.")
    return np.asarray(column.to_numpy(np.float64, na_value=np.nan))


def _means(values: np.ndarray, place: np.ndarray, n_places: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the measured values of each place's samples, and how many there were, (n_places, n_quantities)."""
    member = sparse.csr_matrix((np.ones(len(place)), (place, np.arange(len(place)))), (n_places, len(place)))
    n = member @ np.isfinite(values).astype(np.float64)
    sums = member @ np.where(np.isfinite(values), values, 0.0).astype(np.float64)
    means = np.divide(sums, n, out=np.full(sums.shape, np.nan), where=n > 0)
    return means.astype(np.float32), n.astype(np.int64)
