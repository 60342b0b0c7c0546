"""Chunks: the values of a one-dimensional array on disk, read where they lie, without the library between.

    h5py.Dataset | zarr.Array -reader_of-> Reader -read(pieces [begin, end))-> values, one piece after the other

HDF5 copies a whole chunk for each piece of it under Python's lock, and zarr takes about a millisecond a call; both tell
where their chunks lie. Read from there are HDF5 arrays that are plain or gzip, and local zarr arrays, in shards too,
whose chunks are plain or have one codec; everything else is read through its library. Files are read and chunks are
decoded without Python's lock, so that a thread can do it beside the training.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import h5py
import numpy as np
import zarr
from numcodecs.registry import get_codec  # type: ignore[import-untyped]
from zarr.storage import LocalStore

from cellwright.data.stored import StoredArray
from cellwright.errors import DataError

# what a call costs, in bytes that could be read in its time: pieces that are closer are better read as one
LIBRARY_CALL_BYTES, DIRECT_CALL_BYTES = 65_536, 4_096
_MISSING = 2**64 - 1  # offset of a chunk that a shard does not hold
_CHECKSUM_BYTES = 4

DescriptorOf = Callable[[int], int]  # number of a file -> its descriptor
Decode = Callable[[bytearray, np.ndarray], None]  # a chunk as stored -> the values of the whole chunk
Piece = tuple[int, int, int]  # begin, end, number of the chunk that the begin lies in


class Reader(Protocol):
    """Reads pieces of one array."""

    call_bytes: int  # see `LIBRARY_CALL_BYTES`
    block_length: int  # along the first axis, that a piece should have so that little is read in vain; 0: any

    def read(self, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """The values [begin, end) along the first axis of every piece; pieces ascend and do not overlap."""


class LibraryReader:
    """Pieces of an array, each through the library that opened it."""

    call_bytes = LIBRARY_CALL_BYTES

    def __init__(self, array: StoredArray) -> None:
        self._array = array
        self.block_length = array.chunks[0] if array.chunks else 0

    def read(self, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        bounds = np.append(0, np.cumsum(ends - begins))
        out = np.empty((bounds[-1], *self._array.shape[1:]), self._array.dtype)
        for at, begin, end in zip(bounds, begins, ends, strict=False):
            out[at : at + end - begin] = self._array[begin:end]
        return out


class Files(Protocol):
    """The files that hold chunks, by number."""

    def opened(self) -> Any:
        """A context that gives the descriptor of a file by its number."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the chunks of an array lie. Chunk i holds the values from `firsts[i]` to `firsts[i + 1]`."""

    dtype: np.dtype
    files: Files
    firsts: np.ndarray  # (n_chunks + 1,)
    file_of: np.ndarray  # (n_chunks,)
    offsets: np.ndarray  # (n_chunks,) bytes
    sizes: np.ndarray  # (n_chunks,) bytes as stored
    decode: Decode | None = None  # None: stored plain

    def joined(self) -> "Layout":
        """The same with chunks that lie side by side in a file as one; for plain chunks only."""
        beside = (np.diff(self.file_of) == 0) & (
            np.diff(self.offsets) == np.diff(self.firsts)[:-1] * self.dtype.itemsize
        )
        kept = np.append(True, ~beside)
        firsts = np.append(self.firsts[:-1][kept], self.firsts[-1])
        return Layout(self.dtype, self.files, firsts, self.file_of[kept], self.offsets[kept], self.sizes[kept])


