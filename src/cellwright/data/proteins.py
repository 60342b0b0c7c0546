"""Proteins: which gene an antibody's target comes from, and the proteins of cells whose RNA is known.

    antibody name -without clone, upper case-> gene symbol, by its own name or by the nomenclature of CD molecules
    RNA cells, a file of proteins -cells by name, genes by name-> values (n_obs, n_proteins), pairs of protein and gene

Symbols are HUGO's, and where the mouse's differs, MGI's; a target of several genes has one of them (CD3: CD3E,
HLA-DR: HLA-DRA, CD8: CD8A). A prefix of a reference genome (`hg19_`, `GRCh38_`, `mm10___`) is no part of a gene's name,
a suffix of the barcode that an antibody carries (`_A0104`) none of an antibody's.

References: [Engel15] the CD nomenclature; [Stoeckius17] centred log ratios of antibody counts.
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellwright.data.open import open_data
from cellwright.data.source import StoredSource
from cellwright.errors import DataFileError, SchemaMismatch

GENE_OF = {
    "B220": "PTPRC", "B7-H1": "CD274", "B7.H4": "VTCN1", "C5L2": "C5AR2", "C-KIT": "KIT", "CADHERIN": "CDH11",
    "CD3": "CD3E", "CD8": "CD8A", "CD10": "MME", "CD11A": "ITGAL", "CD11B": "ITGAM", "CD11C": "ITGAX",
    "CD13": "ANPEP", "CD15": "FUT4", "CD16": "FCGR3A", "CD18": "ITGB2", "CD20": "MS4A1", "CD21": "CR2",
    "CD23": "FCER2", "CD25": "IL2RA", "CD26": "DPP4", "CD29": "ITGB1", "CD30": "TNFRSF8", "CD31": "PECAM1",
    "CD32": "FCGR2A", "CD35": "CR1", "CD39": "ENTPD1", "CD41": "ITGA2B", "CD42B": "GP1BA", "CD43": "SPN",
    "CD45": "PTPRC", "CD45RA": "PTPRC", "CD45RB": "PTPRC", "CD45RO": "PTPRC", "CD49A": "ITGA1", "CD49B": "ITGA2",
    "CD49D": "ITGA4", "CD49F": "ITGA6", "CD51": "ITGAV", "CD54": "ICAM1", "CD56": "NCAM1", "CD57": "B3GAT1",
    "CD61": "ITGB3", "CD62E": "SELE", "CD62L": "SELL", "CD62P": "SELP", "CD64": "FCGR1A", "CD66B": "CEACAM8",
    "CD71": "TFRC", "CD73": "NT5E", "CD77": "A4GALT", "CD85G": "LILRA4", "CD85J": "LILRB1", "CD90": "THY1",
    "CD94": "KLRD1", "CD95": "FAS", "CD98": "SLC3A2", "CD102": "ICAM2", "CD103": "ITGAE", "CD105": "ENG",
    "CD106": "VCAM1", "CD107A": "LAMP1", "CD110": "MPL", "CD112": "NECTIN2", "CD115": "CSF1R", "CD117": "KIT",
    "CD119": "IFNGR1", "CD122": "IL2RB", "CD123": "IL3RA", "CD124": "IL4R", "CD126": "IL6R", "CD127": "IL7R",
    "CD133": "PROM1", "CD134": "TNFRSF4", "CD135": "FLT3", "CD137": "TNFRSF9", "CD138": "SDC1", "CD140A": "PDGFRA",
    "CD140B": "PDGFRB", "CD141": "THBD", "CD142": "F3", "CD144": "CDH5", "CD146": "MCAM", "CD152": "CTLA4",
    "CD154": "CD40LG", "CD155": "PVR", "CD158": "KIR2DL1", "CD158B": "KIR2DL3", "CD158E1": "KIR3DL1",
    "CD158F": "KIR2DL5A", "CD161": "KLRB1", "CD169": "SIGLEC1", "CD171": "L1CAM", "CD172A": "SIRPA",
    "CD178": "FASLG", "CD181": "CXCR1", "CD182": "CXCR2", "CD183": "CXCR3", "CD191": "CCR1", "CD88": "C5AR1",
    "CD184": "CXCR4", "CD185": "CXCR5", "CD186": "CXCR6", "CD192": "CCR2", "CD193": "CCR3",
    "CD194": "CCR4", "CD195": "CCR5", "CD196": "CCR6", "CD197": "CCR7", "CD199": "CCR9", "CD201": "PROCR",
    "CD202B": "TEK", "CD203C": "ENPP3", "CD204": "MSR1", "CD205": "LY75", "CD206": "MRC1", "CD223": "LAG3",
    "CD235A": "GYPA", "CD235AB": "GYPA", "CD243": "ABCB1", "CD252": "TNFSF4", "CD253": "TNFSF10",
    "CD267": "TNFRSF13B", "CD268": "TNFRSF13C", "CD269": "TNFRSF17", "CD270": "TNFRSF14", "CD271": "NGFR",
    "CD272": "BTLA", "CD273": "PDCD1LG2", "CD275": "ICOSLG", "CD278": "ICOS", "CD279": "PDCD1", "CD284": "TLR4",
    "CD294": "PTGDR2", "CD301": "CLEC10A", "CD303": "CLEC4C", "CD304": "NRP1", "CD305": "LAIR1", "CD307C": "FCRL3",
    "CD307D": "FCRL4", "CD307E": "FCRL5", "CD309": "KDR", "CD314": "KLRK1", "CD319": "SLAMF7", "CD324": "CDH1",
    "CD325": "CDH2", "CD326": "EPCAM", "CD335": "NCR1", "CD337": "NCR3", "CD338": "ABCG2", "CD340": "ERBB2",
    "CD352": "SLAMF6", "CD354": "TREM1", "CD357": "TNFRSF18", "CD360": "IL21R", "CD366": "HAVCR2",
    "CD370": "CLEC9A", "FOLATE": "FOLR2", "GALECTIN.9": "LGALS9", "GP130": "IL6ST", "HLA-A,B,C": "HLA-A",
    "HLA-DR": "HLA-DRA", "HLA.DR": "HLA-DRA", "IGD": "IGHD", "IGM": "IGHM", "IL7RALPHA": "IL7R",
    "INTEGRIN.7": "ITGB7", "LOX.1": "OLR1", "MHCII": "HLA-DRA", "OX40": "TNFRSF4", "PD-1": "PDCD1", "PD-L1": "CD274",
    "PD1": "PDCD1", "PECAM": "PECAM1", "PODOPLANIN": "PDPN", "SIGLEC-8": "SIGLEC8", "SIGLEC.8": "SIGLEC8",
    "TCRAB": "TRAC", "TCRB": "TRBC1", "TCRG": "TRGC1", "TCRGD": "TRDC", "TIM.4": "TIMD4", "TIM3": "HAVCR2",
    "TSLPR": "CRLF2", "VEGFR3": "FLT4",
}  # fmt: skip
MOUSE_GENE_OF = {
    "4-1BB": "TNFRSF9", "CD15": "FUT4", "CD16": "FCGR3", "CD16-32": "FCGR3", "CD16/32": "FCGR3", "CD21-CD35": "CR2",
    "CD21/CD35": "CR2", "CD23": "FCER2A", "CD24": "CD24A", "CD32": "FCGR2B", "CD45.1": "PTPRC", "CD45.2": "PTPRC",
    "CD45R": "PTPRC", "CD45R-B220": "PTPRC", "CD45R/B220": "PTPRC", "CD64": "FCGR1", "CD66A": "CEACAM1",
    "CD85K": "LILRB4A", "CD8B": "CD8B1", "CD90.1": "THY1", "CD90.2": "THY1", "CD94": "KLRD1", "CD150": "SLAMF1",
    "CD157": "BST1", "CD159A": "KLRC1", "CD161": "KLRB1C", "CD162": "SELPLG", "CD170": "SIGLECE",
    "CD200R": "CD200R1", "CD229": "LY9", "CD301A": "CLEC10A", "CD301B": "MGL2", "CD317": "BST2", "EPCR": "PROCR",
    "F4-80": "ADGRE1", "F4/80": "ADGRE1", "FCERIA": "FCER1A", "FOLATERECEPTORB": "FOLR2", "FR-B": "FOLR2",
    "GITR": "TNFRSF18", "I-A-I-E": "H2-AB1", "I-A/I-E": "H2-AB1", "INTEGRINB7": "ITGB7", "LY-49A": "KLRA1",
    "LY-6A-E": "LY6A", "LY-6A/E": "LY6A", "LY-6C": "LY6C2", "LY-6G-LY-6C": "LY6G", "MADCAM-1": "MADCAM1",
    "NK-1.1": "KLRB1C", "PANENDOTHELIALCELLANTIGEN": "PLVAP", "SCA-1": "LY6A", "TCRBCHAIN": "TRBC2",
    "TCRR-D": "TRDC", "TCRVB5.1_5.2": "TRBV12-1", "TCRVB8.1_8.2": "TRBV13-3", "TCRVR1.1-CR4": "TRGV1",
    "TCRVR2": "TRGV2", "TCRVR3": "TRGV3", "TER-119": "GYPA", "TER-119-ERYTHROIDCELLS": "GYPA", "TIM-4": "TIMD4",
}  # fmt: skip
_GENOME = re.compile(r"^(hg\d+|GRCh\d+|mm\d+|GRCm\d+)_+", re.IGNORECASE)
_CLONE = re.compile(r"[.\-_]\d$")  # of several antibodies against one target
_BARCODE = re.compile(r"_A\d{4}$")  # the number of a conjugate's barcode
_AGAINST = re.compile(r"^ANTI[-_ ]")
_NAMES = re.compile(r"[^()]+")  # a name, and another in brackets


@dataclass(frozen=True, eq=False)
class Proteins:
    """Proteins of RNA cells: `values (n_obs, n_proteins)` float32, NaN for a cell without, and the gene of each."""

    values: np.ndarray
    names: tuple[str, ...]
    genes: tuple[str, ...]  # feature names of the cells, one per protein


def proteins_of(
    cells: StoredSource, data: Any, *, modality: str | None = None, links: Path | str | None = None
) -> Proteins:
    """The proteins in `data` (what `open_data` takes) of the cells, by `obs_names`, of which a gene is measured.

    `links` is a CSV file with the columns protein and gene, for names that the nomenclature does not know, or to
    overrule it. Counts become centred log ratios within each cell [Stoeckius17]; other values stay as they are.

    Raises `SchemaMismatch` where no cell or no gene is in common, `DataFileError` for a file that is no table of links.
    """
    source = open_data(data, modality=modality)
    at = source.annotation.obs.index.get_indexer(cells.annotation.obs.index)
    if (at < 0).all():
        raise SchemaMismatch(
            f"the proteins must be of the same cells, by name; none of {cells.n_obs} is among the {source.n_obs} of "
            f"the proteins ({', '.join(map(str, source.annotation.obs.index[:3]))}). Give the proteins of these cells."
        )
    given = {} if links is None else _links(Path(links))
    pairs = linked(source.schema.var_names, cells.schema.var_names, given)
    if not pairs:
        raise SchemaMismatch(
            f"a protein must have its gene among the features; none of {len(source.schema.var_names)} "
            f"({', '.join(source.schema.var_names[:5])}) has. Give a table of protein and gene (--links)."
        )
    read = source.read(source.schema.modalities[0], np.arange(source.n_obs))
    values = _comparable(read if isinstance(read, np.ndarray) else read.toarray())
    absent = {
        protein: gene for protein, gene in given.items() if protein in source.schema.var_names and protein not in pairs
    }
    if absent:
        some = ", ".join(f"{protein} ({gene})" for protein, gene in list(absent.items())[:5])
        warnings.warn(f"proteins whose linked gene is not among the features are left out: {some}.", stacklevel=2)
    columns = pd.Index(source.schema.var_names).get_indexer(pd.Index(list(pairs)))
    of_cells = np.where(at[:, None] >= 0, values[at][:, columns], np.nan).astype(np.float32)
    known = of_cells[~np.isnan(of_cells).any(axis=1)]
    varying = np.flatnonzero(np.ptp(known, axis=0) > 0)
    if not len(varying):
        raise SchemaMismatch(
            f"a protein must differ between the {len(known)} cells that have it; none of {len(pairs)} does. Give the "
            "proteins of more cells."
        )
    names = [list(pairs)[place] for place in varying]
    return Proteins(of_cells[:, varying], tuple(names), tuple(pairs[name] for name in names))


def linked(proteins: Iterable[str], features: Iterable[str], links: Mapping[str, str]) -> dict[str, str]:
    """The feature of each protein that has one: by `links`, by its own name, or by the CD nomenclature."""
    feature_of: dict[str, str] = {}
    for feature in features:
        # of two genomes the first: human ones are written before mouse ones
        feature_of.setdefault(_GENOME.sub("", feature).upper(), feature)
        feature_of[feature.upper()] = feature
    found = {}
    for protein in proteins:
        candidates = [links[protein]] if protein in links else [gene for name in _spellings(protein) for gene in name]
        there = [feature_of[gene.upper()] for gene in candidates if gene.upper() in feature_of]
        if there:
            found[protein] = there[0]
    return found


def _spellings(protein: str) -> list[tuple[str, ...]]:
    """What an antibody may be called, each with the gene that the nomenclature has for it first."""
    parts = [part.strip().upper() for part in _NAMES.findall(_BARCODE.sub("", protein)) if part.strip()]
    names = [_AGAINST.sub("", name) for part in parts for name in (part, _CLONE.sub("", part))]
    return [(*(genes[name] for genes in (GENE_OF, MOUSE_GENE_OF) if name in genes), name) for name in names]


def _links(path: Path) -> dict[str, str]:
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} must be a CSV file of protein and gene; it cannot be read: {error}.") from None
    if not {"protein", "gene"} <= set(table.columns):
        raise DataFileError(
            f"{path} must have the columns protein and gene; it has {', '.join(table.columns)}. Name them so."
        )
    known = table.dropna(subset=["protein", "gene"])
    return dict(zip(known["protein"], known["gene"], strict=True))


def _comparable(values: np.ndarray) -> np.ndarray:
    """Centred log ratios of counts, over what was measured of each cell; NaN where nothing was."""
    there = ~np.isnan(values)
    if (values[there] < 0).any() or (values[there] != np.floor(values[there])).any():
        return values
    logs = np.log1p(values)
    total, n = np.nansum(logs, axis=1, keepdims=True), there.sum(axis=1, keepdims=True)
    return logs - total / np.maximum(n, 1)
