"""Shapes and types in annotations are checked while the tests run: style that cannot drift from the code."""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

# before torch is loaded: one thread per test process, of which there is one per core
os.environ.setdefault("OMP_NUM_THREADS", "1")
# at its first parallel function, one of scanpy's, numba sets OpenMP's threads to its own number, all cores: torch and
# scikit-learn then have more threads than cores in every later test of a process
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
# uv installs without bytecode; where none may be written either, every process of the tests, and there are dozens,
# compiles all that it imports, which is half the time of its start. Here it is kept beside the sources, not among them.
if sys.dont_write_bytecode and sys.pycache_prefix is None:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

import pytest
from jaxtyping import install_import_hook

# what forked processes find imported: of what a process costs, seconds are imports
_PRELOADED = ["cellwright.data.open", "cellwright.train.fit", "cellwright.train.saved", "cellwright.study.perturb"]
_CHECKED = ["core", "nn", "likelihoods", "losses", "metrics", "models"]
install_import_hook([f"cellwright.{room}" for room in _CHECKED], "beartype.beartype")


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk():
    """Files are not forced to the disk: no test cuts the power, and there are tens of thousands of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def real_data():
    """A function: name of a data set -> its path; skips with the reason where the folder is absent."""
    folder = os.environ.get("CELLWRIGHT_DATA")

    def path(name: str) -> Path:
        file = Path(folder or "") / f"{name}.h5ad"
        if not folder or not file.exists():
            pytest.skip(f"real data {name!r} is not here: set CELLWRIGHT_DATA to the folder that holds {name}.h5ad")
        return file

    return path


@pytest.fixture(scope="session")
def started():
    """A function: a program's path, its arguments -> its process, started, in which nothing ran before.

    As `python PROGRAM ARGUMENTS`, but forked from a process that has done nothing except to import.
    """
    context = _forking()

    def start(program: Path, *arguments: object) -> multiprocessing.Process:
        process = context.Process(target=runpy.run_path, args=(str(program),), kwargs={"run_name": "__main__"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [str(program), *map(str, arguments)])  # the process takes it over
            process.start()
        return process

    return start


@pytest.fixture
def forked(monkeypatch):
    """The processes of a study are forked from one that has done nothing except to import, instead of spawned."""
    context = _forking()
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: context)


def _forking():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context
