"""Conversion: the cells of the files, all of them, in a store that AnnData reads."""

import shutil
import stat
import warnings
from pathlib import Path

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import write_elem
from scipy import io, sparse

from cellwright.data import convert as module
from cellwright.data import plan, shards
from cellwright.data.convert import ConvertOptions, JoinedStore, SparsePieces, convert
from cellwright.data.memory import MemoryStore
from cellwright.data.open import open_data
from cellwright.errors import DataError, DataFileError, MissingKey, SchemaMismatch

IN_ORDER = ConvertOptions(shuffle=False)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Of some cells, with several chunks in a shard and several shards in an array."""
    monkeypatch.setattr(shards, "CHUNK_VALUES", 64)
    monkeypatch.setattr(shards, "CHUNKS_PER_SHARD", 4)
    monkeypatch.setattr(plan, "BUFFER_ROWS", 64)
    monkeypatch.setattr(plan, "BLOCKS_PER_BUFFER", 1)


def cells(n_obs=300, names="abcdefgh", largest=9, seed=0, prefix="cell", **obs) -> anndata.AnnData:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.8, (n_obs, len(names))).astype(np.float32)
    counts[n_obs // 2, 0] = largest
    index = [f"{prefix}{i}" for i in range(n_obs)]
    return anndata.AnnData(
        sparse.csr_matrix(counts),
        obs=pd.DataFrame({"number": np.arange(n_obs), **obs}, index=index),
        var=pd.DataFrame(index=list(names)),
    )


def written(folder: Path, name: str, adata: anndata.AnnData, **how) -> Path:
    path = folder / f"{name}.h5ad"
    adata.write_h5ad(path, **how)
    return path


def read(path: Path) -> anndata.AnnData:
    """As AnnData does it, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return anndata.read_zarr(path)


def values(adata: anndata.AnnData) -> pd.DataFrame:
    return adata.to_df().astype(np.float64)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_every_cell_is_there_once_with_its_values_and_annotation(tmp_path, shuffle, compression):
    adata = cells(kind=pd.Categorical(np.arange(300) % 3))
    source = written(tmp_path, "one", adata, compression=compression)
    convert([source], tmp_path / "out.zarr", ConvertOptions(shuffle=shuffle))
    found = read(tmp_path / "out.zarr")
    assert list(found.obs_names) == list(adata.obs_names) or shuffle
    found = found[adata.obs_names]
    pd.testing.assert_frame_equal(values(found), values(adata))
    pd.testing.assert_frame_equal(found.obs.drop(columns="file"), anndata.read_h5ad(source).obs)
    assert set(found.obs["file"]) == {"one"}


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_files_are_joined_as_anndata_joins_them(tmp_path, join):
    parts = {
        "first": cells(300, "abcdef", prefix="x", kind=pd.Categorical(["u"] * 300), own=1.5),
        "second": cells(200, "fedcgh", seed=1, prefix="y", kind=pd.Categorical(["v"] * 200)),
        "third": cells(100, "cdefxy", seed=2, prefix="z"),
    }
    paths = [written(tmp_path, name, part) for name, part in parts.items()]
    said = convert(paths, tmp_path / "out.zarr", ConvertOptions(join=join))
    expected = anndata.concat(parts, join=join, fill_value=0)
    found = read(tmp_path / "out.zarr")
    assert sorted(found.var_names) == sorted(expected.var_names)
    found = found[expected.obs_names, expected.var_names]
    pd.testing.assert_frame_equal(values(found), values(expected))
    assert found.obs["kind"].astype(object).tolist()[::100] == ["u", "u", "u", "v", "v", np.nan]
    assert found.obs["own"].notna().sum() == 300
    assert found.obs["file"].value_counts().to_dict() == {"first": 300, "second": 200, "third": 100}
    if join == "inner":
        assert (said.missing, said.left_out) == (dict.fromkeys(parts, ()), tuple("abghxy"))
    else:
        assert said.missing == {"first": tuple("ghxy"), "second": tuple("abxy"), "third": tuple("abgh")}
        assert said.left_out == ()


