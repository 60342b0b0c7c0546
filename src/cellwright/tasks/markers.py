"""Markers: the features that tell a cluster from all other cells.

values (n_obs, n_vars), groups (n_obs,) -> ranks of each feature over cells -> U of each cluster -> table
"""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from cellwright.errors import DataError, MissingKey, UnsuitableValues
from cellwright.metrics.rank_sum import rank_sum

# log2 of a ratio of means is damped by one count per 10,000, as Seurat does: silent features would dominate otherwise
PSEUDOCOUNT = 1.0
# no log1p of a count reaches this: larger values were never logarithms
LARGEST_LOGARITHM = 50.0


def markers(
    adata: ad.AnnData, groups: pd.Series | np.ndarray, *, layer: str | None = None, n_top: int = 25
) -> pd.DataFrame:
    """The `n_top` features with the largest effect in each group, against all other grouped cells.

    Counts (and other values that cannot be logarithms) are scaled to 10,000 per cell and log1p-transformed in a copy;
    other non-negative values are taken as such logarithms already; values with negatives are compared as they are, and
    have no fold change. Cells whose group is missing are left out. Columns:

    - `cluster`, `rank` (1 is the largest effect; ties by fold change), `feature`
    - `log2_fold_change`: log2((mean_in + 1) / (mean_out + 1))
    - `mean_in`, `mean_out`: mean over the group's cells and over the others, in counts per 10,000 (log1p undone), or in
      the values' own unit if some are negative
    - `fraction_in`, `fraction_out`: share of these cells in which the value is above zero
    - `effect_size`: U / (n_in n_out) of the Wilcoxon rank-sum test, the chance that a cell of the group has more than a
      cell outside, ties half: 0.5 is no difference, 1 a perfect marker
    - `p_value`: two-sided, normal approximation with correction for ties; NaN for a group of one cell
    - `p_adjusted`: Benjamini-Hochberg over all features of `adata` within the group [Benjamini95]

    The p-values only describe: the clusters were found in the same cells ("double dipping"), so that even noise has
    small ones. Raises `DataError` for fewer than two groups.
    """
    codes, names = _codes(groups, adata.n_obs)
    values = _finite(_matrix(adata, layer))[codes >= 0]
    codes = codes[codes >= 0]
    scaled, linear = _on_both_scales(values)
    membership = sparse.csr_matrix((np.ones(len(codes)), (np.arange(len(codes)), codes)))  # (n_obs, n_groups)
    columns = _means(linear, membership) | rank_sum(scaled, membership)
    tables = [
        _table(name, {k: v[i] for k, v in columns.items()}, adata.var_names, n_top) for i, name in enumerate(names)
    ]
    return pd.concat(tables, ignore_index=True)


def as_logarithms(adata: ad.AnnData, layer: str | None = None) -> sparse.csr_matrix:
    """The values as logarithms of counts per 10,000, as `markers` takes them; values with negatives as they are."""
    return _on_both_scales(_finite(_matrix(adata, layer)))[0]


def _codes(groups: pd.Series | np.ndarray, n_obs: int) -> tuple[np.ndarray, list[str]]:
    if len(groups) != n_obs:
        raise DataError(f"groups must name a group for each of {n_obs} cells; it has {len(groups)} entries.")
    categories = pd.Series(groups).astype("category").cat.remove_unused_categories().cat
    names = [str(name) for name in categories.categories]
    if len(names) < 2:
        raise DataError(
            f"markers compare a group with all others and need at least two; there is {', '.join(names)!r}."
        )
    return categories.codes.to_numpy(), names


def _matrix(adata: ad.AnnData, layer: str | None) -> sparse.csr_matrix:
    if layer is not None and layer not in adata.layers:
        raise MissingKey.of("layers", layer, "layer", adata.layers.keys())
    if layer is None and adata.X is None:
        raise MissingKey(
            f"adata has no X, which markers compares; give a layer. It has {', '.join(adata.layers) or 'none'}."
        )
    return sparse.csr_matrix(adata.X if layer is None else adata.layers[layer], dtype=np.float64)


def _finite(values: sparse.csr_matrix) -> sparse.csr_matrix:
    if not np.isfinite(values.data).all():
        raise UnsuitableValues(
            "values must be finite; some are NaN or infinite. Leave these features or cells out first."
        )
    return values


def _on_both_scales(values: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Log-normalised values and counts per 10,000; values with negatives are given back as they are, twice."""
    if (values.data < 0).any():
        return values, values
    if values.nnz and values.data.max() <= LARGEST_LOGARITHM and (values.data % 1).any():
        return values, values.expm1()
    library = np.asarray(values.sum(axis=1)).ravel()
    scale = np.divide(1e4, library, out=np.zeros_like(library), where=library > 0)
    linear = sparse.csr_matrix(sparse.diags(scale) @ values)
    return linear.log1p(), linear


def _means(linear: sparse.csr_matrix, membership: sparse.csr_matrix) -> dict[str, np.ndarray]:
    mean_in, mean_out = _in_and_out(linear, membership)
    fraction_in, fraction_out = _in_and_out((linear > 0).astype(np.float64), membership)
    fold = np.full_like(mean_in, np.nan)
    if not (linear.data < 0).any():
        fold = np.log2((mean_in + PSEUDOCOUNT) / (mean_out + PSEUDOCOUNT))
    return {
        "log2_fold_change": fold,
        "mean_in": mean_in,
        "mean_out": mean_out,
        "fraction_in": fraction_in,
        "fraction_out": fraction_out,
    }


def _in_and_out(values: sparse.csr_matrix, membership: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Means over the cells of each group and over all others, `(n_groups, n_vars)` each."""
    sums = (membership.T @ values).toarray()
    n_in = np.asarray(membership.sum(axis=0)).T
    return sums / n_in, (sums.sum(axis=0) - sums) / (membership.shape[0] - n_in)


def _table(name: str, columns: dict[str, np.ndarray], features: pd.Index, n_top: int) -> pd.DataFrame:
    table = pd.DataFrame({"cluster": name, "rank": 0, "feature": features.astype(str)} | columns)
    table = table.sort_values(["effect_size", "log2_fold_change"], ascending=False, kind="stable").head(n_top)
    return table.assign(rank=np.arange(1, len(table) + 1))
