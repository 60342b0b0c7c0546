"""Names on the command line, and where failures of ours are logged."""

import errno

import pytest
from anndata import AnnData

from cellwright.cli.inputs import OurFailure, data_named, logging_failures, study_name_of
from cellwright.errors import DataFileError, OptionError, RunError


def test_a_path_stays_a_path_and_a_name_of_the_catalogue_is_read(cells):
    assert data_named(str(cells)) == cells
    assert isinstance(data_named("pbmc68k_reduced"), AnnData)


def test_a_file_of_the_catalogues_name_goes_before_the_catalogue(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pbmc68k_reduced").mkdir()
    assert data_named("pbmc68k_reduced").is_dir()


def test_a_study_of_a_file_is_named_by_the_file_and_one_of_the_catalogue_by_its_name(cells):
    assert study_name_of(str(cells)) is None
    assert study_name_of("pbmc68k_reduced") == "pbmc68k_reduced"


def test_one_file_per_modality_is_each_by_its_name(cells):
    assert data_named(f"rna={cells}, protein={cells}") == {"rna": cells, "protein": cells}
    assert isinstance(data_named("rna=pbmc68k_reduced")["rna"], AnnData)
    assert study_name_of(f"rna={cells},protein={cells}") is None


@pytest.mark.parametrize("text", ["rna={cells},{cells}", "rna={cells},rna={cells}"], ids=["no name", "one name twice"])
def test_modalities_without_a_name_of_their_own_are_refused(cells, text):
    with pytest.raises(DataFileError, match="each name once, separated by commas"):
        data_named(text.format(cells=cells))


def test_a_file_whose_name_looks_like_a_modality_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "k=3.h5ad").touch()
    assert data_named("k=3.h5ad").name == "k=3.h5ad"


def test_what_is_neither_is_refused_with_the_nearest_name_beside_it(cells):
    with pytest.raises(DataFileError, match=r"there is no file .*Did you mean 'cells\.h5ad'\?$"):
        data_named(str(cells.with_name("cell.h5ad")))


@pytest.mark.parametrize("kind", ["run.json", "study.toml"])
def test_a_failure_of_ours_is_logged_where_there_is_a_run_or_a_study(tmp_path, kind):
    (tmp_path / kind).write_text("{}")
    said = r"ZeroDivisionError: planted; the traceback is in .*log\.txt"
    with pytest.raises(OurFailure, match=said), logging_failures(tmp_path):
        raise ZeroDivisionError("planted")
    assert "Traceback (most recent call last)" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("exists", [True, False], ids=["other folder", "no folder"])
def test_elsewhere_nothing_is_created_and_the_failure_goes_on_as_it_is(tmp_path, exists):
    folder = tmp_path if exists else tmp_path / "nowhere"
    with pytest.raises(ZeroDivisionError), logging_failures(folder):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_mistake_of_the_user_is_not_logged(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(OptionError), logging_failures(tmp_path):
        raise OptionError("n_latent must be positive")
    assert not (tmp_path / "log.txt").exists()


def test_a_full_disk_is_no_failure_of_ours(tmp_path):
    with pytest.raises(RunError, match="the disk is full"), logging_failures(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")