def test_names_that_occur_in_two_files_get_the_file_s_name(tmp_path):
    paths = [written(tmp_path, name, cells(50)) for name in ("one", "two")]
    convert(paths, tmp_path / "out.zarr", IN_ORDER)
    assert list(read(tmp_path / "out.zarr").obs_names) == [
        f"cell{i}-{name}" for name in ("one", "two") for i in range(50)
    ]


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [(255, "uint8"), (256, "uint16"), (65_536, "uint32"), (2**24 + 2, "float32"), (0.5, "float32"), (-1, "float32")],
)
def test_values_take_the_smallest_type_that_holds_them(tmp_path, largest, dtype):
    adata = cells(largest=largest)
    said = convert([written(tmp_path, "one", adata)], tmp_path / "out.zarr", IN_ORDER)
    found = read(tmp_path / "out.zarr")
    assert (found.X.dtype, said.dtype) == (dtype, dtype)
    assert (found.X.indices.dtype, found.X.indptr.dtype) == ("int32", "int32")
    pd.testing.assert_frame_equal(values(found), values(adata))


def test_the_store_is_sharded_zarr_3_whose_shards_hold_whole_chunks(tmp_path):
    convert([written(tmp_path, "one", cells())], tmp_path / "out.zarr", IN_ORDER)
    for name in ("data", "indices"):
        array = zarr.open_group(tmp_path / "out.zarr", mode="r")[f"X/{name}"]
        assert (array.metadata.zarr_format, array.chunks, array.shards) == (3, (64,), (256,))
        assert array.nchunks > 4


def test_the_store_streams_the_minibatches_that_memory_gives(tmp_path):
    convert([written(tmp_path, "one", cells())], tmp_path / "out.zarr")
    passes = []
    for in_memory in (True, False):
        source = open_data(tmp_path / "out.zarr", in_memory=in_memory)
        order = source.minibatches(np.arange(300), 32, plan.Shuffled(16), np.random.default_rng(0))
        passes.append(np.concatenate([part.x.dense().numpy() for part in order]))
    np.testing.assert_array_equal(*passes)


def shuffled(folder, seed) -> list[str]:
    convert([folder / "one.h5ad"], folder / f"{seed}.zarr", ConvertOptions(seed=seed))
    names = list(read(folder / f"{seed}.zarr").obs_names)
    shutil.rmtree(folder / f"{seed}.zarr")
    return names


