"""MemoryStore: one modality's matrix in memory."""

import numpy as np

from cellwright.data.source import Matrix, Store
from cellwright.data.values import plain_rows


class MemoryStore(Store):
    """Rows of a matrix in memory: the user's own arrays where these are plain (see `values`), never written to."""

    preferred_block_rows = 1

    def __init__(self, matrix: object, where: str) -> None:
        self._rows = plain_rows(matrix, where)
        self.where = where
        self.n_obs, self.n_vars = self._rows.shape

    def around(self, rows: np.ndarray) -> tuple[Matrix, np.ndarray]:
        return self._rows, rows
