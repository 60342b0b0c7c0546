"""PCA of values that were smoothed over the tissue: the baseline that every model of space has to beat.

    x -log-normalise, standardise-> y -mean with the nearest cells of the section, n_times-> W^n y -components-> z

Smoothing and projecting are both linear and so change places: components V are those of the smoothed values, and what
is kept of the training cells is y V at every hop, (n_references, n_times + 1, n_latent). A new cell is smoothed over
the training cells beside it. The components are found by subspace iteration [Halko11], a few passes over the cells.

References: [Pearson1901], [Hotelling33], [Halko11]; [Palla22] graphs of spots.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from scipy import sparse
from torch import Tensor

from cellwright.core.abilities import Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError
from cellwright.models.model import Model
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.models.parts.place_smoother import PlaceSmoother, smoothing_matrix
from cellwright.models.parts.places import Placed, beside
from cellwright.models.pca import OVERSAMPLING, PCA, PCAOptions, signed
from cellwright.nn.transform import Transform

ITERATIONS = 8  # of the subspace; smoothing makes the leading components stand out, so few are needed


class PCASmoothedOptions(Options):
    """Options of PCA of smoothed values."""

    n_latent: int = Field(30, ge=1, description="number of components; at most as many as there are features")
    n_neighbors: int = Field(12, ge=1, description="nearest training cells of the section that a cell is averaged with")
    n_times: int = Field(3, ge=1, description="how often it is averaged")
    scale: bool = Field(default=True, description="scale every feature to unit variance on the training cells")
    transform: Transform = Field("log_normalise", description="of the values before centring")
    max_references: int = Field(20_000, ge=2, description="training cells that are kept as neighbours, at most")


class PCASmoothed(Model, Encodes):
    """Projects the mean of a cell's surroundings on the directions of its largest variance."""

    is_baseline = True
    reads = frozenset({"views", "batch", "coordinates"})
    needs = frozenset({"coordinates"})
    citations = ("Pearson1901", "Hotelling33", "Halko11", "Palla22")

    def __init__(self, schema: Schema, options: PCASmoothedOptions = PCASmoothedOptions()) -> None:  # noqa: B008
        super().__init__(schema, options)
        self.options: PCASmoothedOptions = options
        self.pca = PCA(schema, PCAOptions(n_latent=options.n_latent, scale=options.scale, transform=options.transform))
        self.smoother = PlaceSmoother(
            schema, self.pca.n_latent, n_neighbors=options.n_neighbors, n_times=options.n_times
        )

    @property
    def support(self) -> Support:
        return self.pca.support

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self.smoother.smooth(self.pca.encode(minibatch), minibatch)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        if len(rows) <= self.pca.n_latent:
            raise DataError(
                f"PCA with {self.pca.n_latent} components must have more training cells than that; it has "
                f"{len(rows)}. Use a smaller n_latent."
            )
        if len(rows) > self.options.max_references:
            rows = np.sort(rng.choice(rows, self.options.max_references, replace=False))
        self.pca.learn_scale(source, rows)
        cells = _Training(self.pca, source, rows)
        # a few random directions tell cells at one place apart, as the components do later
        basis = rng.standard_normal((self.schema.n_vars, self.pca.n_latent + OVERSAMPLING)).astype(np.float32)
        index, _ = beside(cells.placed(basis), cells.placed(basis), self.options.n_neighbors)
        self.pca.components.copy_(self._leading(cells, smoothing_matrix(index), basis))
        self.smoother.keep(cells.placed(self.pca.components.numpy(force=True)))

    def _leading(self, cells: "_Training", weights: sparse.csr_array, basis: np.ndarray) -> Tensor:
        """The leading eigenvectors of the covariance of the smoothed values, (n_vars, n_latent)."""
        transposed = weights.T.tocsr()
        for _ in range(ITERATIONS):
            smoothed = _centred(_repeated(weights, cells.times(basis), self.options.n_times))
            basis = np.linalg.qr(cells.transposed_times(_repeated(transposed, smoothed, self.options.n_times))).Q
        smoothed = _centred(_repeated(weights, cells.times(basis), self.options.n_times))
        vectors = np.linalg.svd(smoothed, full_matrices=False)[2][: self.pca.n_latent]
        return signed(torch.from_numpy((basis @ vectors.T).astype(np.float32)))


class _Training:
    """Passes over the standardised values Y of the training cells, a dense block at a time."""

    def __init__(self, pca: PCA, source: Source, rows: np.ndarray) -> None:
        self.pca, self.source, self.rows = pca, source, rows

    def times(self, basis: np.ndarray) -> np.ndarray:
        """Y basis, (n_obs, k)."""
        return np.concatenate([block @ basis for block in self._blocks()])

    def transposed_times(self, values: np.ndarray) -> np.ndarray:
        """Y^T values, (n_vars, k)."""
        parts = np.split(values.astype(np.float32), range(BLOCK_ROWS, len(values), BLOCK_ROWS))
        return np.sum([block.T @ part for block, part in zip(self._blocks(), parts, strict=True)], axis=0)

    def placed(self, basis: np.ndarray) -> Placed:
        """The cells in their places, with Y basis to tell them apart."""
        minibatches = list(in_order(self.source, self.rows, BLOCK_ROWS))
        places, section = (torch.cat([getattr(m, name) for m in minibatches]) for name in ("coordinates", "batch"))
        return Placed(torch.from_numpy(self.times(basis)), places, section)

    def _blocks(self) -> Iterator[np.ndarray]:
        device = self.pca.components.device
        for minibatch in in_order(self.source, self.rows, BLOCK_ROWS):
            yield self.pca.standardised(minibatch.to(device)).numpy(force=True)


def _repeated(weights: sparse.csr_array, values: np.ndarray, n_times: int) -> np.ndarray:
    for _ in range(n_times):
        values = weights @ values
    return values


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=0)
