"""Count change: cells whose mean is what was predicted, with the noise of counts; each cell keeps its own counts.

    control cells of a label, change of the mean of log-normalised values (n_vars,) -learn-> rate added, share kept
    counts x -> binomial(x, kept) + gamma-Poisson(library x added) -> log-normalised

A constant that is added to every cell makes a gene that was off in most cells equally strong in all of them, which no
cell is. Here a gene that rises gets further molecules by chance, in proportion to a cell's library; one that falls
loses molecules by chance. Rates and shares are those for which the mean over the label's training cells is the wanted
one, found by bisection with the same random numbers at every step. The random numbers of a gene are spread evenly over
the cells (one in each of n equal parts of (0, 1), in random order): a hundred independent draws would move the mean.

References: [Grun14], gamma-Poisson noise of molecule counts.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.nn import transform as transforms
from cellwright.nn.poisson_draw import poisson

AT_MOST_CELLS = 256  # of a label, for the calibration
BISECTIONS = 14
SHAPE = 2.0  # of the gamma: molecules that are added have the variance rate + rate^2 / 2
GENES_TOGETHER = 500
MANY = 50.0  # molecules, from which on a binomial is taken for normal


class CountChange(nn.Module):
    """Rates added and shares kept, by label and condition."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self.schema = schema
        shape = (schema.n_labels, schema.n_conditions, schema.n_vars)
        self.added: Tensor  # expected molecules per molecule of the library
        self.kept: Tensor
        self.register_buffer("added", torch.zeros(shape))
        self.register_buffer("kept", torch.ones(shape))

    @torch.no_grad()
    def learn(
        self, source: Source, rows: np.ndarray, change: dict[tuple[int, int], np.ndarray], rng: np.random.Generator
    ) -> None:
        """Find rates and shares that `change` the mean of log-normalised values so, by (label, condition).

        From the control cells of a label among `rows`, of many from `AT_MOST_CELLS`: these have another mean than all,
        but need about the same rates for the same change.
        """
        self.added.zero_()
        self.kept.fill_(1)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        cells = source.annotation
        for label in sorted({label for label, _ in change}):
            control = rows[(cells.label[rows] == label) & (cells.condition[rows] == self.schema.control_code)]
            chosen = np.sort(rng.permutation(control)[:AT_MOST_CELLS])
            counts = torch.cat([minibatch.x.dense() for minibatch in in_order(source, chosen)])
            library = counts.sum(dim=1, keepdim=True)
            before = transforms.log_normalised(counts, library).mean(dim=0)
            for condition in sorted(of for at, of in change if at == label):
                mean = (before + torch.from_numpy(change[label, condition]).float()).clamp(min=0)
                for start in range(0, self.schema.n_vars, GENES_TOGETHER):
                    genes = slice(start, start + GENES_TOGETHER)
                    added, kept = _calibrated(counts[:, genes], library, mean[genes], generator)
                    self.added[label, condition, genes], self.kept[label, condition, genes] = added, kept

    @torch.no_grad()
    def forward(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        """Log-normalised values of the cells under their conditions."""
        x = minibatch.x.dense()
        added, kept = self.added[minibatch.label, condition], self.kept[minibatch.label, condition]
        chance, gamma = _spread(x, generator), _gamma(_spread(x, generator))
        lost = (kept < 1) & (x > 0)
        remaining = x.clone()
        remaining[lost] = _thinned(x[lost], kept[lost], chance[lost])
        counts = remaining + poisson(minibatch.library * added * gamma, chance)
        return transforms.log_normalised(counts, minibatch.library)


def _calibrated(
    x: Float[Tensor, "n_cells n_genes"],
    library: Float[Tensor, "n_cells 1"],
    mean: Float[Tensor, " n_genes"],
    generator: Generator,
) -> tuple[Float[Tensor, " n_genes"], Float[Tensor, " n_genes"]]:
    """The rate added and the share kept of each gene, one of which says nothing."""

    def mean_of(counts: Tensor) -> Tensor:
        return transforms.log_normalised(counts, library).mean(dim=0)

    uniform, gamma = _spread(x, generator), _gamma(_spread(x, generator))
    rises = mean > mean_of(x)
    # the most that could be wanted: the rate at which the mean would be reached without noise, twenty times
    high = torch.where(rises, 20 * torch.expm1(mean) / transforms.TARGET_SUM, 1.0)
    low = torch.zeros_like(high)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        counts = x.clone()
        counts[:, rises] += poisson(library * middle[rises] * gamma[:, rises], uniform[:, rises])
        falls = (~rises)[None, :] & (x > 0)
        counts[falls] = _thinned(x[falls], middle.expand_as(x)[falls], uniform[falls])
        too_much = mean_of(counts) > mean
        high, low = torch.where(too_much, middle, high), torch.where(too_much, low, middle)
    found = (low + high) / 2
    return torch.where(rises, found, 0.0), torch.where(rises, 1.0, found)


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
