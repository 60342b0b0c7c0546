"""What is refused in a file before it is read."""

import h5py
import numpy as np
import pytest
import zarr

from cellwright.data.safety import reading, refuse_unsafe_hdf5, refuse_unsafe_zarr
from cellwright.errors import DataFileError, MissingKey


def external_link(file):
    file.create_group("layers")["counts"] = h5py.ExternalLink("other.h5", "/secret")


def soft_link(file):
    file["layers"] = h5py.SoftLink("/X")


def external_storage(file):
    file.create_dataset("obsm/text", shape=(10,), dtype="u1", external=[("secret.txt", 0, 10)])


def virtual_dataset(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(3,))
    file.create_virtual_dataset("V", layout)


def bomb(file):
    file.create_dataset("X/data", shape=(2**38,), dtype="f4", chunks=(2**20,), compression="gzip")


ATTACKS = {
    "external link": (external_link, "'layers/counts'.*ExternalLink"),
    "soft link": (soft_link, "'layers'.*SoftLink"),
    "external storage": (external_storage, "'obsm/text'.*another file, 'secret.txt'"),
    "virtual dataset": (virtual_dataset, "'V'.*virtual"),
    "declared size": (bomb, "'X/data'.*declares 1099511627776 bytes and stores 0"),
}


@pytest.mark.parametrize(("attack", "sentence"), ATTACKS.values(), ids=ATTACKS)
def test_an_unsafe_item_is_refused_by_name(tmp_path, attack, sentence):
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        attack(file)
    with h5py.File(tmp_path / "cells.h5ad", "r") as file, pytest.raises(DataFileError, match=sentence):
        refuse_unsafe_hdf5(file)


def test_plain_groups_arrays_and_hard_links_in_a_circle_pass(tmp_path):
    with h5py.File(tmp_path / "cells.h5ad", "w") as file:
        file["X/data"] = np.zeros(10)
        file["X/empty"] = h5py.Empty("f4")
        file["X/self"] = file["X"]
        refuse_unsafe_hdf5(file)


def test_a_zarr_array_that_declares_far_more_than_it_stores_is_refused(tmp_path):
    group = zarr.open_group(tmp_path / "cells.zarr", mode="w")
    group.create_array("X/data", shape=(2**38,), dtype="f4", chunks=(2**20,))
    with pytest.raises(DataFileError, match=r"cells\.zarr is not safe to read: 'X/data'"):
        refuse_unsafe_zarr(tmp_path / "cells.zarr", group)


def test_any_error_while_reading_becomes_one_sentence_about_the_file():
    with pytest.raises(DataFileError, match=r"^a\.h5ad cannot be read \(bad chunk\); it is damaged"), reading("a.h5ad"):
        raise ValueError("bad chunk\nand a long trace")


def test_an_error_of_ours_passes_as_it_is():
    with pytest.raises(MissingKey), reading("a.h5ad"):
        raise MissingKey.of("obs", "a", "batch_key", ["b"])
