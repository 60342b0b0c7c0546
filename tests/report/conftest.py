"""One study of each kind for all tests of the report; a test that changes files copies it."""

import runpy
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def study_builder():
    """The names of `study_folder.py`, which is no installed module."""
    return runpy.run_path(str(Path(__file__).with_name("study_folder.py")))


@pytest.fixture(scope="session")
def study(study_builder, tmp_path_factory):
    return study_builder["write_study"](tmp_path_factory.mktemp("report") / "pbmc-study")


@pytest.fixture(scope="session")
def augmentation(tmp_path_factory):
    builder = runpy.run_path(str(Path(__file__).with_name("augment_folder.py")))
    return builder["write_augmentation"](tmp_path_factory.mktemp("report") / "sln-study")


@pytest.fixture(scope="session")
def responses_builder():
    """The names of `response_folder.py`."""
    return runpy.run_path(str(Path(__file__).with_name("response_folder.py")))


@pytest.fixture(scope="session")
def responses(responses_builder, tmp_path_factory):
    return responses_builder["write_responses"](tmp_path_factory.mktemp("report") / "kang-study")


@pytest.fixture(scope="session")
def recovery_builder():
    """The names of `recovery_folder.py`."""
    return runpy.run_path(str(Path(__file__).with_name("recovery_folder.py")))


@pytest.fixture(scope="session")
def recovery(recovery_builder, tmp_path_factory):
    return recovery_builder["write_recovery"](tmp_path_factory.mktemp("report") / "recovery-study")
