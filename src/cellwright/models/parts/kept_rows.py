"""Kept rows: values of training cells that a model keeps with its weights, sparse.

SciPy CSR (n_kept, n_vars) -set-> three tensors, saved -csr-> the same matrix
"""

import numpy as np
import torch
from scipy import sparse
from torch import nn

from cellwright.nn.from_data import FromData


class KeptRows(nn.Module):
    """A matrix (n_kept, n_vars) float32; without rows until it is set."""

    def __init__(self, n_vars: int) -> None:
        super().__init__()
        self.n_vars = n_vars
        self.stored = FromData(
            {
                "values": torch.zeros(0),
                "columns": torch.zeros(0, dtype=torch.int32),
                "starts": torch.zeros(1, dtype=torch.int64),
            }
        )

    def set(self, rows: sparse.csr_matrix) -> None:
        """Keep these rows in the place of those that are kept."""
        self.stored.set(
            values=torch.from_numpy(rows.data),
            columns=torch.from_numpy(rows.indices),
            starts=torch.from_numpy(rows.indptr.astype(np.int64)),
        )

    @property
    def csr(self) -> sparse.csr_matrix:
        """The rows."""
        values, columns, starts = (getattr(self.stored, name).cpu().numpy() for name in ("values", "columns", "starts"))
        return sparse.csr_matrix((values, columns, starts), shape=(len(starts) - 1, self.n_vars))
