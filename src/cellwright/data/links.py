"""Feature links: which features of two modalities are about the same gene, from a table that the user gives.

    CSV (modality_a, feature_a, modality_b, feature_b[, weight]), schema -> {modality: Links to features of the first}

The first modality of the schema is the one that the others are linked to: an antibody to the gene of its target
(`link_proteins`), a peak to the genes near it (`data/peaks.py`). A row may stand either way round. Cells have no part
in it, and need not be the same in two modalities.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from cellwright.core.schema import Schema
from cellwright.data.proteins import linked
from cellwright.errors import DataFileError, SchemaMismatch

COLUMNS = ["modality_a", "feature_a", "modality_b", "feature_b"]
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Links:
    """Links of one modality to the first: positions of features, and a positive weight each."""

    of: np.ndarray  # (n_links,) position among the modality's features
    to: np.ndarray  # (n_links,) position among the first modality's features
    weight: np.ndarray  # (n_links,)

    def matrix(self, n_of: int, n_to: int) -> sparse.csr_matrix:
        """As a matrix (n_of, n_to)."""
        return sparse.csr_matrix((self.weight, (self.of, self.to)), shape=(n_of, n_to))


def read_links(table: Path | str | pd.DataFrame, schema: Schema) -> dict[str, Links]:
    """The links in a CSV file (or a data frame) of each modality that has any to the first.

    A link that is repeated counts once, with its largest weight. Links of features that the data lack are left out
    with a warning that lists them.

    Raises `DataFileError` for a file that is no such table, and `SchemaMismatch` for a modality that the data lack, a
    link that does not lead to the first modality, and a table without any link of features of the data.
    """
    rows = _towards_first(_table(table), schema)
    at = {name: pd.Index(features) for name, features in schema.features.items()}
    of = np.zeros(len(rows), dtype=int)
    for name in rows["modality"].unique():
        where = (rows["modality"] == name).to_numpy()
        of[where] = at[name].get_indexer(pd.Index(rows["feature"][where]))
    rows = rows.assign(of=of, to=at[schema.modalities[0]].get_indexer(pd.Index(rows["first"])))
    is_known = (rows["of"] >= 0) & (rows["to"] >= 0)
    _say_unknown(rows, is_known.to_numpy(), schema)
    once = rows[is_known].groupby(["modality", "of", "to"], as_index=False, sort=False)["weight"].max()
    return {
        str(name): Links(part["of"].to_numpy(), part["to"].to_numpy(), part["weight"].to_numpy())
        for name, part in once.groupby("modality")
    }


def link_proteins(
    proteins: Iterable[str], genes: Iterable[str], *, modalities: tuple[str, str] = ("rna", "protein")
) -> pd.DataFrame:
    """The table of links of antibodies to the genes of their targets, human or mouse, by the nomenclature.

    One row per antibody whose gene is among `genes`; `modalities` is what genes and proteins are called in the data.
    """
    gene_of = linked(proteins, genes, {})
    first, second = modalities
    rows = [(first, gene, second, protein) for protein, gene in gene_of.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _table(table: Path | str | pd.DataFrame) -> pd.DataFrame:
    """The four columns as text and the weight, which is 1 where there is none."""
    if not isinstance(table, pd.DataFrame):
        try:
            table = pd.read_csv(table, dtype=str)
        except (OSError, ValueError) as error:
            raise DataFileError(f"{table} must be a CSV file of feature links; it cannot be read: {error}.") from None
    if lacking := [column for column in COLUMNS if column not in table]:
        raise DataFileError(
            f"a table of feature links must have the columns {', '.join(COLUMNS)}; it lacks {', '.join(lacking)}. "
            "Name them so; weight may follow."
        )
    weight = pd.to_numeric(table["weight"], errors="coerce") if "weight" in table else pd.Series(1.0, table.index)
    if not (bad := table[~(np.isfinite(weight) & (weight > 0))]).empty:
        raise DataFileError(
            f"the weight of a feature link must be a positive number; {len(bad)} are none (that of "
            f"{bad['feature_a'].iloc[0]} and {bad['feature_b'].iloc[0]}). Leave such links out."
        )
    return table[COLUMNS].astype(str).assign(weight=weight.astype(float))


def _towards_first(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Columns first (a feature of the first modality), modality and feature (of another), weight."""
    first = schema.modalities[0]
    named = pd.unique(table[["modality_a", "modality_b"]].to_numpy().ravel())
    if unknown := [name for name in named if name not in schema.modalities]:
        raise SchemaMismatch(
            f"the modalities of feature links must be among {', '.join(schema.modalities)}; there is "
            f"{', '.join(map(repr, unknown[:_SHOWN]))}. Write the names that the data have."
        )
    is_first = table[["modality_a", "modality_b"]] == first
    if not (bad := table[is_first.sum(axis=1) != 1]).empty:
        raise SchemaMismatch(
            f"a feature link must be between {first!r}, the first modality, and another; {len(bad)} are not "
            f"({bad['feature_a'].iloc[0]} and {bad['feature_b'].iloc[0]}). Link each feature to one of {first!r}."
        )
    swapped = is_first["modality_b"].to_numpy()
    return pd.DataFrame(
        {
            "first": np.where(swapped, table["feature_b"], table["feature_a"]),
            "modality": np.where(swapped, table["modality_a"], table["modality_b"]),
            "feature": np.where(swapped, table["feature_a"], table["feature_b"]),
            "weight": table["weight"].to_numpy(),
        }
    )


def _say_unknown(rows: pd.DataFrame, is_known: np.ndarray, schema: Schema) -> None:
    """Warn of links of features that the data lack; refuse if there are no others."""
    lacking = pd.concat([rows["first"][rows["to"] < 0], rows["feature"][rows["of"] < 0]]).unique()
    some = ", ".join(lacking[:_SHOWN]) + (", ..." if len(lacking) > _SHOWN else "")
    if not is_known.any():
        raise SchemaMismatch(
            f"a feature link must be between features of the data; none of {len(rows)} is (the data lack {some}). "
            f"Write features as the data have them, such as {', '.join(schema.var_names[:3])}."
        )
    if not is_known.all():
        warnings.warn(
            f"{(~is_known).sum()} of {len(rows)} feature links are left out, for the data lack these features: {some}.",
            UserWarning,
            stacklevel=3,
        )
