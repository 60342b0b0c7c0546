"""Peaks near genes: the table of feature links of chromatin peaks, by their distance on the chromosome.

    var (chrom, start, end), genes (gene, chrom, start, end, strand) -> rows (modality_a, feature_a, ..., weight)

A peak is linked to every gene whose body, lengthened by `upstream` base pairs before its start, is no further than
`reach` away. Within that region the weight is 1; outside it falls as exp(-distance / decay). A table of starts alone
(`end` one base after `start`) is a table of promoters. Positions are those of the reference genome that both tables
were made with; nothing here can tell two genomes apart.

References: [Stuart19] gene body and promoter as a gene's activity; [Cao22] links of all peaks within reach, weighted by
distance.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pydantic import Field

from cellwright.core.options import Options
from cellwright.data.links import COLUMNS
from cellwright.errors import DataError, MissingKey, SchemaMismatch


class PeakLinkOptions(Options):
    """How far a peak may be from a gene; distances in base pairs."""

    upstream: int = Field(2_000, ge=0, description="of the gene's start that count as the gene: its promoter")
    reach: int = Field(0, ge=0, description="distance from the gene and its promoter up to which a peak is linked")
    decay: float = Field(10_000.0, gt=0, description="distance over which the weight of a link falls to 1/e")


def link_peaks(
    peaks: pd.DataFrame,
    genes: pd.DataFrame,
    options: PeakLinkOptions = PeakLinkOptions(),  # noqa: B008  frozen
    *,
    modalities: tuple[str, str] = ("rna", "atac"),
) -> pd.DataFrame:
    """The table of links of peaks (`chrom`, `start`, `end`; names in the index) to genes.

    `genes` has the columns gene, chrom, start, end and strand (`+` or `-`); a gene may have several rows, of which the
    nearest counts. `modalities` is what genes and peaks are called in the data.

    Raises `MissingKey` for a column that is not there, `DataError` for positions that are no numbers and
    `SchemaMismatch` where no peak is near a gene.
    """
    peaks = _regions(peaks, ("chrom", "start", "end"), "peaks")
    regions = _with_promoter(_regions(genes, ("gene", "chrom", "start", "end", "strand"), "genes"), options.upstream)
    found = [_of_chromosome(near, part, options.reach) for near, part in _by_chromosome(peaks, regions)]
    links = pd.concat(found) if found else pd.DataFrame({"peak": [], "gene": [], "distance": []})
    if links.empty:
        raise SchemaMismatch(
            f"a peak must be near a gene; none of {len(peaks)} is within {options.reach} base pairs of one of "
            f"{len(genes)}. Check that both tables name chromosomes alike ({_first(peaks)}; {_first(regions)}), or set "
            "a larger reach."
        )
    nearest = links.groupby(["gene", "peak"], as_index=False, sort=False)["distance"].min()
    first, second = modalities
    rows = pd.DataFrame({"a": first, "f": nearest["gene"], "b": second, "g": nearest["peak"]}).set_axis(COLUMNS, axis=1)
    return rows.assign(weight=np.exp(-nearest["distance"] / options.decay))


def _regions(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> pd.DataFrame:
    for column in columns:
        if column not in table:
            raise MissingKey.of(f"the table of {what}", column, "a region of the genome", table.columns)
    chosen = table[list(columns)].copy()
    for column in ("start", "end"):
        chosen[column] = pd.to_numeric(chosen[column], errors="coerce")
    if (bad := chosen[["start", "end"]].isna().any(axis=1)).any():
        raise DataError(
            f"start and end of {what} must be positions in base pairs; those of {bad.sum()} are not "
            f"({chosen.index[bad][0]}). Leave these out."
        )
    return chosen


def _with_promoter(genes: pd.DataFrame, upstream: int) -> pd.DataFrame:
    forward = (genes["strand"] != "-").to_numpy()
    return genes.assign(start=genes["start"] - upstream * forward, end=genes["end"] + upstream * ~forward)


def _by_chromosome(peaks: pd.DataFrame, genes: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    of_chromosome = dict(iter(genes.groupby(genes["chrom"].astype(str))))
    for chrom, part in peaks.groupby(peaks["chrom"].astype(str)):
        if chrom in of_chromosome:
            yield part, of_chromosome[chrom]


def _of_chromosome(peaks: pd.DataFrame, genes: pd.DataFrame, reach: int) -> pd.DataFrame:
    """Peaks within reach of genes, with their distance, which is 0 where they overlap."""
    by_start = peaks.sort_values("start")
    start, end = by_start["start"].to_numpy(), by_start["end"].to_numpy()
    longest = (end - start).max()
    # a peak that starts earlier than this is too far, whatever its length
    low = np.searchsorted(start, genes["start"].to_numpy() - reach - longest)
    high = np.searchsorted(start, genes["end"].to_numpy() + reach, side="right")
    gene = np.repeat(np.arange(len(genes)), high - low)
    peak = np.concatenate([np.arange(a, b) for a, b in zip(low, high, strict=True)]).astype(int)
    before, after = genes["start"].to_numpy()[gene] - end[peak], start[peak] - genes["end"].to_numpy()[gene]
    distance = np.maximum(0, np.maximum(before, after))
    near = distance <= reach
    names = {"peak": by_start.index.to_numpy()[peak], "gene": genes["gene"].to_numpy()[gene], "distance": distance}
    return pd.DataFrame(names)[near]


def _first(table: pd.DataFrame) -> str:
    return str(table["chrom"].iloc[0]) if len(table) else "none"
