"""How the rows are cut changes nothing; what the kernels do not serve goes to plain torch.

The oracle of most tests is one block on one thread, which `tests/contracts` compares with SciPy and with float64.
"""

import threading
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy import sparse

from cellwright.core.minibatch import SparseRows
from cellwright.errors import OptionError, SchemaMismatch
from cellwright.likelihoods import LIKELIHOODS, Gaussian, compiled

N_OBS, N_VARS = 50, 12
# those that have a kernel of their own; the others (of small dense panels) are plain torch whatever is asked
COMPILED = [name for name in LIKELIHOODS if find_spec(f"cellwright.kernels.{name}")]
every_likelihood = pytest.mark.parametrize("name", COMPILED)


@pytest.fixture(autouse=True)
def _by_kernels(monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "numba")


class Cells:
    """A head and cells for it; latents and weights are such that no product is rounded, in whichever order it adds."""

    def __init__(self, name, n_obs=N_OBS, options=None):
        rng = np.random.default_rng(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.head = (options or LIKELIHOODS[name]()).head(4, N_VARS)
        for module in self.head.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.data = (module.weight.data * 4).round() / 4
        self.h = torch.from_numpy(rng.integers(-2, 3, (n_obs, 4)).astype(np.float32))
        x = rng.integers(1, 2 if name == "bernoulli" else 12, (n_obs, N_VARS)) * (rng.random((n_obs, N_VARS)) < 0.3)
        self.x = SparseRows.of(sparse.csr_matrix(x))
        self.library = self.x.sum_rows()[:, None]
        self.cell_weight = torch.from_numpy(rng.uniform(-1, 2, n_obs).astype(np.float32))

    def log_prob(self, h=None, where=None):
        return self.head.log_prob(self.h if h is None else h, self.x, self.library, where)

    def evaluate(self, cell_weight=None):
        """Log p, and the gradients of its weighted sum by h and every parameter."""
        h = self.h.clone().requires_grad_()
        log_prob = self.log_prob(h)
        weight = self.cell_weight if cell_weight is None else cell_weight
        return log_prob.detach(), torch.autograd.grad(log_prob, (h, *self.head.parameters()), weight)


class Calls:
    """Records how a likelihood calls its kernel: the rows, the columns of derivatives that it asks for, the thread."""

    def __init__(self, monkeypatch, name):
        kernels = import_module(f"cellwright.kernels.{name}")
        self.kernel, self.rows, self.slopes, self.threads = kernels.log_prob, [], [], set()
        monkeypatch.setattr(kernels, "log_prob", self)

    def __call__(self, *arrays):
        matrices = [array for array in arrays if array.ndim == 2]
        self.rows.append(len(arrays[2]) - 1)
        self.slopes.append(min(matrix.shape[1] for matrix in matrices))
        self.threads.add(threading.get_ident())
        self.kernel(*arrays)


@pytest.fixture
def cut(monkeypatch):
    """A function: rows in a block of one thread, threads -> nothing; from then on the rows are cut so."""
    before = torch.get_num_threads()

    def into(rows, n_threads):
        monkeypatch.setattr(compiled, "_MIN_BLOCK_ROWS", rows)
        monkeypatch.setattr(compiled, "_BLOCK_ENTRIES", 0)
        monkeypatch.setattr(compiled, "_ENTRIES_PER_THREAD", 1)
        torch.set_num_threads(n_threads)

    yield into
    torch.set_num_threads(before)


CUTS = {
    "row by row": (1, 1, [1] * 50),
    "blocks that leave a rest": (7, 1, [7] * 7 + [1]),
    "two threads": (50, 2, [25, 25]),
    "three threads": (50, 3, [16, 17, 17]),
    "three threads, blocks that leave one row": (7, 3, [7] * 6 + [2, 3, 3]),
    "three threads, a row each": (1, 3, [1] * 50 + [0]),
}


@every_likelihood
@pytest.mark.parametrize("weighs", ["equally", "each its own"])
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize(("rows", "n_threads", "parts"), CUTS.values(), ids=CUTS)
def test_blocks_and_threads_change_nothing(monkeypatch, cut, name, weighs, autocast, rows, n_threads, parts):
    cells = Cells(name)
    weight = torch.full((N_OBS,), -0.5) if weighs == "equally" else cells.cell_weight
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        expected, whole = cells.evaluate(weight)
        cut(rows, n_threads)
        calls = Calls(monkeypatch, name)
        got, gradients = cells.evaluate(weight)
    assert sorted(calls.rows) == sorted(parts * (1 if weighs == "equally" else 2))
    assert torch.equal(got, expected)
    for one, other in zip(gradients, whole, strict=True):
        # sums over N_OBS cells in float32, in another order, each at most as wrong as N_OBS roundings
        torch.testing.assert_close(one, other, rtol=0, atol=2 * N_OBS * 2**-24 * float(other.abs().max()))


def test_a_share_of_the_rows_goes_to_each_thread(monkeypatch, cut):
    cut(50, 2)
    calls, meet = Calls(monkeypatch, "poisson"), threading.Barrier(2, timeout=60)
    kernel = calls.kernel

    def together(*arrays):  # passes only if two threads are in it at once
        meet.wait()
        kernel(*arrays)

    calls.kernel = together
    Cells("poisson").log_prob()
    assert len(calls.threads) == 2


def test_small_work_stays_on_one_thread(monkeypatch, cut):
    cut(50, 3)
    monkeypatch.setattr(compiled, "_ENTRIES_PER_THREAD", N_OBS * N_VARS)
    calls = Calls(monkeypatch, "poisson")
    Cells("poisson").log_prob()
    assert calls.threads == {threading.get_ident()}


def test_an_error_in_a_thread_is_raised(monkeypatch, cut):
    cut(50, 2)
    calls = Calls(monkeypatch, "poisson")

    def fail(*_):
        raise ValueError("of the kernel")

    calls.kernel = fail
    with pytest.raises(ValueError, match="of the kernel"):
        Cells("poisson").log_prob()


@every_likelihood
def test_no_cells_give_no_values_and_zero_gradients(name):
    log_prob, gradients = Cells(name, n_obs=0).evaluate()
    assert log_prob.shape == (0,)
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in gradients)


