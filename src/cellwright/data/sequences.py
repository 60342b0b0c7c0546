"""Sequences made of cells, where the data are not sequences already: ranked genes, and windows of pseudotime.

    cells -ranked-> one sequence per cell, its genes in the order of their variance
    cells -windows-> one sequence per branch or donor, its mean profile in each window; NaN where a window has no cell

Both return an AnnData whose `var` says what each column is: open it with `open_data(..., step_key="step")`, and
`quantity_key="quantity"` for windows.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from pandas.api.types import is_numeric_dtype
from scipy import sparse

from cellwright.errors import DataError, MissingKey, OptionError


def ranked(adata: AnnData, n_steps: int = 100, *, rows: np.ndarray | None = None) -> AnnData:
    """Cells as sequences of genes: the `n_steps` genes of largest variance, the most variable first.

    The order is a convention and carries no biology: a network that gains by it reads the rank as a name of the gene.
    Compare with `step` permuted before you conclude that order matters.

    - `adata`: values in `X`, on the scale on which the variance counts; give logarithms, not counts.
    - `rows`: the cells that choose and order the genes, those of the training; without it, all of them.

    Returns the same `obs`, `X (n_obs, n_steps)` float32 dense, and `var["step"]` = 0, 1, ... (int) of the genes.
    Ties go to the gene that comes first. Raises `OptionError` where there are fewer genes than steps.
    """
    if not 1 <= n_steps <= adata.n_vars:
        raise OptionError(
            f"n_steps must be 1 to {adata.n_vars}, for so many genes there are; it is {n_steps}. Give fewer."
        )
    chosen = np.argsort(-_variance(adata.X if rows is None else adata.X[rows]), kind="stable")[:n_steps]
    var = pd.DataFrame({"step": np.arange(n_steps)}, index=adata.var_names[chosen])
    return AnnData(dense(adata.X[:, chosen]), obs=adata.obs.copy(), var=var)


def windows(
    adata: AnnData, *, time: str, by: str, n_windows: int = 20, use_rep: str | None = None, min_cells: int = 1
) -> AnnData:
    """Mean profiles of cells in windows of equal width from the first to the last time, a sequence for each group.

    Divide the groups (donors, branches) between training and test, never the windows: neighbours are alike.

    - `time`: column of `obs` with numbers (pseudotime, age). Cells without one are left out.
    - `by`: column of `obs` with the group. Cells without one are left out.
    - `use_rep`: key in `obsm` whose columns are the quantities; without it, the features of `X`.
    - `min_cells`: a window with fewer cells counts as not measured.

    Returns one row per group (its name is the index; columns of `obs` that are constant within every group are kept,
    and `n_cells`), `X (n_groups, n_windows * n_quantities)` float32 with NaN where nothing was measured, `var["step"]`
    (middle of the window, in the unit of `time`), `var["quantity"]`, and `layers["n_cells"]` (cells in the window).
    Raises `MissingKey`; `DataError` for a time that is not numeric or has no extent; `OptionError` for `n_windows` or
    `min_cells` below 1.
    """
    if min_cells < 1:
        raise OptionError(f"min_cells must be 1 or more; it is {min_cells}. A mean of no cell is no measurement.")
    obs = adata.obs
    for key, role in ((time, "time"), (by, "by")):
        if key not in obs:
            raise MissingKey.of("obs", key, role, obs.columns)
    window, middles = window_of(obs[time], n_windows)
    values, names = quantities(adata, use_rep)
    groups = pd.Categorical(obs[by]).remove_unused_categories()
    kept = (window >= 0) & (groups.codes >= 0)
    cell = groups.codes[kept].astype(np.int64) * n_windows + window[kept]
    shape = (len(groups.categories), n_windows, len(names))
    member = sparse.csr_matrix((np.ones(len(cell)), (cell, np.flatnonzero(kept))), (shape[0] * n_windows, adata.n_obs))
    n_cells = np.bincount(cell, minlength=shape[0] * n_windows)
    sums = dense(member @ values)
    means = np.where(n_cells[:, None] >= min_cells, sums / np.maximum(n_cells, 1)[:, None], np.nan).reshape(shape)
    var = pd.DataFrame(
        {"step": np.repeat(middles, shape[2]), "quantity": named_quantities(names, n_windows)},
        index=[f"{name}_{index}" for index in range(n_windows) for name in names],
    )
    out = AnnData(means.reshape(shape[0], -1).astype(np.float32), obs=of_groups(obs, groups, kept), var=var)
    out.layers["n_cells"] = np.repeat(n_cells.reshape(shape[0], n_windows), shape[2], axis=1)
    return out


def _variance(values: np.ndarray | sparse.spmatrix) -> np.ndarray:
    """Of each column, NaN left out."""
    if isinstance(values, np.ndarray):
        return np.nan_to_num(np.nanvar(values.astype(np.float64), axis=0))
    values = values.astype(np.float64)
    mean = np.asarray(values.mean(axis=0)).ravel()
    return np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2


def dense(values: np.ndarray | sparse.spmatrix) -> np.ndarray:
    """Values as a dense float32 array."""
    return np.asarray(values if isinstance(values, np.ndarray) else values.toarray(), dtype=np.float32)


def window_of(times: pd.Series, n_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """The window of each cell, -1 without a time, and the middle of each window."""
    if n_windows < 1:
        raise OptionError(f"n_windows must be 1 or more; it is {n_windows}. Give more.")
    if not is_numeric_dtype(times):
        raise DataError(f"obs[{times.name!r}] (time) must hold numbers; it holds {times.dtype}. Convert it.")
    values = times.to_numpy(np.float64, na_value=np.nan)
    known = np.isfinite(values)
    if not known.any() or np.ptp(values[known]) == 0:
        raise DataError(f"obs[{times.name!r}] (time) must have two different times at least. Give another column.")
    edges = np.linspace(values[known].min(), values[known].max(), n_windows + 1)
    window = np.full(len(values), -1)
    # the last time belongs to the last window
    window[known] = np.minimum(np.searchsorted(edges, values[known], side="right") - 1, n_windows - 1)
    return window, (edges[1:] + edges[:-1]) / 2


def quantities(adata: AnnData, use_rep: str | None) -> tuple[np.ndarray | sparse.spmatrix, Sequence[str]]:
    """The values of cells (a key of `obsm`, or `X`) and what they are called. Raises `MissingKey`."""
    if use_rep is None:
        return adata.X, [str(name) for name in adata.var_names]
    if use_rep not in adata.obsm:
        raise MissingKey.of("obsm", use_rep, "use_rep", adata.obsm)
    values = np.asarray(adata.obsm[use_rep])
    return values, [f"{use_rep}_{index}" for index in range(values.shape[1])]


def named_quantities(names: Sequence[str], n_steps: int) -> pd.Categorical:
    """The names for each step, in their own order: sorted as text, latent 10 would come before latent 2."""
    return pd.Categorical(np.tile(names, n_steps), categories=list(dict.fromkeys(names)))


def of_groups(obs: pd.DataFrame, groups: pd.Categorical, kept: np.ndarray) -> pd.DataFrame:
    """One row per group: what its cells have in common, and how many there are."""
    names = pd.Index(groups.categories.astype(str))
    cells = obs[kept]
    grouped = cells.groupby(pd.Series(groups[kept], index=cells.index), observed=False)
    constant = list(cells.columns[(grouped.nunique(dropna=False) <= 1).all(axis=0)])
    table = grouped[constant].first().set_axis(names) if constant else pd.DataFrame(index=names)
    return table.assign(n_cells=grouped.size().to_numpy())
