import itertools

import mpmath
import numpy as np
import pytest
import torch

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.nb_background import NBBackground, nb_background_log_prob
from cellwright.likelihoods.negative_binomial import negative_binomial_log_prob

# counts, backgrounds, rises, logits of the foreground
CASES = list(itertools.product([0, 1, 50, 20_000], [1e-3, 3.0, 1e3], [-30.0, 0.0, 5.0], [-60.0, -1.0, 0.0, 15.0]))
N = 20_000


def exact(x, log_background, rise, logits, theta):
    with mpmath.workdps(60):
        x, log_background, rise, logits, theta = map(mpmath.mpf, (x, log_background, rise, logits, theta))
        p, background = 1 / (1 + mpmath.exp(-logits)), mpmath.exp(log_background)
        rising = mpmath.gammaprod([x + theta], [theta, x + 1])

        def nb(mean):
            return rising * (theta / (theta + mean)) ** theta * (mean / (theta + mean)) ** x

        return float(mpmath.log((1 - p) * nb(background) + p * nb(background * (1 + mpmath.exp(rise)))))


@pytest.mark.parametrize("theta", [1e-2, 1.0, 1e4])
def test_log_prob_is_exact_in_float32_for_large_counts_far_components_and_large_theta(theta):
    counts, backgrounds, rises, logits = np.array(CASES, dtype=np.float64).T
    log_background, rise, logits = (torch.from_numpy(v).float()[:, None] for v in (np.log(backgrounds), rises, logits))
    thetas = torch.tensor([theta])
    got = nb_background_log_prob(SparseRows.of(counts[:, None]), log_background, rise, thetas, logits).double().numpy()
    cases = zip(*(v.ravel().tolist() for v in (counts, log_background, rise, logits)), strict=True)
    expected = np.array([exact(*case, thetas.item()) for case in cases])
    assert (np.abs(got - expected) / np.maximum(1, np.abs(expected))).max() < 1e-5


@pytest.mark.parametrize(
    ("logits", "rise", "by"), [(-50.0, 2.0, 0.0), (50.0, 2.0, np.log1p(np.exp(2.0)))], ids=["background", "foreground"]
)
def test_of_one_component_alone_it_is_a_negative_binomial(logits, rise, by):
    rng = np.random.default_rng(0)
    x = SparseRows.of(rng.poisson(5, (20, 10)).astype(np.float32)).map(torch.Tensor.double)
    log_background, theta = torch.from_numpy(rng.normal(size=(20, 10))), torch.from_numpy(rng.gamma(2, size=10))
    same = torch.ones_like(log_background)
    got = nb_background_log_prob(x, log_background, rise * same, theta, logits * same)
    torch.testing.assert_close(got, negative_binomial_log_prob(x, log_background + by, theta), rtol=1e-12, atol=0)


@pytest.fixture
def cells():
    """A head whose components are far apart in one protein, near in another; cells of one h, and what they count."""
    torch.manual_seed(0)
    head = NBBackground().head(4, 3)
    with torch.no_grad():
        for layer in (head.rise, head.foreground_logits, head.log_background.depth):
            layer.weight *= 0.1
        head.rise.bias.copy_(torch.tensor([3.0, 0.0, 1.0]))
        head.log_theta.copy_(torch.tensor([2.0, 0.0, 1.0]))
    h, library = torch.randn(1, 4).expand(N, 4), torch.full((N, 1), 12.0)
    return head, h, library, head.sample(h, library, torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_second_measurement_has_the_mean_and_the_spread_of_the_first(cells):
    """Over many cells of one distribution: what is drawn given a first measurement is distributed as that was."""
    head, h, library, first = cells
    x, generator = SparseRows.of(first.numpy()), torch.Generator().manual_seed(2)
    second = head.draw_counts_given(h, x, library, generator)
    expected, drawn = head.mean_given(h, x, library), head.draw_given(h, x, library, generator)
    error = 5 * first.std(dim=0) / N**0.5
    for found in (second, expected, drawn):
        assert ((found.mean(dim=0) - first.mean(dim=0)).abs() < error).all()
    # of the squares, five standard errors of the noisier of both
    squares = [values.square() for values in (first, second)]
    limit = 5 * 2**0.5 * torch.stack([square.std(dim=0) for square in squares]).amax(dim=0) / N**0.5
    assert ((squares[0].mean(dim=0) - squares[1].mean(dim=0)).abs() < limit).all()
    assert torch.corrcoef(torch.stack([first[:, 0], second[:, 0]]))[0, 1] > 0.5


@torch.no_grad()
def test_the_foreground_given_x_is_that_of_bayes(cells):
    head, h, library, first = cells
    x, h, library = first[:200], h[:200], library[:200]
    got = head.foreground_given(h, SparseRows.of(x.numpy()), library)
    log_background, rise = head.log_background(h).double(), head.rise(h).double()
    theta = head.log_theta.exp().double()
    for at in range(3):
        counts = SparseRows.of(x[:, [at]].double().numpy()).map(torch.Tensor.double)
        logs = [
            negative_binomial_log_prob(counts, log_background[:, [at]] + by, theta[[at]])
            for by in (0, torch.log1p(rise[:, [at]].exp()))
        ]
        odds = head.foreground_logits(h)[:, at].double() + logs[1] - logs[0]
        torch.testing.assert_close(got[:, at].double(), torch.sigmoid(odds), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_library_changes_nothing(cells):
    head, h, library, first = cells
    x = SparseRows.of(first[:5].numpy())
    ours, other = (head.log_prob(h[:5], x, total) for total in (library[:5], 100 * library[:5]))
    assert torch.equal(ours, other)
    assert torch.equal(head.mean(h[:5], library[:5]), head.mean(h[:5], 100 * library[:5]))


def test_the_foreground_is_above_the_background_for_every_h():
    torch.manual_seed(0)
    head = NBBackground().head(4, 5)
    h = 10 * torch.randn(100, 4)
    x = SparseRows.of(np.zeros((100, 5), dtype=np.float32))
    everything = head.mean(h, torch.ones(100, 1))
    assert (everything >= head.log_background(h).exp()).all()
    more = SparseRows.of(np.full((100, 5), 1e4, dtype=np.float32))
    low, high = (head.foreground_given(h, counts, torch.ones(100, 1)) for counts in (x, more))
    assert (low <= high).all()
