"""Prepare: from data as a user has them to a source and a split, the same way for every command.

data -open-> source -split-> train / validation / test -preprocess (if asked for), fitted on train-> source, split,
report
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field

from cellwright.core.options import Options
from cellwright.data.annotate import column_of
from cellwright.data.grouped import given_split, grouped_fold_split, grouped_split
from cellwright.data.open import open_data
from cellwright.data.preprocess import PreprocessOptions, PreprocessReport, preprocess
from cellwright.data.source import StoredSource
from cellwright.data.split import Split, fold_split, random_split, stratified_split
from cellwright.data.steps import described_steps
from cellwright.errors import DataError


class OpenOptions(Options):
    """Where in the data what is; the arguments of `open_data`."""

    layer: str | None = Field(None, description="key in layers that holds the values; None is X")
    batch_key: str | None = Field(None, description="column of obs with the experimental batch")
    label_key: str | None = Field(None, description="column of obs with the label (cell type)")
    condition_key: str | None = Field(None, description="column of obs with the condition (treatment)")
    control: str | None = Field(None, description="the value of the condition column that untreated cells have")
    time_key: str | None = Field(None, description="column of obs with time, numeric")
    covariate_keys: tuple[str, ...] = Field((), description="further columns of obs for the decoder")
    coordinates_key: str | None = Field(None, description="key in obsm with the place of each cell in the tissue")
    step_key: str | None = Field(None, description="column of var with numbers: rows are sequences of such steps")
    sequence_key: str | None = Field(None, description="column of var: to which sequence of a row a feature belongs")
    quantity_key: str | None = Field(
        None, description="column of var: what is measured, where steps hold several values"
    )
    modality: str | None = Field(None, description="modality of a MuData")
    in_memory: bool | None = Field(None, description="read whole, or in blocks from disk; None decides by size")


class SplitOptions(Options):
    """Which share of the cells is kept out of training: stratified by label where there are labels, else at random."""

    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping")
    test: float = Field(0.0, ge=0, lt=1, description="share of the cells for scoring only")
    folds: int | None = Field(
        None, ge=2, description="cross-validation: the seed counts through this many folds, each the test cells once"
    )
    group_key: str | None = Field(None, description="column of obs (donor): no group is in both training and test")
    split_key: str | None = Field(None, description="column of obs that says train, validation or test of each cell")
    seed: int = Field(0, ge=0, lt=2**32, description="of the split")


@dataclass(frozen=True, eq=False)
class Prepared:
    """Cells ready for `fit`; `report` says what preprocessing did, None if there was none."""

    source: StoredSource
    split: Split
    report: PreprocessReport | None = None


def prepare(
    data: Any, keys: OpenOptions, split_options: SplitOptions, preprocessing: PreprocessOptions | None = None
) -> Prepared:
    """Open, split and, if asked for, preprocess; genes are chosen and values imputed from the training cells only."""
    source = open_data(data, **dict(keys))
    return preprocessed(source, split_of(source, split_options), keys, preprocessing)


def preprocessed(
    source: StoredSource, split: Split, keys: OpenOptions, preprocessing: PreprocessOptions | None
) -> Prepared:
    """The cells after preprocessing, which learns from the training cells of the split only; None leaves them alone."""
    if preprocessing is None:
        return Prepared(source, split)
    if len(source.schema.modalities) > 1:
        raise DataError(
            f"preprocessing must be of cells with one modality; these have {', '.join(source.schema.modalities)}. "
            "Filter each modality by itself before (cellwright.preprocess), or give modality."
        )
    result = preprocess(as_anndata(source), preprocessing, fit_rows=split.train)
    kept = source.annotation.obs.index.get_indexer(result.adata.obs_names)
    return Prepared(_opened_again(source, result.adata, keys), Split.of_names(split.names()[kept]), result.report)


def rows_of(source: StoredSource, rows: np.ndarray, keys: OpenOptions) -> StoredSource:
    """These cells alone, in memory; a category that none of them has is not in the schema any more."""
    return _opened_again(source, as_anndata(source)[rows].copy(), keys)


def _opened_again(source: StoredSource, adata: AnnData, keys: OpenOptions) -> StoredSource:
    # the values have moved to X, and the first modality is the only one
    after = open_data(adata, **{**dict(keys), "layer": None, "modality": None, "in_memory": None})
    return replace(after, origin=source.origin)


def split_of(source: StoredSource, options: SplitOptions) -> Split:
    """The split of a source; with folds or a given split, `test` says nothing.

    Raises `MissingKey` where a column is not there, and what `grouped` raises.
    """
    shares = {"validation": options.validation, "test": options.test, "seed": options.seed}
    codes = source.annotation.label
    if options.split_key is not None:
        parts = column_of(source.annotation.obs, options.split_key, "split_key")
        return given_split(parts, codes, validation=options.validation, seed=options.seed)
    if options.group_key is not None:
        groups = column_of(source.annotation.obs, options.group_key, "group_key")
        if options.folds is None:
            return grouped_split(codes, groups, **shares)  # type: ignore[arg-type]
        return grouped_fold_split(codes, groups, options.folds, repeat=options.seed, validation=options.validation)
    if options.folds is not None:
        return fold_split(codes, options.folds, repeat=options.seed, validation=options.validation)
    if source.schema.label is None:
        return random_split(source.n_obs, **shares)  # type: ignore[arg-type]
    return stratified_split(codes, **shares)  # type: ignore[arg-type]


def as_anndata(source: StoredSource) -> AnnData:
    """The first modality's values of all cells in memory, with `obs`, feature names, coordinates and steps."""
    modality = source.schema.modalities[0]
    values = source.read(modality, np.arange(source.n_obs))
    var = pd.DataFrame(described_steps(source.schema.steps), index=pd.Index(source.schema.var_names))
    adata = AnnData(X=values, obs=source.annotation.obs.copy(), var=var)
    if source.schema.coordinates is not None:
        adata.obsm[source.schema.coordinates.key] = source.annotation.coordinates
    return adata
