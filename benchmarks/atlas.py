"""Atlas: simulated counts of any number of cells, written as `.h5ad` in pieces; memory is that of one piece.

    python benchmarks/atlas.py --cells 1000000 --genes 2000 --out atlas.h5ad [--seed 0] [--gzip]

`--gzip` writes `atlas-gzip.h5ad` beside it, the same as `write_h5ad(compression="gzip")` gives.

Negative binomial counts of eight cell types, about 8.5 % of them not zero, as in 10x data over all genes. The cells lie
sorted by cell type, as files that were put together type by type do: the worst order for a reader of blocks. `obs` has
`cell_type`, and `donor` (eight, independent of the type). Parameters of the genes are those of `cellwright.simulate`;
cells around them are drawn here, because that function holds all its cells in memory.
"""

import argparse
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from scipy import sparse

import cellwright as cw

SHARES = (0.3, 0.2, 0.15, 0.1, 0.1, 0.08, 0.05, 0.02)
N_DONORS, N_LATENT, DENSITY, LIBRARY_SD = 8, 10, 0.085, 0.3
PIECE_VALUES = 16_000_000  # dense values that are in memory together


class Genes:
    """What the cells are drawn around: base rates, loadings and dispersions of the genes, and where types lie."""

    def __init__(self, n_vars: int, seed: int) -> None:
        options = cw.SimulateOptions(n_obs=2_000, n_vars=n_vars, n_latent=N_LATENT, label_shares=SHARES)
        truth = cw.simulate(options, seed)
        self.base, self.loadings, self.theta = (
            part.astype(np.float32) for part in (truth.base, truth.loadings, truth.theta)
        )
        centres = [truth.latent[truth.label == k].mean(axis=0) for k in range(len(SHARES))]
        self.centres = np.stack(centres).astype(np.float32)
        self.library = self._library_for(DENSITY, self._shares(truth.latent[:500].astype(np.float32)))

    def counts(self, labels: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
        """Counts of cells of these types, (n_obs, n_vars) float32."""
        noise = rng.standard_normal((len(labels), N_LATENT), dtype=np.float32)
        library = self.library * rng.lognormal(-(LIBRARY_SD**2) / 2, LIBRARY_SD, len(labels)).astype(np.float32)
        mean = self._shares(self.centres[labels] + noise) * library[:, None]
        rate = rng.standard_gamma(np.broadcast_to(self.theta, mean.shape), dtype=np.float32) * (mean / self.theta)
        return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))

    def _shares(self, latent: np.ndarray) -> np.ndarray:
        """Expected share of each gene in a cell's counts."""
        log_rate = self.base + latent @ self.loadings.T
        rate = np.exp(log_rate - log_rate.max(axis=1, keepdims=True))
        return rate / rate.sum(axis=1, keepdims=True)

    def _library_for(self, density: float, shares: np.ndarray) -> float:
        """Counts per cell at which so many values are not zero; P(0) of a negative binomial is closed."""
        low, high = 1.0, 100.0 * shares.shape[1]
        while high / low > 1.001:
            middle = float(np.sqrt(low * high))
            zeros = (self.theta / (self.theta + shares * middle)) ** self.theta
            low, high = (middle, high) if 1 - zeros.mean() < density else (low, middle)
        return low


def write_atlas(path: Path, n_obs: int, n_vars: int, seed: int = 0) -> Path:
    """Write the file if it is not there; beside, then moved into place."""
    if path.exists():
        return path
    genes, rng = Genes(n_vars, seed), np.random.default_rng(seed)
    labels = np.searchsorted(np.cumsum(SHARES), (np.arange(n_obs) + 0.5) / n_obs).clip(0, len(SHARES) - 1)
    beside = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(beside, "w") as file:
        write_elem(file, "/obs", _obs(labels, rng))
        write_elem(file, "/var", pd.DataFrame(index=[f"gene_{i}" for i in range(n_vars)]))
        _write_counts(file, genes, labels, rng)
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    return beside.replace(path)


def write_gzip(path: Path) -> Path:
    """A copy of such a file whose `X` is compressed; its path."""
    copy = path.with_name(f"{path.stem}-gzip{path.suffix}")
    if copy.exists():
        return copy
    beside = copy.with_suffix(".partial")
    with h5py.File(path) as source, h5py.File(beside, "w") as target:
        target.attrs.update(source.attrs)
        for name in ("obs", "var"):
            source.copy(name, target)
        target.create_group("X").attrs.update(source["X"].attrs)
        for name, array in source["X"].items():
            compressed = target["X"].create_dataset(
                name, array.shape, array.dtype, maxshape=(None,), compression="gzip"
            )
            for first in range(0, len(array), PIECE_VALUES):
                compressed[first : first + PIECE_VALUES] = array[first : first + PIECE_VALUES]
    return beside.replace(copy)


def _obs(labels: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    types, donors = ([f"{word}_{k}" for k in range(n)] for word, n in (("type", len(SHARES)), ("donor", N_DONORS)))
    columns = {
        "cell_type": pd.Categorical.from_codes(labels, categories=types),
        "donor": pd.Categorical.from_codes(rng.integers(0, N_DONORS, len(labels)), categories=donors),
    }
    return pd.DataFrame(columns, index=[f"cell_{row}" for row in range(len(labels))])


def _write_counts(file: h5py.File, genes: Genes, labels: np.ndarray, rng: np.random.Generator) -> None:
    group = file.create_group("X")
    shape = (len(labels), len(genes.base))
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
    # created at about their final length, so that the chunks are those that anndata gets when it writes all at once
    about = int(1.1 * DENSITY * shape[0] * shape[1])
    arrays = {
        name: group.create_dataset(name, (about,), dtype, maxshape=(None,))
        for name, dtype in (("data", np.float32), ("indices", np.int32))
    }
    starts, at = np.zeros(len(labels) + 1, np.int64), 0
    rows_at_once = max(1, PIECE_VALUES // shape[1])
    for first in range(0, len(labels), rows_at_once):
        piece = genes.counts(labels[first : first + rows_at_once], rng)
        starts[first + 1 : first + 1 + piece.shape[0]] = at + piece.indptr[1:]
        for name, values in (("data", piece.data), ("indices", piece.indices)):
            if at + piece.nnz > arrays[name].shape[0]:
                arrays[name].resize((at + piece.nnz,))
            arrays[name][at : at + piece.nnz] = values
        at += piece.nnz
    for array in arrays.values():
        array.resize((at,))
    # SciPy wants one type for both indices, or it converts all of them at every access
    kind = np.int32 if at < 2**31 else np.int64
    group.create_dataset("indptr", data=starts.astype(kind), maxshape=(None,))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gzip", action="store_true")
    asked = parser.parse_args()
    write_atlas(asked.out, asked.cells, asked.genes, asked.seed)
    if asked.gzip:
        write_gzip(asked.out)


if __name__ == "__main__":
    main()
