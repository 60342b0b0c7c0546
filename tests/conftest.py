"""Shapes and types in annotations are checked while the tests run: style that cannot drift from the code."""

import os
from pathlib import Path

# before torch is loaded: one thread per test process, of which there is one per core
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from jaxtyping import install_import_hook

_CHECKED = ["core", "nn", "likelihoods", "losses", "metrics", "models"]
install_import_hook([f"cellwright.{room}" for room in _CHECKED], "beartype.beartype")


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
