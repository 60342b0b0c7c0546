"""Paths: which reader takes them, and one sentence where none can."""

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse

from cellwright.data.files import SOURCES, kind_of
from cellwright.data.open import open_data
from cellwright.errors import DataError, DataFileError


@pytest.fixture
def h5ad(tmp_path):
    counts = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (50, 8)).astype(np.float32))
    anndata.AnnData(counts).write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def refusal(path) -> str:
    with pytest.raises(DataFileError) as error:
        open_data(path)
    sentence = str(error.value)
    assert len(sentence) <= 300
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("suffix", [name for name in SOURCES if name not in (".zarr", "matrix.mtx")])
def test_a_file_is_known_by_its_suffix_whatever_its_case(tmp_path, suffix):
    path = tmp_path / f"cells{suffix.upper()}"
    path.touch()
    assert kind_of(path) == suffix


@pytest.mark.parametrize(
    ("marker", "kind"),
    [("zarr.json", ".zarr"), (".zgroup", ".zarr"), ("matrix.mtx", "matrix.mtx"), ("matrix.mtx.gz", "matrix.mtx")],
)
def test_a_folder_is_known_by_what_is_in_it(tmp_path, marker, kind):
    (tmp_path / marker).touch()
    assert kind_of(tmp_path) == kind


def test_a_path_that_is_not_there_suggests_a_neighbour(h5ad):
    assert "Did you mean 'cells.h5ad'?" in refusal(h5ad.with_name("cell.h5ad"))


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    (tmp_path / "cells.csv").write_text("a,b")
    assert "cells.csv must be one of .h5ad, .h5mu, .zarr, .h5, matrix.mtx; its suffix is '.csv'" in refusal(
        tmp_path / "cells.csv"
    )


@pytest.mark.parametrize("suffix", [".h5ad", ".h5mu", ".h5"])
def test_an_empty_file_is_refused(tmp_path, suffix):
    (tmp_path / f"cells{suffix}").touch()
    assert f"cells{suffix} must be an HDF5 file; it is empty" in refusal(tmp_path / f"cells{suffix}")


def test_a_foreign_file_shows_how_it_begins(tmp_path):
    (tmp_path / "cells.h5ad").write_text("gene,c1,c2\nCD3E,1,2\n")
    assert "begins with b'gene,c1,c2" in refusal(tmp_path / "cells.h5ad")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(h5ad, share):
    whole = h5ad.read_bytes()
    h5ad.write_bytes(whole[: int(len(whole) * share)])
    assert "cells.h5ad cannot be read" in refusal(h5ad)


def test_hdf5_that_anndata_did_not_write_is_refused(tmp_path):
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        file["x"] = np.zeros(3)
    assert "cells.h5ad must be written by AnnData or MuData; it has no 'obs'" in refusal(tmp_path / "cells.h5ad")


def test_hdf5_that_is_no_10x_matrix_is_refused(tmp_path):
    with h5py.File(tmp_path / "cells.h5", "w") as file:
        file["x"] = np.zeros(3)
    assert "cells.h5 cannot be read" in refusal(tmp_path / "cells.h5")


def test_a_folder_without_cells_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    assert "the folder data must be a zarr group or hold matrix.mtx" in refusal(tmp_path / "data")


def test_a_link_into_another_file_is_never_followed(h5ad, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((50, 8))
    with h5py.File(h5ad, "r+") as file:
        file["layers/counts"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
    assert "cells.h5ad is not safe to read: 'layers/counts'" in refusal(h5ad)


def test_obs_of_an_old_anndata_is_refused_with_the_remedy(h5ad):
    with h5py.File(h5ad, "r+") as file:
        del file["obs"]
        file["obs"] = np.array([(b"c1",)], dtype=[("index", "S2")])
    assert "as anndata before 0.7 wrote it" in refusal(h5ad)


def test_flipped_bytes_give_the_same_cells_or_one_class_of_error(h5ad):
    """Some of 100 flips hit uncompressed values, which nothing can notice; none may escape as another error."""
    whole, rng = h5ad.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 100):
        h5ad.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.integers(8)]) + whole[at + 1 :])
        try:
            open_data(h5ad, in_memory=True)
        except DataError:
            continue
