"""Minibatch: the cells of one step, as tensors; SparseRows: their values, sparse from file to device.

CSR rows (values, columns, row starts) --matmul--> (n_obs, n_hidden), without a dense (n_obs, n_vars) in between
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from cellwright.core.sparse_product import has_kernels, row_sums, sparse_product
from cellwright.errors import SchemaMismatch


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Rows of a cells x features matrix: CSR, or dense where the data are (proteins, bulk, embeddings).

    `values (nnz,)` float32, `columns (nnz,)` int32, `starts (n_obs + 1,)` int64; a dense block has
    `values (n_obs, n_vars)` and no `columns`.
    """

    values: Tensor
    columns: Tensor | None
    starts: Tensor | None
    n_vars: int

    @classmethod
    def of(cls, matrix: "sparse.csr_matrix | sparse.csr_array | np.ndarray") -> "SparseRows":
        """From SciPy CSR or a dense array; the values become float32."""
        if isinstance(matrix, np.ndarray):
            return cls(_tensor(np.ascontiguousarray(matrix, dtype=np.float32)), None, None, matrix.shape[1])
        return cls.of_csr(matrix.data, matrix.indices, matrix.indptr, matrix.shape[1])

    @classmethod
    def of_csr(cls, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, n_vars: int) -> "SparseRows":
        """From the three arrays of a CSR matrix, whose memory it shares where their types allow."""
        return cls(
            _tensor(values.astype(np.float32, copy=False)),
            _tensor(columns.astype(np.int32, copy=False)),
            _tensor(starts.astype(np.int64, copy=False)),
            n_vars,
        )

    @property
    def is_dense(self) -> bool:
        """Whether the block is dense."""
        return self.columns is None

    @property
    def n_obs(self) -> int:
        """How many cells."""
        return self.values.shape[0] if self.starts is None else self.starts.shape[0] - 1

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, columns and starts of a sparse block on a CPU as kernels take them: contiguous, the same memory."""
        assert self.columns is not None, "a dense block has no stored positions"
        assert self.starts is not None
        return self.values.detach().contiguous().numpy(), self.columns.contiguous().numpy(), self.starts.numpy()

    @cached_property
    def row_of_value(self) -> Int[Tensor, " nnz"]:
        """The row of each stored value of a sparse block."""
        assert self.starts is not None, "a dense block has no stored positions"
        counts = self.starts.diff()
        return torch.repeat_interleave(torch.arange(self.n_obs, device=counts.device), counts)

    def map(self, function: Callable[[Tensor], Tensor]) -> "SparseRows":
        """Apply a function that keeps zero at zero (log1p, sign) to the stored values."""
        return replace(self, values=function(self.values))

    def keep(self, wanted: Callable[[Tensor, Tensor], Tensor]) -> "SparseRows":
        """Set values to zero except where `wanted(row, column)`, a boolean per value, holds."""
        if self.columns is None:
            rows = torch.arange(self.n_obs, device=self.values.device)[:, None]
            kept = wanted(rows, torch.arange(self.n_vars, device=self.values.device))
        else:
            kept = wanted(self.row_of_value, self.columns)
        return replace(self, values=self.values * kept)

    def scale_rows(self, factor: Float[Tensor, " n_obs"]) -> "SparseRows":
        """Multiply each row by its factor."""
        if self.is_dense:
            return replace(self, values=self.values * factor[:, None])
        return replace(self, values=self.values * factor[self.row_of_value])

    def sum_rows(self) -> Float[Tensor, " n_obs"]:
        """The sum of each row."""
        if not (self.is_dense or self.values.requires_grad) and has_kernels(self.values):
            return row_sums(self.arrays)
        return self.sum_by_row(self.values)

    def sum_by_row(self, values: Tensor) -> Float[Tensor, " n_obs"]:
        """Sum by row numbers that stand one to one with `self.values`."""
        if self.starts is None:
            return values.sum(dim=1)
        return torch.segment_reduce(values, "sum", offsets=self.starts, axis=0, initial=0)

    def at(self, rows: Int[Tensor, " n_rows"]) -> "SparseRows":
        """These rows, in the order given; copied."""
        if self.columns is None or self.starts is None:
            return replace(self, values=self.values[rows])
        n_stored = self.starts.diff()[rows]
        starts = functional.pad(n_stored.cumsum(0), (1, 0))
        # of each stored value that is taken: where its row began, and how far into the row it is
        offset = torch.repeat_interleave(self.starts[rows] - starts[:-1], n_stored)
        taken = offset + torch.arange(len(offset), device=offset.device)
        return SparseRows(self.values[taken], self.columns[taken], starts, self.n_vars)

    def gather(self, matrix: Float[Tensor, "n_obs n_vars"]) -> Tensor:
        """The entries of a dense matrix at the stored positions."""
        return matrix if self.columns is None else matrix[self.row_of_value, self.columns]

    def csr(self) -> sparse.csr_matrix:
        """The block as SciPy's CSR, float32; of a sparse one on a CPU the same memory."""
        if self.columns is None:
            return sparse.csr_matrix(self.values.detach().cpu().numpy())
        return sparse.csr_matrix(self.to(torch.device("cpu")).arrays, shape=(self.n_obs, self.n_vars))

    def dense(self) -> Float[Tensor, "n_obs n_vars"]:
        """The block as a dense matrix; memory is n_obs * n_vars * 4 bytes."""
        if self.columns is None:
            return self.values
        out = self.values.new_zeros(self.n_obs, self.n_vars)
        return out.index_put((self.row_of_value, self.columns), self.values)

    def matmul(self, weight: Float[Tensor, "n_vars n_out"]) -> Float[Tensor, "n_obs n_out"]:
        """`self @ weight`, differentiable in the weight."""
        if self.columns is None or self.starts is None:
            return self.values @ weight
        if self.n_vars != weight.shape[0]:  # kernels would read foreign memory
            raise SchemaMismatch(
                f"the cells must have the {weight.shape[0]} features that the layer was built for; they have "
                f"{self.n_vars}. Open them with open_data(..., schema=model.schema)."
            )
        if not self.values.requires_grad and has_kernels(self.values, weight):
            return sparse_product(self.arrays, weight)
        return functional.embedding_bag(
            self.columns,
            weight,
            self.starts.to(self.columns.dtype),
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )

    def to(self, device: torch.device) -> "SparseRows":
        """The same rows on another device."""
        columns = None if self.columns is None else self.columns.to(device, non_blocking=True)
        starts = None if self.starts is None else self.starts.to(device, non_blocking=True)
        return SparseRows(self.values.to(device, non_blocking=True), columns, starts, self.n_vars)