def test_the_seed_decides_the_order(tmp_path):
    written(tmp_path, "one", cells())
    first, again, other = (shuffled(tmp_path, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_piece_of_a_shuffled_store_mixes_the_whole_of_a_sorted_file(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "BUFFER_ROWS", 64 * 16)
    labels = np.repeat(np.arange(4), 64 * 8)
    convert([written(tmp_path, "one", cells(len(labels), label=labels))], tmp_path / "out.zarr")
    first_half = read(tmp_path / "out.zarr").obs["label"].to_numpy()[: 64 * 16]
    # 16 of 32 blocks are drawn, of which a class has 8: hypergeometric with a standard deviation of 1.2 blocks
    assert (np.abs(np.bincount(first_half, minlength=4) - 64 * 4) < 4 * 1.25 * 64).all()
    # and within the piece cells are mixed exactly
    assert np.abs(np.diff(first_half) == 0).mean() < 0.5


@pytest.mark.parametrize("form", [np.asarray, sparse.csc_matrix], ids=["dense", "csc"])
def test_other_layouts_are_read_too(tmp_path, form):
    adata = cells()
    adata.X = form(adata.X.toarray())
    convert([written(tmp_path, "one", adata)], tmp_path / "out.zarr", IN_ORDER)
    pd.testing.assert_frame_equal(values(read(tmp_path / "out.zarr")), values(adata))


def test_a_folder_of_10x_genomics_is_read_too(tmp_path):
    (tmp_path / "ten").mkdir()
    adata = cells()
    io.mmwrite(tmp_path / "ten" / "matrix.mtx", sparse.coo_matrix(adata.X.T.astype(np.int32)))
    (tmp_path / "ten" / "genes.tsv").write_text("".join(f"{name}\t{name}\n" for name in adata.var_names))
    (tmp_path / "ten" / "barcodes.tsv").write_text("".join(f"{name}\n" for name in adata.obs_names))
    convert([tmp_path / "ten"], tmp_path / "out.zarr", IN_ORDER)
    pd.testing.assert_frame_equal(values(read(tmp_path / "out.zarr")), values(adata))


def test_a_layer_stands_in_x(tmp_path):
    adata = cells()
    adata.layers["counts"], adata.X = adata.X.copy(), adata.X * 0.5
    convert([written(tmp_path, "one", adata)], tmp_path / "out.zarr", ConvertOptions(layer="counts", shuffle=False))
    found = read(tmp_path / "out.zarr")
    np.testing.assert_array_equal(found.X.toarray(), adata.layers["counts"].toarray())
    assert not found.layers


def test_columns_of_features_that_agree_are_kept(tmp_path):
    parts = [cells(50, prefix="x"), cells(60, prefix="y")]
    for number, part in enumerate(parts):
        part.var["symbol"] = [name.upper() for name in part.var_names]
        part.var["mean"] = number
    paths = [written(tmp_path, f"part{number}", part) for number, part in enumerate(parts)]
    convert(paths, tmp_path / "out.zarr")
    assert read(tmp_path / "out.zarr").var["symbol"].tolist() == list("ABCDEFGH")
    assert list(read(tmp_path / "out.zarr").var) == ["symbol"]


def test_a_column_that_is_text_in_one_file_and_a_number_in_another_becomes_text(tmp_path):
    parts = [cells(50, prefix="x", donor="d1"), cells(60, prefix="y", donor=2)]
    convert([written(tmp_path, f"part{i}", part) for i, part in enumerate(parts)], tmp_path / "out.zarr", IN_ORDER)
    assert read(tmp_path / "out.zarr").obs["donor"].tolist() == ["d1"] * 50 + ["2"] * 60


@pytest.mark.parametrize("modality", [None, "rna"])
@pytest.mark.filterwarnings("ignore::FutureWarning:mudata")
def test_cells_of_a_mudata_keep_their_names_where_its_own_order_is_another(tmp_path, modality):
    adata = cells(50)
    mudata.MuData({"rna": adata}).write_h5mu(tmp_path / "one.h5mu")
    joint = pd.DataFrame({"position": np.arange(50)}, index=adata.obs_names)[::-1]
    with h5py.File(tmp_path / "one.h5mu", "r+") as file:
        del file["obs"]
        write_elem(file, "obs", joint)
    convert([tmp_path / "one.h5mu"], tmp_path / "out.zarr", ConvertOptions(modality=modality, shuffle=False))
    found = read(tmp_path / "out.zarr")
    pd.testing.assert_frame_equal(values(found), values(adata))
    assert found.obs["position"].tolist() == found.obs["rna:number"].tolist() == list(range(50))


@pytest.mark.parametrize(("other", "ordered"), [("ab", True), ("ba", False)])
def test_ordered_categories_stay_ordered_where_the_files_agree(tmp_path, other, ordered):
    kinds = (pd.Categorical(["a", "b"] * 25, list(order), ordered=True) for order in ("ab", other))
    parts = [cells(50, prefix=prefix, kind=kind) for prefix, kind in zip("xy", kinds, strict=True)]
    convert([written(tmp_path, f"part{i}", part) for i, part in enumerate(parts)], tmp_path / "out.zarr", IN_ORDER)
    found = read(tmp_path / "out.zarr").obs["kind"]
    assert found.cat.ordered is ordered
    assert found.tolist() == ["a", "b"] * 50


class Preferring(MemoryStore):
    """A store that asks for blocks of so many rows."""

    def __init__(self, rows: int) -> None:
        super().__init__(sparse.csr_matrix((10, 3), dtype=np.float32), "X")
        self.preferred_block_rows = rows


@pytest.mark.parametrize(("asked", "expected"), [((1024, 16), 16), ((1, 1024), 64), ((1, 16), 16), ((1, 1), 64)])
def test_blocks_are_the_smallest_that_a_file_asks_for(asked, expected):
    assert JoinedStore([Preferring(rows) for rows in asked]).preferred_block_rows == expected


def test_blocks_of_rows_with_many_values_stay_small(tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(module, "Shuffled", lambda rows: plans.append(rows) or plan.Shuffled(rows))
    adata = anndata.AnnData(np.eye(40, 30_000, dtype=np.float32))
    convert([written(tmp_path, "one", adata)], tmp_path / "out.zarr")
    assert plans == [16]


@pytest.mark.parametrize("piece_bytes", [1, 4 * 8 * 7, 10**6])
@pytest.mark.parametrize("rows", [range(50), [3, 4, 40], []], ids=["all", "some", "none"])
def test_dense_rows_become_sparse_a_piece_at_a_time(monkeypatch, piece_bytes, rows):
    values = cells(50).X.toarray()
    dense = MemoryStore(values, "X")
    sizes = []
    read_rows = dense.read
    monkeypatch.setattr(dense, "read", lambda piece: sizes.append(len(piece)) or read_rows(piece))
    monkeypatch.setattr(module, "PIECE_BYTES", piece_bytes)
    rows = np.array(rows, dtype=np.int64)
    found = SparsePieces(dense).read(rows)
    assert isinstance(found, sparse.csr_matrix)
    np.testing.assert_array_equal(found.toarray(), values[rows])
    assert max(sizes) * 8 * 4 <= max(piece_bytes, 8 * 4)


def test_no_piece_is_larger_than_the_buffer(tmp_path, monkeypatch):
    pieces = []
    pieces_of = module._Rows.pieces

    def watched(self, doing):
        for rows, block in pieces_of(self, doing):
            pieces.append(block.shape[0])
            yield rows, block

    monkeypatch.setattr(module._Rows, "pieces", watched)
    monkeypatch.setattr(plan, "BUFFER_ROWS", 1024)
    convert([written(tmp_path, "one", cells(5000))], tmp_path / "out.zarr")
    assert max(pieces) == 1024


def test_progress_counts_every_cell_of_both_passes(tmp_path):
    told = []
    convert([written(tmp_path, "one", cells())], tmp_path / "out.zarr", progress=lambda *what: told.append(what))
    for doing in ("looking", "writing"):
        done = [n for what, n, _ in told if what == doing]
        assert done == sorted(done)
        assert (done[0], done[-1]) == (0, 300)
    assert {total for *_, total in told} == {300}


@pytest.mark.parametrize("doing", ["looking", "writing"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_nothing_is_left_of_a_conversion_that_was_interrupted(tmp_path, doing, error):
    source = written(tmp_path, "one", cells(20_000))

    def interrupt(what, done, total):
        if what == doing and done:
            raise error

    with pytest.raises(error):
        convert([source], tmp_path / "out.zarr", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["one.h5ad"]


def test_what_is_beside_the_store_stays_even_an_input_of_a_like_name(tmp_path):
    convert([written(tmp_path, "one", cells())], tmp_path / "out.partial")
    convert([tmp_path / "out.partial"], tmp_path / "out", ConvertOptions(file_key="part"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.h5ad", "out", "out.partial"]
    pd.testing.assert_frame_equal(values(read(tmp_path / "out.partial")[cells().obs_names]), values(cells()))


def test_the_store_has_the_permissions_of_a_new_folder(tmp_path):
    (tmp_path / "new").mkdir()
    convert([written(tmp_path, "one", cells())], tmp_path / "out.zarr")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "out.zarr")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("out", ["one.h5ad/x", "/dev/null/x"])
def test_a_store_within_a_file_is_refused_before_the_values_are_read(tmp_path, out):
    source, told = written(tmp_path, "one", cells()), []
    with pytest.raises(DataFileError, match=r"could not be written: .* Give another path"):
        convert([source], tmp_path / out, progress=lambda *what: told.append(what))
    assert not told
    assert [path.name for path in tmp_path.iterdir()] == ["one.h5ad"]


def test_a_folder_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "out.zarr").mkdir()
    with pytest.raises(DataFileError, match="must not be there"):
        convert([written(tmp_path, "one", cells())], tmp_path / "out.zarr")
    assert (tmp_path / "out.zarr").is_dir()


def two(folder, first: anndata.AnnData, second: anndata.AnnData) -> list[Path]:
    return [written(folder, "one", first), written(folder, "two", second)]


def test_files_without_a_common_feature_are_refused(tmp_path):
    paths = two(tmp_path, cells(names="abc"), cells(names="xyz"))
    with pytest.raises(SchemaMismatch, match="one has a, b, c; two has x, y, z"):
        convert(paths, tmp_path / "out.zarr", ConvertOptions(join="outer"))


def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "sub").mkdir()
    paths = [written(tmp_path, "one", cells()), written(tmp_path / "sub", "one", cells())]
    with pytest.raises(DataError, match="two are called 'one'"):
        convert(paths, tmp_path / "out.zarr")


def test_a_column_with_the_name_of_the_file_key_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'file' is in obs of one\.h5ad.*--file-key"):
        convert([written(tmp_path, "one", cells(file="x"))], tmp_path / "out.zarr")


def test_a_layer_that_a_file_lacks_is_refused(tmp_path):
    with pytest.raises(MissingKey, match="no 'counts'"):
        convert([written(tmp_path, "one", cells())], tmp_path / "out.zarr", ConvertOptions(layer="counts"))


def test_no_file_is_refused(tmp_path):
    with pytest.raises(DataFileError, match="none is given"):
        convert([], tmp_path / "out.zarr")
