"""Semi-supervised VAE: each label has a Gaussian in the latent, which labelled cells of all batches share; classifies.

    x (n_obs, n_vars) -encoder-> q(z | x) -decoder-> log p(x | z, batch) (n_obs,)
    q(z | x), prior N(m_y, v_y) of each label y -KL-> what it costs to be of that label (n_obs, n_labels)

The prior of z is a mixture, a diagonal Gaussian per label, with the label's share of the labelled training cells as its
weight p(y). With K_y the divergence of q(z | x) from the Gaussian of y, the negative ELBO has, beside -log p(x | z),

    labelled:    K_y - log p(y)
    unlabelled:  -log sum_y p(y) exp(-K_y), the same with the best q(y | x), which is proportional to p(y) exp(-K_y)

and q(y | x) says the label of any cell. A labelled cell also pays `label_weight` times -log q(y | x), for else labels
that are close share a place. Cells of a label lie together whatever their batch, and that is how the batch goes. A kind
of cell of which no cell has a label is drawn to the nearest label: leave such cells to a model without labels.
Differs from [Xu21] and [Kingma14b] in that the classifier is the prior itself, with no network of its own and one level
of latents.

References: [Kingma14b] semi-supervised VAEs, section 3.1 and equation 9 (the weight); [Xu21] scANVI; [Lopez18] scVI.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from cellwright.core.abilities import Classifies, Decodes, Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.likelihoods import AnyLikelihood
from cellwright.likelihoods.negative_binomial import NegativeBinomial
from cellwright.losses.gaussian_latent import GaussianLatent
from cellwright.models.logistic import labelled_rows
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoders import AnyEncoder
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.models.parts.likelihood_width import learn_width
from cellwright.nn.mlp import Hidden
from cellwright.nn.transform import Transform, support_of


class SemiVAEOptions(Options):
    """Options of the semi-supervised VAE."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer")
    n_layers: int = Field(1, ge=1, description="hidden layers in the encoder, and in the decoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoder")
    transform: Transform = Field("log1p", description="of the values before the encoder")
    likelihood: AnyLikelihood = Field(NegativeBinomial(), description="p(x | z)")
    encoder: AnyEncoder = Field(MLPEncoder(), description="what reads a cell: an MLP, or an encoder of another family")
    beta: float = Field(1.0, ge=0, description="weight of the divergence from the prior")
    label_weight: float = Field(10.0, ge=0, description="of naming the label of a labelled cell in the loss")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class SemiVAE(Model, Encodes, Decodes, Classifies):
    """A VAE whose prior knows the labels."""

    reads = frozenset({"views", "batch", "label", "covariates", "coordinates"})
    needs = frozenset({"label"})
    citations = ("Kingma14b", "Xu21", "Lopez18", "Kingma15", "Riedmiller93")
    label_shares: Tensor

    def __init__(self, schema: Schema, options: SemiVAEOptions = SemiVAEOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: SemiVAEOptions = options
        hidden = Hidden(options.n_hidden, options.n_layers)
        self.encoder = options.encoder.build(
            schema, 2 * options.n_latent, hidden=replace(hidden, dropout=options.dropout), transform=options.transform
        )
        self.decoder = FeatureDecoder(
            schema, options.n_latent, likelihood=options.likelihood, hidden=hidden, transform=options.transform
        )
        self.place = nn.Parameter(torch.randn(schema.n_labels, options.n_latent))
        self.log_variance = nn.Parameter(torch.zeros(schema.n_labels, options.n_latent))
        self.register_buffer("label_shares", torch.full((schema.n_labels,), 1 / schema.n_labels))

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

    def classify(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        return self.log_joint(self.posterior(minibatch)).softmax(dim=1)

    def log_joint(self, q: GaussianLatent) -> Float[Tensor, "n_obs n_labels"]:
        """log p(y) - K_y, in nats; minus infinity for a label that no training cell has."""
        mean, variance = q.mean[:, None], q.variance[:, None]  # (n_obs, 1, n_latent)
        ratio = (variance + (mean - self.place).square()) * torch.exp(-self.log_variance)
        divergence = 0.5 * (ratio - 1 + self.log_variance - variance.log()).sum(dim=2)
        return self.label_shares.log() - divergence

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """The share of each label among the labelled cells of `rows`."""
        self.encoder.prepare(source, rows, rng)
        labels = source.annotation.label[labelled_rows(source, rows, "a semi-supervised VAE")]
        counts = np.bincount(labels, minlength=self.schema.n_labels)
        self.label_shares.copy_(torch.from_numpy(counts / counts.sum()))

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("elbo", self.negative_elbo, trains=self, optimiser=adam)]]

    def negative_elbo(self, minibatch: Minibatch, step: Step) -> Loss:
        """The terms of the negative ELBO, and of naming labels, in nats per cell; the last is zero without a label."""
        q, options = self.posterior(minibatch), self.options
        z, _ = q.draw(step.noise.normal(minibatch.rows, options.n_latent))
        joint = self.log_joint(q)
        of_any = joint.logsumexp(dim=1)
        # a label that only validation cells have has no Gaussian: such a cell counts as unlabelled
        known = (minibatch.label >= 0) & (self.label_shares[minibatch.label] > 0)
        of_label = torch.where(known, joint.gather(1, minibatch.label.clamp(min=0)[:, None])[:, 0], of_any)
        return Loss(
            {
                "reconstruction": -self.decoder.log_prob(z, minibatch),
                "kl": -of_label,
                "label": of_any - of_label,  # -log q(y | x)
            },
            weights={"kl": options.beta, "label": options.label_weight},
        )

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        learn_width(self.decoder, lambda cells: self.posterior(cells).sample(generator), source, rows, rng)
