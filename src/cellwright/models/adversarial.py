"""Adversarial autoencoder: a latent like a standard normal sample, and without the batch, by two critics.

    x (n_obs, n_vars) -encoder-> z (n_obs, n_latent) -decoder-> log p(x | z, batch) (n_obs,)
    z, or a draw from N(0, I) -prior critic-> log odds of "from N(0, I)" (n_obs,)
    z -batch critic-> logits of the batch (n_obs, n_batch)

The autoencoder minimises -log p(x | z, batch), in nats per cell, and two terms with weights: what it costs not to pass
for the prior, and what the batch critic knows of the batch beyond its share. The critics minimise their own errors and
the squares of their slopes: without these the two sides circle each other, and the batch stays in the latent. The
posterior of a cell has no width: it is all latents together that look like N(0, I), where the VAE's KL asks it of each
cell. A large weight of the prior merges cell types into one cloud. The batch critic is there if there are several
batches. It assumes that these have the same kinds of cells: where a kind is in one batch only, it hides the kind.
Differs from [Makhzani16] in the batch critic, the count likelihood, the penalty on slopes, and one step for both tasks
of the encoder.

References: [Makhzani16] adversarial autoencoders; [Goodfellow14] the critic of the prior; [Tzeng15] and [Ganin16] what
is hidden from a critic of the domain; [Mescheder18] the squared slope; [Kingma15] Adam.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from cellwright.core.abilities import Decodes, Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.likelihoods import AnyLikelihood
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.losses.adversarial import hide_batch, name_batch, pass_for_first, squared_slope, tell_apart
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoders import AnyEncoder
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.transform import Transform, support_of

_PRIOR = 1  # stream of the noise
# of the critics: little momentum, because what they judge moves
_BETA_1, _BETA_2 = 0.5, 0.9


class AdversarialAutoencoderOptions(Options):
    """Options of the adversarial autoencoder."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer, of the critics too")
    n_layers: int = Field(1, ge=1, description="hidden layers in the encoder, in the decoder and in each critic")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoder")
    transform: Transform = Field("log1p", description="of the values before the encoder")
    likelihood: AnyLikelihood = Field(NegativeBinomial(), description="p(x | z)")
    encoder: AnyEncoder = Field(MLPEncoder(), description="what reads a cell: an MLP, or an encoder of another family")
    prior_weight: float = Field(1.0, ge=0, description="of the latent's likeness to N(0, I) in the loss")
    batch_weight: float = Field(100.0, ge=0, description="of hiding the batch in the loss; nothing for a single batch")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam for the autoencoder")
    critic_learning_rate: float = Field(5e-3, gt=0, description="step size of Adam for the critics")
    penalty: float = Field(0.1, ge=0, description="weight of the squared slopes of the critics in their loss")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay of the autoencoder")


class AdversarialAutoencoder(Model, Encodes, Decodes):
    """Encodes a cell as a point; decodes the point and the batch as a distribution over its features."""

    reads = frozenset({"views", "batch", "covariates", "coordinates"})
    # the other terms say who of two adversaries is ahead
    validates_on = "autoencoder/reconstruction"
    citations = ("Makhzani16", "Goodfellow14", "Tzeng15", "Ganin16", "Mescheder18", "Kingma15")
    batch_shares: Tensor

    def __init__(
        self,
        schema: Schema,
        options: AdversarialAutoencoderOptions = AdversarialAutoencoderOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: AdversarialAutoencoderOptions = options
        hidden = Hidden(options.n_hidden, options.n_layers)
        self.encoder = options.encoder.build(
            schema, options.n_latent, hidden=replace(hidden, dropout=options.dropout), transform=options.transform
        )
        self.decoder = FeatureDecoder(
            schema, options.n_latent, likelihood=options.likelihood, hidden=hidden, transform=options.transform
        )
        self.prior_critic = _critic(options, 1)
        self.batch_critic = _critic(options, schema.n_batch) if schema.n_batch > 1 else None
        self.register_buffer("batch_shares", torch.full((schema.n_batch,), 1 / schema.n_batch))

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

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """The share of each batch, which is what a critic can say that sees nothing of it."""
        self.encoder.prepare(source, rows, rng)
        batch = source.annotation.batch[rows]
        counts = np.bincount(batch[batch >= 0], minlength=self.schema.n_batch)
        self.batch_shares.copy_(torch.from_numpy(counts / max(1, counts.sum())))

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        autoencoder = nn.ModuleList([self.encoder, self.decoder])
        critics = nn.ModuleList([critic for critic in (self.prior_critic, self.batch_critic) if critic is not None])
        fast = AdamOptions(learning_rate=self.options.critic_learning_rate, beta_1=_BETA_1, beta_2=_BETA_2)
        return [
            [
                Objective("autoencoder", self.autoencoder_loss, trains=autoencoder, optimiser=adam),
                Objective("critics", self.critics_loss, trains=critics, optimiser=fast),
            ]
        ]

    def autoencoder_loss(self, minibatch: Minibatch, step: Step) -> Loss:
        """-log p(x | z, batch) in nats per cell, and what the critics, as they are, make of the latent."""
        z = self.encode(minibatch)
        terms = {
            "reconstruction": -self.decoder.log_prob(z, minibatch),
            "prior": pass_for_first(_as_it_is(self.prior_critic, z)[:, 0]),
        }
        if self.batch_critic is not None:
            terms["batch"] = hide_batch(_as_it_is(self.batch_critic, z), self.batch_shares)
        return Loss(terms, weights={"prior": self.options.prior_weight, "batch": self.options.batch_weight})

    def critics_loss(self, minibatch: Minibatch, step: Step) -> Loss:
        """How badly the critics tell the latent from N(0, I), and the batches from each other; their slopes."""
        with torch.no_grad():
            z = self.encode(minibatch)
        prior = step.noise.normal(minibatch.rows, self.options.n_latent, stream=_PRIOR)
        terms = {"prior": tell_apart(self.prior_critic(prior)[:, 0], self.prior_critic(z)[:, 0])}
        slopes = [squared_slope(lambda point: self.prior_critic(point)[:, 0], points) for points in (prior, z)]
        if self.batch_critic is not None:
            batch_critic = self.batch_critic
            terms["batch"] = name_batch(batch_critic(z), minibatch.batch)
            slopes.append(squared_slope(lambda point: name_batch(batch_critic(point), minibatch.batch), z))
        terms["penalty"] = torch.stack(slopes).sum(dim=0)
        return Loss(terms, weights={"penalty": self.options.penalty})


def _critic(options: AdversarialAutoencoderOptions, n_out: int) -> nn.Module:
    # no normalisation over cells: both samples would be brought to one mean and variance
    hidden = Hidden(options.n_hidden, options.n_layers, activation="leaky_relu", normalisation="none")
    return nn.Sequential(MLP(options.n_latent, hidden), nn.Linear(options.n_hidden, n_out))


def _as_it_is(critic: nn.Module, z: Float[Tensor, "n_obs n_latent"]) -> Float[Tensor, "n_obs n_out"]:
    """What a critic says, without gradients of its own weights."""
    fixed = {name: parameter.detach() for name, parameter in critic.named_parameters()}
    said: Tensor = functional_call(critic, fixed, (z,))
    return said
