"""Links of peaks by distance, each case worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from cellwright.core.schema import Schema
from cellwright.data.links import read_links
from cellwright.data.peaks import PeakLinkOptions, link_peaks
from cellwright.errors import DataError, MissingKey, SchemaMismatch

GENES = pd.DataFrame(
    [
        ("Fwd", "chr1", 10_000, 20_000, "+"),
        ("Rev", "chr1", 40_000, 50_000, "-"),
        ("Other", "chr2", 10_000, 20_000, "+"),
    ],
    columns=["gene", "chrom", "start", "end", "strand"],
)


def peak(start, end=None, chrom="chr1"):
    return pd.DataFrame({"chrom": [chrom], "start": [start], "end": [end or start + 100]}, index=["p"])


def linked(peaks, **options):
    try:
        links = link_peaks(peaks, GENES, PeakLinkOptions(**options))
    except SchemaMismatch:
        return {}
    return dict(zip(links["feature_a"], links["weight"], strict=True))


@pytest.mark.parametrize(
    ("start", "gene"),
    [(15_000, {"Fwd": 1.0}), (8_500, {"Fwd": 1.0}), (7_000, {}), (21_000, {}), (51_500, {"Rev": 1.0}), (38_500, {})],
    ids=[
        "in the body",
        "promoter",
        "before the promoter",
        "behind the body",
        "promoter of the other strand",
        "behind it",
    ],
)
def test_body_and_promoter_are_the_gene(start, gene):
    assert linked(peak(start)) == gene


def test_the_weight_falls_with_the_distance_from_the_gene():
    found = linked(peak(25_000), reach=20_000, decay=5_000)
    assert found == pytest.approx({"Fwd": np.exp(-1), "Rev": np.exp(-(40_000 - 25_100) / 5_000)})


def test_another_chromosome_is_not_near():
    assert linked(peak(15_000, chrom="chr2")) == {"Other": 1.0}
    assert linked(peak(15_000, chrom="chr3")) == {}


def test_a_long_peak_that_starts_far_ahead_reaches_into_the_gene():
    peaks = pd.concat([peak(1_000, 10_500), peak(9_000).set_axis(["q"])])
    assert set(link_peaks(peaks, GENES)["feature_b"]) == {"p", "q"}


def test_of_a_gene_with_several_starts_the_nearest_counts():
    genes = pd.DataFrame(
        {"gene": ["G", "G"], "chrom": "chr1", "start": [100, 5_100], "end": [101, 5_101], "strand": "+"}
    )
    links = link_peaks(peak(6_101), genes, PeakLinkOptions(upstream=0, reach=10_000, decay=1_000))
    assert links["weight"].tolist() == pytest.approx([np.exp(-1)])


def test_the_table_is_one_of_feature_links():
    schema = Schema(features={"rna": ("Rev", "Fwd"), "atac": ("p",)})
    assert read_links(link_peaks(peak(15_000), GENES), schema)["atac"].to.tolist() == [1]


def test_chromosomes_of_other_names_are_shown():
    with pytest.raises(SchemaMismatch, match=r"none of 1 is within 0 base pairs of one of 3.*\(1; chr1\)"):
        link_peaks(peak(15_000, chrom="1"), GENES)


def test_a_column_that_lacks_is_named():
    with pytest.raises(MissingKey, match="the table of genes has no 'strand'"):
        link_peaks(peak(1), GENES.drop(columns="strand"))


def test_positions_are_numbers():
    with pytest.raises(DataError, match=r"those of 1 are not \(p\)"):
        link_peaks(peak(1).assign(start="somewhere"), GENES)
