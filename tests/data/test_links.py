"""Feature links: positions of features, refusals and warnings."""

import numpy as np
import pandas as pd
import pytest

from cellwright.core.schema import Schema
from cellwright.data.links import COLUMNS, link_proteins, read_links
from cellwright.errors import DataFileError, SchemaMismatch

SCHEMA = Schema(
    features={"rna": ("Cd4", "Cd8a", "Ptprc"), "protein": ("CD45.1", "CD45.2", "CD4"), "atac": ("p1", "p2")}
)


def table(*rows, columns=COLUMNS):
    return pd.DataFrame(rows, columns=columns)


def test_a_link_is_two_positions_whichever_way_round_it_stands():
    links = read_links(table(("rna", "Ptprc", "protein", "CD45.2"), ("protein", "CD4", "rna", "Cd4")), SCHEMA)
    assert dict(zip(links["protein"].of, links["protein"].to, strict=True)) == {1: 2, 2: 0}
    assert links["protein"].weight.tolist() == [1, 1]


def test_each_modality_has_its_own_links():
    links = read_links(table(("rna", "Cd4", "protein", "CD4"), ("rna", "Cd4", "atac", "p2")), SCHEMA)
    assert links["atac"].of.tolist() == [1]
    assert list(links) == ["atac", "protein"]


def test_a_repeated_link_counts_once_with_its_largest_weight():
    rows = [("rna", "Cd4", "protein", "CD4", 0.5), ("protein", "CD4", "rna", "Cd4", 2.0)]
    links = read_links(table(*rows, columns=[*COLUMNS, "weight"]), SCHEMA)["protein"]
    assert links.matrix(3, 3).toarray().tolist() == [[0, 0, 0], [0, 0, 0], [2, 0, 0]]


def test_a_file_is_read_as_the_table(tmp_path):
    rows = table(("rna", "Cd4", "protein", "CD4"))
    rows.to_csv(tmp_path / "links.csv", index=False)
    assert read_links(tmp_path / "links.csv", SCHEMA)["protein"].of.tolist() == [2]


def test_unknown_features_are_listed():
    rows = table(
        ("rna", "Cd4", "protein", "CD4"), ("rna", "Foxp3", "protein", "CD45.1"), ("rna", "Cd4", "protein", "CD3")
    )
    with pytest.warns(UserWarning, match=r"2 of 3 feature links are left out.*: Foxp3, CD3\."):
        links = read_links(rows, SCHEMA)
    assert len(links["protein"].of) == 1


def test_no_linked_feature_is_one_sentence():
    with pytest.raises(SchemaMismatch, match=r"none of 1 is \(the data lack Foxp3, CD3\)") as refusal:
        read_links(table(("rna", "Foxp3", "protein", "CD3")), SCHEMA)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (("rna", "Cd4", "adt", "CD4"), "there is 'adt'"),
        (("protein", "CD4", "atac", "p1"), "between 'rna', the first modality, and another; 1 are not"),
        (("rna", "Cd4", "rna", "Cd8a"), "between 'rna', the first modality, and another; 1 are not"),
    ],
    ids=["unknown modality", "past the first", "within the first"],
)
def test_links_that_lead_elsewhere_are_refused(rows, sentence):
    with pytest.raises(SchemaMismatch, match=sentence):
        read_links(table(rows), SCHEMA)


def test_columns_that_lack_are_named():
    with pytest.raises(DataFileError, match="it lacks feature_b"):
        read_links(table(("rna", "Cd4", "protein"), columns=COLUMNS[:3]), SCHEMA)


@pytest.mark.parametrize("weight", [0, -1, np.nan, "much"])
def test_a_weight_is_positive(weight):
    with pytest.raises(DataFileError, match="must be a positive number; 1 are none"):
        read_links(table(("rna", "Cd4", "protein", "CD4", weight), columns=[*COLUMNS, "weight"]), SCHEMA)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataFileError, match=r"none.csv must be a CSV file"):
        read_links(tmp_path / "none.csv", SCHEMA)


def test_antibodies_are_linked_to_the_genes_of_their_targets():
    links = link_proteins(["CD4_A0001", "CD8b(Ly-3)_A0230", "NK-1.1_A0118", "nothing"], ["Cd4", "Cd8b1", "Klrb1c"])
    assert links[["feature_a", "feature_b"]].to_numpy().tolist() == [
        ["Cd4", "CD4_A0001"], ["Cd8b1", "CD8b(Ly-3)_A0230"], ["Klrb1c", "NK-1.1_A0118"],
    ]  # fmt: skip
