"""Catalogue: named public data sets, where they come from, and what in them is what.

    name -find-> path of the checked file (folder CELLWRIGHT_DATA, an installed package, a download) -load-> AnnData

Most are small subsets that public repositories hold as ordinary files; `facts` says what to know before comparing a
number with a paper. They have no public download of their own yet, so they are looked for in the folder only.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pooch
from anndata import AnnData, OldFormatWarning, read_h5ad
from scipy import sparse

from cellwright.core.support import Support
from cellwright.errors import DataError, DataFileError, did_you_mean

FOLDER = "CELLWRIGHT_DATA"  # the environment variable that names the folder


@dataclass(frozen=True)
class Dataset:
    """One data set. `licence` is of the repository `source`; for the data, the terms of the publication apply."""

    name: str
    n_obs: int
    n_vars: int
    values: Support
    citation: str
    source: str
    licence: str
    facts: str
    accession: str | None = None
    label_key: str | None = None
    batch_key: str | None = None
    condition_key: str | None = None
    time_key: str | None = None
    sha256: str | None = None  # None: a file of an installed package, which its installer has checked
    url: str | None = None  # a direct download, where there is one
    package: str | None = None  # the installed package that carries the file in its folder `datasets`
    file_name: str | None = None  # where it is not the name with .h5ad
    read: Callable[[Path], AnnData] = read_h5ad

    @property
    def file(self) -> str:
        """The name of its file."""
        return self.file_name or f"{self.name}.h5ad"

    @property
    def keys(self) -> dict[str, str]:
        """The columns of `obs` that matter, as arguments of `open_data`."""
        named = {key: getattr(self, key) for key in ("label_key", "batch_key", "condition_key", "time_key")}
        return {key: column for key, column in named.items() if column is not None}


def find(name: str) -> Path:
    """The checked file of a data set.

    The folder that CELLWRIGHT_DATA names is looked into first, then the installed package or the download, if it has
    one. Raises `DataError` for an unknown name or a file that is nowhere, `DataFileError` where the checksum differs.
    """
    dataset = _named(name)
    path = _located(dataset)
    status = path.stat()
    if dataset.sha256 and _sha256(path, status.st_size, status.st_mtime_ns) != dataset.sha256:
        raise DataFileError(
            f"{path} must be the catalogue's {name!r}; its SHA-256 is another. Replace the file by an unchanged copy."
        )
    return path


def load(name: str) -> AnnData:
    """The data set in memory, a new object for each call. Raises as `find`."""
    return _named(name).read(find(name))


def _named(name: str) -> Dataset:
    if name not in CATALOGUE:
        raise DataError(
            f"the catalogue has no data set {name!r}; it has {len(CATALOGUE)}, such as pbmc68k_reduced."
            f"{did_you_mean(name, CATALOGUE)}"
        )
    return CATALOGUE[name]


def _located(dataset: Dataset) -> Path:
    folder = os.environ.get(FOLDER)
    if folder and (inside := Path(folder) / dataset.file).is_file():
        return inside
    if dataset.package:
        return _in_package(dataset.package, dataset.file)
    if dataset.url:
        return _downloaded(dataset, dataset.url)
    state = f"it names {folder}, which has none" if folder else "it is not set"
    raise DataError(
        f"{dataset.name!r} has no public download, so the folder that {FOLDER} names must have {dataset.file}; {state}."
        " Put the file there, or take pbmc68k_reduced, which is always here."
    )


def _in_package(package: str, file: str) -> Path:
    # looked up without importing: scanpy takes seconds
    spec = find_spec(package)
    if spec and spec.origin and (path := Path(spec.origin).parent / "datasets" / file).is_file():
        return path
    raise DataError(f"{file} must come with the package {package}; it is not there. Install {package} again.")


def _downloaded(dataset: Dataset, url: str) -> Path:
    try:
        return Path(pooch.retrieve(url, f"sha256:{dataset.sha256}", dataset.file, pooch.os_cache("cellwright")))
    except (OSError, ValueError) as error:
        raise DataFileError(
            f"{dataset.name!r} must come unchanged from {url}; the download failed: {error}. "
            f"Try again, or put {dataset.file} into the folder that {FOLDER} names."
        ) from None


@cache
def _sha256(path: Path, _size: int, _modified_ns: int) -> str:
    # size and time are in the key: a file that changes is read again
    return str(pooch.file_hash(str(path), alg="sha256"))


def _read_pbmc68k_reduced(path: Path) -> AnnData:
    with warnings.catch_warnings():
        # scanpy 1.11 carries the file as it was written in 2018; a reader can do nothing about it
        warnings.simplefilter("ignore", category=OldFormatWarning)
        warnings.filterwarnings("ignore", "Moving element from .uns", FutureWarning)
        processed = read_h5ad(path)
    if processed.raw is None:
        raise DataFileError(f"{path} must hold log-normalised values in .raw; it has none. Install scanpy again.")
    return AnnData(X=_counts_of(sparse.csr_matrix(processed.raw.X), path), obs=processed.obs, var=processed.var)


def _counts_of(log_normalised: sparse.csr_matrix, path: Path) -> sparse.csr_matrix:
    """Counts from log1p(count / library * scale): the smallest value of a cell is one count.

    The stored values have few digits, so the largest counts come back within .12 of a whole number, not exactly.
    """
    scaled = np.expm1(log_normalised.data.astype(np.float64))
    row = np.repeat(np.arange(log_normalised.shape[0]), np.diff(log_normalised.indptr))
    one = np.full(log_normalised.shape[0], np.inf)
    np.minimum.at(one, row, scaled)
    ratio = scaled / one[row]
    if not np.all(np.abs(ratio - np.rint(ratio)) < 0.12):
        raise DataFileError(f"the values in {path} must come from counts; they do not. Install scanpy again.")
    counts = (np.rint(ratio).astype(np.float32), log_normalised.indices, log_normalised.indptr)
    return sparse.csr_matrix(counts, shape=log_normalised.shape)


# fmt: off
_DATASETS = (
    Dataset("pbmc68k_reduced", 700, 765, Support.counts, label_key="bulk_labels",
            citation="Zheng et al. 2017 Nat Commun",
            source="scverse/scanpy", licence="BSD-3-Clause",
            facts="700 cells and 765 variable genes of 68,579 cells; labels from sorted populations by correlation",
            package="scanpy", file_name="10x_pbmc68k_reduced.h5ad", read=_read_pbmc68k_reduced),
    Dataset("kang_ifnb_pbmc", 3_702, 9_015, Support.counts, label_key="cell_type", batch_key="donor",
            condition_key="condition",
            sha256="988c65a0886ad89eefb6829b8df20e2ef7be0a8cac9dea4a1872198fda0f0541",
            citation="Kang et al. 2018 Nat Biotechnol", accession="GSE96583 batch 2",
            source="Wang-Cankun/iris3api, immunogenomics/harmony", licence="MIT, GPL-3",
            facts="a random subset of the experiment, not the 16,893 cells of scGen; Seurat's labels in scGen's names"),
    Dataset("papalexi_thp1_crispr", 20_729, 299, Support.counts, batch_key="replicate", condition_key="perturbation",
            sha256="cc6337e0102d8dee85720b41a258fc1ebe4c0e7bc67523921ae40587888d9f6b",
            citation="Papalexi et al. 2021 Nat Genet", accession="GSE153056",
            source="Katsevich-Lab/sceptredata", licence="MIT",
            facts="299 genes; 25 target genes and control; the guide of a cell is the one with most UMIs"),
    Dataset("cbmc_citeseq_rna", 8_617, 2_000, Support.counts, label_key="cell_type",
            sha256="4c5d65eeb6e719aa93c6f18740652d023384007d0a383d6e45baced8b11239a7",
            citation="Stoeckius et al. 2017 Nat Methods", accession="GSE100866",
            source="ttgump/scDCC, YosefLab/scVI-data", licence="Apache-2.0, none stated",
            facts="2,000 most variable genes without names; 607 mouse cells; rows as in cbmc_citeseq_protein"),
    Dataset("cbmc_citeseq_protein", 8_617, 10, Support.real, label_key="cell_type",
            sha256="44eb8ce0526b5d14bd7217f32ab8daf562904ebc6f2e58ddd065d2f6f085cabb",
            citation="Stoeckius et al. 2017 Nat Methods", accession="GSE100866",
            source="ttgump/scDCC", licence="Apache-2.0, none stated",
            facts="centred log ratio, then z-scored; no counts; antibody names inferred from cell types"),
    Dataset("pbmc_mosaic_rna", 1_200, 500, Support.counts, label_key="cell_type", batch_key="batch",
            sha256="14c8230bb932e062718636b6b7a3a14ebf40a057072e4dd3587f6e0fc6df1e00",
            citation="Hao et al. 2021 Cell", accession="GSE164378",
            source="labomics/midas", licence="MIT",
            facts="500 genes; batch p1_0 has no protein; cells of p3_0 and p4_0 are in pbmc_mosaic_protein by name"),
    Dataset("pbmc_mosaic_protein", 1_200, 224, Support.counts, label_key="cell_type", batch_key="batch",
            sha256="10adbcae3276a69a75243a60539699e226a96d205d1e6e836a791222facf1f0a",
            citation="Hao et al. 2021 Cell", accession="GSE164378",
            source="labomics/midas", licence="MIT",
            facts="224 antibodies; batch p2_0 has no RNA"),
    Dataset("sln111_d2_rna", 7_564, 4_005, Support.counts, label_key="cell_type",
            sha256="6f949d835e72856324e85761cf8d62ed27f1285e21227d36542aedc117feda27",
            citation="Gayoso et al. 2021 Nat Methods", accession="GSE150599, SLN111-D2",
            source="YosefLab/totalVI_reproducibility", licence="none stated",
            facts="4,005 genes; 35 labels, the smallest of 8 cells, among them doublets and low quality"),
    Dataset("sln111_d1_protein", 9_264, 110, Support.counts, label_key="cell_type",
            sha256="ef4b50a0aed61b0760014955f54b9eb71c1af75df1311a5ac5edc2ff636fb81b",
            citation="Gayoso et al. 2021 Nat Methods", accession="GSE150599, SLN111-D1",
            source="YosefLab/totalVI_reproducibility", licence="none stated",
            facts="110 antibodies; the other replicate, labels as in sln111_d2_rna"),
    Dataset("eccite_pbmc_rna", 500, 14_919, Support.counts,
            sha256="e3dc996eb64b11f53b9f528c6082815b1d72f64338f987ba9e71ea90a07625a3",
            citation="Mimitou et al. 2019 Nat Methods", accession="GSE126310",
            source="SydneyBioX/CiteFuse", licence="GPL-3",
            facts="no labels; genes without a count are left out"),
    Dataset("eccite_pbmc_protein", 500, 49, Support.counts,
            sha256="77152771eacfb068b1d4a82d444416f53fb37c8604c633f8d5700c96ab001402",
            citation="Mimitou et al. 2019 Nat Methods", accession="GSE126310",
            source="SydneyBioX/CiteFuse", licence="GPL-3",
            facts="no labels; rows as in eccite_pbmc_rna"),
    Dataset("asap_cite_pbmc_protein", 17_055, 216, Support.counts, label_key="cell_type", batch_key="batch",
            sha256="158368be4d8264de35306646d369928bf61c6c0890408fb5a7b9bf123595953e",
            citation="Mimitou et al. 2021 Nat Biotechnol", accession="GSE156478",
            source="PeterZZQ/scMoMaT", licence="MIT",
            facts="216 antibodies; which batches were stimulated is not stated"),
    Dataset("snareseq_cortex_rna", 10_309, 1_677, Support.counts, label_key="cell_type", batch_key="batch",
            sha256="f63661a875975255bb799e7a75e6349f5b20c167e6b7b6879c4a9d72d819a6f4",
            citation="Chen et al. 2019 Nat Biotechnol", accession="GSE126074",
            source="PeterZZQ/scMoMaT", licence="MIT",
            facts="1,677 genes; label Mis means not assigned; rows as in snareseq_cortex_atac"),
    Dataset("snareseq_cortex_atac", 10_309, 24_744, Support.counts, label_key="cell_type", batch_key="batch",
            sha256="f935cd980f8efd480820ba696e754f96a08a9f04dc26e822f47a1b04b984b3e0",
            citation="Chen et al. 2019 Nat Biotechnol", accession="GSE126074",
            source="PeterZZQ/scMoMaT", licence="MIT",
            facts="very sparse: 83 counts in the median cell"),
    Dataset("forebrain_scatac", 1_043, 7_674, Support.binary, label_key="cell_type",
            sha256="e9576feedb89ac505d240a0f69b6b3a2fdf8ed73ccb24101ff42668a02186768",
            citation="Preissl et al. 2018 Nat Neurosci", accession="GSE100033",
            source="cuhklinlab/RA3", licence="LGPL-3",
            facts="binary; peaks without coordinates"),
    Dataset("paul15_myeloid", 2_730, 3_451, Support.counts, label_key="cell_type",
            sha256="5e05843c94b174fd3ffc2178bd7cf1493600ba0c87a13552a8a2680de858affb",
            citation="Paul et al. 2015 Cell", accession="GSE72857",
            source="eleozzr/desc", licence="MIT",
            facts="complete; is_root marks the root cell of the source"),
    Dataset("worm_embryo_time", 1_805, 10_000, Support.counts, label_key="cell_type", batch_key="batch",
            time_key="embryo_time",
            sha256="d5393372f462296cf0fccd624d76258363fa291db89d63bc2a75620ca561378c",
            citation="Packer et al. 2019 Science", accession="GSE126954",
            source="cole-trapnell-lab/monocle3", licence="MIT",
            facts="ciliated amphid neurons; embryo_time in minutes"),
    Dataset("klein_mesc_timecourse", 2_717, 96, Support.counts, time_key="day",
            sha256="61b5dd085ec3ae706d858073261e908d2194193648e48332ec71084117b67849",
            citation="Klein et al. 2015 Cell", accession="GSE65525",
            source="PeterZZQ/CeSpGRN", licence="GPL-3",
            facts="96 genes; days 0, 2, 4, 7 after LIF withdrawal"),
    Dataset("deng_mouse_embryo", 317, 1_000, Support.non_negative, label_key="stage",
            sha256="d6f4c160a34a79f5efd161cfa3d86d07e893be7a914571b525b615215ca69ca3",
            citation="Deng et al. 2014 Science", accession="GSE45719",
            source="gcyuan/SCUBA", licence="none stated",
            facts="RPKM; stage_code orders the embryonic stages, but adult cells have 0: keep is_embryo"),
    Dataset("cellbench_mixology", 1_408, 11_533, Support.counts, label_key="cell_line", batch_key="batch",
            sha256="f533580e854b1fbf91eb8ac7dc2ddd893565ad3e724dc0d3bc59139906be89e9",
            citation="Tian et al. 2019 Nat Methods", accession="GSE118767",
            source="LuyiTian/sc_mixology", licence="MIT",
            facts="labels are true (genotype); 387 doublets: keep demuxlet SNG for a clean test"),
    Dataset("human_pancreas_3study", 528, 1_403, Support.non_negative, label_key="cell_type", batch_key="batch",
            sha256="90a2345cfb6a8372ef3f5c9d512f01bd53c7ec5d6323782ed7fd86694f4d9003",
            citation="Baron 2016, Segerstolpe 2016, Lawlor 2017", accession="GSE84133, E-MTAB-5061, GSE86469",
            source="PYangLab/Cepo", licence="MIT",
            facts="UMIs and reads on very different scales, Lawlor not whole; batches inferred from names"),
    Dataset("jurkat_293t_pcs", 9_478, 20, Support.real, label_key="cell_type", batch_key="batch",
            sha256="ce1d13d4827dc247c4997d5b499d4f779d1e000a1633d7fa815726c86d801e06",
            citation="Zheng et al. 2017 Nat Commun", accession="10x Genomics jurkat, 293t, 50:50 mixture",
            source="immunogenomics/harmony", licence="GPL-3",
            facts="20 scaled principal components, no genes"),
    Dataset("dlpfc_151510", 4_634, 500, Support.counts, label_key="layer",
            sha256="999d38ea7de31dfd340813e9f1b68f07868cfe1e9b942f4633c5484d4e23660a",
            citation="Maynard et al. 2021 Nat Neurosci", accession="spatialLIBD sample 151510",
            source="feiyoung/DR.SC", licence="GPL-3",
            facts="500 informative genes; positions in obsm spatial; 39 spots unlabelled"),
    Dataset("her2st_breast", 1_123, 14_629, Support.counts, label_key="region", batch_key="patient",
            sha256="0ecf8c4419e096f9217797fbcb034e30af761de9ac0ea2761180311cd1959a94",
            citation="Andersson et al. 2021 Nat Commun", accession="HER2+ breast, Spatial Transcriptomics",
            source="almaan/her2st", licence="none stated",
            facts="one section of each of four patients; positions in obsm spatial; 91 spots unlabelled"),
    Dataset("mouse_olfactory_bulb", 262, 14_217, Support.counts, label_key="layer",
            sha256="ba8028e183da58c659f6eb4bfb405a1d2f9cc3fb8580b84b73fab850977941f0",
            citation="Stahl et al. 2016 Science", accession="Spatial Transcriptomics, olfactory bulb",
            source="JEFworks-Lab/STdeconvolve", licence="GPL-3",
            facts="positions in obsm spatial; 2 spots unlabelled"),
    Dataset("osmfish_cortex", 4_076, 33, Support.counts, label_key="cell_type",
            sha256="f8845cc18ee2d6f129ec7a89d2e2502d7095f75371a66132ba6b04931e832645",
            citation="Codeluppi et al. 2018 Nat Methods", accession="osmFISH, somatosensory cortex",
            source="YosefLab/scVI-data", licence="none stated",
            facts="33 genes; 454 duplicate rows of the source removed; positions in obsm spatial"),
    Dataset("seqfish_mouse_embryo", 5_000, 351, Support.counts, label_key="cell_type",
            sha256="4e34de0fd827bff4096972c0dadc4999fabcee3ff7b4763128c6855dcdaa135f",
            citation="Lohoff et al. 2022 Nat Biotechnol", accession="embryo 2",
            source="SydneyBioX/clustSIGNAL", licence="GPL-2",
            facts="random 5,000 cells; counts recovered exactly from log-normalised values"),
    Dataset("mouse_bladder", 2_746, 2_003, Support.counts, label_key="cell_type",
            sha256="749758a2c198d5eca89fe210bec758acbc5519b2577322be9e72c09359c459ae",
            citation="Han et al. 2018 Cell", accession="GSE108097",
            source="ttgump/scDCC", licence="Apache-2.0",
            facts="most variable genes without names; labels type_1 to type_16 of 13 to 717 cells"),
    Dataset("pbmc4k_10x", 4_271, 2_000, Support.counts, label_key="cluster",
            sha256="7ae67a170bd5d66a65faaeda0e7d199707ccbd472c66114317e819e1273e4e6a",
            citation="10x Genomics PBMC 4k",
            source="ttgump/scDCC", licence="Apache-2.0",
            facts="most variable genes without names; labels are graph clusters, not an expert's"),
    Dataset("yeast_cellcycle", 6_178, 77, Support.missing, label_key="phase",
            sha256="f8fc866a2ce40a3377bda8e190cee0793a463cbf8e4b6a3510807487e4d0bfbf",
            citation="Spellman et al. 1998 Mol Biol Cell",
            source="bioc/yeastCC", licence="Artistic-2.0",
            facts="rows are genes; log2 ratios, 5.9 % missing; every experiment is a sequence of its own"),
    Dataset("cho_yeast_timecourse", 386, 16, Support.real, label_key="label",
            sha256="5e77fa9f6d3895ec191031b72ed7428a385b632fc4f31775b9871ebd9607d84b",
            citation="Cho et al. 1998 Mol Cell",
            source="TalDerei/Data-Mining-Project", licence="none stated",
            facts="rows are genes; 16 time points, standardised"),
    Dataset("golub_microarray", 72, 7_129, Support.real, label_key="class",
            sha256="a98d73be5011361a594e4d3e410d3210f6fe027cec2edb607b088e61362bc94b",
            citation="Golub et al. 1999 Science",
            source="ramhiser/datamicroarray", licence="MIT",
            facts="intensities with negative values: floor and take the logarithm before use"),
    Dataset("khan_microarray", 63, 2_308, Support.real, label_key="class",
            sha256="d948ac86e49cbb8d962233045814ed32154fcbe2f9e9d89d9ff391ce65f611b3",
            citation="Khan et al. 2001 Nat Med",
            source="ramhiser/datamicroarray", licence="MIT",
            facts="log ratios"),
    Dataset("tcga_brca_mrna", 220, 200, Support.real, label_key="subtype",
            sha256="214f7c1449519c69caebfc5fdf081d68f6e4568e2edec1c26c6e99fce9511df5",
            citation="TCGA 2012 Nature",
            source="mixOmicsTeam/mixOmics", licence="GPL (>= 2)",
            facts="200 genes; log scale; obs split is train or test"),
    Dataset("tcga_brca_mirna", 220, 184, Support.real, label_key="subtype",
            sha256="64495a23213a398b22d5daa9d7d15ae3523c9b12f50c317272ef4478ca976b55",
            citation="TCGA 2012 Nature",
            source="mixOmicsTeam/mixOmics", licence="GPL (>= 2)",
            facts="184 miRNAs; rows as in tcga_brca_mrna; log scale; obs split is train or test"),
    Dataset("tcga_brca_protein", 150, 142, Support.real, label_key="subtype",
            sha256="9a0ed64d32aaca9f0878b2e7887763c7483e0290424eb77767bb9087cdbe903b",
            citation="TCGA 2012 Nature",
            source="mixOmicsTeam/mixOmics", licence="GPL (>= 2)",
            facts="142 proteins of the 150 training samples; log scale"),
)
# fmt: on

CATALOGUE: dict[str, Dataset] = {dataset.name: dataset for dataset in _DATASETS}