class ChunkReader:
    """Pieces of an array from the files themselves."""

    call_bytes = DIRECT_CALL_BYTES

    def __init__(self, layout: Layout, array: StoredArray, chunk_length: int) -> None:
        self._layout = layout.joined() if layout.decode is None else layout
        self._array = array  # keeps the file open
        self._chunk_length = chunk_length
        # a piece of two chunks decodes three of them, a piece of one chunk two
        self.block_length = 0 if layout.decode is None else 2 * chunk_length

    def read(self, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
        layout = self._layout
        out = np.empty(int((ends - begins).sum()), layout.dtype)
        chunks = np.searchsorted(layout.firsts, begins, side="right") - 1
        # the loops take Python's integers faster than NumPy's
        pieces = zip(begins.tolist(), ends.tolist(), chunks.tolist(), strict=True)
        with layout.files.opened() as descriptor_of:
            if layout.decode is None:
                self._copy_plain(out, self._within_chunks(pieces), descriptor_of)
            else:
                self._copy_decoded(out, self._within_chunks(pieces), descriptor_of, layout.decode)
        return out

    def _within_chunks(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        firsts = self._layout.firsts
        for begin, end, chunk in pieces:
            while begin < end:
                stop = min(end, int(firsts[chunk + 1]))
                yield begin, stop, chunk
                begin, chunk = stop, chunk + 1

    def _copy_plain(self, out: np.ndarray, pieces: Iterator[Piece], descriptor_of: DescriptorOf) -> None:
        layout, width, at = self._layout, self._layout.dtype.itemsize, 0
        into = memoryview(out.view(np.uint8).data)
        for begin, end, chunk in pieces:
            n_bytes = (end - begin) * width
            offset = int(layout.offsets[chunk]) + (begin - int(layout.firsts[chunk])) * width
            _read_into(into[at : at + n_bytes], descriptor_of(int(layout.file_of[chunk])), offset)
            at += n_bytes

    def _copy_decoded(
        self, out: np.ndarray, pieces: Iterator[Piece], descriptor_of: DescriptorOf, decode: Decode
    ) -> None:
        layout, at, held = self._layout, 0, -1
        values = np.empty(self._chunk_length, layout.dtype)
        for begin, end, chunk in pieces:
            if chunk != held:
                stored = bytearray(int(layout.sizes[chunk]))
                _read_into(memoryview(stored), descriptor_of(int(layout.file_of[chunk])), int(layout.offsets[chunk]))
                decode(stored, values)
                held = chunk
            first = int(layout.firsts[chunk])
            out[at : at + end - begin] = values[begin - first : end - first]
            at += end - begin


def reader_of(array: StoredArray) -> Reader:
    """The fastest way to read pieces of an array."""
    # other byte orders and other systems go the library's way
    if array.dtype.isnative and array.shape[0] and len(array.shape) == 1 and hasattr(os, "preadv"):
        found = _of_hdf5(array) if isinstance(array, h5py.Dataset) else _of_zarr(cast(zarr.Array, array))
        if found is not None:
            return found
    return LibraryReader(array)


def _read_into(buffer: memoryview, descriptor: int, offset: int) -> None:
    """Fill the buffer from this place of the file."""
    while len(buffer):
        n_bytes = os.preadv(descriptor, [buffer], offset)
        if not n_bytes:
            raise EOFError("the file ends early")
        buffer, offset = buffer[n_bytes:], offset + n_bytes


# --- HDF5 ---


class _OpenFile:
    """The one file of an HDF5 array, which the library has open."""

    def __init__(self, array: h5py.Dataset) -> None:
        self._array, self._name = array, Path(array.file.filename).name
        self._descriptor = array.file.id.get_vfd_handle()

    @contextmanager
    def opened(self) -> Iterator[DescriptorOf]:
        # The number of a closed file is given to the next one that is opened. A descriptor of our own would keep HDF5's
        # lock on the file; so it is asked before and after, for another thread may close the file in between.
        self._refuse_closed()
        yield lambda number: self._descriptor
        self._refuse_closed()

    def _refuse_closed(self) -> None:
        if not self._array:
            raise DataError(
                f"{self._name} must stay open while its cells are read; it was closed. Open it again: open_data(...)."
            )


def _of_hdf5(array: h5py.Dataset) -> ChunkReader | None:
    file = array.file
    # what may be written is in the library's cache; with another driver, or with bytes before the file's own, offsets
    # are not those of the file
    if file.mode != "r" or file.driver != "sec2" or file.userblock_size or array.is_virtual or array.external:
        return None
    # HDF5 has numbers that NumPy has not (16 bits in the middle of 32, other floats): the library converts them
    if not h5py.h5t.py_create(array.dtype, logical=True).equal(array.id.get_type()):
        return None
    files = _OpenFile(array)
    if array.chunks is None:
        offset = array.id.get_offset()
        if offset is None:
            return None
        firsts, zero = np.array([0, array.shape[0]]), np.zeros(1, np.int64)
        return ChunkReader(Layout(array.dtype, files, firsts, zero, np.array([offset]), zero), array, array.shape[0])
    known, decode = _hdf5_decoder(array)
    found: list[tuple[int, int, int, int]] = []
    array.id.chunk_iter(
        lambda info: found.append((info.chunk_offset[0], info.byte_offset, info.size, info.filter_mask))
    )
    firsts, offsets, sizes, masks = np.array(sorted(found), dtype=np.int64).reshape(-1, 4).T
    # chunks that were never written, and such as were stored without a filter of the array, are the library's affair
    if not known or masks.any() or not np.array_equal(firsts, np.arange(0, array.shape[0], array.chunks[0])):
        return None
    if decode is None and (sizes != array.chunks[0] * array.dtype.itemsize).any():
        return None
    layout = Layout(
        array.dtype, files, np.append(firsts, array.shape[0]), np.zeros(len(firsts), np.int64), offsets, sizes, decode
    )
    return ChunkReader(layout, array, array.chunks[0])


def _hdf5_decoder(array: h5py.Dataset) -> tuple[bool, Decode | None]:
    """Whether the filters of the array are known here, and what undoes them."""
    filters = array.id.get_create_plist()
    codes = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
    if not codes:
        return True, None
    if codes == [h5py.h5z.FILTER_DEFLATE]:
        return True, _inflate
    if codes == [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]:
        return True, _inflate_and_unshuffle
    return False, None


def _inflate(stored: bytearray, out: np.ndarray) -> None:
    out.view(np.uint8)[:] = np.frombuffer(_inflated(stored, out.nbytes), np.uint8)


def _inflate_and_unshuffle(stored: bytearray, out: np.ndarray) -> None:
    # HDF5's shuffle puts all first bytes first, then all second bytes, ...
    planes = np.frombuffer(_inflated(stored, out.nbytes), np.uint8).reshape(out.itemsize, -1)
    out.view(np.uint8).reshape(-1, out.itemsize)[:] = planes.T


def _inflated(stored: bytearray, n_bytes: int) -> bytes:
    # never more than the chunk can hold, whatever the file says
    plain = zlib.decompressobj().decompress(stored, n_bytes)
    if len(plain) != n_bytes:
        raise EOFError(f"a chunk holds {len(plain)} bytes, not {n_bytes}")
    return plain


# --- zarr ---


class _LocalFiles:
    """Files by path, one of them open at a time: pieces ascend, so none is opened twice."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    @contextmanager
    def opened(self) -> Iterator[DescriptorOf]:
        number_open, descriptor = -1, -1

        def descriptor_of(number: int) -> int:
            nonlocal number_open, descriptor
            if number != number_open:
                if descriptor >= 0:
                    os.close(descriptor)
                    descriptor = -1
                descriptor, number_open = os.open(self._paths[number], os.O_RDONLY), number
            return descriptor

        try:
            yield descriptor_of
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _of_zarr(array: zarr.Array) -> ChunkReader | None:
    if not isinstance(array.store, LocalStore):
        return None
    described = array.metadata.to_dict()
    codecs, shard = _zarr_codecs(described)
    known, decode = _zarr_decoder(codecs)
    if not known:
        return None
    length = array.shape[0]
    file_length = (array.shards or array.chunks)[0]
    n_files = -(-length // file_length)
    paths = [array.store.root / array.path / array.metadata.encode_chunk_key((i,)) for i in range(n_files)]
    if not all(path.is_file() for path in paths):
        return None  # a chunk that was never written holds the fill value
    firsts = np.arange(0, length, array.chunks[0])
    tables = [_shard_index(path, shard, file_length // array.chunks[0]) if shard else _whole(path) for path in paths]
    file_of = np.repeat(np.arange(n_files), [len(table) for table in tables])[: len(firsts)]
    offsets, sizes = np.concatenate(tables)[: len(firsts)].T
    if (offsets == _MISSING).any():
        return None
    if decode is None and (sizes != array.chunks[0] * array.dtype.itemsize).any():
        return None  # the library says what is wrong with it
    layout = Layout(
        array.dtype,
        _LocalFiles(paths),
        np.append(firsts, length),
        file_of,
        offsets.astype(np.int64),
        sizes.astype(np.int64),
        decode,
    )
    return ChunkReader(layout, cast(StoredArray, array), array.chunks[0])


def _zarr_codecs(described: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None]:
    """The codecs of a chunk as JSON (None: not known here), and the description of shards where there are some."""
    if described["zarr_format"] == 2:
        compressor = described.get("compressor")
        plain = not described.get("filters") and described.get("order", "C") == "C"
        return ([] if compressor is None else [_as_dict(compressor)]) if plain else None, None
    first, *rest = described["codecs"]
    if first["name"] != "sharding_indexed":
        return _behind_bytes([first, *rest]), None
    shard = first["configuration"]
    plain_index = [codec["name"] for codec in shard["index_codecs"]] == ["bytes", "crc32c"]
    return (_behind_bytes(list(shard["codecs"])) if plain_index and not rest else None), shard


def _behind_bytes(codecs: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The codecs behind `bytes`, in the words of numcodecs."""
    first, *rest = codecs
    if first["name"] != "bytes" or (first.get("configuration") or {}).get("endian", "little") != "little":
        return None
    return [{"id": codec["name"]} for codec in rest]


def _as_dict(compressor: Any) -> dict[str, Any]:
    return dict(compressor if isinstance(compressor, dict) else compressor.get_config())


def _zarr_decoder(codecs: list[dict[str, Any]] | None) -> tuple[bool, Decode | None]:
    """Whether the codecs of the array are known here, and what undoes them."""
    if codecs is None or len(codecs) > 1:
        return False, None
    if not codecs:
        return True, None
    if codecs[0]["id"] not in ("blosc", "zstd", "gzip", "zlib"):
        return False, None
    # what was compressed says itself with which settings
    codec = get_codec({"id": codecs[0]["id"]})

    def decode(stored: bytearray, out: np.ndarray) -> None:
        plain = codec.decode(stored, out.view(np.uint8))
        if memoryview(plain).nbytes != out.nbytes:
            raise EOFError(f"a chunk holds {memoryview(plain).nbytes} bytes, not {out.nbytes}")

    return True, decode


def _shard_index(path: Path, shard: dict[str, Any], n_chunks: int) -> np.ndarray:
    """Offset and size of each chunk in a shard, (n_chunks, 2); `_MISSING` where it holds none.

    Raises `RuntimeError` where the index does not have its checksum: damaged offsets may lie within the file.
    """
    n_bytes = 16 * n_chunks + _CHECKSUM_BYTES
    at_end = shard.get("index_location", "end") == "end"
    with path.open("rb") as file:
        if at_end:
            file.seek(-n_bytes, os.SEEK_END)
        index = get_codec({"id": "crc32c"}).decode(file.read(n_bytes))
    return np.frombuffer(index, "<u8").reshape(n_chunks, 2)


def _whole(path: Path) -> np.ndarray:
    return np.array([[0, path.stat().st_size]], np.uint64)
