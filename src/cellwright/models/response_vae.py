"""Response VAE: a VAE of counts whose decoder adds the response to a treatment, which depends on the cell.

    x (n_obs, n_vars) -encoder-> z (n_obs, n_latent)
    h = [z, treated, treated x z];  log share = softmax(b + W z + treated (beta + V z));  counts ~ NB(library x share)

Linear in the latent on purpose: six cell types cannot teach a network more than how a response varies along the
differences between types. The squares of W, beta and V are penalised, V most; and the mean latents of the control and
the treated cells of a label are drawn together, or the latent would hold the treatment and beta nothing.

    network means of every label, control and treated -> prior of a Gaussian process over what it left over
    (1 - share) x Gaussian process alone + share x (network + its process) -> treated means -> cells (`to_mean.py`)

Theta and b start at the moments of the training cells: from a random start they do not arrive in twenty epochs.

References: [Lopez18] scVI, for VAE and NB; [Lotfollahi19], prediction of responses of unseen labels;
[Lotfollahi23] CPA, for a treatment that is added in the latent; [Rasmussen06].
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from cellwright.core.abilities import Encodes, Perturbs
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.likelihoods.negative_binomial import NegativeBinomialHead
from cellwright.losses.gaussian_latent import GaussianLatent
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import CellEncoder
from cellwright.models.parts.count_moments import count_moments
from cellwright.models.parts.gaussian_process import chosen_lengths, expected_means
from cellwright.models.parts.to_mean import CellChange, ToMean
from cellwright.models.parts.training_means import training_means
from cellwright.nn import transform as transforms
from cellwright.nn.mlp import Hidden

BLOCK_ROWS = 512
N_DRAWS = 8  # of counts per cell, for the mean of their logarithms; there are a hundred cells and more


class ResponseVAEOptions(Options):
    """Options of the response VAE."""

    n_latent: int = Field(16, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of the encoder's hidden layers")
    n_layers: int = Field(1, ge=1, description="hidden layers in the encoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoder")
    kl_warmup_epochs: int = Field(5, ge=0, description="epochs over which the KL weight rises from 0 to 1")
    penalty: float = Field(1e-3, ge=0, description="of the squared loadings of the latent (W), per cell")
    response_penalty: float = Field(0.1, ge=0, description="of the squared loadings of the response (V); beta: a tenth")
    match_weight: float = Field(10.0, ge=0, description="of the distance between mean latents of control and treated")
    share: float = Field(0.5, ge=0, le=1, description="of the network in the mean; the rest is the process alone")
    cells: CellChange = Field(
        "counts", description="how cells reach the mean: counts added or lost by chance, or the same added to all"
    )
    learning_rate: float = Field(2e-3, gt=0, description="step size of Adam")


class ResponseVAE(Model, Encodes, Perturbs):
    """A VAE whose decoder holds the response; a Gaussian process takes care of what it left over."""

    reads = frozenset({"views", "label", "condition"})
    needs = frozenset({"label", "condition", "control"})
    validates_on = None
    usual_epochs = 20
    learnt_after = frozenset({"share", "cells"})
    citations = ("Lopez18", "Lotfollahi19", "Lotfollahi23", "Rasmussen06")

    def __init__(self, schema: Schema, options: ResponseVAEOptions = ResponseVAEOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: ResponseVAEOptions = options
        self.encoder = CellEncoder(
            schema.n_vars,
            2 * options.n_latent,
            hidden=Hidden(options.n_hidden, options.n_layers, options.dropout, "leaky_relu"),
            transform="log_normalise",
        )
        self.head = NegativeBinomialHead(options.n_latent + schema.n_conditions * (1 + options.n_latent), schema.n_vars)
        self.to_mean = ToMean(schema, options.cells, "log_normalise")

    @property
    def support(self) -> Support:
        return Support.counts

    @property
    def takes_logarithms(self) -> bool:
        return True

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The posterior mean."""
        return self._posterior(minibatch).mean

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        if self.fitted:
            return  # training goes on
        share, theta = count_moments(source, rows)
        with torch.no_grad():
            self.head.share.bias.copy_(share.log())
            self.head.share.weight.mul_(0.02 / self.head.share.weight.std())
            self.head.log_theta.copy_(theta.log())

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate)
        return [[Objective("elbo", self.negative_elbo, trains=self, optimiser=adam)]]

    def negative_elbo(self, minibatch: Minibatch, step: Step) -> Loss:
        """The negative ELBO in nats per cell, the penalties of the loadings and the distance of mean latents.

        Of a cell whose condition is unknown nobody can say what its counts come from, W z alone or V z as well: its
        reconstruction and KL are 0, and it trains nothing.
        """
        known = minibatch.condition >= 0
        q = self._posterior(minibatch)
        z, kl = q.draw(step.noise.normal(minibatch.rows, self.options.n_latent))
        log_prob = self.head.log_prob(self._decoder_input(z, minibatch.condition), minibatch.x, minibatch.library)
        each = torch.ones_like(kl)  # what is a number for the whole minibatch counts once for every cell
        return Loss(
            {
                "reconstruction": torch.where(known, -log_prob, 0.0),
                "kl": torch.where(known, kl, 0.0),
                "loadings": self._penalty() * each,
                "match": self._distance(q.mean, minibatch) * each,
            },
            weights={"kl": step.warmup(self.options.kl_warmup_epochs), "match": self.options.match_weight},
        )

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        means = training_means(source, rows, "log_normalise")
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        predicted = {}
        for condition in means.learnable():
            prior = self._network_means(source, rows, means.with_control, condition, generator)
            alone = expected_means(means, condition, chosen_lengths(means, condition))
            both = expected_means(means, condition, chosen_lengths(means, condition, prior), prior)
            predicted[condition] = (1 - self.options.share) * alone + self.options.share * both
        self.to_mean.learn(means, predicted)

    def perturb(
        self, minibatch: Minibatch, condition: Int[Tensor, " n_obs"], generator: Generator
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.to_mean(minibatch, condition, generator)

    def _posterior(self, minibatch: Minibatch) -> GaussianLatent:
        return GaussianLatent(self.encoder(self.encoder.inputs(minibatch), minibatch))

    def _decoder_input(self, z: Float[Tensor, "n_obs n_latent"], condition: Int[Tensor, " n_obs"]) -> Tensor:
        """z, the treatment, and z once for every treatment: zero but for that of the cell; control has none."""
        treated = functional.one_hot(condition.clamp(min=0), self.schema.n_conditions).to(z.dtype)
        treated = treated * ((condition >= 0) & (condition != self.schema.control_code))[:, None]
        return torch.cat([z, treated, (treated[:, :, None] * z[:, None, :]).flatten(1)], dim=1)

    def _penalty(self) -> Float[Tensor, ""]:
        n_latent, n_conditions = self.options.n_latent, self.schema.n_conditions
        w, beta, v = self.head.share.weight.split([n_latent, n_conditions, n_conditions * n_latent], dim=1)
        of_response = v.square().sum() + 0.1 * beta.square().sum()
        return self.options.penalty * w.square().sum() + self.options.response_penalty * of_response

    def _distance(self, z: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, ""]:
        """Squared distance between the mean latents of control and treated cells of a label, by the cells it has."""
        total = z.new_zeros(())
        for label in minibatch.label[minibatch.label >= 0].unique():
            of_label = minibatch.label == label
            control = of_label & (minibatch.condition == self.schema.control_code)
            for condition in minibatch.condition[of_label & ~control].unique():
                treated = of_label & (minibatch.condition == condition)
                n = min(int(control.sum()), int(treated.sum()))
                if condition >= 0 and n > 1:
                    total = total + n * (z[control].mean(dim=0) - z[treated].mean(dim=0)).square().sum()
        return total / minibatch.n_obs

    def _network_means(
        self, source: Source, rows: np.ndarray, labels: list[int], condition: int, generator: Generator
    ) -> np.ndarray:
        """Mean log-normalised values that the network expects of a label's control cells, (n_labels, 2, n_vars).

        The first is for them as they are, the second under the condition.
        """
        cells, control_code = source.annotation, self.schema.control_code
        found = np.zeros((self.schema.n_labels, 2, self.schema.n_vars))
        for label in labels:
            control = rows[(cells.label[rows] == label) & (cells.condition[rows] == control_code)]
            for minibatch in in_order(source, control, BLOCK_ROWS):
                z = self.encode(minibatch)
                for side, code in enumerate((control_code, condition)):
                    h = self._decoder_input(z, torch.full_like(minibatch.condition, code))
                    for _ in range(N_DRAWS):
                        counts = self.head.sample(h, minibatch.library, generator)
                        drawn = transforms.log_normalised(counts, minibatch.library).sum(dim=0)
                        found[label, side] += drawn.double().numpy() / (N_DRAWS * len(control))
        return found
