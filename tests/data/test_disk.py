"""Stores on disk: the same rows as in memory, in few reads."""

import gc

import anndata
import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from cellwright.data.chunks import ChunkReader, LibraryReader
from cellwright.data.disk import (
    MAX_BLOCK_BYTES,
    MAX_BLOCK_ROWS,
    MIN_BLOCK_ROWS,
    CsrOnDisk,
    contiguous_runs,
    store_on_disk,
)
from cellwright.errors import DataError, DataFileError

# anndata announces what it will write by default one day; these tests only need something to read
pytestmark = pytest.mark.filterwarnings(
    "ignore:Writing zarr v2 data", "ignore:zarr v3 autosharding", "ignore:Consolidated metadata"
)

DENSE = np.random.default_rng(0).poisson(0.4, (500, 30)).astype(np.float32)
DENSE[100:120] = 0  # cells without a value
KINDS = ["h5ad", "gzip h5ad", "zarr v2", "zarr v3"]


def written(folder, kind: str, matrix):
    """The item on disk that holds the matrix."""
    adata = anndata.AnnData(matrix)
    path = folder / "cells"
    if kind.startswith("zarr"):
        with anndata.settings.override(zarr_write_format=int(kind[-1])):
            adata.write_zarr(path)
        return zarr.open_group(path, mode="r")["X"]
    adata.write_h5ad(path, compression="gzip" if "gzip" in kind else None)
    return h5py.File(path, "r")["X"]


@given(rows=st.sets(st.integers(0, 300)).map(sorted), gap_rows=st.integers(1, 20))
def test_runs_cover_the_rows_and_no_gap_wider_than_allowed(rows, gap_rows):
    firsts, stops = contiguous_runs(np.array(rows, dtype=int), gap_rows)
    covered = [row for first, stop in zip(firsts, stops, strict=True) for row in range(first, stop)]
    assert set(rows) <= set(covered)
    assert covered == sorted(set(covered))
    assert all(later - stop >= gap_rows for stop, later in zip(stops[:-1], firsts[1:], strict=True))
    assert all(min(abs(row - wanted) for wanted in rows) < gap_rows for row in covered)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call_bytes", [0, 65_536], ids=["exact runs", "gaps read"])
def test_rows_equal_those_written(tmp_path, monkeypatch, kind, form, call_bytes):
    monkeypatch.setattr(LibraryReader, "call_bytes", call_bytes)
    monkeypatch.setattr(ChunkReader, "call_bytes", call_bytes)
    store = store_on_disk(written(tmp_path, kind, form(DENSE)), "X")
    for rows in (np.arange(500), np.array([3]), np.arange(0, 500, 7), np.array([0, 1, 110, 499]), np.zeros(0, int)):
        block = store.read(rows)
        assert isinstance(block, np.ndarray) == (form is np.asarray)
        assert block.dtype == np.float32
        np.testing.assert_array_equal(sparse.csr_matrix(block).toarray(), DENSE[rows])


def test_contiguous_rows_are_one_read_of_each_array(tmp_path):
    group = written(tmp_path, "h5ad", sparse.csr_matrix(DENSE))
    store = store_on_disk(group, "X")
    reads = []

    class Counting:
        def __init__(self, array):
            self.shape, self.dtype, self.chunks, self._array = array.shape, array.dtype, None, array

        def __getitem__(self, rows):
            reads.append(rows)
            return self._array[rows]

    store._values, store._columns = (LibraryReader(Counting(group[name])) for name in ("data", "indices"))
    store.read(np.arange(50, 450))
    assert len(reads) == 2


def test_what_is_held_around_the_wanted_rows_is_bounded_by_the_cost_of_a_call(tmp_path):
    store = store_on_disk(written(tmp_path, "h5ad", sparse.csr_matrix(DENSE)), "X")
    rows = np.array([3, 5, 400])
    block, at = store.around(rows)
    np.testing.assert_array_equal(block[at].toarray(), DENSE[rows])
    assert block.shape[0] == 4  # 3 to 5, and 400: a gap of 395 rows is wider than a call costs


def test_unsorted_doubled_and_zero_entries_are_made_plain(tmp_path):
    matrix = sparse.csr_matrix((np.float64([1, 2, 3, 0]), [3, 1, 3, 0], [0, 3, 4]), shape=(2, 4))
    block = store_on_disk(written(tmp_path, "h5ad", matrix), "X").read(np.arange(2))
    assert (list(block.data), list(block.indices), list(block.indptr)) == ([2, 4], [1, 3], [0, 2, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_to_shuffle_are_within_bounds(tmp_path, kind):
    store = store_on_disk(written(tmp_path, kind, DENSE), "X")
    assert MIN_BLOCK_ROWS <= store.preferred_block_rows <= MAX_BLOCK_ROWS


def test_rows_of_many_values_are_shuffled_in_blocks_of_few(tmp_path):
    store = store_on_disk(written(tmp_path, "h5ad", sparse.csr_matrix(np.ones((100, 3000), np.float32))), "X")
    assert store.preferred_block_rows == MIN_BLOCK_ROWS


def test_a_buffer_of_blocks_is_bounded_in_bytes(tmp_path):
    with h5py.File(tmp_path / "cells", "w") as file:
        group = file.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "shape": (4000, 2000)})
        group.create_dataset("data", data=np.ones(4000 * 200, np.float32), chunks=(400_000,), compression="gzip")
        group.create_dataset("indices", data=np.tile(np.arange(200, dtype=np.int32), 4000), chunks=(400_000,))
        group["indptr"] = np.arange(4001) * 200
    store = store_on_disk(h5py.File(tmp_path / "cells", "r")["X"], "X")
    assert store.preferred_block_rows == MAX_BLOCK_BYTES // (200 * 8)


def test_a_matrix_by_columns_is_refused_with_the_remedy(tmp_path):
    item = written(tmp_path, "h5ad", sparse.csc_matrix(DENSE))
    with pytest.raises(DataError, match=r"X must be stored by rows .* in_memory=True"):
        store_on_disk(item, "X")


def damaged(folder, name: str, values: np.ndarray) -> CsrOnDisk:
    written(folder, "h5ad", sparse.csr_matrix(DENSE)).file.close()
    with h5py.File(folder / "cells", "r+") as file:
        file[f"X/{name}"][: len(values)] = values
    return store_on_disk(h5py.File(folder / "cells", "r")["X"], "X")


def test_row_starts_that_do_not_ascend_are_refused_when_opened(tmp_path):
    with pytest.raises(DataFileError, match="its row starts do not fit"):
        damaged(tmp_path, "indptr", np.array([0, 9, 5]))


def test_a_column_out_of_bounds_is_refused_when_read(tmp_path):
    store = damaged(tmp_path, "indices", np.array([1000]))
    with pytest.raises(DataFileError, match="its row starts or columns do not fit"):
        store.read(np.arange(3))


def test_the_file_can_be_written_again_when_the_store_is_gone(tmp_path):
    store = store_on_disk(written(tmp_path, "h5ad", sparse.csr_matrix(DENSE)), "X")
    store.read(np.arange(3))
    with pytest.raises(OSError, match=r"unable to lock|already open"):
        h5py.File(tmp_path / "cells", "r+")
    del store
    gc.collect()
    h5py.File(tmp_path / "cells", "r+").close()
