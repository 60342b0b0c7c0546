"""Spatial graph autoencoder: a cell together with the cells beside it, those that resemble it counting most.

    x -PCA-> h_0 (n_obs, n_components) -attention to the nearest cells of the section, n_hops-> h_n, h_n+1, h_n+2
    h_n+1 -encoder-> z (n_obs, n_latent) -decoder-> h_n          what the neighbours say gives the cell back
    z of a place, z of its surroundings h_n+2 -bilinear-> together, or the place from a shuffled tissue

The attention of a hop has no weights to learn: neighbour j of cell i weighs exp(-|h_i - h_j|^2 / (2 b)), and the cell
itself 1. Its width b is `bandwidth` times the squared distance at which two measurements of one cell lie, which is
measured by dividing the molecules of each training cell in two (parts/measurement_noise.py): cells that differ by no
more than their noise are averaged, and across a boundary at which they differ by far more hardly anything passes. So
the tissue says how much smoothing there is. Where cells of two kinds lie in turn and differ by a few times their noise
only, they come nearer with every hop, and in the end run together.

The latent is in the metric of the decoder, z L with L L^T = D^T D for a decoder D, in which distances are those of what
is decoded: an encoder may stretch its axes as it likes, and k-means must not see that.
The loss per cell is the mean squared error of the decoded components, in units of their mean square, and
`contrast_weight` times the cross-entropy of the two pairs, in nats.

Differs from [Dong22] in that attention is measured instead of learned; from [Velickovic19] and [Long23] in the
surroundings, which stand for the summary of the graph, and in that the shuffled place is a mean of cells at random.

References: [Dong22] STAGATE; [Long23] GraphST; [Velickovic19] deep graph infomax; [Tomasi98] bilateral filter;
[Batson19] noise by thinning.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cellwright.core.abilities import Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError
from cellwright.models.model import Model
from cellwright.models.parts.measurement_noise import measurement_noise
from cellwright.models.parts.place_smoother import PlaceSmoother
from cellwright.models.parts.places import Placed
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn.dropout import Dropout
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.transform import Transform

SHUFFLE_STREAM = 4  # keeps this noise apart from other noise of the same step
AROUND = 2  # hops beyond those that are decoded: one for the place, one for its surroundings


class SpatialAutoencoderOptions(Options):
    """Options of the spatial graph autoencoder."""

    n_latent: int = Field(15, ge=1, description="width of the latent space")
    n_components: int = Field(15, ge=1, description="principal components of a cell: its features in the graph")
    n_neighbors: int = Field(12, ge=1, description="nearest training cells of the section that a cell attends to")
    n_hops: int = Field(5, ge=1, description="how often it does")
    bandwidth: float = Field(
        2.0, gt=0, description="of the attention, in squared distances of two measurements of a cell; more smooths more"
    )
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer")
    n_layers: int = Field(0, ge=0, description="hidden layers in the encoder after the hops; 0 is linear")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate of the components that the encoder reads")
    contrast_weight: float = Field(0.2, ge=0, description="weight of telling a place from one in a shuffled tissue")
    centre: Literal["all", "batch"] = Field(
        "batch", description="whose mean is taken off: that of all training cells, or that of the cell's section"
    )
    scale: bool = Field(default=True, description="scale every feature to unit variance on the training cells")
    transform: Transform = Field("log_normalise", description="of the values before the principal components")
    max_references: int = Field(20_000, ge=2, description="training cells that are kept as neighbours, at most")
    learning_rate: float = Field(3e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class SpatialAutoencoder(Model, Encodes):
    """Encodes a place of a tissue as a point; decodes what the cell and its like around it are."""

    reads = frozenset({"views", "batch", "coordinates"})
    needs = frozenset({"coordinates"})
    citations = ("Dong22", "Long23", "Velickovic19", "Tomasi98", "Batson19", "Kingma15")

    def __init__(
        self,
        schema: Schema,
        options: SpatialAutoencoderOptions = SpatialAutoencoderOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: SpatialAutoencoderOptions = options
        components = PCAOptions(
            n_latent=options.n_components, scale=options.scale, transform=options.transform, centre=options.centre
        )
        self.pca = PCA(schema, components)
        width = self.pca.n_latent
        self.smoother = PlaceSmoother(schema, width, n_neighbors=options.n_neighbors, n_times=options.n_hops + AROUND)
        self.size: Tensor
        self.register_buffer("size", torch.ones(()))  # root mean square of the components that are decoded
        hidden = Hidden(options.n_hidden, options.n_layers)
        self.encoder = nn.Sequential(
            Dropout(options.dropout),
            MLP(width, hidden),
            nn.Linear(options.n_hidden if options.n_layers else width, options.n_latent),
        )
        self.decoder = nn.Linear(options.n_latent, width)
        self.discriminator = nn.Bilinear(options.n_latent, options.n_latent, 1)

    @property
    def support(self) -> Support:
        return Support.counts

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        hops = self._hops(minibatch)
        return self.encoder(hops[:, -AROUND]) @ self._metric()

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        if len(rows) <= self.pca.n_latent:
            raise DataError(
                f"a graph over {self.pca.n_latent} principal components must have more training cells than that; it "
                f"has {len(rows)}. Use a smaller n_components."
            )
        self.pca.learn(source, rows, rng)
        noise = measurement_noise(source, rows, self._components, rng)
        if len(rows) > self.options.max_references:
            rows = np.sort(rng.choice(rows, self.options.max_references, replace=False))
        blocks = [Placed.of(self._components(m), m.to(self.size.device)) for m in in_order(source, rows, 1024)]
        cells = Placed(*(torch.cat([getattr(b, name) for b in blocks]) for name in ("features", "places", "section")))
        self.smoother.keep(cells, bandwidth=self.options.bandwidth * noise)
        decoded = self.smoother.kept.hops[:, self.options.n_hops]
        self.size.copy_(decoded.square().mean().sqrt().clamp(min=1e-12))

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("places", self.places, trains=self, optimiser=adam)]]

    def places(self, minibatch: Minibatch, step: Step) -> Loss:
        """Squared error of the decoded components, and the cross-entropy of places and shuffled places."""
        hops = self._hops(minibatch)
        z = self.encoder(hops[:, -AROUND])
        terms = {"reconstruction": (self.decoder(z) - hops[:, self.options.n_hops]).square().mean(dim=1)}
        if self.options.contrast_weight:
            surroundings = torch.sigmoid(self.encoder(hops[:, -1]))
            shuffled = self.encoder(self._shuffled(minibatch, step))
            together, apart = (self.discriminator(place, surroundings)[:, 0] for place in (z, shuffled))
            terms["contrast"] = functional.softplus(-together) + functional.softplus(apart)
        return Loss(terms, weights={"contrast": self.options.contrast_weight})

    @torch.no_grad()
    def _components(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_components"]:
        return self.pca.encode(minibatch.to(self.size.device))

    def _hops(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_hops_and_more n_components"]:
        """The components at every hop, in units of those that are decoded."""
        return self.smoother.hops(self._components(minibatch), minibatch) / self.size

    @torch.no_grad()
    def _shuffled(self, minibatch: Minibatch, step: Step) -> Float[Tensor, "n_obs n_components"]:
        """What a place would be if cells had been dealt out at random: a mean of as many cells as are heard."""
        kept = self.smoother.kept.hops[:, self.options.n_hops] / self.size
        drawn = step.noise.uniform(minibatch.rows, self.options.n_neighbors + 1, SHUFFLE_STREAM)
        return kept[(drawn * len(kept)).long().clamp(max=len(kept) - 1)].mean(dim=1)

    def _metric(self) -> Float[Tensor, "n_latent n_latent"]:
        """A matrix L with L L^T = D^T D, in units of the components."""
        weight = self.decoder.weight * self.size
        gram = weight.T @ weight
        ridge = 1e-6 * gram.diagonal().mean() * torch.eye(len(gram), device=gram.device)
        return torch.linalg.cholesky(gram + ridge)
