"""Chunks: what is read from the files themselves equals what the libraries read."""

import os

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from cellwright.data.chunks import ChunkReader, LibraryReader, reader_of
from cellwright.errors import DataError

LENGTH = 1000
VALUES = np.random.default_rng(0).poisson(2, LENGTH)
PIECES = st.sets(st.integers(0, LENGTH), min_size=2).map(sorted)


def hdf5(folder, dtype, **how):
    with h5py.File(folder / "array.h5", "w") as file:
        file.create_dataset("data", data=VALUES.astype(dtype), **how)
    return h5py.File(folder / "array.h5", "r")["data"]


def hdf5_after_others(folder, dtype):
    """Chunks that do not lie side by side: each was allocated between those of another array."""
    with h5py.File(folder / "array.h5", "w") as file:
        one, other = (file.create_dataset(name, (LENGTH,), dtype, chunks=(64,)) for name in ("data", "other"))
        for start in range(0, LENGTH, 64):
            one[start : start + 64], other[start : start + 64] = VALUES[start : start + 64], 1
            file.flush()
    return h5py.File(folder / "array.h5", "r")["data"]


def hdf5_of_type(folder, kind):
    """Numbers that HDF5 stores in its own way, and that NumPy reads as those it has."""
    kind = kind.copy()
    if kind.get_class() == h5py.h5t.INTEGER:
        kind.set_precision(16)
        kind.set_offset(8)
    else:
        kind.set_fields(15, 7, 8, 0, 7)  # sign, exponent and mantissa of bfloat16
        kind.set_ebias(127)
    with h5py.File(folder / "array.h5", "w") as file:
        space = h5py.h5s.create_simple((LENGTH,))
        h5py.Dataset(h5py.h5d.create(file.id, b"data", kind, space))[:] = VALUES
    return h5py.File(folder / "array.h5", "r")["data"]


def zarr_array(folder, dtype, version, **how):
    array = zarr.create_array(folder / "array.zarr", shape=(LENGTH,), dtype=dtype, zarr_format=version, **how)
    array[:] = VALUES.astype(dtype)
    return array


IN_FILES = {
    "hdf5 contiguous": lambda folder, dtype: hdf5(folder, dtype),
    "hdf5 chunks": lambda folder, dtype: hdf5(folder, dtype, chunks=(64,)),
    "hdf5 scattered chunks": hdf5_after_others,
    "hdf5 gzip": lambda folder, dtype: hdf5(folder, dtype, chunks=(64,), compression="gzip"),
    "hdf5 gzip shuffle": lambda folder, dtype: hdf5(folder, dtype, chunks=(64,), compression="gzip", shuffle=True),
    "zarr 3 plain": lambda folder, dtype: zarr_array(folder, dtype, 3, chunks=(64,), compressors=None),
    "zarr 3 zstd": lambda folder, dtype: zarr_array(folder, dtype, 3, chunks=(64,), compressors=ZstdCodec()),
    "zarr 3 blosc": lambda folder, dtype: zarr_array(folder, dtype, 3, chunks=(64,), compressors=BloscCodec()),
    "zarr 3 gzip": lambda folder, dtype: zarr_array(folder, dtype, 3, chunks=(64,), compressors=GzipCodec()),
    "zarr 3 shards": lambda folder, dtype: zarr_array(folder, dtype, 3, chunks=(64,), shards=(256,)),
    "zarr 3 plain shards": lambda f, dtype: zarr_array(f, dtype, 3, chunks=(64,), shards=(256,), compressors=None),
    "zarr 2 blosc": lambda f, dtype: zarr_array(f, dtype, 2, chunks=(64,), compressors=numcodecs.Blosc()),
    "zarr 2 plain": lambda folder, dtype: zarr_array(folder, dtype, 2, chunks=(64,), compressors=None),
}
THROUGH_LIBRARY = {
    "hdf5 lzf": lambda folder, dtype: hdf5(folder, dtype, chunks=(64,), compression="lzf"),
    "hdf5 checksums": lambda folder, dtype: hdf5(folder, dtype, chunks=(64,), fletcher32=True),
    "hdf5 16 bits within 32": lambda folder, dtype: hdf5_of_type(folder, h5py.h5t.STD_I32LE),
    "hdf5 bfloat16": lambda folder, dtype: hdf5_of_type(folder, h5py.h5t.IEEE_F16LE),
    "hdf5 big-endian": lambda folder, dtype: hdf5(folder, np.dtype(dtype).newbyteorder(">")),
    "zarr 2 filters": lambda folder, dtype: zarr_array(
        folder, dtype, 2, chunks=(64,), filters=[numcodecs.Delta(dtype)]
    ),
    "zarr 3 big-endian": lambda f, dtype: zarr_array(
        f, dtype, 3, chunks=(64,), serializer=zarr.codecs.BytesCodec(endian="big")
    ),
}


@pytest.fixture(scope="module", params=[*IN_FILES, *THROUGH_LIBRARY])
def array(request, tmp_path_factory):
    return ({**IN_FILES, **THROUGH_LIBRARY})[request.param](tmp_path_factory.mktemp("array"), np.int32)


