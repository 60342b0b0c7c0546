"""Autoencoder, plain or denoising.

    x (n_obs, n_vars) -corrupt-> x' -encoder-> z (n_obs, n_latent) -decoder-> log p(x | z, batch) (n_obs,)

The loss is -log p(x | z) per cell: with the Gaussian of unit variance, half the squared error of the log-normalised
values and a constant. The denoising autoencoder sees a corrupted cell and is asked for the whole one. With
`activation="linear"` and no hidden layer it spans the subspace of PCA [Baldi89].

References: [Hinton06] autoencoder; [Vincent08] denoising autoencoder; [Baldi89] linear autoencoder and PCA.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Decodes, Draws, Encodes, Imputes
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.likelihoods import AnyLikelihood
from cellwright.likelihoods.gaussian import Gaussian
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoders import AnyEncoder
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.models.parts.likelihood_width import learn_width
from cellwright.nn.mlp import Activation, Hidden, Normalisation
from cellwright.nn.transform import Transform, support_of

CORRUPTION_STREAM = 1  # keeps this noise apart from other noise of the same step


class AutoencoderOptions(Options):
    """Options of the autoencoder; a corruption makes it the denoising autoencoder."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer")
    n_layers: int = Field(1, ge=0, description="hidden layers in the encoder, and in the decoder; 0 is linear")
    activation: Activation = Field("relu", description="of the hidden layers")
    normalisation: Normalisation = Field("batch", description="of the hidden layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate in the encoder")
    transform: Transform = Field("log_normalise", description="of the values before the encoder")
    likelihood: AnyLikelihood = Field(Gaussian(), description="p(x | z); gaussian is about the transformed values")
    encoder: AnyEncoder = Field(MLPEncoder(), description="what reads a cell: an MLP, or an encoder of another family")
    corruption: Literal["none", "mask", "noise"] = Field("none", description="what the input suffers in training")
    corruption_strength: float = Field(
        0.3, ge=0, description="share of values set to zero (mask), or standard deviation added to each (noise)"
    )
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class Autoencoder(Model, Encodes, Decodes, Imputes, Draws):
    """Encodes a cell as a point; decodes the point and the batch as a distribution over its features."""

    reads = frozenset({"views", "batch", "covariates", "coordinates"})
    citations = ("Hinton06", "Vincent08", "Kingma15")

    def __init__(self, schema: Schema, options: AutoencoderOptions = AutoencoderOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: AutoencoderOptions = options
        hidden = Hidden(
            options.n_hidden, options.n_layers, activation=options.activation, normalisation=options.normalisation
        )
        self.encoder = options.encoder.build(
            schema,
            options.n_latent,
            hidden=replace(hidden, dropout=options.dropout),
            transform=options.transform,
        )
        self.decoder = FeatureDecoder(
            schema, options.n_latent, likelihood=options.likelihood, hidden=hidden, transform=options.transform
        )

    @property
    def support(self) -> Support:
        return max(self.options.likelihood.support, support_of(self.options.transform))

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self.encoder(self.encoder.inputs(minibatch), minibatch)

    def decode(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.mean(latent, minibatch)

    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.expected_log(latent, minibatch)

    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        return self.decoder.log_prob(latent, minibatch)

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """What is expected given the cell's point, and its own counts where the likelihood is one of counts."""
        return self.decoder.mean_given(self.encode(minibatch), minibatch)

    @torch.no_grad()
    def draw(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """A draw of the cell's own rates given its point and its counts; where rates do not vary, what is expected."""
        return self.decoder.draw_given(self.encode(minibatch), minibatch, generator)

    @torch.no_grad()
    def draw_counts(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.draw_counts_given(self.encode(minibatch), minibatch, generator)

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        learn_width(self.decoder, self.encode, source, rows, rng)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.encoder.prepare(source, rows, rng)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("reconstruction", self.reconstruction, trains=self, optimiser=adam)]]

    def reconstruction(self, minibatch: Minibatch, step: Step) -> Loss:
        """-log p(x | z) of the whole cell, from the corrupted cell in training and from the whole one in validation."""
        inputs = self.encoder.inputs(minibatch)
        z = self.encoder(self.corrupt(inputs, minibatch, step) if self.training else inputs, minibatch)
        return Loss({"reconstruction": -self.decoder.log_prob(z, minibatch)})

    def corrupt(self, inputs: SparseRows, minibatch: Minibatch, step: Step) -> SparseRows:
        """Set a share of the values to zero, or add Gaussian noise to every value (which makes the block dense)."""
        strength, rows = self.options.corruption_strength, minibatch.rows
        if self.options.corruption == "mask":
            return inputs.keep(lambda r, c: step.noise.uniform_at(rows[r], c, CORRUPTION_STREAM) >= strength)
        if self.options.corruption == "noise":
            noise = step.noise.normal(rows, inputs.n_vars, CORRUPTION_STREAM)
            return SparseRows(inputs.dense() + strength * noise, None, None, inputs.n_vars)
        return inputs
