"""Every kind of storage keeps the contract of a source: every row once, and the minibatches that memory gives."""

import gzip
import hashlib
from functools import partial

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import io, sparse

from cellwright.core.minibatch import Minibatch
from cellwright.data.convert import ConvertOptions, convert
from cellwright.data.files import SOURCES
from cellwright.data.open import open_data
from cellwright.data.plan import ClassBalanced, Cycled, Plan, Sequential, Shuffled, Weighted

N_OBS, N_VARS = 300, 20
COUNTS = np.random.default_rng(0).poisson(0.3, (N_OBS, N_VARS)).astype(np.float32)
CODES = np.arange(N_OBS) % 4 - 1

pytestmark = pytest.mark.filterwarnings(
    "ignore:Writing zarr v2 data", "ignore:zarr v3 autosharding", "ignore:Consolidated metadata"
)


def cells(form=sparse.csr_matrix) -> anndata.AnnData:
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(N_OBS)])
    return anndata.AnnData(form(COUNTS), obs=obs, var=pd.DataFrame(index=[f"gene{i}" for i in range(N_VARS)]))


def anndata_of(folder, form):
    return cells(form), {}


def h5ad(folder, form, in_memory, compression=None):
    cells(form).write_h5ad(folder / "cells.h5ad", compression=compression)
    return folder / "cells.h5ad", {"in_memory": in_memory}


def zarr_folder(folder, form, in_memory, version):
    with anndata.settings.override(zarr_write_format=version):
        cells(form).write_zarr(folder / "cells.zarr")
    return folder / "cells.zarr", {"in_memory": in_memory}


def zarr_shards(folder):
    with anndata.settings.override(zarr_write_format=3, auto_shard_zarr_v3=True):
        cells().write_zarr(folder / "cells.zarr", chunks=64)
    return folder / "cells.zarr", {"in_memory": False}


def zarr_converted(folder, in_memory, form=sparse.csr_matrix):
    cells(form).write_h5ad(folder / "cells.h5ad")
    convert([folder / "cells.h5ad"], folder / "cells.zarr", ConvertOptions(shuffle=False))
    return folder / "cells.zarr", {"in_memory": in_memory}


def h5mu(folder, in_memory):
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"X": cells()}).write(folder / "cells.h5mu")
    return folder / "cells.h5mu", {"in_memory": in_memory}


def tenx_h5(folder):
    """As Cell Ranger 3 writes it: features x cells by columns, which is cells x features by rows."""
    matrix, names = sparse.csr_matrix(COUNTS.astype(np.int32)), cells()
    with h5py.File(folder / "cells.h5", "w") as file:
        for name in ("data", "indices", "indptr"):
            file[f"matrix/{name}"] = getattr(matrix, name)
        file["matrix/shape"] = [N_VARS, N_OBS]
        file["matrix/barcodes"] = names.obs_names.to_numpy().astype("S")
        for name in ("id", "name"):
            file[f"matrix/features/{name}"] = names.var_names.to_numpy().astype("S")
        for name, value in {"feature_type": "Gene Expression", "genome": "GRCh38"}.items():
            file[f"matrix/features/{name}"] = np.array([value] * N_VARS, dtype="S")
    return folder / "cells.h5", {}


def tenx_mtx(folder):
    path = folder / "filtered"
    path.mkdir()
    names = cells()
    with gzip.open(path / "matrix.mtx.gz", "wb") as file:
        io.mmwrite(file, sparse.coo_matrix(COUNTS.T.astype(np.int32)))
    with gzip.open(path / "features.tsv.gz", "wt") as file:
        file.writelines(f"{name}\t{name}\tGene Expression\n" for name in names.var_names)
    with gzip.open(path / "barcodes.tsv.gz", "wt") as file:
        file.writelines(f"{name}\n" for name in names.obs_names)
    return path, {}


