"""open_data: every kind of input, keys, a known schema, MuData, and refusals."""

import hashlib
import pickle

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import psutil
import pytest
from scipy import sparse

from cellwright.core.schema import Categories, Schema
from cellwright.data.disk import CsrOnDisk
from cellwright.data.memory import MemoryStore
from cellwright.data.open import open_data
from cellwright.data.plan import Shuffled
from cellwright.data.source import in_order
from cellwright.errors import DataError, MissingKey, SchemaMismatch

# anndata warns of repeated names, which one test makes, and announces what zarr it will write by default one day
pytestmark = pytest.mark.filterwarnings(
    "ignore:(Variable|Observation) names are not unique", "ignore:Writing zarr v2 data", "ignore:zarr v3 autosharding"
)

DENSE = np.random.default_rng(0).poisson(0.7, (40, 12)).astype(np.float32)


def cells(matrix=None, n_vars: int = 12) -> anndata.AnnData:
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical(["d1", "d2", "d2", None] * 10, categories=["d2", "unused", "d1"]),
            "cell_type": ["T", "B", None, "T"] * 10,
            "age": np.arange(40.0),
        },
        index=[f"cell{i}" for i in range(40)],
    )
    matrix = sparse.csr_matrix(DENSE) if matrix is None else matrix
    return anndata.AnnData(matrix, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_vars)]))


def values(source, modality: str = "X") -> np.ndarray:
    return sparse.csr_matrix(source.read(modality, np.arange(source.n_obs))).toarray()


def digest(adata: anndata.AnnData) -> str:
    return hashlib.sha256(pickle.dumps([adata.X, adata.obs, adata.var, dict(adata.layers)])).hexdigest()


