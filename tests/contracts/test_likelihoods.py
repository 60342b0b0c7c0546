"""What holds for every entry of `LIKELIHOODS`.

The references are SciPy in float64; a new likelihood adds its own to `REFERENCES`.
"""

import copy
import itertools
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, special, stats

import cellwright.likelihoods
from cellwright.core.minibatch import SparseRows
from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.errors import OptionError
from cellwright.likelihoods import LIKELIHOODS, AnyLikelihood, NegativeBinomial
from cellwright.likelihoods.nb_background import LEVEL_UNIT

NOT_LIKELIHOODS = {"__init__", "head", "fused", "compiled", "special"}


def _layer(layer, h):
    return h @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def _count_mean(head, h, library):
    return library * special.softmax(_layer(head.share, h), axis=1)


def _negative_binomial(head, h, library):
    mean, theta = _count_mean(head, h, library), np.exp(head.log_theta.detach().double().numpy())
    return lambda x: stats.nbinom.logpmf(x, theta, theta / (theta + mean))


def _poisson(head, h, library):
    mean = _count_mean(head, h, library)
    return lambda x: stats.poisson.logpmf(x, mean)


def _nb_background(head, h, library):
    log_background = LEVEL_UNIT * head.log_background.level.detach().double().numpy() + _layer(
        head.log_background.depth, h
    )
    background, rise = np.exp(log_background), np.exp(_layer(head.rise, h))
    theta, p = np.exp(head.log_theta.detach().double().numpy()), special.expit(_layer(head.foreground_logits, h))

    def log_p(x):
        means = (background, background * (1 + rise))
        parts = [stats.nbinom.logpmf(x, theta, theta / (theta + mean)) for mean in means]
        return np.logaddexp(np.log1p(-p) + parts[0], np.log(p) + parts[1])

    return log_p


def _zinb(head, h, library):
    counted, dropout = _negative_binomial(head, h, library), special.expit(_layer(head.dropout_logits, h))
    return lambda x: np.log(dropout * (x == 0) + (1 - dropout) * np.exp(counted(x)))


def _bernoulli(head, h, library):
    p = special.expit(_layer(head.logits, h))
    return lambda x: stats.bernoulli.logpmf(x, p)


def _gaussian(head, h, library):
    scale = np.exp(head.log_variance.detach().double().numpy() / 2)
    return lambda x: stats.norm.logpdf(x, _layer(head.location, h), scale)


# name -> (head, h, library) -> log p, elementwise
REFERENCES = {
    "bernoulli": _bernoulli,
    "gaussian": _gaussian,
    "nb_background": _nb_background,
    "negative_binomial": _negative_binomial,
    "poisson": _poisson,
    "zinb": _zinb,
}

# points and weights over which a density with a mean of tens is summed
GRIDS = {
    Support.counts: (np.arange(4_000), 1.0),
    Support.binary: (np.arange(2), 1.0),
    Support.real: (np.linspace(-30, 30, 6_001), 0.01),
}


def _settings(cls):
    """Each combination of the options that are a choice of words."""
    choices = {
        name: get_args(field.annotation)
        for name, field in cls.model_fields.items()
        if get_origin(field.annotation) is Literal
    }
    for values in itertools.product(*choices.values()):
        yield cls(**dict(zip(choices, values, strict=True)))


ALL = [options for cls in LIKELIHOODS.values() for options in _settings(cls)]
every_likelihood = pytest.mark.parametrize("options", ALL, ids=lambda o: "-".join(map(str, o.model_dump().values())))
every_precision = pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [pytest.param(torch.float32, 1e-5, id="float32"), pytest.param(torch.float64, 1e-9, id="float64")],
)


