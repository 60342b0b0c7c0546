"""Graph encoder: a cell is seen together with the training cells that it resembles, or that lie beside it.

    x -PCA-> features (n_obs, n_components) -nearest-> neighbours among the references (n_obs, n_neighbors)
    cells <- references <- references ...: n_layers + 1 graph convolutions -> (n_obs, n_out)

The references are at most `max_references` training cells with their features, places, batches, labels and their own
neighbours among one another; they are kept with the weights, so that a saved run encodes new cells. A cell is not its
own neighbour: references at distance zero are left out, for a training cell as for any other. Neighbours are found
for the values as they are, also where the features are of corrupted ones, or a training cell would find itself.

Memory: a training step holds at most n_obs (1 + n_sampled + n_sampled^2 ...) nodes, evaluation the cells of a block
and all references; edges are `n_neighbors` a node. Nothing grows with the number of cells beyond `max_references`.

Differs from [Kipf16]: the graph is directed (each cell hears its own nearest), which is what lets cells join that were
not trained on; node features are principal components.

References: [Kipf16], [Kipf17] GCN; [Hamilton17] GraphSAGE, sampling; [Brody22] GATv2; [Dong22] a spatial graph.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from cellwright.core.abilities import Attention
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError, OptionError
from cellwright.models.parts.encoder import Encoder, EncoderOptions
from cellwright.models.parts.places import SAME_CELL, Placed, beside, refuse_strangers, spacing_of
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn import transform as transforms
from cellwright.nn.dropout import Dropout
from cellwright.nn.from_data import FromData
from cellwright.nn.message_passing import Block, Convolution, GraphConvolution, blocks_around
from cellwright.nn.mlp import ACTIVATIONS, Hidden, normaliser
from cellwright.nn.nearest import nearest, position_among
from cellwright.nn.precision import float32_on_cpu
from cellwright.nn.transform import Transform


class GraphEncoder(EncoderOptions):
    """Graph convolutions over the nearest training cells; the number of hidden layers and their width are the model's.

    With `graph="space"` neighbours are the nearest by coordinates in the same batch (section). Cells of a section that
    was not trained on have no neighbours then and are refused.
    """

    name: Literal["graph"] = "graph"
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

    def build(self, schema: Schema, n_out: int, *, hidden: Hidden, transform: Transform) -> "NeighbourEncoder":
        return NeighbourEncoder(schema, n_out, self, hidden=hidden, transform=transform)


@dataclass(frozen=True, eq=False)
class Nodes:
    """Cells in the graph: their features, and positions of their neighbours among the references, -1 for none."""

    features: Float[Tensor, "n_nodes n_components"]
    neighbours: Int[Tensor, "n_nodes n_neighbors"]

    def beside(self, other: "Nodes") -> "Nodes":
        """These and after them the others."""
        return Nodes(torch.cat([self.features, other.features]), torch.cat([self.neighbours, other.neighbours]))


class NeighbourEncoder(Encoder):
    """The network of `GraphEncoder`, the projection before it and the references around it."""

    def __init__(
        self, schema: Schema, n_out: int, options: GraphEncoder, *, hidden: Hidden, transform: Transform
    ) -> None:
        super().__init__()
        if options.graph == "space" and schema.coordinates is None:
            raise OptionError(
                "graph='space' must have the places of the cells; the data were opened without coordinates. "
                "Give coordinates_key, or choose graph='expression'."
            )
        self.schema = schema
        self.options = options
        self.transform: Transform = transform
        self.pca = PCA(schema, PCAOptions(n_latent=options.n_components, scale=False, transform=transform))
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(()))  # of the features: their root mean square on the training cells
        self.spacing: Tensor
        self.register_buffer("spacing", torch.zeros(schema.n_batch))  # of the references' places, by batch
        self.references = FromData(
            {
                "features": torch.zeros(0, self.pca.n_latent),
                "places": torch.zeros(0, schema.n_coordinates),
                "batch": torch.zeros(0, dtype=torch.int64),
                "label": torch.zeros(0, dtype=torch.int64),
                "neighbours": torch.zeros(0, options.n_neighbors, dtype=torch.int64),
            }
        )
        widths = [self.pca.n_latent, *[hidden.n_hidden] * hidden.n_layers, n_out]
        plain = [False] * hidden.n_layers + [True]  # the last one is not normalised, and has the bias
        self.convolutions = nn.ModuleList(
            GraphConvolution(options.convolution, n_in, n, bias=last or hidden.normalisation != "batch")
            for n_in, n, last in zip(widths, widths[1:], plain, strict=False)
        )
        self.between = nn.ModuleList(
            nn.Sequential(
                normaliser(hidden.normalisation, hidden.n_hidden),
                ACTIVATIONS[hidden.activation](),
                Dropout(hidden.dropout),
            )
            for _ in range(hidden.n_layers)
        )

    @property
    def n_references(self) -> int:
        """How many training cells are kept; none before `prepare`."""
        return len(self.references.batch)

    def inputs(self, minibatch: Minibatch) -> SparseRows:
        return transforms.apply(self.transform, minibatch.x)

    def forward(self, inputs: SparseRows, minibatch: Minibatch) -> Float[Tensor, "n_obs n_out"]:
        return self.encode(self.nodes(inputs, minibatch)).to(inputs.values.dtype)

    @torch.no_grad()
    def nodes(self, inputs: SparseRows, minibatch: Minibatch) -> Nodes:
        """The cells with the features of `inputs` and the neighbours of the minibatch's own values, or places."""
        if self.options.graph == "space":
            features = self._project(self.inputs(minibatch))
            index = self._beside(Placed.of(features, minibatch))
            return Nodes(self._project(inputs), index)
        whole = self.inputs(minibatch)
        features = self._project(whole)
        index, _ = self._alike(features)
        # the projection is the dearest part of a step after the decoder
        return Nodes(features if torch.equal(inputs.values, whole.values) else self._project(inputs), index)

    def kept(self, which: Int[Tensor, " n_nodes"]) -> Nodes:
        """References as nodes, by position."""
        return Nodes(self.references.features[which], self.references.neighbours[which])

    def encode(self, nodes: Nodes) -> Float[Tensor, "n_nodes n_out"]:
        """The graph convolutions, in training over a sample of the neighbours."""
        with float32_on_cpu(nodes.features.device):
            h, last = self._hidden(nodes, self.options.n_sampled if self.training else None)
            return self.convolutions[-1](h, last)

    def attention(self, minibatch: Minibatch) -> Attention:
        """The weights of each cell's neighbours in the last convolution, which makes the latent from what they are."""
        if self.options.convolution != "gat":
            raise OptionError(
                f"attention must be of a model with convolution='gat'; this one has {self.options.convolution!r}, "
                "which weighs neighbours alike. Fit one with convolution='gat'."
            )
        nodes = self.nodes(self.inputs(minibatch), minibatch)
        h, last = self._hidden(nodes, None)
        convolution = self.convolutions[-1]
        assert isinstance(convolution, GraphConvolution)
        weights = convolution.attention(h, last)
        references = self.references
        itself = self._itself(nodes, minibatch)
        return Attention(nodes.neighbours.clamp(min=0), weights, references.label, references.batch, itself)

    @torch.no_grad()
    def prepare(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        if len(rows) <= self.pca.n_latent:
            raise DataError(
                f"a graph over {self.pca.n_latent} principal components must have more training cells than that; it "
                f"has {len(rows)}. Use a smaller n_components."
            )
        self.pca.learn(source, rows, rng)
        if len(rows) > self.options.max_references:
            rows = np.sort(rng.choice(rows, self.options.max_references, replace=False))
        self.scale.fill_(1)
        self._keep(source, rows)
        if self.options.graph == "space":
            self.spacing.copy_(spacing_of(self._placed, self.schema.n_batch))
            index, _ = beside(self._placed, self._placed, self.options.n_neighbors)
        else:
            index, _ = self._alike(self.references.features)
        self.references.set(neighbours=index)

    def _keep(self, source: Source, rows: np.ndarray) -> None:
        """Take the cells of `rows` as references, their features in units of the root mean square of all."""
        features, cells = [], []
        for minibatch in in_order(source, rows, 1024):
            there = minibatch.to(self.scale.device)
            features.append(self._project(self.inputs(there)))
            cells.append((there.coordinates, there.batch, there.label))
        together = torch.cat(features)
        self.scale.copy_(together.square().mean().sqrt().clamp(min=1e-12))
        places, batch, label = (torch.cat(part) for part in zip(*cells, strict=True))
        self.references.set(features=together / self.scale, places=places, batch=batch, label=label)

    def _hidden(self, nodes: Nodes, n_sampled: int | None) -> tuple[Tensor, Block]:
        """What the last convolution reads, and whom it hears."""
        around = blocks_around(nodes.neighbours, self.references.neighbours, len(self.convolutions), n_sampled)
        h = torch.cat([nodes.features, self.references.features[around.references]])
        for convolution, between, block in zip(self.convolutions, self.between, around.hops, strict=False):
            h = between(convolution(h, block))
        return h, around.hops[-1]

    def _project(self, inputs: SparseRows) -> Tensor:
        """Principal components, of mean square 1 over all of them."""
        # the same as the dense centred values times the components, which would not stay sparse
        components = self.pca.components
        return (inputs.matmul(components) - (self.pca.centre + self.pca.offset) @ components) / self.scale

    def _alike(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return nearest(features, self.references.features, self.options.n_neighbors, same=SAME_CELL)

    def _beside(self, cells: Placed) -> Tensor:
        """Positions of the nearest references of the same section."""
        kept = self._placed
        index, distance = beside(cells, kept, self.options.n_neighbors)
        if self.n_references:
            refuse_strangers(cells, kept, distance, self.spacing, self.schema)
        return index

    @property
    def _placed(self) -> Placed:
        return Placed(self.references.features, self.references.places, self.references.batch)

    def _itself(self, nodes: Nodes, minibatch: Minibatch) -> Tensor:
        """The position of each cell among the references: by its features, in space also by its place and section."""
        features, references = nodes.features, self.references
        if self.options.graph == "expression":
            return position_among(features, references.features, same=SAME_CELL)
        found = torch.full_like(minibatch.batch, -1)
        for section in minibatch.batch.unique().tolist():
            here, there = (torch.nonzero(cells == section)[:, 0] for cells in (minibatch.batch, references.batch))
            beside = (minibatch.coordinates[here, None] == references.places[there]).all(dim=2)
            # exact: several cells may lie at one place, and one of them may be none of the references
            distance = torch.cdist(
                features[here], references.features[there], compute_mode="donot_use_mm_for_euclid_dist"
            )
            least, among = distance.masked_fill(~beside, torch.inf).min(dim=1)
            found[here] = torch.where(least <= SAME_CELL * features[here].norm(dim=1), there[among], -1)
        return found
