"""Kernels are compiled once on a machine, and the environment decides whether they are used."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellwright.errors import OptionError
from cellwright.kernels import compiled
from cellwright.kernels.compiled import announcing_compilation, backend, digest_of

# counts what is compiled between the start of a process and the end of a first step: a head, a sparse layer, noise
PROCESS = """
import json
from numba.core import event

class Compilations(event.Listener):
    count = 0
    def on_start(self, event):
        self.count += 1
    def on_end(self, event):
        pass

seen = Compilations()
event.register("numba:compile", seen)

import numpy as np
import torch
from scipy import sparse
from cellwright.core.minibatch import SparseRows
from cellwright.core.noise import NoiseKey
from cellwright.likelihoods import Poisson

x = SparseRows.of(sparse.csr_matrix(np.eye(3)))
torch.manual_seed(0)
weight = torch.randn(3, 2, requires_grad=True)
h = x.matmul(weight) + NoiseKey(0).normal(torch.arange(3), 2)
log_prob = Poisson().head(2, 3).log_prob(h, x, x.sum_rows()[:, None])
log_prob.sum().backward()
print(json.dumps([seen.count, log_prob.tolist(), weight.grad.tolist()]))
"""


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_gives_the_same_numbers(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "CELLWRIGHT_KERNELS": "numba"}
    ran = [
        subprocess.run([sys.executable, "-c", PROCESS], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    (first, *numbers), (second, *again) = (json.loads(process.stdout) for process in ran)
    assert first > 0
    assert list(tmp_path.rglob("*.nbi"))
    assert second == 0
    assert again == numbers


@pytest.mark.parametrize(
    ("value", "expected"), [("auto", "numba"), ("numba", "numba"), ("torch", "torch"), (None, "numba")], ids=str
)
def test_the_environment_decides_what_evaluates(monkeypatch, value, expected):
    monkeypatch.delenv("CELLWRIGHT_KERNELS", raising=False)
    if value is not None:
        monkeypatch.setenv("CELLWRIGHT_KERNELS", value)
    assert backend() == expected


@pytest.mark.parametrize("value", ["", "Numba", "cuda"])
def test_another_value_is_refused_with_what_it_may_be(monkeypatch, value):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", value)
    with pytest.raises(OptionError, match=f"^CELLWRIGHT_KERNELS must be auto, numba or torch; it is '{value}'"):
        backend()


def test_without_numba_everything_runs_in_torch_and_a_warning_says_so(monkeypatch):
    monkeypatch.delenv("CELLWRIGHT_KERNELS", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)  # importing it fails
    compiled._numba_is_there.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"^Numba cannot be loaded .*; all runs in plain torch, slower\.$"):
            assert backend() == "torch"
        with announcing_compilation(pytest.fail):
            pass
    finally:
        compiled._numba_is_there.cache_clear()


def test_the_first_compilation_is_announced_once():
    numba = pytest.importorskip("numba")
    announced = []
    with announcing_compilation(lambda: announced.append(True)):
        assert not announced
        assert [numba.njit(lambda x, k=k: x + k)(1) for k in (1, 2)] == [2, 3]
    assert announced == [True]
    numba.njit(lambda x: x)(1)
    assert announced == [True]


def test_code_is_kept_under_the_digest_of_all_kernels(tmp_path):
    from cellwright.kernels import poisson

    assert poisson.log_prob.py_func.__qualname__ == f"log_prob_{digest_of(Path(compiled.__file__).parent)}"
    digests = set()
    for k, text in enumerate(["a = 1", "a = 2", "a = 2\nb = 3"]):
        (folder := tmp_path / str(k)).mkdir()
        (folder / "one.py").write_text(text)
        digests.add(digest_of(folder))
    assert len(digests) == 3


def test_where_numba_only_pretends_everything_runs_in_torch(monkeypatch):
    import numba

    monkeypatch.delenv("CELLWRIGHT_KERNELS", raising=False)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    compiled._numba_is_there.cache_clear()
    try:
        assert backend() == "torch"
    finally:
        compiled._numba_is_there.cache_clear()
