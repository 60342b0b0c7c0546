"""Maximum mean discrepancy between groups of cells (batches, modalities): how far apart they lie in a latent.

    latent (n_obs, n_latent), group (n_obs,) -> the mean over pairs of groups of MMD^2, as one number per cell (n_obs,)

MMD^2(a, b) = mean k(a, a') + mean k(b, b') - 2 mean k(a, b), without a cell against itself: the unbiased estimate,
which lies around zero where the groups are alike. k(x, y) is the mean over bandwidths of
exp(-|x - y|^2 / (2 bandwidth^2)), bandwidths a quarter to four times the median distance between cells. The median
moves with the latent, without gradient, so that to shrink the latent gains nothing. Cell i of group a has of it

    n_obs / n_pairs (sum over other groups b of (mean k(i, a') - mean k(i, b)) / n_a)

so that the mean over cells is the whole. Memory is n_obs^2 numbers of the minibatch. `metrics/mmd.py` is its twin on
arrays: of two samples, in principal components.

References: [Gretton12] equation 3, and section 8 for the median; [Louizos16] as a penalty between groups in a VAE.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)  # bandwidths, in median distances


def mmd_between_groups(
    latent: Float[Tensor, "n_obs n_latent"], group: Int[Tensor, " n_obs"]
) -> Float[Tensor, " n_obs"]:
    """MMD^2 between the groups of a minibatch: their pairs' mean is the mean over the cells; differentiable.

    A cell of an unknown group (-1), and one that is the only cell of its group here, is in no pair and has zero; with
    fewer than two groups left, all have. Where no two cells differ, all have zero too.
    """
    latent = latent.float()
    member = functional.one_hot(group + 1)[:, 1:].to(latent.dtype)  # (n_obs, n_groups), nothing where unknown
    member = member[:, member.sum(dim=0) > 1]
    n_groups = member.shape[1]
    if n_groups < 2:
        return latent.sum(dim=1) * 0
    size = member.sum(dim=0)
    kernel = _kernel(_squared_distances(latent))
    to_group = kernel @ member  # (n_obs, n_groups), sums; of its own group without itself
    others = (member * (size - 1) + (1 - member) * size).clamp(min=1)
    mean = to_group / others
    own, total = (mean * member).sum(dim=1), mean.sum(dim=1)
    gap = (n_groups - 1) * own - (total - own)  # over the other groups
    share = member @ (1 / size)  # nothing for a cell in no pair
    n_pairs = n_groups * (n_groups - 1) / 2
    return len(latent) / n_pairs * share * gap


def _squared_distances(latent: Float[Tensor, "n_obs n_latent"]) -> Float[Tensor, "n_obs n_obs"]:
    # from centred values, or the difference of large squares loses the small distances
    centred = latent - latent.mean(dim=0).detach()
    norms = centred.square().sum(dim=1)
    return (norms[:, None] + norms - 2 * centred @ centred.T).clamp(min=0)


def _kernel(squared: Float[Tensor, "n_obs n_obs"]) -> Float[Tensor, "n_obs n_obs"]:
    """Of each pair, zero of a cell with itself; all zero where most cells are equal."""
    n_obs = len(squared)
    upper = torch.triu(torch.ones_like(squared, dtype=torch.bool), diagonal=1)
    typical = squared.detach()[upper].median()
    if typical == 0:
        return squared * 0
    total = torch.stack([torch.exp(squared / (-2 * factor**2 * typical)) for factor in FACTORS]).mean(dim=0)
    return total * (1 - torch.eye(n_obs, device=squared.device))