FORMS = {
    "csr": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "dense": np.asarray,
    "fortran": np.asfortranarray,
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_matrix_gives_the_same_values_and_is_left_alone(form, dtype):
    adata = cells(form(DENSE.astype(dtype)))
    before = digest(adata)
    source = open_data(adata, batch_key="donor", label_key="cell_type", covariate_keys=["age"])
    np.testing.assert_array_equal(values(source), DENSE)
    list(source.minibatches(np.arange(40), 16, Shuffled(), np.random.default_rng(0)))
    assert digest(adata) == before


def test_a_view_and_a_backed_anndata_work(tmp_path):
    adata = cells()
    np.testing.assert_array_equal(values(open_data(adata[5:15, 3:9])), DENSE[5:15, 3:9])
    adata.write_h5ad(tmp_path / "cells.h5ad")
    backed = anndata.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    np.testing.assert_array_equal(values(open_data(backed, in_memory=False)), DENSE)
    np.testing.assert_array_equal(values(open_data(backed[[3, 1]])), DENSE[[3, 1]])
    backed.file.close()
    source = open_data(backed)
    np.testing.assert_array_equal(values(source), DENSE)
    assert source.origin == "cells.h5ad"


@pytest.mark.parametrize(
    ("available", "kind"), [(10**9, MemoryStore), (1000, CsrOnDisk)], ids=["room enough", "hardly any room"]
)
def test_a_matrix_is_streamed_when_it_would_take_over_a_quarter_of_the_memory(tmp_path, monkeypatch, available, kind):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": available}))
    assert isinstance(open_data(tmp_path / "cells.h5ad").stores["X"], kind)


def test_a_layer_is_read_instead_of_x(tmp_path):
    adata = cells()
    adata.layers["doubled"] = adata.X * 2
    adata.write_h5ad(tmp_path / "cells.h5ad")
    for data in (adata, tmp_path / "cells.h5ad"):
        source = open_data(data, layer="doubled")
        np.testing.assert_array_equal(values(source), 2 * DENSE)
        assert source.stores["X"].where.startswith("layers['doubled']")


def test_schema_and_codes_of_a_minibatch_are_those_of_obs():
    source = open_data(cells(), batch_key="donor", label_key="cell_type", time_key="age", covariate_keys=("age",))
    assert source.schema.features == {"X": tuple(f"g{i}" for i in range(12))}
    assert source.schema.batch == Categories(key="donor", values=("d2", "d1"))
    assert source.schema.label == Categories(key="cell_type", values=("B", "T"))
    minibatch = next(in_order(source, batch_size=4))
    assert minibatch.batch.tolist() == [1, 0, 0, -1]
    assert minibatch.label.tolist() == [1, 0, -1, 1]
    assert minibatch.time.tolist() == minibatch.covariates[:, 0].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(minibatch.x.dense(), DENSE[:4])


def test_order_of_obs_columns_and_of_categories_that_do_not_occur_changes_nothing():
    adata = cells()
    other = adata.copy()
    other.obs = other.obs[["age", "cell_type", "donor"]].assign(
        donor=other.obs["donor"].cat.set_categories(["new", "d2", "d1"])
    )
    keys = {"batch_key": "donor", "label_key": "cell_type"}
    assert open_data(adata, **keys).schema == open_data(other, **keys).schema


def minibatches(source):
    return [m.x.dense().numpy() for m in source.minibatches(np.arange(40), 16, Shuffled(), np.random.default_rng(3))]


def test_permuted_features_give_identical_minibatches_under_the_schema():
    schema = open_data(cells()).schema
    permuted = cells()[:, np.random.default_rng(1).permutation(12)].copy()
    source = open_data(permuted, schema=schema)
    for expected, found in zip(minibatches(open_data(cells())), minibatches(source), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert source.filled_features == ()
    assert source.schema == schema


def test_features_that_the_data_lack_are_zeros_and_listed_and_others_are_left_out():
    schema = open_data(cells()).schema
    new = cells(sparse.csr_matrix(np.c_[DENSE[:, :10], DENSE[:, :2]]))
    new.var_names = [f"g{i}" for i in range(10)] + ["other1", "other2"]
    source = open_data(new, schema=schema)
    np.testing.assert_array_equal(values(source), np.c_[DENSE[:, :10], np.zeros((40, 2))])
    assert source.filled_features == ("g10", "g11")


def test_over_a_fifth_of_the_features_missing_warns():
    with pytest.warns(UserWarning, match=r"X lacks 4 of the model's 12 features \(g8, g9, g10, g11\)"):
        open_data(cells()[:, :8].copy(), schema=open_data(cells()).schema)


def test_categories_are_the_schemas_and_an_absent_label_is_no_error():
    schema = open_data(cells(), batch_key="donor", label_key="cell_type").schema
    new = cells()
    new.obs["donor"] = ["d1", "d9"] * 20
    del new.obs["cell_type"]
    source = open_data(new, schema=schema)
    assert source.annotation.batch[:2].tolist() == [1, -1]
    assert set(source.annotation.label) == {-1}
    assert source.schema == schema


def refuse(match: str, kind=DataError):
    return pytest.raises(kind, match=match)


def test_unusable_cells_and_features_are_refused_with_the_remedy():
    adata = cells()
    with refuse("X must have at least one feature; it has none"):
        open_data(adata[:, []].copy())
    with refuse("X must have at least one cell; it has none"):
        open_data(adata[[]].copy())
    adata.var_names = ["g0", "g0", *adata.var_names[2:]]
    with refuse(r"unique names; 1 are repeated \(g0\)\. Call adata\.var_names_make_unique\(\)"):
        open_data(adata)
    adata = cells()
    adata.obs_names = ["c", "c", *adata.obs_names[2:]]
    with refuse(r"1 are repeated \(c\)\. Call adata\.obs_names_make_unique\(\)"):
        open_data(adata)


def test_a_missing_layer_or_column_is_named_with_what_there_is():
    adata = cells()
    adata.layers["counts"] = adata.X
    with refuse(r"layers has no 'count' \(layer\); it has 'counts'\. Did you mean 'counts'\?", MissingKey):
        open_data(adata, layer="count")
    with refuse(r"obs has no 'celltype' \(label_key\).*Did you mean 'cell_type'\?", MissingKey):
        open_data(adata, label_key="celltype")


def test_what_cannot_be_opened_at_all_is_refused(tmp_path):
    with refuse("data must be an AnnData, a MuData, a path, or one of these per modality; it is ndarray"):
        open_data(DENSE)
    empty = anndata.AnnData(obs=pd.DataFrame(index=["c"]), var=pd.DataFrame(index=["g"]))
    empty.write_h5ad(tmp_path / "cells.h5ad")
    for data in (empty, tmp_path / "cells.h5ad"):
        with refuse("X must hold the values; it is empty"):
            open_data(data)
    with refuse(r"X of memory must lie in an \.h5ad"):
        open_data(cells(), in_memory=False)


def test_a_matrix_that_does_not_fit_obs_is_refused(tmp_path):
    cells().write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad", "r+") as file:
        file["X"].attrs["shape"] = [40, 13]
    for in_memory in (True, False):
        with refuse("must have 40 rows and 12 columns"):
            open_data(tmp_path / "cells.h5ad", in_memory=in_memory)


@pytest.fixture
def mosaic():
    """RNA of all cells but the first ten, proteins of the first twenty in reverse order, dense."""
    rna = cells()[10:].copy()
    protein = cells(DENSE[:, :5], n_vars=5)[:20][::-1].copy()
    protein.var_names = [f"p{i}" for i in range(5)]
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData({"rna": rna, "protein": protein})
        mdata.obs["site"] = ["s1" if name < "cell2" else "s2" for name in mdata.obs_names]
        yield mdata


@pytest.fixture(params=["object", "h5mu", "zarr"])
def opened_mosaic(request, mosaic, tmp_path):
    """The MuData, or a path to it."""
    if request.param == "h5mu":
        mosaic.write(tmp_path / "cells.h5mu")
    elif request.param == "zarr":
        mosaic.write_zarr(tmp_path / "cells.zarr")
    return mosaic if request.param == "object" else tmp_path / f"cells.{request.param}"


def test_modalities_are_views_over_the_union_of_cells(opened_mosaic, mosaic):
    source = open_data(opened_mosaic)
    assert source.schema.modalities == ("rna", "protein")
    assert list(source.annotation.obs.index) == list(mosaic.obs_names)
    at = np.array([int(name.removeprefix("cell")) for name in mosaic.obs_names])
    minibatch = next(in_order(source, batch_size=100))
    np.testing.assert_array_equal(minibatch.present, np.stack([at >= 10, at < 20], axis=1))
    np.testing.assert_array_equal(minibatch.views["rna"].dense(), np.where(at[:, None] >= 10, DENSE[at], 0))
    np.testing.assert_array_equal(minibatch.views["protein"].dense(), np.where(at[:, None] < 20, DENSE[at, :5], 0))
    assert [minibatch.views[name].is_dense for name in source.schema.modalities] == [False, True]


def test_one_modality_has_its_own_cells_and_columns(opened_mosaic):
    source = open_data(opened_mosaic, modality="protein", label_key="cell_type", batch_key="site")
    assert source.schema.modalities == ("protein",)
    assert list(source.annotation.obs.index) == [f"cell{i}" for i in range(19, -1, -1)]
    np.testing.assert_array_equal(values(source, "protein"), DENSE[19::-1, :5])
    assert source.annotation.obs["protein:cell_type"].equals(source.annotation.obs["cell_type"])
    assert not source.row_of


def test_a_column_of_a_modality_is_known_by_its_prefix(mosaic):
    source = open_data(mosaic, label_key="rna:cell_type")
    in_rna = np.array([name in mosaic["rna"].obs_names for name in mosaic.obs_names])
    assert source.schema.label == Categories(key="rna:cell_type", values=("B", "T"))
    assert (source.annotation.label[~in_rna] == -1).all()


def test_parts_open_like_the_mudata_that_they_make(mosaic, tmp_path):
    """In any form, over the same cells; a column that the parts agree on is theirs without a prefix."""
    mosaic["rna"].write_h5ad(tmp_path / "rna.h5ad")
    parts = {"rna": tmp_path / "rna.h5ad", "protein": mosaic["protein"]}
    joined, whole = (open_data(data, label_key="cell_type") for data in (parts, mosaic))
    assert joined.schema == whole.schema
    assert joined.schema.label == Categories(key="cell_type", values=("B", "T"))
    order = whole.annotation.obs.index.get_indexer(joined.annotation.obs.index)
    assert sorted(order) == list(range(whole.n_obs))
    whole_label = open_data(cells(), label_key="cell_type").annotation.label  # of cell0, cell1, ...
    at = [int(name.removeprefix("cell")) for name in joined.annotation.obs.index]
    np.testing.assert_array_equal(joined.annotation.label, whole_label[at])
    np.testing.assert_array_equal(joined.annotation.label, whole.annotation.label[order])
    for name in ("rna", "protein"):
        np.testing.assert_array_equal(joined.measured(name), whole.measured(name)[order])
        np.testing.assert_array_equal(values(joined, name), values(whole, name)[order])


def test_a_column_that_modalities_disagree_on_is_known_by_its_prefix_only(mosaic):
    first, second = mosaic["rna"].copy(), mosaic["protein"].copy()
    second.obs["cell_type"] = np.roll(second.obs["cell_type"].astype(object), 1)
    second.obs["age"] = np.arange(20.0)
    parts = {"rna": first, "protein": second}
    with refuse(r"obs has no 'cell_type' \(label_key\).*'rna:cell_type'", MissingKey):
        open_data(parts, label_key="cell_type")
    assert open_data(parts, label_key="protein:cell_type").schema.n_labels == 2


def test_categories_of_one_part_and_text_of_the_other_are_all_kept(mosaic):
    first, second = mosaic["rna"].copy(), mosaic["protein"].copy()
    first.obs["kind"] = pd.Categorical(np.where(np.arange(30) % 2, "b", "a"), categories=["b", "a"])
    second.obs["kind"] = "c"
    shared = second.obs_names.isin(first.obs_names)
    second.obs.loc[second.obs_names[shared], "kind"] = first.obs["kind"].astype(str)[second.obs_names[shared]]
    source = open_data({"rna": first, "protein": second}, label_key="kind")
    assert source.schema.label.values == ("b", "a", "c")
    assert (source.annotation.label >= 0).all()


def test_one_part_alone_and_parts_that_cannot_be_joined(mosaic):
    parts = {"rna": mosaic["rna"], "protein": mosaic["protein"]}
    assert open_data(parts, modality="protein").n_obs == 20
    with refuse("the data has no 'atac'", MissingKey):
        open_data(parts, modality="atac")
    with refuse("the part 'both' must hold one modality; memory holds rna, protein"):
        open_data({"both": mosaic})
    with refuse("the parts must be at least one modality"):
        open_data({})


def test_a_source_of_one_modality_has_all_cells_and_says_which_were_measured(mosaic):
    source = open_data(mosaic)
    alone, both = (next(in_order(cells, batch_size=100)) for cells in (source.of("protein"), source))
    assert alone.n_obs == both.n_obs
    assert list(alone.views) == ["protein"]
    np.testing.assert_array_equal(alone.present[:, 0], both.present[:, 1])
    np.testing.assert_array_equal(alone.x.dense(), both.views["protein"].dense())
    np.testing.assert_array_equal(alone.x.dense(), both.of("protein").x.dense())
    np.testing.assert_array_equal(source.measured("protein"), both.present[:, 1])
    assert not both.without("protein").present[:, 1].any()
    with refuse("the modality must be one of rna, protein; it is 'proteins'", SchemaMismatch):
        source.of("proteins")


def test_an_unknown_modality_is_refused_by_name(mosaic):
    with refuse(r"the MuData has no 'rnaa' \(modality\).*Did you mean 'rna'", MissingKey):
        open_data(mosaic, modality="rnaa")


def test_an_anndata_fits_one_modality_of_a_schema_and_the_other_is_absent(mosaic):
    schema = open_data(mosaic).schema
    source = open_data(cells(), schema=schema, modality="rna")
    minibatch = next(in_order(source, batch_size=40))
    assert minibatch.present.tolist() == [[True, False]] * 40
    assert minibatch.views["protein"].dense().shape == (40, 5)
    assert not minibatch.views["protein"].dense().any()
    with refuse("Say which one to use or what it is", SchemaMismatch):
        open_data(cells(), schema=schema)


def test_modalities_that_share_features_are_refused():
    with mudata.set_options(pull_on_update=False):
        mdata = mudata.MuData({"a": cells()[:20].copy(), "b": cells()[20:].copy()}, axis=1)
    with refuse(r"must share cells \(axis 0\)"):
        open_data(mdata)


@pytest.mark.parametrize(
    ("name", "shape"), [("pbmc_mosaic_rna", (1200, 500)), ("cbmc_citeseq_protein", (8617, 10))], ids=["csr", "dense"]
)
def test_real_cells_stream_as_they_read_in_memory(real_data, name, shape):
    whole, streamed = (open_data(real_data(name), label_key="cell_type", in_memory=flag) for flag in (True, False))
    assert (whole.n_obs, whole.schema.n_vars) == shape
    np.testing.assert_array_equal(values(streamed), values(whole))
    assert streamed.schema == whole.schema


def test_a_schema_survives_json_and_opens_the_same_cells():
    schema = open_data(cells(), batch_key="donor", covariate_keys=["age"]).schema
    again = Schema.model_validate_json(schema.model_dump_json())
    np.testing.assert_array_equal(
        open_data(cells(), schema=again).annotation.covariates[:, 0], cells().obs["age"].to_numpy()
    )


def test_the_control_is_kept_by_the_schema_for_new_cells_and_another_is_refused():
    keys = {"condition_key": "cell_type", "control": "T"}
    schema = open_data(cells(), **keys).schema
    assert (schema.control, schema.control_code) == ("T", 1)
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
    new = cells()[cells().obs["cell_type"] == "B"].copy()
    for control in ({}, {"control": "T"}):
        opened = open_data(new, schema=schema, **control)
        assert opened.schema == schema
        assert set(opened.annotation.condition) == {0}
    with pytest.raises(SchemaMismatch, match="control='B' cannot be used: the model was built with 'T'"):
        open_data(new, schema=schema, control="B")


def test_a_control_that_is_no_condition_of_the_cells_is_refused():
    refusals = {"cell_type": "a condition of the data: B, T; it is 'D'", None: "they have none; it is 'D'"}
    for key, sentence in refusals.items():
        with pytest.raises(DataError, match=sentence):
            open_data(cells(), condition_key=key, control="D")
