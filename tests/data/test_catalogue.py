"""The catalogue against the files themselves, and its refusals."""

import dataclasses
import functools
import hashlib
import http.server
import threading

import anndata as ad
import h5py
import numpy as np
import pooch
import pytest
from scipy import sparse

from cellwright.core.support import Support
from cellwright.data import catalogue
from cellwright.data.catalogue import CATALOGUE, find, load
from cellwright.errors import DataError, DataFileError

FILES = [name for name, dataset in CATALOGUE.items() if dataset.package is None]
NAME = "klein_mesc_timecourse"


def narrowest_support(values):
    if np.isnan(values).any():
        return Support.missing
    if np.any(values < 0):
        return Support.real
    if np.any(values != np.rint(values)):
        return Support.non_negative
    return Support.binary if values.max() <= 1 else Support.counts


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty folder where the catalogue looks first."""
    monkeypatch.setenv("CELLWRIGHT_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def served(tmp_path):
    """The address of a local server of the folder `tmp_path / "public"`."""
    (tmp_path / "public").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=tmp_path / "public")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_every_name_is_that_of_its_data_set():
    assert all(name == dataset.name for name, dataset in CATALOGUE.items())
    assert len(CATALOGUE) == len(catalogue._DATASETS)


def test_every_file_of_the_folder_is_catalogued(real_data):
    files = real_data(NAME).parent.glob("*.h5ad")
    assert {file.stem for file in files} <= set(CATALOGUE)


@pytest.mark.parametrize("name", FILES)
def test_file_has_the_checksum_shape_and_columns_that_are_stated(name, real_data):
    real_data(name)
    dataset = CATALOGUE[name]
    with h5py.File(find(name)) as file:
        obs, var = file["obs"], file["var"]
        assert len(obs[obs.attrs["_index"]]) == dataset.n_obs
        assert len(var[var.attrs["_index"]]) == dataset.n_vars
        assert set(dataset.keys.values()) <= set(obs)
        if dataset.time_key:
            assert obs[dataset.time_key].dtype.kind in "iuf"


@pytest.mark.parametrize("name", FILES)
def test_values_have_the_support_that_is_stated(name, real_data):
    real_data(name)
    with h5py.File(find(name)) as file:
        matrix = file["X"]
        values = matrix["data"][:] if isinstance(matrix, h5py.Group) else matrix[:].ravel()
    assert narrowest_support(values) == CATALOGUE[name].values


def test_load_gives_the_data_set(real_data):
    real_data(NAME)
    adata = load(NAME)
    assert adata.shape == (2_717, 96)
    assert adata.obs["day"].value_counts().to_dict() == {0: 933, 7: 798, 4: 683, 2: 303}


def test_pbmc68k_reduced_needs_no_folder(monkeypatch):
    monkeypatch.delenv("CELLWRIGHT_DATA", raising=False)
    adata = load("pbmc68k_reduced")
    assert adata.shape == (700, 765)
    assert sparse.isspmatrix_csr(adata.X)
    assert adata.X.dtype == np.float32
    assert "bulk_labels" in adata.obs


def test_pbmc68k_reduced_has_the_counts_behind_the_stored_values(monkeypatch):
    monkeypatch.delenv("CELLWRIGHT_DATA", raising=False)
    adata = load("pbmc68k_reduced")
    assert narrowest_support(adata.X.data) == Support.counts
    # oracle: the source divided by a cell's total over all genes, which obs states, and multiplied by 10,000
    total = adata.obs["n_counts"].to_numpy(dtype=np.float64)[:, None]
    with h5py.File(find("pbmc68k_reduced")) as file:
        group = file["raw/X"] if "raw" in file else file["raw.X"]
        stored = sparse.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), shape=adata.shape)
    np.testing.assert_allclose(stored.toarray(), np.log1p(adata.X.toarray() / total * 1e4), atol=0.006)  # two decimals


def test_values_that_never_were_counts_are_refused(shelf):
    values = np.log1p(np.random.default_rng(0).gamma(2.0, size=(5, 4)))
    processed = ad.AnnData(values.astype(np.float32))
    processed.raw = processed
    processed.write_h5ad(shelf / "10x_pbmc68k_reduced.h5ad")
    with pytest.raises(DataFileError, match="must come from counts; they do not"):
        load("pbmc68k_reduced")


def test_a_processed_file_without_raw_is_refused(shelf):
    ad.AnnData(np.ones((2, 2), np.float32)).write_h5ad(shelf / "10x_pbmc68k_reduced.h5ad")
    with pytest.raises(DataFileError, match=r"in \.raw; it has none"):
        load("pbmc68k_reduced")


def test_a_misspelt_name_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"no data set 'kang_ifnb'.*Did you mean 'kang_ifnb_pbmc'\?"):
        find("kang_ifnb")


@pytest.mark.parametrize("folder", [None, "elsewhere"], ids=["not set", "without the file"])
def test_a_file_that_is_nowhere_is_refused(folder, monkeypatch):
    monkeypatch.delenv("CELLWRIGHT_DATA", raising=False)
    if folder:
        monkeypatch.setenv("CELLWRIGHT_DATA", folder)
    state = f"it names {folder}" if folder else "it is not set"
    with pytest.raises(DataError, match=f"must have {NAME}.h5ad; {state}"):
        find(NAME)


def test_a_changed_file_is_refused_even_after_a_good_one(shelf, monkeypatch):
    file = shelf / "toy.h5ad"
    file.write_bytes(b"cells")
    toy = dataclasses.replace(CATALOGUE[NAME], name="toy", sha256=hashlib.sha256(b"cells").hexdigest())
    monkeypatch.setitem(CATALOGUE, "toy", toy)
    assert find("toy") == file
    file.write_bytes(b"other cells")
    with pytest.raises(DataFileError, match="must be the catalogue's 'toy'; its SHA-256 is another"):
        find("toy")


def test_an_unchanged_file_is_read_once_only(shelf, monkeypatch):
    (shelf / "toy.h5ad").write_bytes(b"cells once")
    toy = dataclasses.replace(CATALOGUE[NAME], name="toy", sha256=hashlib.sha256(b"cells once").hexdigest())
    monkeypatch.setitem(CATALOGUE, "toy", toy)
    read = []
    file_hash = pooch.file_hash
    monkeypatch.setattr(pooch, "file_hash", lambda path, alg: read.append(path) or file_hash(path, alg=alg))
    assert find("toy") == find("toy")
    assert len(read) == 1


def test_a_file_with_an_address_is_downloaded_and_checked(served, tmp_path, monkeypatch):
    monkeypatch.delenv("CELLWRIGHT_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    (tmp_path / "public" / "toy.h5ad").write_bytes(b"downloaded")
    for name, content in (("toy", b"downloaded"), ("changed", b"something else")):
        toy = dataclasses.replace(
            CATALOGUE[NAME], name=name, url=f"{served}/toy.h5ad", sha256=hashlib.sha256(content).hexdigest()
        )
        monkeypatch.setitem(CATALOGUE, name, toy)
    assert find("toy").read_bytes() == b"downloaded"
    with pytest.raises(DataFileError, match="must come unchanged from"):
        find("changed")


def test_a_package_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.delenv("CELLWRIGHT_DATA", raising=False)
    monkeypatch.setitem(CATALOGUE, "toy", dataclasses.replace(CATALOGUE[NAME], name="toy", package="no_such_package"))
    with pytest.raises(DataError, match="Install no_such_package"):
        find("toy")


def test_keys_are_the_columns_that_are_named():
    assert CATALOGUE["worm_embryo_time"].keys == {
        "label_key": "cell_type", "batch_key": "batch", "time_key": "embryo_time",
    }  # fmt: skip
