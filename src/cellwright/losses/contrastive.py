"""Contrastive loss: two views of a cell are near each other, and far from the views of other cells.

    first, second (n_obs, n_out) -> NT-Xent (n_obs,), in nats

With unit vectors u of all 2 n_obs views, s = u u' / temperature, and a view's partner the other view of its cell:
loss of a view = -s[view, partner] + log sum over all other views of exp s. A cell has the mean of its two views'.

The negatives are the other cells of the minibatch: the loss of views that say nothing is log(2 n_obs - 1), so that
losses of minibatches of unequal size are on unequal scales. Memory is (2 n_obs)^2 numbers of the minibatch.

References: [Chen20], equation 1 and algorithm 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def nt_xent(
    first: Float[Tensor, "n_obs n_out"], second: Float[Tensor, "n_obs n_out"], temperature: float
) -> Float[Tensor, " n_obs"]:
    """The normalised-temperature cross-entropy of each cell, in nats; zero for a cell that is alone."""
    n_obs = len(first)
    views = functional.normalize(torch.cat([first, second]).float(), dim=1)
    itself = torch.eye(2 * n_obs, dtype=torch.bool, device=views.device)
    similarity = (views @ views.T / temperature).masked_fill(itself, -torch.inf)
    view = torch.arange(2 * n_obs, device=views.device)
    of_view = functional.cross_entropy(similarity, view.roll(n_obs), reduction="none")
    return of_view.view(2, n_obs).mean(dim=0)
