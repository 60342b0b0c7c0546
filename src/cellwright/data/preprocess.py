"""Preprocess: the usual steps before a network, in scanpy's words, recorded; the user's object is never changed.

    AnnData -missing values -> cells -> features -> variable genes-> new AnnData + report

Values are filtered and, where missing, imputed; they are not transformed, for that is in the model's own file. What is
learned from cells (which features to keep, imputation statistics) is learned from `fit_rows` only and applied to all;
what depends on a cell alone (its number of genes, its mitochondrial share) is asked of every cell.

References: [Lause21] analytic Pearson residuals; [Satija15] choice of genes by dispersion within bins of expression;
[Troyanskaya01] imputation from nearest neighbours.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypedDict

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import sparse

from cellwright.core.options import Options
from cellwright.errors import DataError, MissingKey, UnsuitableValues

Values: TypeAlias = "sparse.csr_matrix | np.ndarray"
_N_NEIGHBOURS = 5  # of "knn": the default of scikit-learn


class PreprocessOptions(Options):
    """What is filtered, chosen and imputed."""

    layer: str | None = Field(None, description="which values: a key of layers, or X")
    missing: Literal["refuse", "drop_features", "drop_cells", "mean", "median", "knn"] = Field(
        "refuse", description="what to do with missing values (bulk and array data; counts have none)"
    )
    min_genes_per_cell: int = Field(1, ge=0, description="a cell with fewer features that are not zero is removed")
    max_mitochondrial_fraction: float | None = Field(
        None, ge=0, le=1, description="a cell with a larger share of counts in features named MT- or mt- is removed"
    )
    min_cells_per_gene: int = Field(3, ge=0, description="a feature that is not zero in fewer cells is removed")
    n_top_genes: int | None = Field(None, ge=1, description="so many of the most variable features are kept")
    # Pearson residuals are computed on the counts that the networks see, without a target sum, a logarithm or bins; of
    # scanpy's other ways "seurat_v3" needs scikit-misc, and the quantile bins of "cell_ranger" fail on small batches
    hvg_flavor: Literal["pearson_residuals", "seurat"] = Field(
        "pearson_residuals", description="how variable genes are chosen: on counts, or on log-normalised values"
    )
    batch_key: str | None = Field(None, description="column of obs: variable genes are chosen per batch, then combined")


class PreprocessReport(TypedDict):
    """What was done; ready for JSON. Removed cells and features are counted by the step that removed them."""

    options: dict[str, object]
    n_fit: int  # cells of `fit_rows` that remained and from which everything was learned
    cells_removed: dict[str, int]
    features_removed: dict[str, int]
    features: list[str]  # those kept
    imputed_values: int


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """A new AnnData, with all slots of the input cut to the cells and features kept, and the report."""

    adata: AnnData
    report: PreprocessReport


def preprocess(
    adata: AnnData, options: PreprocessOptions | None = None, *, fit_rows: np.ndarray | None = None
) -> Preprocessed:
    """Filter cells and features, choose variable genes, impute missing values.

    `fit_rows` are the rows of the training cells; without them every cell is one. Raises `MissingKey` for a layer or
    column that is not there, `UnsuitableValues` for values that the options cannot be applied to, and `DataError` where
    nothing is left.
    """
    options = options or PreprocessOptions()
    values = _values(adata, options.layer)
    kept = _Kept(np.ones(adata.n_obs, bool), np.ones(adata.n_vars, bool), _is_fit(adata.n_obs, fit_rows))
    values, n_imputed = _without_missing(values, kept, options.missing)
    _filter_cells(values, kept, options, adata.var_names)
    _filter_features(values, kept, options.min_cells_per_gene)
    if options.n_top_genes is not None and options.n_top_genes < kept.features.sum():
        kept.remove_features("n_top_genes", ~_variable(values, kept, options, adata.obs))
    result = adata[kept.cells, kept.features].copy()
    if n_imputed:
        _put(result, options.layer, kept.of(values, kept.cells))
    report = PreprocessReport(
        options=options.model_dump(mode="json"),
        n_fit=int(kept.fit_cells.sum()),
        cells_removed=kept.cells_removed,
        features_removed=kept.features_removed,
        features=result.var_names.to_list(),
        imputed_values=n_imputed,
    )
    return Preprocessed(result, report)


def normalise_log1p(adata: AnnData, target_sum: float = 1e4, *, layer: str | None = None) -> AnnData:
    """A copy whose X is log1p(value / total of the cell * target_sum), float32; a cell without counts stays zero.

    `layer` names the values to start from, X if None. The mark that scanpy's `log1p` leaves is written: `uns["log1p"]`.
    Raises `MissingKey` for a layer that is not there, `UnsuitableValues` for negative values.
    """
    values = _values(adata, layer)
    _refuse_negative(_stored(values), "normalise_log1p")
    result = adata.copy()
    result.X = log_normalised(values, target_sum)
    result.uns["log1p"] = {"base": None}
    return result


def log_normalised(values: Values, target_sum: float = 1e4) -> Values:
    """log(1 + value / total of the row * target_sum), float32; a row without counts stays zero."""
    # not scanpy's normalize_total: it warns of empty cells, which are as welcome here as any
    total = np.asarray(values.sum(axis=1, dtype=np.float64)).ravel()
    factor = np.divide(target_sum, total, out=np.zeros_like(total), where=total > 0)
    if isinstance(values, np.ndarray):
        return np.log1p(values * factor[:, None]).astype(np.float32)
    return sparse.csr_matrix(sparse.diags_array(factor) @ values).log1p().astype(np.float32)


@dataclass(eq=False)
class _Kept:
    """Which cells and features are still in, and how many went in which step."""

    cells: np.ndarray  # (n_obs,) bool
    features: np.ndarray  # (n_vars,) bool
    is_fit: np.ndarray  # (n_obs,) bool
    cells_removed: dict[str, int] = field(default_factory=dict)
    features_removed: dict[str, int] = field(default_factory=dict)

    @property
    def fit_cells(self) -> np.ndarray:
        """The cells from which something may be learned, (n_obs,) bool."""
        return self.cells & self.is_fit

    def of(self, values: Values, cells: np.ndarray) -> Values:
        """The kept features of some cells."""
        return values[cells][:, self.features]

    def remove_cells(self, step: str, unwanted: np.ndarray) -> None:
        """Remove cells, (n_obs,) bool, and count them."""
        self.cells_removed[step] = int((self.cells & unwanted).sum())
        self.cells = self.cells & ~unwanted
        if not self.fit_cells.any():
            raise DataError(
                f"preprocess must leave a cell to learn from; step {step!r} removes the last of {self.is_fit.sum()}. "
                "Loosen it."
            )

    def remove_features(self, step: str, unwanted: np.ndarray) -> None:
        """Remove features, one entry per feature that is still in, and count them."""
        self.features_removed[step] = int(unwanted.sum())
        self.features[self.features] = ~unwanted
        if not self.features.any():
            raise DataError(
                f"preprocess must leave a feature; step {step!r} removes the last of {len(self.features)}. Loosen it."
            )


def _values(adata: AnnData, layer: str | None) -> Values:
    if layer is not None and layer not in adata.layers:
        raise MissingKey.of("layers", layer, "layer", adata.layers)
    values = adata.X if layer is None else adata.layers[layer]
    where = "X" if layer is None else f"layers[{layer!r}]"
    if sparse.issparse(values):
        values = sparse.csr_matrix(values)
    elif not isinstance(values, np.ndarray):
        raise DataError(
            f"{where} must be in memory, as an array or a sparse matrix; it is {type(values).__name__}. "
            "Call adata.to_memory() first."
        )
    if np.isinf(_stored(values)).any():
        raise UnsuitableValues(f"{where} must hold finite or missing values; some are infinite. Replace them by NaN.")
    return values


def _put(adata: AnnData, layer: str | None, values: Values) -> None:
    if layer is None:
        adata.X = values
    else:
        adata.layers[layer] = values


def _stored(values: Values) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.data


def _is_fit(n_obs: int, fit_rows: np.ndarray | None) -> np.ndarray:
    if fit_rows is None:
        return np.ones(n_obs, dtype=bool)
    rows = np.asarray(fit_rows)
    if rows.dtype.kind not in "iu" or not len(rows) or rows.min() < 0 or rows.max() >= n_obs:
        raise DataError(
            f"fit_rows must be row numbers from 0 to {n_obs - 1}, at least one; they are {len(rows)} of {rows.dtype}."
            " Give the training rows of a split."
        )
    return np.isin(np.arange(n_obs), rows)


def _without_missing(values: Values, kept: _Kept, missing: str) -> tuple[Values, int]:
    rows, columns = _missing_positions(values)
    if not len(rows):
        return values, 0
    if missing == "refuse":
        raise UnsuitableValues(
            f"the values must be complete; {len(rows)} are missing, in {len(np.unique(rows))} cells and "
            f"{len(np.unique(columns))} features. Set missing to drop_features, drop_cells, mean, median or knn."
        )
    if missing == "drop_cells":
        kept.remove_cells("missing", _is_among(rows, len(kept.cells)))
        return values, 0
    if missing == "drop_features":
        kept.remove_features("missing", _is_among(columns[kept.is_fit[rows]], len(kept.features)))
        _refuse_left_over(int(kept.features[columns].sum()))
        return values, 0
    return _imputed(values, kept, missing)


def _missing_positions(values: Values) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(values, np.ndarray):
        rows, columns = np.nonzero(np.isnan(values))
        return rows, columns
    entries = values.tocoo()
    missing = np.isnan(entries.data)
    return entries.row[missing], entries.col[missing]


def _is_among(positions: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(positions, minlength=n) > 0


def _refuse_left_over(n_missing: int) -> None:
    # the held-out cells may not choose the features, so they cannot have a feature dropped either
    if n_missing:
        raise UnsuitableValues(
            "features without missing values in the training cells must have none in the others; "
            f"{n_missing} are missing there. Set missing to drop_cells, mean, median or knn."
        )


def _imputed(values: Values, kept: _Kept, how: str) -> tuple[Values, int]:
    if not isinstance(values, np.ndarray):
        raise UnsuitableValues(
            f"missing={how!r} needs a dense array, for imputation is for bulk and array data; the values are sparse. "
            "Set missing to drop_cells or drop_features."
        )
    kept.remove_features("never_observed", np.all(np.isnan(kept.of(values, kept.fit_cells)), axis=0))
    from sklearn.impute import KNNImputer, SimpleImputer  # takes two seconds, and counts have nothing to impute

    imputer = KNNImputer(n_neighbors=_N_NEIGHBOURS) if how == "knn" else SimpleImputer(strategy=how)
    imputer.fit(kept.of(values, kept.fit_cells))
    block = values[:, kept.features]
    missing = np.isnan(block)
    filled = values.copy()
    filled[:, kept.features] = np.where(missing, imputer.transform(block), block)
    return filled, int(missing.sum())


def _filter_cells(values: Values, kept: _Kept, options: PreprocessOptions, var_names: pd.Index) -> None:
    block = values[:, kept.features]
    kept.remove_cells("min_genes_per_cell", _n_not_zero(block, axis=1) < options.min_genes_per_cell)
    if options.max_mitochondrial_fraction is not None:
        share = _mitochondrial_share(block, var_names[kept.features])
        kept.remove_cells("max_mitochondrial_fraction", share > options.max_mitochondrial_fraction)


def _mitochondrial_share(block: Values, var_names: pd.Index) -> np.ndarray:
    is_mitochondrial = var_names.str.lower().str.startswith("mt-")
    if not is_mitochondrial.any():
        raise UnsuitableValues(
            "max_mitochondrial_fraction needs features named MT-... or mt-...; there is none. "
            "Set it to None, or name the features by gene symbols."
        )
    import scanpy as sc  # takes five seconds of CPU, and every command opens this file for its options

    cells = AnnData(block, var=pd.DataFrame({"mitochondrial": is_mitochondrial}, index=_plain_names(block.shape[1])))
    qc = sc.pp.calculate_qc_metrics(cells, qc_vars=["mitochondrial"], percent_top=None, log1p=False, inplace=False)
    return np.nan_to_num(qc[0]["pct_counts_mitochondrial"].to_numpy() / 100)  # an empty cell has no share


def _filter_features(values: Values, kept: _Kept, min_cells: int) -> None:
    kept.remove_features("min_cells_per_gene", _n_not_zero(kept.of(values, kept.fit_cells), axis=0) < min_cells)


def _n_not_zero(block: Values, axis: int) -> np.ndarray:
    # scanpy's filters count what is above zero, the same for counts; they would empty data that are centred at zero
    return np.asarray((block != 0).sum(axis=axis)).ravel()


def _variable(values: Values, kept: _Kept, options: PreprocessOptions, obs: pd.DataFrame) -> np.ndarray:
    """Which of the kept features are the most variable."""
    block = kept.of(values, kept.fit_cells)
    counted = np.asarray(block.sum(axis=1)).ravel() > 0  # an empty cell tells nothing and would be divided by zero
    _refuse_negative(_stored(block), "n_top_genes")
    batch = _batches(obs, options.batch_key)[kept.fit_cells][counted]
    _refuse_lone_cells(batch, options.batch_key)
    cells = AnnData(
        block[counted],
        obs=pd.DataFrame({"batch": batch}, index=_plain_names(len(batch))),
        var=pd.DataFrame(index=_plain_names(block.shape[1])),
    )
    import scanpy as sc  # see above

    chosen = {"n_top_genes": options.n_top_genes, "batch_key": "batch" if options.batch_key else None, "inplace": False}
    if options.hvg_flavor == "pearson_residuals":
        _refuse_fractions(_stored(block))
        table = sc.experimental.pp.highly_variable_genes(cells, **chosen)
    else:
        cells.X = log_normalised(cells.X)
        table = sc.pp.highly_variable_genes(cells, flavor=options.hvg_flavor, **chosen)
    return table["highly_variable"].to_numpy()


def _refuse_negative(stored: np.ndarray, by: str) -> None:
    if (stored < 0).any():
        raise UnsuitableValues(f"{by} needs values that are not negative; some are. Leave it out for such data.")


def _refuse_fractions(stored: np.ndarray) -> None:
    if not np.array_equal(stored, np.rint(stored)):
        raise UnsuitableValues(
            "hvg_flavor='pearson_residuals' needs counts; some values are not whole. Name the layer of counts, or set "
            "hvg_flavor to 'seurat'."
        )


def _refuse_lone_cells(batch: np.ndarray, key: str | None) -> None:
    if lone := int((np.unique(batch, return_counts=True)[1] < 2).sum()):
        raise DataError(
            f"n_top_genes needs two cells in each batch of {key!r} to learn from; {lone} batches have one. "
            "Set batch_key to None, or choose a coarser column."
        )


def _batches(obs: pd.DataFrame, key: str | None) -> np.ndarray:
    """A number for each cell's batch, as text, (n_obs,); cells without one are a batch of their own."""
    if key is None:
        return np.full(len(obs), "0")
    if key not in obs:
        raise MissingKey.of("obs", key, "batch_key", obs.columns)
    return pd.factorize(obs[key])[0].astype(str)


def _plain_names(n: int) -> list[str]:
    return [str(number) for number in range(n)]
