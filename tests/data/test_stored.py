"""Items on disk: what they are before they are read."""

import anndata
import h5py
import numpy as np
import pytest
import zarr
from scipy import sparse

from cellwright.data.stored import is_array, is_group, memory_bytes, sparse_shape, stored_form
from cellwright.errors import DataFileError

# anndata announces what it will write by default one day; these tests only need something to read
pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2 data", "ignore:zarr v3 autosharding")

DENSE = np.random.default_rng(0).poisson(0.5, (20, 7)).astype(np.float32)


@pytest.fixture(params=["h5ad", "zarr"])
def group(request, tmp_path):
    layers = {"csr": sparse.csr_matrix(DENSE), "csc": sparse.csc_matrix(DENSE), "dense": DENSE}
    adata = anndata.AnnData(sparse.csr_matrix(DENSE), layers=layers)
    path = tmp_path / f"cells.{request.param}"
    if request.param == "zarr":
        adata.write_zarr(path)
        return zarr.open_group(path, mode="r")
    adata.write_h5ad(path)
    return h5py.File(path, "r")


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_a_sparse_matrix_is_known_by_form_shape_and_size(group, form):
    item = group["layers"][form]
    assert is_group(item)
    assert not is_array(item)
    assert stored_form(item, "X") == form
    assert sparse_shape(item) == (20, 7)
    n_starts = {"csr": 21, "csc": 8}[form]
    assert memory_bytes(item) == 8 * np.count_nonzero(DENSE) + 8 * n_starts


def test_a_dense_matrix_is_an_array_of_four_bytes_a_value(group):
    item = group["layers"]["dense"]
    assert is_array(item)
    assert memory_bytes(item) == 4 * 20 * 7


def test_a_group_of_something_else_is_refused(group):
    with pytest.raises(DataFileError, match="X must be a CSR, CSC or dense matrix; it is stored as dataframe"):
        stored_form(group["obs"], "X")