class Example:
    """A head with random weights, cells that it could have made, and the same cells stored sparse and dense."""

    def __init__(self, options, n_obs=6, n_vars=5, seed=0, dtype=torch.float64):
        rng = np.random.default_rng(seed)
        self.options = options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = options.head(3, n_vars).to(dtype)
        self.h = torch.from_numpy(rng.normal(size=(n_obs, 3))).to(dtype)
        self.x = self._values(rng, n_obs, n_vars) * (rng.random((n_obs, n_vars)) < 0.6)
        self.library = torch.from_numpy(self.x.sum(axis=1, keepdims=True)).to(dtype)
        self.sparse = SparseRows.of(sparse.csr_matrix(self.x)).map(lambda values: values.to(dtype))
        self.dense = SparseRows.of(self.x).map(lambda values: values.to(dtype))

    def _values(self, rng, n_obs, n_vars):
        if self.options.support == Support.real:
            return rng.normal(size=(n_obs, n_vars)).astype(np.float32).astype(np.float64)
        high = 2 if self.options.support == Support.binary else 30
        return rng.integers(0, high, (n_obs, n_vars)).astype(np.float64)

    def reference(self):
        name = self.options.name
        return REFERENCES[name](self.head, self.h.double().numpy(), self.library.double().numpy())

    @property
    def uses_library(self):
        """Whether a cell's total says how much is expected of it, rather than h."""
        return bool((self.head.mean(self.h, torch.zeros_like(self.library)) == 0).all())

    def log_prob(self, x=None, where=None):
        return self.head.log_prob(self.h, x or self.sparse, self.library, where)


def test_every_file_is_in_the_table_under_its_own_name():
    folder = Path(cellwright.likelihoods.__file__).parent
    assert {file.stem for file in folder.glob("*.py")} - NOT_LIKELIHOODS == set(LIKELIHOODS)
    for name, cls in LIKELIHOODS.items():
        assert cls.__module__ == f"cellwright.likelihoods.{name}"
        assert cls().name == name


@every_likelihood
@every_precision
def test_log_prob_equals_scipy(options, dtype, tolerance):
    example = Example(options, n_obs=40, n_vars=20, dtype=dtype)
    expected = example.reference()(example.x).sum(axis=1)
    error = example.log_prob().detach().double().numpy() - expected
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < tolerance


@every_likelihood
def test_gradients_equal_finite_differences(options):
    example = Example(options)
    h = example.h.requires_grad_()
    # gradcheck moves its inputs in place, so the head's parameters need no way in
    assert torch.autograd.gradcheck(
        lambda h, *_: example.head.log_prob(h, example.sparse, example.library),
        (h, *example.head.parameters()),
        atol=1e-6,
        rtol=1e-5,
    )


