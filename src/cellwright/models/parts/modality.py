"""One modality of a cell: its encoder, its decoder with its own likelihood, and which cells it was measured on.

    minibatch, modality -Measured.of-> the cells that have it, as if it were the only modality, and their positions
    their values -encoder-> n_out numbers each;  latent (n_obs, n_latent) -decoder-> log p(x | z) where measured, else 0

Encoders and decoders are those of the models of one modality: each sees the schema and the minibatch cut to its own.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.likelihoods.head import Likelihood
from cellwright.models.parts.cell_encoder import CellEncoder
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.nn.mlp import Hidden
from cellwright.nn.transform import Transform

# cells in a step of training: the statistics of batch normalisation are of no use, or fail, for one
AT_LEAST_IN_TRAINING = 2


@dataclass(frozen=True, eq=False)
class Measured:
    """The cells of a minibatch on which a modality was measured, as if it were the only one."""

    cells: Minibatch
    at: Int[Tensor, " n_measured"]  # their positions in the minibatch
    n_obs: int  # of the minibatch

    @classmethod
    def of(cls, minibatch: Minibatch, modality: str, *, at_least: int = 1) -> "Measured":
        """By what is `present` in the minibatch; none of them where they are fewer than `at_least`."""
        alone = minibatch.of(modality)
        at = torch.nonzero(alone.present[:, 0]).flatten()
        at = at if len(at) >= at_least else at[:0]
        return cls(alone if len(at) == minibatch.n_obs else alone.at(at), at, minibatch.n_obs)

    @property
    def mask(self) -> Bool[Tensor, " n_obs"]:
        """Which cells of the minibatch they are."""
        return torch.zeros(self.n_obs, dtype=torch.bool, device=self.at.device).index_fill(0, self.at, value=True)

    def spread(self, values: Tensor) -> Tensor:
        """Rows of `values (n_measured, ...)` at their positions among all cells, zeros elsewhere."""
        return values.new_zeros(self.n_obs, *values.shape[1:]).index_copy(0, self.at, values)


class ModalityNetwork(nn.Module):
    """Encoder and decoder of one modality; counts are read as log(1 + x), values of any sign as they are."""

    def __init__(
        self,
        schema: Schema,
        n_out: int,
        n_latent: int,
        *,
        likelihood: Likelihood,
        hidden: Hidden,
        decoder_hidden: Hidden,
    ) -> None:
        super().__init__()
        transform: Transform = "none" if likelihood.support is Support.real else "log1p"
        self.likelihood = likelihood
        self.n_out = n_out
        self.encoder = CellEncoder(schema.n_vars, n_out, hidden=hidden, transform=transform)
        self.decoder = FeatureDecoder(
            schema, n_latent, likelihood=likelihood, hidden=decoder_hidden, transform=transform
        )

    def encode(self, measured: Measured) -> Float[Tensor, "n_obs n_out"]:
        """What the encoder gives for the measured cells, zeros for the others."""
        if not len(measured.at):
            return torch.zeros(measured.n_obs, self.n_out, device=measured.at.device)
        return measured.spread(self.encoder(self.encoder.inputs(measured.cells), measured.cells))

    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], measured: Measured) -> Float[Tensor, " n_obs"]:
        """log p(x | latent) in nats per measured cell; 0 for the others."""
        if not len(measured.at):
            return latent.new_zeros(measured.n_obs)
        return measured.spread(self.decoder.log_prob(latent[measured.at], measured.cells))
