"""What tests of perturbation models share: a module's `cells`, opened, in logarithms, and divided.

And what those of unpaired modalities share: a planted kind of each cell, seen by genes or by proteins.
"""

from typing import NamedTuple

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from cellwright.data.open import open_data
from cellwright.data.split import held_out_combination_split


@pytest.fixture(scope="module")
def data(cells):
    """The module's `cells` as a source that knows labels and conditions."""
    return open_data(cells, label_key="label", condition_key="condition", control="control")


@pytest.fixture(scope="module")
def logs(cells):
    """Their log-normalised values, dense."""
    values = cells.X.toarray().astype(np.float64)
    return np.log1p(1e4 * values / values.sum(axis=1, keepdims=True))


@pytest.fixture(scope="module")
def split(request, data):
    """The treated cells of the module's `HELD_OUT` label are the test part."""
    cells = data.annotation
    return held_out_combination_split(cells.label, cells.condition, label=request.module.HELD_OUT, condition=1, seed=0)


class Unpaired(NamedTuple):
    """`data` has other cells in either modality; `kinds` is the kind of each, in the data's order."""

    data: MuData
    links: pd.DataFrame | str
    kinds: np.ndarray


def plant(n_first=200, n_second=160, *, n_genes=30, n_proteins=12, n_kinds=4, seed=0):
    """Counts of genes and of proteins whose rates a kind decides; protein i is linked to gene i, and goes with it."""
    rng = np.random.default_rng(seed)
    genes = rng.normal(0, 1.2, (n_kinds, n_genes))
    proteins = genes[:, :n_proteins] + rng.normal(0, 0.2, (n_kinds, n_proteins))
    kind = rng.integers(n_kinds, size=n_first + n_second)
    first = rng.poisson(2 * np.exp(genes[kind[:n_first]]))
    second = rng.poisson(20 * np.exp(proteins[kind[n_first:]]))
    rna = _cells(first, "a", [f"g{i}" for i in range(n_genes)])
    protein = _cells(second, "b", [f"p{i}" for i in range(n_proteins)])
    rows = [("rna", f"g{i}", "protein", f"p{i}") for i in range(n_proteins)]
    links = pd.DataFrame(rows, columns=["modality_a", "feature_a", "modality_b", "feature_b"])
    return Unpaired(MuData({"rna": rna, "protein": protein}), links, kind)


def _cells(counts, prefix, names):
    counts[:, 0] += counts.sum(axis=1) == 0  # a cell without a count has no library
    obs = pd.DataFrame(index=[f"{prefix}{i}" for i in range(len(counts))])
    return AnnData(counts.astype(np.float32), obs=obs, var=pd.DataFrame(index=names))


@pytest.fixture
def unpaired(tmp_path):
    """A function: how many cells and features -> cells of two modalities, a file of feature links, kinds."""

    def made(*sizes, **options):
        cells = plant(*sizes, **options)
        path = tmp_path / "links.csv"
        cells.links.to_csv(path, index=False)
        return cells._replace(links=str(path))

    with mudata.set_options(pull_on_update=False):
        yield made