@every_likelihood
def test_samples_have_the_mean_and_variance_of_the_density(options):
    n = 40_000
    example = Example(options, n_obs=1, n_vars=4)
    library = torch.tensor([[40.0]], dtype=torch.float64)
    draws = example.head.sample(
        example.h.expand(n, -1), library.expand(n, -1), torch.Generator().manual_seed(0)
    ).numpy()
    points, width = GRIDS[options.support]
    density = REFERENCES[options.name](example.head, example.h.numpy(), library.numpy())
    p = np.exp([density(point)[0] for point in points]) * width  # (n_points, n_vars)
    mean = points @ p
    variance, fourth = (((points[:, None] - mean) ** k * p).sum(axis=0) for k in (2, 4))
    np.testing.assert_allclose(p.sum(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(example.head.mean(example.h, library).detach()[0], mean, rtol=1e-6)
    # six standard errors: by chance, one in 10^9
    assert (np.abs(draws.mean(axis=0) - mean) < 6 * np.sqrt(variance / n)).all()
    assert (np.abs(draws.var(axis=0) - variance) < 6 * np.sqrt((fourth - variance**2) / n)).all()


@every_likelihood
def test_samples_lie_in_the_support_and_repeat_under_their_seed(options):
    example = Example(options, n_obs=50)
    first, second = (
        example.head.sample(example.h, example.library, torch.Generator().manual_seed(seed)) for seed in (1, 1)
    )
    assert torch.equal(first, second)
    assert not first.requires_grad
    if options.support >= Support.counts:
        assert torch.equal(first, first.round().clamp(min=0, max=1 if options.support == Support.binary else None))


@every_likelihood
@given(n_obs=st.integers(1, 7), n_vars=st.integers(1, 7), seed=st.integers(0, 1_000))
@settings(max_examples=25, deadline=None)
def test_sparse_equals_dense(options, n_obs, n_vars, seed):
    example = Example(options, n_obs, n_vars, seed)
    torch.testing.assert_close(
        example.log_prob(example.sparse), example.log_prob(example.dense), rtol=1e-12, atol=1e-12
    )


@every_likelihood
@given(n_obs=st.integers(1, 7), n_vars=st.integers(1, 7), seed=st.integers(0, 1_000))
@settings(max_examples=25, deadline=None)
def test_where_and_its_complement_add_up(options, n_obs, n_vars, seed):
    example = Example(options, n_obs, n_vars, seed)
    where = torch.from_numpy(np.random.default_rng(seed).random((n_obs, n_vars)) < 0.5)
    for x in (example.sparse, example.dense):
        parts = example.log_prob(x, where) + example.log_prob(x, ~where)
        torch.testing.assert_close(parts, example.log_prob(x), rtol=1e-12, atol=1e-12)


@every_likelihood
def test_where_restricts_the_sum_to_its_positions(options):
    example = Example(options)
    where = torch.from_numpy(np.random.default_rng(1).random(example.x.shape) < 0.5)
    expected = np.where(where, example.reference()(example.x), 0).sum(axis=1)
    np.testing.assert_allclose(example.log_prob(where=where).detach(), expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(example.log_prob(where=torch.zeros_like(where)), torch.zeros(6, dtype=torch.float64))


@every_likelihood
def test_a_cell_does_not_depend_on_the_others(options):
    example = Example(options)
    together = example.log_prob().detach()
    for row in range(len(together)):
        x = SparseRows.of(sparse.csr_matrix(example.x[[row]])).map(torch.Tensor.double)
        alone = example.head.log_prob(example.h[[row]], x, example.library[[row]])
        torch.testing.assert_close(alone.detach(), together[[row]], rtol=1e-12, atol=1e-12)


@every_likelihood
def test_a_cell_without_any_value_has_a_finite_value_and_gradient(options):
    example = Example(options)
    empty = SparseRows.of(sparse.csr_matrix(example.x.shape)).map(torch.Tensor.double)
    log_prob = example.head.log_prob(example.h.requires_grad_(), empty, torch.zeros_like(example.library))
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (example.h, *example.head.parameters()))
    if example.uses_library:  # it says so: the probability is 1
        torch.testing.assert_close(log_prob, torch.zeros_like(log_prob), rtol=0, atol=1e-12)


@every_likelihood
def test_under_autocast_only_the_products_are_in_reduced_precision(options):
    example = Example(options, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_prob = example.log_prob()
    assert log_prob.dtype == torch.float32
    for layer in (module for module in example.head.modules() if isinstance(module, torch.nn.Linear)):
        layer.register_forward_hook(lambda _layer, _inputs, output: output.bfloat16().float())
        layer.weight.data, layer.bias.data = (p.data.bfloat16().float() for p in (layer.weight, layer.bias))
    example.h = example.h.bfloat16().float()
    # a product may be rounded once more or less on its way to bfloat16
    torch.testing.assert_close(log_prob, example.log_prob(), rtol=2**-7, atol=0)


@every_likelihood
def test_a_minibatch_in_float32_gives_float32_without_gradients_too(options):
    example = Example(options, dtype=torch.float32)
    with torch.no_grad():
        without = example.log_prob()
    assert without.dtype == torch.float32
    assert torch.equal(without, example.log_prob().detach())


# counts of which a kernel looks up the first, multiplies out the second, and evaluates the others in float64
VALUES = {
    "up to 8": lambda rng, shape: rng.integers(0, 9, shape),
    "up to 64": lambda rng, shape: rng.integers(0, 65, shape),
    "in the hundreds": lambda rng, shape: rng.integers(65, 600, shape),
    "above 100000": lambda rng, shape: rng.integers(100_000, 120_000, shape),
    "not whole": lambda rng, shape: rng.uniform(0, 20, shape),
    "large and not whole": lambda rng, shape: rng.uniform(0, 1_000, shape),
}
# the part of a cell's log p, or of the largest entry of a gradient, that float32 may cost: as above
FLOAT32 = 1e-5


class Compiled(Example):
    """Cells in float32 as the kernels take them: with empty rows, empty columns and stored zeros, beside float64."""

    def __init__(self, options, values=None, n_obs=40, n_vars=20):
        self.draw = values
        super().__init__(options, n_obs, n_vars, dtype=torch.float32)
        self.x[[0, 7, -1]] = 0
        self.x[:, [0, 9, -1]] = 0
        self.x = self.x.astype(np.float32).astype(np.float64)
        stored = (self.x != 0) | (np.random.default_rng(1).random(self.x.shape) < 0.2)
        stored[0] = stored[:, 0] = False
        starts = np.cumsum([0, *stored.sum(axis=1)])
        self.sparse = SparseRows.of(sparse.csr_matrix((self.x[stored], stored.nonzero()[1], starts), self.x.shape))
        assert torch.equal(self.sparse.dense().double(), torch.from_numpy(self.x))
        assert (self.sparse.values == 0).any()
        self.library = torch.from_numpy(self.x.sum(axis=1, keepdims=True)).float()

    def _values(self, rng, n_obs, n_vars):
        return super()._values(rng, n_obs, n_vars) if self.draw is None else self.draw(rng, (n_obs, n_vars))

    def evaluate(self, cell_weight, dtype=torch.float32):
        """Log p, and the gradients of its weighted sum by h and every parameter."""
        head = copy.deepcopy(self.head).to(dtype)
        h = self.h.detach().to(dtype).requires_grad_()
        x = self.sparse.map(lambda values: values.to(dtype))
        log_prob = head.log_prob(h, x, self.library.to(dtype))
        gradients = torch.autograd.grad(log_prob, (h, *head.parameters()), cell_weight.to(log_prob.dtype))
        return log_prob.detach().double(), [gradient.double() for gradient in gradients]


CELL_WEIGHTS = {
    "equal": torch.full((40,), -0.3),
    "unequal": torch.linspace(-1, 2, 40),
    "of one cell": (torch.arange(40) == 11).float(),
}
every_value = pytest.mark.parametrize(
    ("options", "values"),
    [
        pytest.param(options, VALUES.get(name), id=f"{'-'.join(map(str, options.model_dump().values()))}-{name}")
        for options in ALL
        for name in ["as above", *VALUES]
        if name == "as above" or options.support != Support.binary
    ],
)


@pytest.fixture
def by_kernels(monkeypatch):
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "numba")


@every_likelihood
def test_kernels_equal_scipy(options, by_kernels):
    example = Compiled(options)
    expected = example.reference()(example.x)
    expected = np.where((example.library.numpy() == 0) & example.uses_library, 0, expected).sum(axis=1)
    error = example.log_prob().detach().double().numpy() - expected
    assert (np.abs(error) / np.maximum(1, np.abs(expected))).max() < FLOAT32


@every_value
def test_kernels_equal_the_plain_path_in_value(options, values, by_kernels, monkeypatch):
    example = Compiled(options, values)
    got, expected = example.log_prob().detach().double(), example.evaluate(torch.ones(40), torch.float64)[0]
    assert ((got - expected).abs() / expected.abs().clamp(min=1)).max() < FLOAT32
    monkeypatch.setenv("CELLWRIGHT_KERNELS", "torch")
    plain = example.log_prob().detach().double()
    assert ((plain - got).abs() / expected.abs().clamp(min=1)).max() < 2 * FLOAT32  # each may be off by one


@every_value
@pytest.mark.parametrize("cell_weight", CELL_WEIGHTS.values(), ids=CELL_WEIGHTS)
def test_kernels_equal_the_plain_path_in_every_gradient(options, values, cell_weight, by_kernels):
    example = Compiled(options, values)
    # the plain path in float64 equals finite differences, see above
    (_, got), (_, expected) = (example.evaluate(cell_weight, dtype) for dtype in (torch.float32, torch.float64))
    for one, other in zip(got, expected, strict=True):
        assert (one - other).abs().max() < FLOAT32 * other.abs().max()


@every_likelihood
def test_kernels_equal_the_plain_path_over_twenty_thousand_features(options, by_kernels):
    example = Compiled(options, n_vars=20_000)
    (got, slopes), (expected, exact) = (
        example.evaluate(CELL_WEIGHTS["unequal"], dtype) for dtype in (torch.float32, torch.float64)
    )
    assert ((got - expected).abs() / expected.abs().clamp(min=1)).max() < FLOAT32
    for one, other in zip(slopes, exact, strict=True):
        assert (one - other).abs().max() < FLOAT32 * other.abs().max()


@every_value
def test_kernels_under_autocast_give_the_value_and_the_direction_of_the_gradient(options, values, by_kernels):
    example = Compiled(options, values)
    expected, exact = example.evaluate(torch.ones(40), torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_prob, gradients = example.evaluate(torch.ones(40))
    # a bfloat16 is rounded by up to 2^-9, and three of them are multiplied and added up for a logit
    assert ((log_prob - expected).abs() / expected.abs().clamp(min=1)).max() < 1e-2
    for got, other in zip(gradients, exact, strict=True):
        assert torch.cosine_similarity(got.flatten(), other.flatten(), dim=0) > 0.999


@every_likelihood
def test_kernels_under_autocast_round_nothing_but_the_products(options, by_kernels):
    example = Compiled(options)
    for layer in (module for module in example.head.modules() if isinstance(module, torch.nn.Linear)):
        layer.weight.data = (layer.weight.data * 4).round() / 4  # so that no product is rounded either
    example.h = example.h.round()
    expected, _ = example.evaluate(torch.ones(40), torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_prob = example.log_prob().detach().double()
    assert ((log_prob - expected).abs() / expected.abs().clamp(min=1)).max() < FLOAT32


@every_likelihood
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
def test_kernels_give_no_number_to_a_cell_with_a_latent_that_is_none(options, autocast, by_kernels):
    example = Compiled(options)
    with torch.no_grad():
        example.h[5, 1] = torch.nan
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        log_prob = example.log_prob()
    assert torch.equal(log_prob.isnan(), torch.arange(40) == 5)


@every_likelihood
def test_kernels_give_no_number_to_any_cell_where_a_parameter_of_a_feature_is_none(options, by_kernels):
    head = Compiled(options).head
    of_features = [(name, value) for name, value in head.named_parameters() if len(value) == 20]
    for name, parameter in of_features:
        for feature in (0, 3):  # of these, no cell has values of the first
            example = Compiled(options)
            with torch.no_grad():
                dict(example.head.named_parameters())[name][feature] = torch.nan
            assert example.log_prob().isnan().all(), (name, parameter.shape, feature)


class _Model(Options):
    likelihood: AnyLikelihood = NegativeBinomial()


@every_likelihood
def test_options_come_back_equal_from_json(options):
    model = _Model(likelihood=options)
    assert _Model.model_validate_json(model.model_dump_json()) == model
    assert model.model_dump()["likelihood"] == options.model_dump()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_bare_name_gives_the_default_options(name):
    assert _Model(likelihood=name).likelihood == LIKELIHOODS[name]()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param(
            "poison", r"likelihood must be one of .*; it is 'poison'\. Did you mean 'poisson'\?", id="misspelt"
        ),
        pytest.param({"variance": "unit"}, r"likelihood must be one of .*; it is None\.", id="without a name"),
        pytest.param(3, r"likelihood must be one of .*; it is 3\.", id="a number"),
        pytest.param({"name": "gaussian", "varianc": "unit"}, "no option 'varianc'.*'variance'", id="misspelt option"),
        pytest.param({"name": "gaussian", "variance": "cell"}, "^variance of Gaussian should be", id="wrong option"),
    ],
)
def test_what_is_no_likelihood_is_refused_in_one_sentence(value, sentence):
    with pytest.raises(OptionError, match=sentence):
        _Model(likelihood=value)
