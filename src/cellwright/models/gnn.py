"""Graph autoencoder, plain or variational.

    x, neighbours among the training cells -graph convolutions-> z (n_obs, n_latent) -decoder-> log p(x | z, batch)
    z of a cell, z of one of its neighbours -inner product-> log p(edge)

The loss per cell is -log p(x | z), for `vgae` the negative ELBO, and `edge_weight` times the cross-entropy of edges,
-log sigmoid(z . z_neighbour) - mean over others of log(1 - sigmoid(z . z_other)), in nats. One neighbour is drawn per
cell and step; the others are the neighbours drawn for the other cells of the minibatch.
Differs from [Kipf16]: edges are sampled instead of the whole adjacency, features are decoded as well, by any
likelihood, and the graph encoder takes cells that it was not trained on (see parts/graph_encoder.py).

References: [Kipf16] graph autoencoders; [Hamilton17] sampling of neighbours and of edges; [Brody22] attention.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from cellwright.core.abilities import Attends, Attention, Decodes, Draws, Encodes, Imputes
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
from cellwright.models.parts.feature_decoder import FeatureDecoder
from cellwright.models.parts.graph_encoder import GraphEncoder, Nodes
from cellwright.models.parts.likelihood_width import learn_width
from cellwright.nn.message_passing import Convolution
from cellwright.nn.mlp import Hidden
from cellwright.nn.transform import Transform, support_of

IMPUTATION_DRAWS = 10  # latents that an imputation of `vgae` is the mean of
# keep the noises of one step apart
CELL_STREAM, REFERENCE_STREAM, EDGE_STREAM = 0, 1, 2


class GraphAutoencoderOptions(Options):
    """Options of the graph autoencoder; `variational` makes it the variational one."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer")
    n_layers: int = Field(1, ge=0, description="hidden graph layers; a cell hears neighbours n_layers + 1 hops away")
    n_decoder_layers: int = Field(1, ge=0, description="hidden layers in the decoder; 0 is a linear decoder")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the encoder")
    convolution: Convolution = Field("gcn", description="gcn: by degree; sage: mean and itself; gat: by attention")
    graph: Literal["expression", "space"] = Field(
        "expression", description="neighbours by principal components, or by place within a batch"
    )
    n_neighbors: int = Field(15, ge=1, description="nearest training cells that a cell is linked to")
    n_sampled: int | None = Field(
        5, ge=1, description="of these drawn per cell and hop in training; None hears all, as evaluation does"
    )
    n_components: int = Field(50, ge=1, description="principal components of a cell: its features in the graph")
    max_references: int = Field(20_000, ge=2, description="training cells that are kept as neighbours, at most")
    transform: Transform = Field("log_normalise", description="of the values before the principal components")
    likelihood: AnyLikelihood = Field(NegativeBinomial(), description="p(x | z)")
    edge_weight: float = Field(10.0, ge=0, description="weight of the edges in the loss; 0 decodes features only")
    variational: bool = Field(default=False, description="a Gaussian posterior over z instead of a point")
    beta: float = Field(1.0, ge=0, description="weight of the KL, if variational")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class GraphAutoencoder(Model, Encodes, Decodes, Attends, Imputes, Draws):
    """Encodes a cell and its neighbours as a point or a Gaussian; decodes features and edges."""

    reads = frozenset({"views", "batch", "covariates", "coordinates"})
    citations = ("Kipf16", "Kipf17", "Hamilton17", "Brody22", "Fey19", "Kingma15")

    def __init__(self, schema: Schema, options: GraphAutoencoderOptions = GraphAutoencoderOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: GraphAutoencoderOptions = options
        shared = GraphEncoder.model_fields.keys() & GraphAutoencoderOptions.model_fields.keys()
        self.encoder = GraphEncoder(**{name: getattr(options, name) for name in shared}).build(
            schema,
            (2 if options.variational else 1) * options.n_latent,
            hidden=Hidden(options.n_hidden, options.n_layers, dropout=options.dropout),
            transform=options.transform,
        )
        self.decoder = FeatureDecoder(
            schema,
            options.n_latent,
            likelihood=options.likelihood,
            hidden=Hidden(options.n_hidden, options.n_decoder_layers),
            transform=options.transform,
        )

    @property
    def support(self) -> Support:
        return max(self.options.likelihood.support, support_of(self.options.transform))

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """The point, or the mean of the posterior."""
        return self._encoded(minibatch)[:, : self.options.n_latent]

    def _encoded(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_out"]:
        return self.encoder(self.encoder.inputs(minibatch), minibatch)

    def decode(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.mean(latent, minibatch)

    def expected_log(
        self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch
    ) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.expected_log(latent, minibatch)

    def log_prob(self, latent: Float[Tensor, "n_obs n_latent"], minibatch: Minibatch) -> Float[Tensor, " n_obs"]:
        return self.decoder.log_prob(latent, minibatch)

    def attend(self, minibatch: Minibatch) -> Attention:
        """The weights of the last convolution. Raises `OptionError` where that is not attention."""
        return self.encoder.attention(minibatch)

    @torch.no_grad()
    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """What is expected given a cell's point (of a posterior the mean of `IMPUTATION_DRAWS`) and its own counts."""
        encoded = self._encoded(minibatch)
        if not self.options.variational:
            return self.decoder.mean_given(encoded, minibatch)
        q = GaussianLatent(encoded)
        drawn = (self.decoder.mean_given(q.sample(generator), minibatch) for _ in range(IMPUTATION_DRAWS))
        return torch.stack(list(drawn)).mean(dim=0)

    @torch.no_grad()
    def draw(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        """A draw of the cell's own rates given its counts and its point, which is drawn too if it has a posterior."""
        return self.decoder.draw_given(self._drawn(minibatch, generator), minibatch, generator)

    @torch.no_grad()
    def draw_counts(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return self.decoder.draw_counts_given(self._drawn(minibatch, generator), minibatch, generator)

    def _drawn(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_latent"]:
        """A draw of each cell's posterior, or its point."""
        encoded = self._encoded(minibatch)
        return GaussianLatent(encoded).sample(generator) if self.options.variational else encoded

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        learn_width(self.decoder, self.encode, source, rows, rng)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.encoder.prepare(source, rows, rng)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("reconstruction", self.reconstruction, trains=self, optimiser=adam)]]

    def reconstruction(self, minibatch: Minibatch, step: Step) -> Loss:
        """In nats per cell: features, edges unless they weigh nothing, and the divergence if variational."""
        cells = self.encoder.nodes(self.encoder.inputs(minibatch), minibatch)
        partner = self._partners(cells, minibatch, step)
        nodes = cells if partner is None else cells.beside(self.encoder.kept(partner.clamp(min=0)))
        z, kl = self._draw(self.encoder.encode(nodes), minibatch, partner, step)
        of_cells = z[: minibatch.n_obs]
        terms = {"reconstruction": -self.decoder.log_prob(of_cells, minibatch)}
        if partner is not None:
            terms["edges"] = edge_loss(of_cells, z[minibatch.n_obs :], partner, cells.neighbours)
        if kl is not None:
            terms["kl"] = kl[: minibatch.n_obs]
        return Loss(terms, weights={"edges": self.options.edge_weight, "kl": self.options.beta})

    def _partners(self, cells: Nodes, minibatch: Minibatch, step: Step) -> Tensor | None:
        """One neighbour of each cell, -1 for a cell without; None where edges weigh nothing."""
        if not self.options.edge_weight or not self.encoder.n_references:
            return None
        n_there = (cells.neighbours >= 0).sum(dim=1, keepdim=True)  # neighbours come first, nothing after them
        drawn = (step.noise.uniform(minibatch.rows, 1, EDGE_STREAM) * n_there).long()
        drawn = drawn.minimum((n_there - 1).clamp(min=0))  # float32 rounds one number in 2^24 up to one
        return cells.neighbours.gather(1, drawn)[:, 0]

    def _draw(
        self, encoded: Tensor, minibatch: Minibatch, partner: Tensor | None, step: Step
    ) -> tuple[Tensor, Tensor | None]:
        """The latents of cells and partners, one draw each if variational, and the divergence."""
        if not self.options.variational:
            return encoded, None
        noise = step.noise.normal(minibatch.rows, self.options.n_latent, CELL_STREAM)
        if partner is not None:
            noise = torch.cat([noise, step.noise.normal(partner, self.options.n_latent, REFERENCE_STREAM)])
        z, kl = GaussianLatent(encoded).draw(noise)
        return z, kl


def edge_loss(
    z: Float[Tensor, "n_obs n_latent"],
    z_partner: Float[Tensor, "n_obs n_latent"],
    partner: Int[Tensor, " n_obs"],
    neighbours: Int[Tensor, "n_obs n_neighbors"],
) -> Float[Tensor, " n_obs"]:
    """Cross-entropy of each cell's edge to its partner (-1: none), and of no edge to those of the others, in nats.

    A partner of another cell that is a neighbour of this one too is no negative example.
    """
    logits = z @ z_partner.T  # (n_obs, n_obs): a minibatch, never all cells
    there = partner >= 0
    positive = functional.softplus(-logits.diagonal()) * there
    negative = there & ~(neighbours[:, :, None] == partner).any(dim=1)
    share = negative / negative.sum(dim=1, keepdim=True).clamp(min=1)
    return positive + (functional.softplus(logits) * share).sum(dim=1)
