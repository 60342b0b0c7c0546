"""Gamma rates: what a cell's own counts say of its rates, beside what others say of them.

    expected counts (n_obs, n_vars), counts of many cells -learn-> theta (n_vars,)
    expected counts, the cell's counts -> E[rate | counts] = mean (theta + x) / (theta + mean), or a draw of the rate

Counts are Poisson given the rate, and the rate is Gamma(theta, theta / mean) around what is expected, so that counts
are negative binomial. A large theta says that cells are as expected: their own counts are noise. Known as SAVER where
the expectation comes from a regression, as SAVER-X where it comes from an autoencoder.

References: [Huang18] SAVER; [Wang19] SAVER-X; [Lopez18] for the parametrisation.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.likelihoods.negative_binomial import draw_rate, expected_rate, negative_binomial_log_prob
from cellwright.nn.rprop import climb

N_STEPS = 15
# molecules that theta is learnt from: a feature with fewer takes the median of the others. Without a molecule the
# likelihood rises for ever towards theta 0, by which the first molecule that comes would be taken at its word
ENOUGH = 10
SMALLEST_MEAN = 1e-8  # counts where nothing is expected have no probability


class GammaRates(nn.Module):
    """How much rates vary around what is expected, feature by feature; 1 / theta is their squared relative spread."""

    log_theta: Tensor

    def __init__(self, n_vars: int) -> None:
        super().__init__()
        self.register_buffer("log_theta", torch.zeros(n_vars))

    def learn(self, blocks: Sequence[tuple[SparseRows, Float[Tensor, "_ n_vars"]]]) -> None:
        """Theta of greatest likelihood, from blocks of cells: their counts, and what was expected without them."""
        self.log_theta.zero_()
        logs = [(x, means.clamp(min=SMALLEST_MEAN).log()) for x, means in blocks]

        def slopes() -> list[Tensor]:
            log_theta = self.log_theta.detach().clone().requires_grad_()
            with torch.enable_grad():
                total = sum(negative_binomial_log_prob(x, mean, log_theta.exp()).sum() for x, mean in logs)
                assert isinstance(total, Tensor), "there is a block"
                return list(torch.autograd.grad(total, [log_theta]))

        climb([self.log_theta], slopes, N_STEPS)
        settle(self.log_theta, [x for x, _ in blocks])

    def expected(self, means: Float[Tensor, "n_obs n_vars"], x: SparseRows) -> Float[Tensor, "n_obs n_vars"]:
        """What is expected of a second measurement of cells of which `x` is the first."""
        return expected_rate(means, self.log_theta.exp(), x)

    def draw(
        self, means: Float[Tensor, "n_obs n_vars"], x: SparseRows, generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """One draw of the rates of these cells."""
        return draw_rate(means, self.log_theta.exp(), x, generator)


@torch.no_grad()
def settle(log_theta: Float[Tensor, " n_vars"], counts: Sequence[SparseRows]) -> None:
    """Give features of fewer than `ENOUGH` molecules in the blocks of counts the median of the others, in place."""
    total = torch.zeros_like(log_theta)
    for x in counts:
        total += torch.from_numpy(np.asarray(x.csr().sum(axis=0))[0]).to(total)
    enough = total >= ENOUGH
    if enough.any():
        log_theta.copy_(torch.where(enough, log_theta, log_theta[enough].median()))
