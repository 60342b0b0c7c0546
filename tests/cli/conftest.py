"""The command line in this process: tokens in, exit code and both outputs back; and small cells to use it on."""

import hashlib
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from cellwright.cli.main import main
from cellwright.data.simulate import SimulateOptions, simulate

SMALL = SimulateOptions(n_obs=120, n_vars=40, n_latent=3, n_batch=2)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on standard error, without the program's name."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("cellwright: ")
        return lines[0].removeprefix("cellwright: ")


@pytest.fixture
def cellwright(capsys):
    """A function: tokens -> how the command ended."""
    before = signal.getsignal(signal.SIGTERM)

    def run(*tokens) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(token) for token in tokens])
        return Ended(ended.value.code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def simulated():
    """Cells with the columns `label` and `batch`; every test that changes them takes a copy."""
    return simulate(SMALL, seed=0).adata


@pytest.fixture
def cells(simulated, tmp_path) -> Path:
    """The same in a file."""
    simulated.write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


@pytest.fixture
def finished(cellwright, cells, tmp_path) -> Path:
    """The folder of a finished fit of `cells`."""
    tokens = ["--label-key", "label", "--n-latent", "3", "--n-hidden", "16", "--max-epochs", "2"]
    assert cellwright("fit", "vae", cells, "--out", tmp_path / "finished", *tokens).code == 0
    return tmp_path / "finished"


@pytest.fixture
def without_umap(monkeypatch):
    """UMAP compiles for a quarter of a minute; it has its own tests."""
    monkeypatch.setattr("cellwright.cli.cluster.embed", lambda adata, use_rep: None)
    monkeypatch.setattr("cellwright.study.evaluate.embed", lambda adata, use_rep: None)


@pytest.fixture
def digest():
    """A function: folder or file -> SHA-256 of every file in it, by name."""

    def of(path: Path) -> dict[str, str]:
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    return of
