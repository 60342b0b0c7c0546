"""Variational autoencoder; encodes, decodes and generates cells.

    x (n_obs, n_vars) -posterior-> q(z | x) -sample-> z (n_obs, n_latent) -decoder-> log p(x | z, batch) (n_obs,)
    generate: label, condition -Gaussian of the kind-> z -decoder-> counts of a library that a training cell lends

The negative ELBO is -E_q[log p(x | z, batch)] + beta KL(q(z | x) || N(0, I)), in nats per cell. The KL weight can rise
from 0 during the first epochs, because at full weight from the first step it empties the latent before the decoder
has learned to use it.
New cells come from where the posteriors of training cells of their kind lie (`parts/latent_gaussians.py`); in N(0, I)
there are places where no cell is. Labels and conditions are used for that only, after the training.
Differs from [Lopez18]: the library size is observed, not inferred; and what the likelihood holds per feature (theta) is
brought to its maximum after the training, which leaves encoder and decoder as they are (`parts/likelihood_width.py`).

References: [Kingma14] auto-encoding variational Bayes; [Higgins17] beta; [Lopez18] scVI; [Kingma15] Adam;
[Riedmiller93] for theta; [Tomczak18] aggregate posterior; [Friedman89] its covariances.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Decodes, Draws, Encodes, Generates, Imputes, Wanted
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.likelihoods import AnyLikelihood
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.losses.gaussian_latent import GaussianLatent
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoders import AnyEncoder
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.models.parts.latent_gaussians import LatentGaussians
from cellwright.models.parts.likelihood_width import learn_width
from cellwright.models.parts.population import Population
from cellwright.nn.mlp import Activation, Hidden
from cellwright.nn.transform import Transform, support_of

IMPUTATION_DRAWS = 10  # latents that an imputation is the mean of; 30 were better by less than .001 in deviance


class VAEOptions(Options):
    """Options of the VAE."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer")
    n_layers: int = Field(1, ge=1, description="hidden layers in the encoder")
    n_decoder_layers: int = Field(1, ge=0, description="hidden layers in the decoder; 0 is a linear decoder")
    activation: Activation = Field("relu", description="of the hidden layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoder")
    decoder_dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate in the decoder")
    transform: Transform = Field("log1p", description="of the values before the encoder")
    likelihood: AnyLikelihood = Field(NegativeBinomial(), description="p(x | z)")
    encoder: AnyEncoder = Field(MLPEncoder(), description="what reads a cell: an MLP, or an encoder of another family")
    beta: float = Field(1.0, ge=0, description="weight of the KL after the warm-up")
    kl_warmup_epochs: int = Field(0, ge=0, description="epochs over which the KL weight rises from 0 to beta")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class VAE(Model, Encodes, Decodes, Generates, Imputes, Draws):
    """Encodes a cell as a Gaussian over z; decodes z and the batch as a distribution over its features."""

    reads = frozenset({"views", "batch", "covariates", "coordinates"})
    citations = ("Kingma14", "Higgins17", "Lopez18", "Kingma15", "Riedmiller93", "Tomczak18", "Friedman89")

    def __init__(self, schema: Schema, options: VAEOptions = VAEOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: VAEOptions = options
        hidden = Hidden(options.n_hidden, options.n_layers, activation=options.activation)
        self.encoder = options.encoder.build(
            schema,
            2 * options.n_latent,
            hidden=replace(hidden, dropout=options.dropout),
            transform=options.transform,
        )
        self.decoder = FeatureDecoder(
            schema,
            options.n_latent,
            likelihood=options.likelihood,
            hidden=replace(hidden, n_layers=options.n_decoder_layers, dropout=options.decoder_dropout),
            transform=options.transform,
        )
        self.population = Population(schema)
        self.latents = LatentGaussians(schema, options.n_latent)

    @property
    def support(self) -> Support:
        return max(self.options.likelihood.support, support_of(self.options.transform))

    def posterior(self, minibatch: Minibatch) -> GaussianLatent:
        """q(z | x)."""
        return GaussianLatent(self.encoder(self.encoder.inputs(minibatch), minibatch))

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The posterior mean."""
        return self.posterior(minibatch).mean

    def decode(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.mean(latent, minibatch)

    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.expected_log(latent, minibatch)

    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        return self.decoder.log_prob(latent, minibatch)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.encoder.prepare(source, rows, rng)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("elbo", self.negative_elbo, trains=self, optimiser=adam)]]

    def negative_elbo(self, minibatch: Minibatch, step: Step) -> Loss:
        """The two terms of the negative ELBO, in nats per cell."""
        return self.negative_elbo_of(self.posterior(minibatch), minibatch, step)

    def negative_elbo_of(self, q: GaussianLatent, minibatch: Minibatch, step: Step) -> Loss:
        """The same of posteriors that are known already: what a model adds a term to that is about the latent."""
        z, kl = q.draw(step.noise.normal(minibatch.rows, self.options.n_latent))
        return Loss(
            {"reconstruction": -self.decoder.log_prob(z, minibatch), "kl": kl},
            weights={"kl": self.options.beta * step.warmup(self.options.kl_warmup_epochs)},
        )

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """The mean over `IMPUTATION_DRAWS` draws of z of what is expected given z and the cell's own counts."""
        q = self.posterior(minibatch)
        drawn = (self.decoder.mean_given(q.sample(generator), minibatch) for _ in range(IMPUTATION_DRAWS))
        return torch.stack(list(drawn)).mean(dim=0)

    @torch.no_grad()
    def draw(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """A draw of z, and of the cell's own rates given z and its counts."""
        return self.decoder.draw_given(self.posterior(minibatch).sample(generator), minibatch, generator)

    @torch.no_grad()
    def draw_counts(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.draw_counts_given(self.posterior(minibatch).sample(generator), minibatch, generator)

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        learn_width(self.decoder, lambda cells: self.posterior(cells).sample(generator), source, rows, rng)
        self.latents.learn(self.posterior, source, rows)
        self.population.learn(source, rows, rng)

    @property
    def kind_counts(self) -> Int[Tensor, "n_labels_and_none n_batch_and_none n_conditions_and_none"]:
        return self.population.kind_counts

    @torch.no_grad()
    def generate(self, wanted: Wanted, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        cells, library = self.population.draw(wanted, generator)
        return self.decoder.sample(self.latents.sample(cells, generator), cells, library, generator)
