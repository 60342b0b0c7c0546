"""VAE whose latent is asked to be free of the experimental batch: a penalty on the discrepancy between batches.

    x (n_obs, n_vars) -VAE-> q(z | x), log p(x | z, batch);  posterior means, batch -MMD^2-> penalty (n_obs,)

The decoder is told the batch, so that the latent need not know it; whether it does is left to the training. Here it
costs: the loss is the negative ELBO plus `batch_weight` times the mean MMD^2 between pairs of batches of a minibatch.
MMD^2 is bounded (by 2) and has no adversary that must be kept in step; it sees what a kernel of several widths sees.
It assumes that the batches have the same kinds of cells in the same shares: where they do not, a large weight mixes
kinds (`docs/integration.md`). Validated on the reconstruction and KL alone would be blind to the penalty, so on all.
Differs from [Louizos16]: the batch is not given to the encoder, so that cells of an unknown batch can be placed.

References: [Louizos16] the variational fair autoencoder; [Gretton12] MMD; [Lopez18] scVI; [Kingma14] VAE.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cellwright.core.abilities import Decodes, Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.losses.mmd import mmd_between_groups
from cellwright.models.model import Model
from cellwright.models.parts.likelihood_width import learn_width
from cellwright.models.vae import VAE, VAEOptions


class MMDVAEOptions(VAEOptions):
    """Options of the VAE with a penalty on the discrepancy between batches."""

    batch_weight: float = Field(10.0, ge=0, description="of MMD^2 between batches in the loss; nothing for one batch")


class MMDVAE(Model, Encodes, Decodes):
    """A VAE, and what its latent says of the batch."""

    reads = VAE.reads
    citations = ("Louizos16", "Gretton12", "Kingma14", "Lopez18", "Kingma15")

    def __init__(self, schema: Schema, options: MMDVAEOptions = MMDVAEOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: MMDVAEOptions = options
        self.vae = VAE(schema, options)

    @property
    def support(self) -> Support:
        return self.vae.support

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The posterior mean."""
        return self.vae.encode(minibatch)

    def decode(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return self.vae.decode(latent, minibatch)

    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.vae.expected_log(latent, minibatch)

    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        return self.vae.log_prob(latent, minibatch)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.vae.prepare(stage, source, rows, rng)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("elbo", self.penalised, trains=self, optimiser=adam)]]

    def penalised(self, minibatch: Minibatch, step: Step) -> Loss:
        """The terms of the negative ELBO, in nats per cell, and MMD^2 between the batches of the minibatch."""
        q = self.vae.posterior(minibatch)
        elbo = self.vae.negative_elbo_of(q, minibatch, step)
        if self.schema.n_batch == 1:
            return elbo
        terms = {**elbo.terms, "batch": mmd_between_groups(q.mean, minibatch.batch)}
        return Loss(terms, weights={**elbo.weights, "batch": self.options.batch_weight})

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        learn_width(self.vae.decoder, lambda cells: self.vae.posterior(cells).sample(generator), source, rows, rng)
