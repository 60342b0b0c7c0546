"""scGen: predicts how cells respond to a treatment by arithmetic in the latent of a VAE.

    x (n_obs, n_vars) -VAE encoder-> z (n_obs, n_latent) -+ shift(label, condition)-> z' -VAE decoder-> treated x'

The VAE knows neither labels nor conditions; the shift is learnt from the latents of the training cells after the
training. As published: half the squared error of log-normalised values + 5e-5 KL, hidden layers of 800 in encoder and
decoder with batch normalisation, leaky ReLU and dropout .2, a latent of 100, Adam at 1e-3.

Differs from [Lotfollahi19] by default where that is better (docs/perturbation.md has the numbers): the shift is over
labels that have both sides, the most similar ones counting most, and cells keep what the decoder does not explain.
`shift="balanced", decoding="published"` is the published arithmetic.

References: [Lotfollahi19] scGen; [Kingma14] VAE.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor

from cellwright.core.abilities import Decodes, Encodes, Perturbs
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import Objective
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.balance import AnyBalance, NoBalance
from cellwright.data.source import Source
from cellwright.likelihoods.gaussian import Gaussian
from cellwright.models.model import Model
from cellwright.models.parts.decoding import DECODINGS, Decoding, support_of
from cellwright.models.parts.latent_response import LatentResponse
from cellwright.models.parts.mean_shift import SimilarShift
from cellwright.models.parts.shifts import AnyShift
from cellwright.models.vae import VAE, VAEOptions
from cellwright.nn import transform as transforms


class ScGenOptions(Options):
    """Options of scGen."""

    n_latent: int = Field(100, ge=1, description="width of the latent space")
    n_hidden: int = Field(800, ge=1, description="width of each hidden layer")
    n_layers: int = Field(2, ge=1, description="hidden layers in the encoder, and in the decoder")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout rate in encoder and decoder")
    transform: Literal["log_normalise", "none"] = Field("log_normalise", description="of the values")
    beta: float = Field(5e-5, ge=0, description="weight of the KL")
    shift: AnyShift = Field(SimilarShift(), description="how far treatment moves a cell in the latent")
    shift_balance: AnyBalance = Field(NoBalance(), description="remedy for unequal numbers of cells, in the shift only")
    decoding: Decoding = Field(
        "residual", description="published: what is decoded; residual: the cell plus the change of what is decoded"
    )
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")

    @property
    def vae(self) -> VAEOptions:
        """The VAE within."""
        return VAEOptions(
            n_latent=self.n_latent,
            n_hidden=self.n_hidden,
            n_layers=self.n_layers,
            n_decoder_layers=self.n_layers,
            activation="leaky_relu",
            dropout=self.dropout,
            decoder_dropout=self.dropout,
            transform=self.transform,
            likelihood=Gaussian(),
            beta=self.beta,
            learning_rate=self.learning_rate,
        )


class ScGen(Model, Encodes, Decodes, Perturbs):
    """A VAE, and a shift in its latent."""

    reads = VAE.reads
    needs = frozenset({"label", "condition", "control"})
    learnt_after = frozenset({"shift", "shift_balance", "decoding"})
    citations = ("Lotfollahi19", "Kingma14", "Kingma15")

    def __init__(self, schema: Schema, options: ScGenOptions = ScGenOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: ScGenOptions = options
        self.vae = VAE(schema, options.vae)
        self.response = LatentResponse(schema, options.n_latent, options.shift, options.shift_balance)

    @property
    def support(self) -> Support:
        return max(self.vae.support, support_of(self.options.decoding))

    @property
    def takes_logarithms(self) -> bool:
        return self.options.transform != "none"

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

    def stages(self) -> list[list[Objective]]:
        return self.vae.stages()

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.response.learn(self, source, rows, rng)

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        z = self.encode(minibatch)
        treated = self.response(z, minibatch.label, condition)
        x = transforms.apply(self.options.transform, minibatch.x).dense()
        before, after = (self.vae.decoder.transformed_mean(latent, minibatch) for latent in (z, treated))
        return DECODINGS[self.options.decoding](x, before, after)