@every_likelihood
def test_without_gradients_the_value_is_equal_and_no_derivatives_are_made(monkeypatch, name):
    cells = Cells(name)
    expected, _ = cells.evaluate()
    calls = Calls(monkeypatch, name)
    with torch.no_grad():
        assert torch.equal(cells.log_prob(), expected)
    assert calls.slopes == [0]
    cells.head.requires_grad_(False)
    assert torch.equal(cells.log_prob(), expected)
    assert calls.slopes == [0, 0]


@every_likelihood
def test_only_what_asks_gets_a_gradient(name):
    cells = Cells(name)
    _, (by_h, *by_parameter) = cells.evaluate()
    cells.log_prob().backward(cells.cell_weight)
    for parameter, expected in zip(cells.head.parameters(), by_parameter, strict=True):
        assert torch.equal(parameter.grad, expected)
    cells.head.requires_grad_(False)
    h = cells.h.clone().requires_grad_()
    cells.log_prob(h).backward(cells.cell_weight)
    assert torch.equal(h.grad, by_h)


@every_likelihood
def test_a_second_backward_gives_the_same_as_the_first(name):
    cells = Cells(name)
    h = cells.h.clone().requires_grad_()
    log_prob = cells.log_prob(h)
    tensors = (h, *cells.head.parameters())
    for weight in (cells.cell_weight, torch.ones(N_OBS)):
        first = torch.autograd.grad(log_prob, tensors, weight, retain_graph=True)
        second = torch.autograd.grad(log_prob, tensors, weight, retain_graph=True)
        assert all(map(torch.equal, first, second))


@every_likelihood
def test_latents_in_another_order_of_memory_give_the_same(name):
    cells = Cells(name)
    expected, gradients = cells.evaluate()
    cells.h = cells.h.T.contiguous().T
    got, others = cells.evaluate()
    assert torch.equal(got, expected)
    for one, other in zip(others, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2 * N_OBS * 2**-24 * float(other.abs().max()))


@every_likelihood
def test_a_second_derivative_is_refused_rather_than_wrong(name):
    cells = Cells(name)
    h = cells.h.requires_grad_()
    with pytest.raises(NotImplementedError, match=r"compiled log_prob must be differentiated once only.*create_graph"):
        torch.autograd.grad(cells.log_prob(h).sum(), (h,), create_graph=True)


@every_likelihood
def test_only_sparse_rows_in_float32_over_all_features_go_to_the_kernel(monkeypatch, name):
    cells = Cells(name)
    calls = Calls(monkeypatch, name)
    cells.log_prob()
    assert calls.rows == [N_OBS]
    calls.kernel = None  # a call would raise
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "torch")
    cells.log_prob()
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "auto")
    with pytest.raises(TypeError, match="not callable"):
        cells.log_prob()
    cells.log_prob(where=torch.ones(N_OBS, N_VARS, dtype=torch.bool))
    sparse_rows, cells.x = cells.x, SparseRows.of(cells.x.dense().numpy())
    cells.log_prob()
    cells.x, cells.library = sparse_rows.map(torch.Tensor.double), cells.library.double()
    cells.head.double()
    cells.log_prob(cells.h.double())


def test_another_name_in_the_environment_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "cuda")
    with pytest.raises(OptionError, match=r"^CELLWRIGHT_KERNELS must be auto, numba or torch; it is 'cuda'\. Set it"):
        Cells("poisson").log_prob()


def test_a_learned_variance_is_cut_like_the_others(monkeypatch, cut):
    cells = Cells("gaussian", options=Gaussian(variance="feature"))
    expected, whole = cells.evaluate()
    cut(7, 3)
    got, gradients = cells.evaluate()
    assert torch.equal(got, expected)
    for one, other in zip(gradients, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2 * N_OBS * 2**-24 * float(other.abs().max()))


@every_likelihood
def test_cells_with_other_features_than_the_head_are_refused(name):
    cells = Cells(name)
    for n_vars in (N_VARS - 1, N_VARS + 1):
        x = SparseRows.of(sparse.csr_matrix((N_OBS, n_vars), dtype=np.float32))
        with pytest.raises(SchemaMismatch, match=f"must have the {N_VARS} features .*; they have {n_vars}"):
            cells.head.log_prob(cells.h, x, cells.library)


@pytest.mark.parametrize("name", ["negative_binomial", "poisson", "zinb"])
def test_a_library_that_is_sought_gets_its_gradient(monkeypatch, name):
    gradients = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv("CELLWRIGHT_KERNELS", kernels)
        cells = Cells(name)
        cells.library = cells.library.clone().clamp(min=1).requires_grad_()
        cells.log_prob().sum().backward()
        gradients.append(cells.library.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().sum() > 0


@pytest.mark.parametrize("name", ["negative_binomial", "poisson", "zinb"])
def test_a_negative_count_is_no_number_with_a_likelihood(name):
    cells = Cells(name)
    cells.x = cells.x.map(lambda values: torch.where(torch.arange(len(values)) == 0, -300.0, values))
    log_prob = cells.log_prob().detach()
    assert log_prob[0].isnan()
    assert log_prob[1:].isfinite().all()