@settings(max_examples=30, deadline=None)
@given(bounds=PIECES)
def test_pieces_are_those_of_the_array(array, bounds):
    bounds = np.array(bounds[: len(bounds) // 2 * 2])
    begins, ends = bounds[::2], bounds[1::2]
    expected = np.concatenate([VALUES[begin:end] for begin, end in zip(begins, ends, strict=True)])
    found = reader_of(array).read(begins, ends)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", IN_FILES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "int64"])
def test_these_are_read_from_the_files_themselves(tmp_path, kind, dtype):
    reader = reader_of(IN_FILES[kind](tmp_path, dtype))
    assert type(reader) is ChunkReader
    np.testing.assert_array_equal(reader.read(np.array([0]), np.array([LENGTH])), VALUES)


@pytest.mark.parametrize("kind", THROUGH_LIBRARY)
def test_these_are_read_through_their_library(tmp_path, kind):
    assert type(reader_of(THROUGH_LIBRARY[kind](tmp_path, "int32"))) is LibraryReader


def test_no_pieces_are_no_values(tmp_path):
    nothing = np.zeros(0, dtype=np.int64)
    assert len(reader_of(hdf5(tmp_path, "float32", chunks=(64,))).read(nothing, nothing)) == 0


def test_chunks_that_were_never_written_are_the_library_s_affair(tmp_path):
    with h5py.File(tmp_path / "array.h5", "w") as file:
        file.create_dataset("data", (LENGTH,), "i4", chunks=(64,), fillvalue=7)[:100] = 1
    reader = reader_of(h5py.File(tmp_path / "array.h5", "r")["data"])
    assert type(reader) is LibraryReader
    assert reader.read(np.array([999]), np.array([1000])) == 7


@pytest.mark.parametrize("shards", [None, (256,)], ids=["chunks", "shards"])
def test_chunks_that_zarr_left_out_are_the_library_s_affair(tmp_path, shards):
    part = zarr.create_array(tmp_path / "array.zarr", shape=(LENGTH,), dtype="i4", chunks=(64,), shards=shards)
    part[:100] = 1
    assert type(reader_of(part)) is LibraryReader


def test_a_file_that_may_be_written_is_read_through_its_library(tmp_path):
    file = h5py.File(tmp_path / "array.h5", "w")
    reader = reader_of(file.create_dataset("data", data=VALUES))
    np.testing.assert_array_equal(reader.read(np.array([0]), np.array([LENGTH])), VALUES)


def test_chunks_that_lie_side_by_side_are_read_in_one_call(tmp_path, monkeypatch):
    reader = reader_of(hdf5(tmp_path, "float32", chunks=(64,)))
    calls = []
    monkeypatch.setattr("cellwright.data.chunks._read_into", lambda *arguments: calls.append(arguments))
    reader.read(np.array([0]), np.array([LENGTH]))
    assert len(calls) == 1


def test_a_file_that_was_cut_short_is_an_error_and_no_values(tmp_path):
    array = zarr_array(tmp_path, "int32", 3, chunks=(64,), compressors=None)
    reader = reader_of(array)
    chunk = tmp_path / "array.zarr" / "c" / "3"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(EOFError, match="ends early"):
        reader.read(np.array([0]), np.array([LENGTH]))


@pytest.mark.parametrize("closed_at", ["before", "during"])
def test_a_file_that_was_closed_is_refused_though_another_has_its_number(tmp_path, monkeypatch, closed_at):
    array = hdf5(tmp_path, "int64")
    reader, number = reader_of(array), array.file.id.get_vfd_handle()
    (tmp_path / "other").write_bytes(bytes(100_000))
    opened = []

    def close_and_open_another(*_):
        if not opened:
            array.file.close()
            opened.append(os.open(tmp_path / "other", os.O_RDONLY))
            assert opened == [number]

    if closed_at == "before":
        close_and_open_another()
    else:
        monkeypatch.setattr("cellwright.data.chunks._read_into", close_and_open_another)
    with pytest.raises(DataError, match=r"array\.h5 must stay open"):
        reader.read(np.array([0]), np.array([LENGTH]))
    os.close(opened[0])


@pytest.mark.parametrize("location", ["start", "end"])
def test_a_shard_whose_index_was_damaged_is_refused(tmp_path, location):
    sharding = zarr.codecs.ShardingCodec(chunk_shape=(64,), index_location=location)
    array = zarr_array(tmp_path, "int32", 3, chunks=(256,), serializer=sharding, compressors=None)
    shard = tmp_path / "array.zarr" / "c" / "1"
    stored = bytearray(shard.read_bytes())
    first = 0 if location == "start" else len(stored) - 4 * 16 - 4
    # the places of two chunks are changed for each other: both are whole chunks, of the wrong rows
    stored[first : first + 32] = stored[first + 16 : first + 32] + stored[first : first + 16]
    shard.write_bytes(stored)
    with pytest.raises(RuntimeError, match="checksum"):
        reader_of(array)


def test_a_plain_chunk_of_another_size_is_the_library_s_affair(tmp_path):
    array = zarr_array(tmp_path, "int32", 3, chunks=(64,), compressors=None)
    chunk = tmp_path / "array.zarr" / "c" / "3"
    chunk.write_bytes(chunk.read_bytes() + bytes(4))
    assert type(reader_of(array)) is LibraryReader


def test_a_chunk_that_unpacks_to_more_than_a_chunk_is_refused(tmp_path):
    array = zarr_array(tmp_path, "int32", 3, chunks=(64,), compressors=ZstdCodec())
    bomb = numcodecs.Zstd().encode(np.zeros(10_000, np.int32))
    (tmp_path / "array.zarr" / "c" / "3").write_bytes(bytes(bomb))
    reader = reader_of(array)
    with pytest.raises(ValueError, match="destination buffer too small"):
        reader.read(np.array([192]), np.array([200]))
