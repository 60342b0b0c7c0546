"""open_data with coordinates: from every kind of input, for new cells, and what is refused."""

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from cellwright.core.schema import Coordinates
from cellwright.data.open import open_data
from cellwright.data.prepare import as_anndata
from cellwright.data.source import in_order
from cellwright.errors import DataError, DataFileError, MissingKey, SchemaMismatch

pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2 data", "ignore:zarr v3 autosharding")
PLACES = np.random.default_rng(0).random((20, 2)) * 1000


def cells(places=PLACES):
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(20)])
    counts = np.random.default_rng(1).poisson(0.7, (20, 6)).astype(np.float32)
    return anndata.AnnData(
        sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=list("abcdef")), obsm={"spatial": places}
    )


def check(source):
    assert source.schema.coordinates == Coordinates(key="spatial", n=2)
    np.testing.assert_array_equal(source.annotation.coordinates, PLACES.astype(np.float32))
    assert source.annotation.coordinates.dtype == np.float32
    minibatch = next(in_order(source, np.array([3, 7])))
    np.testing.assert_array_equal(minibatch.coordinates, PLACES[[3, 7]].astype(np.float32))


@pytest.mark.parametrize("suffix", ["memory", "h5ad", "zarr"])
def test_an_anndata_and_its_files_give_the_places_of_their_cells(tmp_path, suffix):
    data = cells()
    if suffix != "memory":
        getattr(data, f"write_{suffix}")(tmp_path / f"cells.{suffix}")
        data = tmp_path / f"cells.{suffix}"
    check(open_data(data, coordinates_key="spatial"))


@pytest.mark.parametrize("kind", [np.asarray, lambda p: pd.DataFrame(p, index=cells().obs_names, columns=["x", "y"])])
def test_a_frame_is_as_good_as_an_array(kind):
    check(open_data(cells(kind(PLACES)), coordinates_key="spatial"))


@pytest.mark.parametrize("on_disk", [False, True], ids=["memory", "h5mu"])
def test_a_mudata_has_places_of_its_own_and_of_each_modality(tmp_path, on_disk):
    protein = cells(PLACES[::-1])
    protein.var_names = list("uvwxyz")
    with mudata.set_options(pull_on_update=False):
        data = mudata.MuData({"rna": cells(), "protein": protein})
        data.obsm["spatial"] = PLACES
        if on_disk:
            data.write_h5mu(tmp_path / "cells.h5mu")
            data = tmp_path / "cells.h5mu"
    check(open_data(data, coordinates_key="spatial"))
    check(open_data(data, coordinates_key="spatial", modality="rna"))
    other = open_data(data, coordinates_key="spatial", modality="protein")
    np.testing.assert_array_equal(other.annotation.coordinates, PLACES[::-1].astype(np.float32))


def test_without_a_key_there_are_none():
    source = open_data(cells())
    assert source.schema.coordinates is None
    assert source.schema.n_coordinates == 0
    assert next(in_order(source)).coordinates.shape == (20, 0)


def test_new_cells_are_read_under_the_schemas_key_or_another():
    schema = open_data(cells(), coordinates_key="spatial").schema
    check(open_data(cells(), schema=schema))
    elsewhere = cells()
    elsewhere.obsm["pixels"] = elsewhere.obsm.pop("spatial")
    check(open_data(elsewhere, schema=schema, coordinates_key="pixels"))
    with pytest.raises(MissingKey, match=r"obsm has no 'spatial' \(coordinates_key\); it has 'pixels'"):
        open_data(elsewhere, schema=schema)


def test_a_wrong_key_is_named_with_what_there_is(tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    for data in (cells(), tmp_path / "cells.h5ad"):
        with pytest.raises(MissingKey, match=r"obsm has no 'spatail' \(coordinates_key\).*Did you mean 'spatial'\?"):
            open_data(data, coordinates_key="spatail")


def test_places_that_are_no_places_are_refused():
    for value in (np.nan, np.inf, 1e300):  # the last is infinite in float32
        away = PLACES.copy()
        away[3, 0] = value
        with pytest.raises(DataError, match=r"\(coordinates_key\) must hold finite numbers of float32; 1 cells have"):
            open_data(cells(away), coordinates_key="spatial")
    for none in (PLACES[:, :, None], PLACES[:, :0], PLACES > 0.5, PLACES.astype(str), sparse.csr_matrix(PLACES)):
        with pytest.raises(DataError, match=r"obsm\['spatial'\].*must hold numbers, one row per cell; it holds"):
            open_data(cells(none), coordinates_key="spatial")


def test_places_of_a_damaged_file_are_refused(tmp_path):
    path = tmp_path / "cells.h5ad"
    cells().write_h5ad(path)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["obsm/spatial"].attrs)
        del file["obsm/spatial"]
        file["obsm/spatial"] = PLACES[:19]
        file["obsm/spatial"].attrs.update(attributes)
    with pytest.raises(DataFileError, match=r"obsm\['spatial'\] in cells.h5ad must have 20 rows.*it has 19"):
        open_data(path, coordinates_key="spatial")
    cells().write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        at = file["obsm/spatial"].id.get_chunk_info(0).byte_offset
    path.write_bytes(path.read_bytes()[:at] + b"\xff" * 40 + path.read_bytes()[at + 40 :])
    with pytest.raises(DataFileError, match=r"obsm\['spatial'\] in cells.h5ad cannot be read"):
        open_data(path, coordinates_key="spatial")


def test_places_of_another_space_or_for_a_model_without_are_refused():
    schema = open_data(cells(), coordinates_key="spatial").schema
    with pytest.raises(SchemaMismatch, match=r"must have 2 columns, as the model's data had; it has 3"):
        open_data(cells(np.c_[PLACES, PLACES[:, 0]]), schema=schema)
    with pytest.raises(SchemaMismatch, match="the model was built without coordinates"):
        open_data(cells(), schema=open_data(cells()).schema, coordinates_key="spatial")


def test_they_go_on_into_an_anndata_of_the_source():
    adata = as_anndata(open_data(cells(), coordinates_key="spatial"))
    check(open_data(adata, coordinates_key="spatial"))


def test_places_that_float32_cannot_keep_apart_are_refused():
    with pytest.raises(DataError, match=r"20 places apart in float32; \d+ are left. Subtract an offset"):
        open_data(cells(PLACES + 5e8), coordinates_key="spatial")
