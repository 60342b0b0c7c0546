"""The schedule's identities, and that the sampler turns noise into the distribution whose score it is given."""

import math

import numpy as np
import pytest
import torch

from cellwright.nn import schedule

T = torch.linspace(0, schedule.LATEST, 100)


def test_the_noise_is_what_the_signal_lost():
    torch.testing.assert_close(schedule.alpha(T).square() + schedule.sigma(T).square(), torch.ones(100))


def test_alpha_is_equation_17_of_its_paper():
    def f(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    expected = torch.tensor([math.sqrt(f(t) / f(0)) for t in T.tolist()])
    torch.testing.assert_close(schedule.alpha(T), expected)


def test_sigma_keeps_its_digits_near_zero():
    """Against float64, where 1 - alpha^2 cancels no more than this asks for."""
    t = torch.tensor([1e-4, 1e-3, 1e-2], dtype=torch.float64)
    exact = (1 - schedule.alpha(t).square()).sqrt()
    torch.testing.assert_close(schedule.sigma(t.float()), exact.float(), rtol=1e-3, atol=0)
    assert schedule.sigma(torch.zeros(1)) == 0


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_target_gives_x_back(prediction):
    rng = torch.Generator().manual_seed(0)
    x, epsilon = (torch.randn(100, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    x_t = schedule.noisy(x, epsilon, T.double())
    target = schedule.target(prediction, x, epsilon, T.double())
    torch.testing.assert_close(schedule.clean(prediction, target, x_t, T.double()), x)


def test_v_and_epsilon_are_two_ways_to_say_one_thing():
    """epsilon = alpha v + sigma x_t [Salimans22], appendix D."""
    rng = torch.Generator().manual_seed(0)
    x, epsilon = (torch.randn(100, 3, generator=rng) for _ in range(2))
    v, x_t = schedule.target("v", x, epsilon, T), schedule.noisy(x, epsilon, T)
    torch.testing.assert_close(schedule.alpha(T)[:, None] * v + schedule.sigma(T)[:, None] * x_t, epsilon)


def test_steps_go_down_to_zero():
    when = schedule.times(0.9, 3)
    np.testing.assert_allclose(when, [0.9, 0.6, 0.3, 0.0])


def test_with_x_known_the_sampler_arrives_there_in_any_number_of_steps():
    x, noise = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.3, 0.8]])
    for n_steps in (1, 7):
        found = schedule.ddim(lambda x_t, t: x, noise, schedule.times(schedule.LATEST, n_steps))
        torch.testing.assert_close(found, x)


def gaussian_samples(n_steps, mean=1.5, sd=0.4, n=20_000):
    """Noise through the sampler with the exact estimate for x ~ N(mean, sd^2): E[x | x_t] is linear in x_t."""

    def estimate(x_t, t):
        a, s = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
        return mean + a * sd**2 / (a**2 * sd**2 + s**2) * (x_t - a * mean)

    noise = torch.randn(n, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = (noise - noise.mean()) / noise.std()  # so that the moments are the sampler's alone
    found = schedule.ddim(estimate, noise, schedule.times(schedule.LATEST, n_steps))
    return found.mean().item(), found.std().item()


def test_with_the_exact_score_of_a_gaussian_the_sampler_gives_its_moments():
    mean, sd = gaussian_samples(1000)
    # what is left is the error of the steps, and that time ends before alpha is 0
    assert mean == pytest.approx(1.5, abs=0.01)
    assert sd == pytest.approx(0.4, rel=0.01)


def test_twice_the_steps_halve_the_error():
    """The sampler is a method of first order."""
    errors = [abs(gaussian_samples(n)[1] - 0.4) for n in (100, 200, 400)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)
