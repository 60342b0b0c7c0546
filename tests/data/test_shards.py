"""Shards: arrays that grow by pieces of any size hold what was given; a folder that fails leaves nothing."""

import numpy as np
import pytest
import zarr
from anndata.io import read_elem
from scipy import sparse

from cellwright.data import shards as module
from cellwright.data.shards import CSRShards, Shards, beside
from cellwright.errors import DataFileError


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_VALUES", 4)
    monkeypatch.setattr(module, "CHUNKS_PER_SHARD", 3)


@pytest.mark.parametrize("sizes", [[], [5], [12], [7, 30, 1], [0, 24, 24]])
def test_pieces_of_any_size_become_one_array(tmp_path, sizes):
    array, values = Shards(zarr.open_group(tmp_path, mode="w"), "data", np.uint8), np.arange(sum(sizes)) % 250
    for piece in np.split(values, np.cumsum(sizes)[:-1]) if sizes else []:
        array.append(piece)
    assert array.finish() == len(values)
    assert np.array_equal(zarr.open_group(tmp_path)["data"][:], values)


def test_blocks_of_rows_become_a_matrix_that_anndata_reads(tmp_path):
    matrix = sparse.random(40, 6, 0.3, format="csr", random_state=0, dtype=np.float32)
    group = zarr.open_group(tmp_path, mode="w")
    grown = CSRShards(group, "X", 6, np.float32)
    for start, stop in ((0, 1), (1, 25), (25, 25), (25, 40)):
        grown.append(matrix[start:stop])
    grown.finish()
    found = read_elem(group["X"])
    assert found.shape == (40, 6)
    assert (found != matrix).nnz == 0


def test_a_folder_is_beside_its_place_until_it_is_moved_and_gone_if_it_fails(tmp_path):
    target = tmp_path / "deep" / "store"
    with beside(target) as folder:
        folder.mkdir()
        assert folder.parent.parent == target.parent
        assert not target.exists()
        folder.replace(target)
    assert list(target.parent.iterdir()) == [target]
    with pytest.raises(ValueError, match="no"), beside(tmp_path / "other") as folder:
        folder.mkdir()
        raise ValueError("no")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]


def test_a_place_that_is_no_folder_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFileError, match="could not be written"), beside(tmp_path / "file" / "store"):
        pass
