"""Likelihood width: what a likelihood holds per feature (theta of a negative binomial), brought to its maximum.

    trained decoder, a latent of each cell -> log p(x | latent) -steps of Rprop-> theta (n_vars,), all else as it was

By the steps of the training theta stays near its random start until early stopping, because the latent hardly needs it;
drawn counts do, and so does what is expected of a second measurement. The latents are drawn once, so it is one fixed
function of each feature that is climbed (`nn/rprop.py`).
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.data.source import Source, in_order
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.models.parts.gamma_rates import settle
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.nn import transform as transforms
from cellwright.nn.frozen import frozen
from cellwright.nn.rprop import climb

MAX_CELLS = 5_000  # that it is learnt from: one number per feature needs no more
N_STEPS = 15  # after 25 the loss of validation cells was the same to .01 nats of 622


def learn_width(
    decoder: FeatureDecoder,
    latent: Callable[[Minibatch], Tensor],
    source: Source,
    rows: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Set the parameters that the decoder's likelihood has per feature, if it has any, from cells among `rows`.

    `latent` draws a latent (n_obs, n_latent) of each cell of a minibatch.
    """
    fit_width(decoder, ((latent(m), m) for m in in_order(source, sample_of(rows, rng), BLOCK_ROWS)))


def sample_of(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`MAX_CELLS` of the rows at random, ascending; all of them if there are no more."""
    return rows if len(rows) <= MAX_CELLS else np.sort(rng.choice(rows, MAX_CELLS, replace=False))


def fit_width(decoder: FeatureDecoder, latents: Iterable[tuple[Tensor, Minibatch]]) -> None:
    """`learn_width` of cells with a latent (n_obs, n_latent) each."""
    widths: list[Tensor] = list(decoder.head.parameters(recurse=False))
    if not widths:
        return
    with frozen(decoder):
        cells = [(decoder(latent, minibatch), minibatch) for latent, minibatch in latents]
    climb(widths, lambda: _slopes(decoder, widths, cells), N_STEPS)
    for width in widths:
        settle(width, [minibatch.x for _, minibatch in cells])


def _slopes(decoder: FeatureDecoder, widths: list[Tensor], cells: list[tuple[Tensor, Minibatch]]) -> list[Tensor]:
    """Of the sum of log p(x | latent) over the cells, by each of `widths`."""
    total = [torch.zeros_like(width) for width in widths]
    with torch.enable_grad():
        for h, minibatch in cells:
            x = transforms.apply(decoder.transform, minibatch.x)
            log_prob = decoder.head.log_prob(h, x, minibatch.library)
            for sum_, slope in zip(total, torch.autograd.grad(log_prob.sum(), widths), strict=True):
                sum_ += slope
    return total
