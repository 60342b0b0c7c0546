"""Markers: the features that tell a cluster from all other cells.

    values (n_obs, n_vars), groups (n_obs,) -> ranks of each feature over cells -> U of each cluster -> table

The test is scanpy's `rank_genes_groups(method="wilcoxon", tie_correct=True)` and gives its p-values. It is written out
here because the ranks give the effect size as well, which scanpy does not report, and ranking is what takes the time.
"""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse, stats

from cellwright.errors import DataError, MissingKey, UnsuitableValues

# log2 of a ratio of means is damped by one count per 10,000, as Seurat does: silent features would dominate otherwise
PSEUDOCOUNT = 1.0
# no log1p of a count reaches this: larger values were never logarithms
LARGEST_LOGARITHM = 50.0
# features ranked at once: 50,000 cells x 64 x 8 bytes are 26 MB
FEATURES_AT_ONCE = 64


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
    columns = _means(linear, membership) | _rank_sum(scaled, membership)
    tables = [
        _table(name, {k: v[i] for k, v in columns.items()}, adata.var_names, n_top) for i, name in enumerate(names)
    ]
    return pd.concat(tables, ignore_index=True)


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


def _rank_sum(values: sparse.csr_matrix, membership: sparse.csr_matrix) -> dict[str, np.ndarray]:
    """Effect size and p-values of each group against the others, `(n_groups, n_vars)` each."""
    n_obs, n_vars = values.shape
    n_in = np.asarray(membership.sum(axis=0)).T  # (n_groups, 1)
    n_out, by_column = n_obs - n_in, values.tocsc()
    u, sd = np.empty((len(n_in), n_vars)), np.empty((len(n_in), n_vars))
    for start in range(0, n_vars, FEATURES_AT_ONCE):
        block = slice(start, start + FEATURES_AT_ONCE)
        ranks = stats.rankdata(by_column[:, block].toarray(), axis=0)  # (n_obs, n_block), ties get their mean rank
        u[:, block] = membership.T @ ranks - n_in * (n_in + 1) / 2
        # the variance of a sum of n_in ranks drawn without replacement; with ties it is the corrected one
        sd[:, block] = np.sqrt(n_in * n_out / n_obs * ranks.var(axis=0, ddof=1))
    z = np.divide(u - n_in * n_out / 2, sd, out=np.zeros_like(u), where=sd > 0)
    p_value = 2 * stats.norm.sf(np.abs(z))
    adjusted = stats.false_discovery_control(p_value, axis=1)
    alone = n_in[:, 0] == 1
    p_value[alone], adjusted[alone] = np.nan, np.nan
    return {"effect_size": u / (n_in * n_out), "p_value": p_value, "p_adjusted": adjusted}


def _table(name: str, columns: dict[str, np.ndarray], features: pd.Index, n_top: int) -> pd.DataFrame:
    table = pd.DataFrame({"cluster": name, "rank": 0, "feature": features.astype(str)} | columns)
    table = table.sort_values(["effect_size", "log2_fold_change"], ascending=False, kind="stable").head(n_top)
    return table.assign(rank=np.arange(1, len(table) + 1))
