"""Alignment: what makes the latents of different modalities one distribution, as an option of a model.

    latent (n_obs, n_latent), group (n_obs,), weight (n_obs,) -Aligner.loss-> one number per cell (n_obs,)
                                                    -Aligner.critic_loss-> what its critic minimises, if it has one

adversarial   a critic names the modality of a cell; the encoders hide it
mmd           the maximum mean discrepancy between the modalities of a minibatch
sinkhorn      the Sinkhorn divergence between them: each cell is drawn to where the other modality has cells for it
none          nothing: what the latents then have in common comes from links alone

All match distributions, not cells: which cell goes with which is decided by what else the latent has to tell. Weights
make the compositions equal where one modality has more cells of a kind. A minibatch with fewer than two cells of a
modality is not aligned.

References: [Ganin16], [Tzeng15] critics of the domain; [Gretton12], [Louizos16] discrepancy; [Feydy19] transport;
[Cao22] an adversarial alignment of modalities with balanced weights.
"""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BeforeValidator, Field, SerializeAsAny
from torch import Tensor, nn
from torch.func import functional_call

from cellwright.core.objective import AdamOptions, Loss
from cellwright.core.options import Options, chosen_from
from cellwright.losses.adversarial import hide_batch, name_batch, squared_slope
from cellwright.losses.mmd import mmd_between_groups
from cellwright.losses.sinkhorn import sinkhorn_divergence
from cellwright.nn.mlp import MLP, Hidden


class Aligner(nn.Module, ABC):
    """Built from options for a number of modalities; only some have weights of their own."""

    @abstractmethod
    def loss(
        self, z: Float[Tensor, "n_obs n_latent"], group: Int[Tensor, " n_obs"], weight: Float[Tensor, " n_obs"]
    ) -> Float[Tensor, " n_obs"]:
        """What the encoders minimise. A group of -1 is in no modality."""


class Alignment(Options, ABC):
    """Options of an alignment."""

    name: str  # the key in ALIGNMENTS, narrowed to a Literal by each
    weight: float = Field(1.0, ge=0, description="of the alignment in the loss")

    @abstractmethod
    def build(self, n_latent: int, n_hidden: int, n_groups: int) -> Aligner:
        """A new aligner."""


class NoAlignment(Alignment):
    """The latents are not aligned."""

    name: Literal["none"] = "none"
    weight: float = Field(0.0, ge=0, le=0, description="nothing")

    def build(self, n_latent: int, n_hidden: int, n_groups: int) -> Aligner:
        return _Nothing()


class MMDAlignment(Alignment):
    """Maximum mean discrepancy with kernels of five widths around the median distance."""

    name: Literal["mmd"] = "mmd"
    weight: float = Field(100.0, ge=0, description="of the discrepancy in the loss")

    def build(self, n_latent: int, n_hidden: int, n_groups: int) -> Aligner:
        return _MMD()


class SinkhornAlignment(Alignment):
    """Sinkhorn divergence."""

    name: Literal["sinkhorn"] = "sinkhorn"
    weight: float = Field(10.0, ge=0, description="of the divergence in the loss")
    blur: float = Field(1.0, gt=0, description="distance in the latent below which cells are not told apart")

    def build(self, n_latent: int, n_hidden: int, n_groups: int) -> Aligner:
        return _Sinkhorn(self.blur)


class AdversarialAlignment(Alignment):
    """A critic that names the modality."""

    name: Literal["adversarial"] = "adversarial"
    weight: float = Field(30.0, ge=0, description="of hiding the modality in the loss")
    learning_rate: float = Field(5e-3, gt=0, description="step size of Adam for the critic")
    penalty: float = Field(0.1, ge=0, description="weight of the critic's squared slope in its loss")

    def build(self, n_latent: int, n_hidden: int, n_groups: int) -> Aligner:
        return Critic(n_latent, n_hidden, n_groups, self.penalty)

    @property
    def optimiser(self) -> AdamOptions:
        """Of the critic: little momentum, because what it judges moves."""
        return AdamOptions(learning_rate=self.learning_rate, beta_1=0.5, beta_2=0.9)


ALIGNMENTS: dict[str, type[Alignment]] = {
    "adversarial": AdversarialAlignment,
    "mmd": MMDAlignment,
    "none": NoAlignment,
    "sinkhorn": SinkhornAlignment,
}
AnyAlignment = Annotated[SerializeAsAny[Alignment], BeforeValidator(chosen_from(ALIGNMENTS, "alignment"))]


class _Nothing(Aligner):
    def loss(self, z: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        return z.sum(dim=1) * 0


class _MMD(Aligner):
    def loss(self, z: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        return mmd_between_groups(z, torch.where(weight > 0, group, -1))


class _Sinkhorn(Aligner):
    def __init__(self, blur: float) -> None:
        super().__init__()
        self.blur = blur

    def loss(self, z: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        """The mean over pairs of modalities, the same for every cell of the minibatch."""
        there = _modalities(group, weight)
        if len(there) < 2:
            return z.sum(dim=1) * 0
        pairs = [(a, b) for at, a in enumerate(there) for b in there[at + 1 :]]
        of_pairs = [
            sinkhorn_divergence(z[a], z[b], blur=self.blur, first_weight=weight[a], second_weight=weight[b])
            for a, b in pairs
        ]
        return torch.stack(of_pairs).mean().expand(len(z))


class Critic(Aligner):
    """Names the modality of a cell; the encoders hide it, and it has a loss of its own."""

    def __init__(self, n_latent: int, n_hidden: int, n_groups: int, penalty: float) -> None:
        super().__init__()
        # no normalisation over cells: both samples would be brought to one mean and variance
        hidden = Hidden(n_hidden, 2, activation="leaky_relu", normalisation="none")
        self.critic = nn.Sequential(MLP(n_latent, hidden), nn.Linear(n_hidden, n_groups))
        self.penalty = penalty

    def loss(self, z: Tensor, group: Tensor, weight: Tensor) -> Tensor:
        """How far the critic's answer is from equal odds, which is what it can only say of aligned modalities."""
        fixed = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        logits: Tensor = functional_call(self.critic, fixed, (z,))
        even = logits.new_full((logits.shape[1],), 1 / logits.shape[1])
        return hide_batch(logits, even) * (_equal_shares(group, weight) > 0) * weight

    def critic_loss(
        self, z: Float[Tensor, "n_obs n_latent"], group: Int[Tensor, " n_obs"], weight: Float[Tensor, " n_obs"]
    ) -> Loss:
        """Every modality counts the same, whatever its number of cells in the minibatch."""
        share = _equal_shares(group, weight)
        slope = squared_slope(lambda points: name_batch(self.critic(points), group), z)
        terms = {"modality": name_batch(self.critic(z), group) * share, "penalty": slope * share}
        return Loss(terms, {"penalty": self.penalty})


def _modalities(group: Tensor, weight: Tensor) -> list[Tensor]:
    """Which cells are of each modality that has two or more of weight in the minibatch."""
    cells = [(group == g) & (weight > 0) for g in group.unique() if g >= 0]
    return [of_modality for of_modality in cells if of_modality.sum() > 1]


def _equal_shares(group: Tensor, weight: Tensor) -> Tensor:
    """Weights whose sum is the same in each modality and whose mean over cells is one; zero for one modality alone."""
    share, there = torch.zeros_like(weight), _modalities(group, weight)
    for cells in there if len(there) > 1 else ():
        share[cells] = weight[cells] / weight[cells].sum() * len(group) / len(there)
    return share