def _tensor(array: np.ndarray) -> Tensor:
    # torch has no tensors that must not be written to, and warns of arrays that must not
    return torch.from_numpy(array if array.flags.writeable else array.copy())


@dataclass(frozen=True, eq=False)
class Minibatch:
    """The cells of one step. A code of -1 means: not labelled, or a category that the schema does not know."""

    views: Mapping[str, SparseRows]  # by modality
    present: Bool[Tensor, "n_obs n_modalities"]  # which modalities were measured on a cell: absent is not zero
    batch: Int[Tensor, " n_obs"]
    label: Int[Tensor, " n_obs"]
    condition: Int[Tensor, " n_obs"]
    time: Float[Tensor, " n_obs"]  # NaN where unknown
    covariates: Float[Tensor, "n_obs n_covariates"]
    coordinates: Float[Tensor, "n_obs n_coordinates"]  # in the tissue, unit of the data; no column without a key
    weight: Float[Tensor, " n_obs"]  # of a cell in the loss
    rows: Int[Tensor, " n_obs"]  # position in the source

    @property
    def x(self) -> SparseRows:
        """The values of the first modality."""
        return next(iter(self.views.values()))

    @property
    def n_obs(self) -> int:
        """How many cells."""
        return self.rows.shape[0]

    @property
    def library(self) -> Float[Tensor, "n_obs 1"]:
        """A cell's total over the first modality's features."""
        return self.x.sum_rows()[:, None]

    def of(self, modality: str) -> "Minibatch":
        """The same cells as if this were the only modality: `x` and `library` are its own."""
        column = list(self.views).index(modality)
        return replace(self, views={modality: self.views[modality]}, present=self.present[:, [column]])

    def without(self, modality: str) -> "Minibatch":
        """The same cells as if this modality had not been measured; its values are still there, but not `present`."""
        present = self.present.clone()
        present[:, list(self.views).index(modality)] = False
        return replace(self, present=present)

    def at(self, cells: Int[Tensor, " n_cells"]) -> "Minibatch":
        """Cells by their position, in the order given."""
        tensors = {f.name: getattr(self, f.name)[cells] for f in fields(self) if f.name != "views"}
        return Minibatch(views={name: rows.at(cells) for name, rows in self.views.items()}, **tensors)

    def to(self, device: torch.device) -> "Minibatch":
        """The same cells on that device."""
        if self.rows.device == device:
            return self
        moved = {name: rows.to(device) for name, rows in self.views.items()}
        tensors = {
            f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self) if f.name != "views"
        }
        return Minibatch(views=moved, **tensors)
