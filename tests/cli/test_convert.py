"""`cellwright convert`: files in, one store out."""

import anndata
import pytest


@pytest.fixture
def two(simulated, tmp_path):
    """Two files, of which the second lacks a feature."""
    paths = [tmp_path / "one.h5ad", tmp_path / "two.h5ad"]
    simulated.write_h5ad(paths[0])
    simulated[:, 1:].copy().write_h5ad(paths[1])
    return paths


def test_files_become_a_store_and_features_that_are_left_out_are_told(cellwright, two, tmp_path):
    ended = cellwright("convert", *two, "--out", tmp_path / "atlas.zarr")
    assert (ended.code, ended.err) == (0, "")
    told, summary = ended.out.splitlines()
    assert told == ("1 features that are not in every file are left out (gene_1); --join outer keeps them")
    assert summary == f"240 cells x 39 features, uint16 -> {tmp_path / 'atlas.zarr'}"
    assert anndata.read_zarr(tmp_path / "atlas.zarr").shape == (240, 39)


def test_features_that_are_filled_are_told_by_file(cellwright, two, tmp_path):
    ended = cellwright("convert", *two, "--out", tmp_path / "atlas.zarr", "--join", "outer", "--no-shuffle")
    assert ended.out.splitlines()[0] == "two lacks 1 of the features (gene_1); they are zeros"
    names = anndata.read_zarr(tmp_path / "atlas.zarr").obs_names
    assert list(names[[0, 1, 120]]) == ["cell_1-one", "cell_2-one", "cell_1-two"]


def test_the_store_is_what_fit_takes(cellwright, two, tmp_path):
    assert cellwright("convert", *two, "--out", tmp_path / "atlas.zarr").code == 0
    tokens = ["--label-key", "label", "--batch-key", "file", "--n-latent", "3", "--max-epochs", "1"]
    assert cellwright("fit", "vae", tmp_path / "atlas.zarr", "--out", tmp_path / "run", *tokens).code == 0
    assert anndata.read_h5ad(tmp_path / "run" / "cells.h5ad").obsm["X_vae"].shape == (240, 3)


def test_a_file_that_is_not_there_ends_with_2_and_leaves_nothing(cellwright, two, tmp_path):
    ended = cellwright("convert", two[0], tmp_path / "twoo.h5ad", "--out", tmp_path / "atlas.zarr")
    assert ended.code == 2
    assert "Did you mean 'two.h5ad'?" in ended.sentence
    assert not list(tmp_path.glob("atlas*"))


def test_a_store_that_is_there_ends_with_2(cellwright, two, tmp_path):
    (tmp_path / "atlas.zarr").mkdir()
    ended = cellwright("convert", *two, "--out", tmp_path / "atlas.zarr")
    assert ended.code == 2
    assert "must not be there" in ended.sentence


@pytest.mark.parametrize("out", ["one.h5ad/atlas.zarr", "/dev/null/atlas.zarr"])
def test_a_store_within_a_file_ends_with_2(cellwright, two, tmp_path, out):
    ended = cellwright("convert", *two, "--out", tmp_path / out)
    assert ended.code == 2
    assert "could not be written" in ended.sentence


def test_help_says_what_is_left_out(cellwright):
    ended = cellwright("convert", "--help")
    said = " ".join(ended.out.split())
    assert "join files in one store that is fast to train from" in said
    assert "Other layers, obsm, varm, obsp, varp, uns and raw are left out" in said


def test_without_a_file_it_ends_with_2(cellwright, tmp_path):
    ended = cellwright("convert", "--out", tmp_path / "atlas.zarr")
    assert ended.code == 2
    assert "none is given" in ended.sentence
