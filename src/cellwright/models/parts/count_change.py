"""Count change: cells whose mean is what was predicted, with the noise of counts; each cell keeps its own counts.

    counts x of cells, wanted change of their mean log-normalised values -bisection-> rate added, share kept (n_vars,)
    binomial(x, kept) + gamma-Poisson(library x added) -> log-normalised, with the wanted mean over these cells

A constant that is added to every cell makes a gene that was off in most cells equally strong in all of them, which no
cell is. Here a gene that rises gets further molecules by chance, in proportion to a cell's library; one that falls
loses molecules by chance. Rates and shares are those with which these very random numbers reach the wanted mean: with
the rates of other cells, the chance of a hundred draws would move it (by .04 on average, where most genes change less).

References: [Grun14], gamma-Poisson noise of molecule counts.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from cellwright.nn import transform as transforms
from cellwright.nn.poisson_draw import poisson

BISECTIONS = 14
SHAPE = 2.0  # of the gamma: molecules that are added have the variance rate + rate^2 / 2
GENES_TOGETHER = 500
MANY = 50.0  # molecules, from which on a binomial is taken for normal


@torch.no_grad()
def changed_counts(
    x: Float[Tensor, "n_cells n_vars"],
    library: Float[Tensor, "n_cells 1"],
    change: Float[Tensor, " n_vars"],
    generator: Generator,
) -> Float[Tensor, "n_cells n_vars"]:
    """Log-normalised values of the cells `x` (counts) after their mean has changed by `change`, as near as counts can.

    A mean below zero is wanted of no gene: it loses all its molecules.
    """
    wanted = (transforms.log_normalised(x, library).mean(dim=0) + change).clamp(min=0)
    starts = range(0, x.shape[1], GENES_TOGETHER)
    genes = [slice(start, start + GENES_TOGETHER) for start in starts]
    return torch.cat([_with_mean(x[:, part], library, wanted[part], generator) for part in genes], dim=1)


def _with_mean(
    x: Float[Tensor, "n_cells n_genes"],
    library: Float[Tensor, "n_cells 1"],
    mean: Float[Tensor, " n_genes"],
    generator: Generator,
) -> Float[Tensor, "n_cells n_genes"]:
    uniform, gamma = _spread(x, generator), _gamma(_spread(x, generator))
    rises = mean > transforms.log_normalised(x, library).mean(dim=0)
    falls = (~rises)[None, :] & (x > 0)

    def drawn(rate: Tensor) -> Tensor:
        """Log-normalised values at the rate added, of genes that rise, or the share kept, of the others."""
        counts = x.clone()
        counts[:, rises] += poisson(library * rate[rises] * gamma[:, rises], uniform[:, rises])
        counts[falls] = _thinned(x[falls], rate.expand_as(x)[falls], uniform[falls])
        return transforms.log_normalised(counts, library)

    # the most that could be wanted: the rate at which the mean would be reached without noise, twenty times
    high = torch.where(rises, 20 * torch.expm1(mean) / transforms.TARGET_SUM, 1.0)
    low = torch.zeros_like(high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        too_much = drawn(middle).mean(dim=0) > mean
        high, low = torch.where(too_much, middle, high), torch.where(too_much, low, middle)
    return drawn((low + high) / 2)


def _spread(x: Float[Tensor, "n_cells n_genes"], generator: Generator) -> Float[Tensor, "n_cells n_genes"]:
    """Numbers in (0, 1), in each column one in each of `n_cells` equal parts."""
    order = torch.rand(x.shape, generator=generator, device=x.device).argsort(dim=0)
    within = torch.rand(x.shape, generator=generator, device=x.device)
    return ((order + within) / len(x)).clamp(1e-7, 1 - 1e-7)


def _gamma(uniform: Float[Tensor, "n_cells n_genes"]) -> Float[Tensor, "n_cells n_genes"]:
    """Quantiles of the gamma distribution with mean 1 and shape `SHAPE`, from a table."""
    from scipy.stats import gamma

    steps = 4096
    quantiles = gamma.ppf((np.arange(steps) + 0.5) / steps, SHAPE) / SHAPE
    return torch.from_numpy(quantiles).to(uniform)[(uniform * steps).long()]


def _thinned(x: Float[Tensor, " n"], kept: Float[Tensor, " n"], uniform: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Binomial(x, kept) by its quantile at a uniform number; of more than 50 molecules by the normal approximation."""
    spread = (x * kept * (1 - kept)).sqrt()
    counts = (x * kept + spread * torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))).round()
    counts = torch.minimum(counts.clamp(min=0), x)
    few = torch.nonzero(x <= MANY).flatten()
    n, share = x[few], kept[few]
    # of the kept and the lost, those that are fewer are counted: the chance of none is then no less than .5^50
    is_lost = share > 0.5
    share, left = torch.where(is_lost, 1 - share, share), torch.where(is_lost, 1 - uniform[few], uniform[few])
    chance, found = (1 - share) ** n, torch.zeros_like(n)
    odds = share / (1 - share)
    for k in range(int(n.max()) if len(few) else 0):
        left = left - chance
        found += (left > 0) & (k < n)
        chance = chance * odds * (n - k).clamp(min=0) / (k + 1)
    counts[few] = torch.where(is_lost, n - found, found)
    return counts
