"""Proteins: which gene an antibody belongs to, and which cells have which values."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad

from cellwright.data.open import open_data
from cellwright.data.proteins import GENE_OF, MOUSE_GENE_OF, linked, proteins_of
from cellwright.errors import DataFileError, SchemaMismatch

GENES = ["hg19_CD19", "hg19_FCGR3A", "hg19_CD3E", "hg19_PDCD1", "hg19_CD4", "hg19_MYC"]


@pytest.mark.parametrize(
    ("protein", "gene"),
    [
        ("CD19", "hg19_CD19"),
        ("cd19", "hg19_CD19"),
        ("CD16", "hg19_FCGR3A"),
        ("cd3.1", "hg19_CD3E"),
        ("CD3-2", "hg19_CD3E"),
        ("PD-1 (CD279)", "hg19_PDCD1"),
        ("cd4.2", "hg19_CD4"),
        ("IgG1", None),
        ("CD8", None),
        ("CD183", None),
    ],
)
def test_a_protein_finds_its_gene_by_name_by_nomenclature_and_without_clone_or_genome(protein, gene):
    assert linked([protein], GENES, {}).get(protein) == gene


def test_an_exact_name_comes_before_one_without_genome_and_the_first_genome_before_others():
    assert linked(["CD4"], ["hg19_CD4", "mm10___Cd4"], {}) == {"CD4": "hg19_CD4"}
    assert linked(["CD4"], ["hg19_CD4", "mm10___Cd4"], {"CD4": "mm10___Cd4"}) == {"CD4": "mm10___Cd4"}


def test_links_that_are_given_overrule_the_nomenclature():
    assert linked(["CD16"], GENES, {"CD16": "MYC"}) == {"CD16": "hg19_MYC"}
    assert linked(["CD16"], GENES, {"CD16": "absent"}) == {}


def test_no_name_of_the_nomenclature_is_its_own_gene():
    tables = [*GENE_OF.items(), *MOUSE_GENE_OF.items()]
    assert not {name for name, gene in tables if name == gene}


@pytest.mark.parametrize(
    ("protein", "gene"),
    [
        ("CD8b(Ly-3)_A0230", "Cd8b1"),
        ("CD64(FcrRI)_A0202", "Fcgr1"),
        ("NK-1.1_A0118", "Klrb1c"),
        ("anti-P2RY12_A0415", "P2ry12"),
        ("I-A-I-E_A0117", "H2-Ab1"),
        ("CD11a_A0595", "Itgal"),
    ],
)
def test_antibodies_of_the_mouse_find_genes_of_the_mouse(protein, gene):
    assert linked([protein], ["Cd8b1", "Fcgr1", "Klrb1c", "P2ry12", "H2-Ab1", "Itgal"], {}) == {protein: gene}


def test_most_antibodies_of_a_mouse_panel_have_their_gene(real_data):
    proteins = read_h5ad(real_data("sln111_d1_protein")).var_names
    found = linked(proteins, read_h5ad(real_data("sln111_d2_rna")).var_names, {})
    assert len(found) == 102
    assert set(proteins) - set(found) == {
        "CD140a_A0573", "FceRIa_A0115", "MAdCAM-1_A0232", "PanendothelialCellAntigen_A0381", "TCRVr1.1-Cr4_A0209",
        "TCRVr3_A0210", "TCRVb8.1_8.2_A0235",  # their genes are not among the 4,005
        "H-2KbboundtoSIINFEKL_A0231",  # a peptide
    }  # fmt: skip


def rna(names=("a", "b", "c")):
    return open_data(AnnData(np.ones((len(names), 6), np.float32), obs=pd.DataFrame(index=list(names)),
                             var=pd.DataFrame(index=GENES)))  # fmt: skip


def protein_data(values, names, proteins):
    return AnnData(np.asarray(values, np.float32), obs=pd.DataFrame(index=names), var=pd.DataFrame(index=proteins))


def test_cells_are_matched_by_name_and_one_without_proteins_has_nan():
    found = proteins_of(rna(), protein_data([[0.5, -1], [2, 3]], ["c", "a"], ["CD19", "IgG1"]))
    assert (found.names, found.genes) == (("CD19",), ("hg19_CD19",))
    np.testing.assert_array_equal(found.values[:, 0], [2, np.nan, 0.5])


def test_counts_become_centred_log_ratios_and_other_values_stay():
    counts = np.array([[3, 10, 0], [1, 2, 3]])
    found = proteins_of(rna(("a", "b")), protein_data(counts, ["a", "b"], ["CD19", "CD16", "IgG1"]))
    logs = np.log1p(counts)
    np.testing.assert_allclose(found.values, (logs - logs.mean(axis=1, keepdims=True))[:, :2], rtol=1e-6)


def test_a_count_that_was_not_measured_stays_so_and_is_no_part_of_the_centre():
    counts = np.array([[3, 10, np.nan], [1, 2, 3], [np.nan, np.nan, np.nan]])
    found = proteins_of(rna(), protein_data(counts, ["a", "b", "c"], ["CD19", "CD16", "IgG1"]))
    logs = np.log1p(counts[:2])
    expected = np.vstack([logs - np.nanmean(logs, axis=1, keepdims=True), np.full((1, 3), np.nan)])[:, :2]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)


def test_other_cells_and_proteins_without_a_gene_are_refused():
    with pytest.raises(SchemaMismatch, match="same cells, by name"):
        proteins_of(rna(), protein_data([[1.0]], ["elsewhere"], ["CD19"]))
    with pytest.raises(SchemaMismatch, match="--links"):
        proteins_of(rna(), protein_data([[1.0]], ["a"], ["unheard of"]))


def test_a_protein_that_is_the_same_in_all_cells_is_left_out_and_refused_if_it_is_the_only_one():
    both = protein_data([[0.5, 3], [0.7, 3]], ["a", "b"], ["CD19", "CD16"])
    assert proteins_of(rna(), both).names == ("CD19",)
    with pytest.raises(SchemaMismatch, match="must differ"):
        proteins_of(rna(), both[:, ["CD16"]].copy())


def test_a_linked_gene_that_is_not_there_is_told(tmp_path):
    (tmp_path / "links.csv").write_text("protein,gene\nCD16,ABSENT\n")
    data = protein_data([[0.5, 1], [0.7, 2]], ["a", "b"], ["CD19", "CD16"])
    with pytest.warns(UserWarning, match=r"left out: CD16 \(ABSENT\)"):
        assert proteins_of(rna(), data, links=tmp_path / "links.csv").names == ("CD19",)


def test_a_table_of_links_is_read_and_another_file_refused(tmp_path):
    table = tmp_path / "links.csv"
    table.write_text("protein,gene\nodd name,MYC\n")
    found = proteins_of(rna(), protein_data([[1.5], [2.5]], ["a", "b"], ["odd name"]), links=table)
    assert found.genes == ("hg19_MYC",)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(DataFileError, match="protein and gene"):
        proteins_of(rna(), protein_data([[1.5]], ["a"], ["odd name"]), links=table)
    with pytest.raises(DataFileError, match="cannot be read"):
        proteins_of(rna(), protein_data([[1.5]], ["a"], ["odd name"]), links=tmp_path / "absent.csv")