STORAGE = {
    "AnnData csr": partial(anndata_of, form=sparse.csr_matrix),
    "AnnData csc": partial(anndata_of, form=sparse.csc_matrix),
    "h5ad csr in memory": partial(h5ad, form=sparse.csr_matrix, in_memory=True),
    "h5ad csc in memory": partial(h5ad, form=sparse.csc_matrix, in_memory=True),
    "h5ad csr streamed": partial(h5ad, form=sparse.csr_matrix, in_memory=False),
    "h5ad csr streamed gzip": partial(h5ad, form=sparse.csr_matrix, in_memory=False, compression="gzip"),
    "h5ad csr streamed lzf": partial(h5ad, form=sparse.csr_matrix, in_memory=False, compression="lzf"),
    "zarr v2 csr in memory": partial(zarr_folder, form=sparse.csr_matrix, in_memory=True, version=2),
    "zarr v2 csr streamed": partial(zarr_folder, form=sparse.csr_matrix, in_memory=False, version=2),
    "zarr v3 csr streamed": partial(zarr_folder, form=sparse.csr_matrix, in_memory=False, version=3),
    "zarr v3 shards streamed": zarr_shards,
    "zarr converted in memory": partial(zarr_converted, in_memory=True),
    "zarr converted streamed": partial(zarr_converted, in_memory=False),
    "zarr converted from dense streamed": partial(zarr_converted, in_memory=False, form=np.asarray),
    "h5mu in memory": partial(h5mu, in_memory=True),
    "h5mu streamed": partial(h5mu, in_memory=False),
    "10x h5": tenx_h5,
    "10x mtx": tenx_mtx,
    "AnnData dense": partial(anndata_of, form=np.asarray),
    "h5ad dense in memory": partial(h5ad, form=np.asarray, in_memory=True),
    "h5ad dense streamed": partial(h5ad, form=np.asarray, in_memory=False, compression="gzip"),
    "zarr v3 dense streamed": partial(zarr_folder, form=np.asarray, in_memory=False, version=3),
}
PLANS: dict[str, Plan] = {
    "sequential": Sequential(),
    "exact shuffle": Shuffled(block_rows=1),
    "blocks of 64": Shuffled(block_rows=64),
    "cycled": Cycled(2 * N_OBS + 5, block_rows=64),
    "weighted": Weighted(np.arange(N_OBS) + 1.0),
    "class balanced": ClassBalanced(CODES),
    "weighted in blocks": Weighted(np.arange(N_OBS) + 1.0, block_rows=64),
    "class balanced in blocks": ClassBalanced(CODES, block_rows=64),
}


@pytest.fixture(scope="module", params=STORAGE)
def stored(request, tmp_path_factory):
    """What is given to open_data, with its further arguments."""
    return STORAGE[request.param](tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def source(stored):
    data, arguments = stored
    return open_data(data, **arguments)


def a_pass(source, plan: Plan, rank: int = 0, world: int = 1, batch_size: int = 32) -> list[Minibatch]:
    return list(source.minibatches(np.arange(N_OBS), batch_size, plan, np.random.default_rng(7), rank, world))


def bytes_of(minibatch: Minibatch) -> bytes:
    x = minibatch.x
    tensors = [
        minibatch.rows,
        minibatch.batch,
        minibatch.label,
        minibatch.time,
        minibatch.covariates,
        minibatch.present,
    ]
    tensors += [x.values] if x.columns is None else [x.values, x.columns, x.starts]
    return b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)


@pytest.mark.parametrize("plan", ["sequential", "exact shuffle", "blocks of 64"])
def test_a_pass_covers_every_row_once_with_its_values(source, plan):
    parts = a_pass(source, PLANS[plan])
    rows = torch.cat([part.rows for part in parts]).numpy()
    assert sorted(rows) == list(range(N_OBS))
    np.testing.assert_array_equal(torch.cat([part.x.dense() for part in parts]), COUNTS[rows])


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_minibatches_equal_those_of_an_anndata_in_memory_bit_for_bit(source, plan):
    found = a_pass(source, plan)
    reference = open_data(cells(np.asarray if found[0].x.is_dense else sparse.csr_matrix))
    assert [bytes_of(part) for part in found] == [bytes_of(part) for part in a_pass(reference, plan)]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_parts_of_three_processes_unite_to_the_minibatches_of_one(source, plan):
    parts = [a_pass(source, plan, rank, world=3) for rank in range(3)]
    for whole, *shares in zip(a_pass(source, plan), *parts, strict=True):
        rows, values = torch.empty_like(whole.rows), torch.empty_like(whole.x.dense())
        for rank, share in enumerate(shares):
            rows[rank::3], values[rank::3] = share.rows, share.x.dense()
        assert torch.equal(rows, whole.rows)
        assert torch.equal(values, whole.x.dense())


@settings(max_examples=10, deadline=None)  # the plan alone is searched further in tests/data/test_plan.py
@given(n=st.integers(2, N_OBS), batch_size=st.integers(2, 128), block_rows=st.sampled_from([1, 64]))
def test_no_minibatch_for_training_has_one_cell(source, n, batch_size, block_rows):
    parts = source.minibatches(np.arange(n), batch_size, Shuffled(block_rows), np.random.default_rng(0))
    sizes = [part.n_obs for part in parts]
    assert min(sizes) >= 2
    assert sum(sizes) == n


def test_the_input_is_left_as_it_was(stored):
    data, arguments = stored
    before = digest(data)
    opened = open_data(data, **arguments)
    for plan in PLANS.values():
        a_pass(opened, plan)
    assert digest(data) == before


def digest(data) -> str:
    """Of a file's bytes, of those of all files in a folder, or of the arrays of an AnnData."""
    if not isinstance(data, anndata.AnnData):
        files = [data] if data.is_file() else sorted(item for item in data.rglob("*") if item.is_file())
        parts = [file.read_bytes() for file in files]
    elif sparse.issparse(data.X):
        parts = [array.tobytes() for array in (data.X.data, data.X.indices, data.X.indptr)]
    else:
        parts = [data.X.tobytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def test_every_reader_in_the_table_is_tested_here():
    tested = {word for name in STORAGE for word in name.split()}
    assert {name.rpartition(".")[2] for name in SOURCES} <= tested
