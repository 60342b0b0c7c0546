"""Message passing over sampled neighbourhoods of a fixed set of references.

    targets, neighbours (n_targets, n_neighbors) -> blocks: targets <- references <- references ... -> convolutions

A block holds the nodes that give and, as the first of them, those that take; the references that several targets share
stand in it once. The convolutions are those of PyTorch Geometric. It normalises GCN by the degrees that it finds in
the edges; here the degrees are given, because in a block the outermost references have no edges of their own.

References: [Kipf17] GCN; [Hamilton17] GraphSAGE, and neighbours sampled per hop; [Brody22] GATv2.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

Convolution = Literal["gcn", "sage", "gat"]
TAKERS_AT_ONCE = 2048  # without gradients: a block of many takers is done in pieces of so many


@dataclass(frozen=True, eq=False)
class Block:
    """The edges of one hop: of each taker, which givers it hears. The takers are the first of the givers."""

    heard: Int[Tensor, "n_takers n_neighbors"]  # positions among the givers; -1 where a node has fewer neighbours
    degree: Float[Tensor, " n_givers"]  # neighbours that each giver itself hears in a full hop, and itself

    @property
    def n_takers(self) -> int:
        """How many nodes take."""
        return self.heard.shape[0]

    def edges(self) -> Int[Tensor, "2 n_edges"]:
        """Giver and taker of each edge, as PyTorch Geometric has them."""
        takers, columns = torch.nonzero(self.heard >= 0, as_tuple=True)
        return torch.stack([self.heard[takers, columns], takers])

    def pieces(self, givers: Float[Tensor, "n_givers width"]) -> Iterator[tuple["Block", Tensor]]:
        """The block as smaller ones, `TAKERS_AT_ONCE` takers each, with their givers."""
        for start in range(0, self.n_takers, TAKERS_AT_ONCE):
            takers = torch.arange(start, min(start + TAKERS_AT_ONCE, self.n_takers), device=self.heard.device)
            heard = self.heard[takers]
            others, position = heard[heard >= 0].unique(return_inverse=True)
            local = torch.full_like(heard, -1)
            local[heard >= 0] = position + len(takers)
            kept = torch.cat([takers, others])
            yield Block(local, self.degree[kept]), givers[kept]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The hops from the outermost to the targets, and which references the outermost givers are after the targets."""

    hops: list[Block]
    references: Int[Tensor, " n_outermost"]


def blocks_around(
    targets: Int[Tensor, "n_targets n_neighbors"],
    references: Int[Tensor, "n_references n_neighbors"],
    n_hops: int,
    n_sampled: int | None,
) -> Blocks:
    """The blocks of `n_hops` hops around the targets: positions of neighbours among the references, -1 for none.

    With `n_sampled` each node hears so many of its neighbours, drawn anew in every hop from torch's generator, as
    dropout draws. A block has at most n_targets (1 + n_sampled + n_sampled^2 ...) givers, and never more than the
    targets and all references.
    """
    position = torch.full((len(references),), -1, dtype=torch.int64, device=targets.device)  # among the nodes so far
    inner = torch.zeros(0, dtype=torch.int64, device=targets.device)
    hops: list[Block] = []
    for _ in range(n_hops):
        neighbours = torch.cat([targets, references[inner]])
        if n_sampled is not None:
            neighbours = _sampled(neighbours, n_sampled)
        new = neighbours[neighbours >= 0].unique()
        new = new[position[new] < 0]
        position[new] = torch.arange(len(new), device=new.device) + len(targets) + len(inner)
        inner = torch.cat([inner, new])
        heard = torch.where(neighbours >= 0, position[neighbours.clamp(min=0)], -1) if len(position) else neighbours
        hops.insert(0, Block(heard, _degrees(torch.cat([targets, references[inner]]), n_sampled)))
    return Blocks(hops, inner)


def _degrees(neighbours: Tensor, n_sampled: int | None) -> Tensor:
    counts = (neighbours >= 0).sum(dim=1)
    return (counts if n_sampled is None else counts.clamp(max=n_sampled)).float() + 1


def _sampled(neighbours: Tensor, n_sampled: int) -> Tensor:
    """`n_sampled` of the neighbours of each node, without repetition."""
    if neighbours.shape[1] <= n_sampled:
        return neighbours
    keys = torch.rand(neighbours.shape, device=neighbours.device)
    chosen = keys.masked_fill(neighbours < 0, 2.0).topk(n_sampled, dim=1, largest=False).indices
    return neighbours.gather(1, chosen)


class GraphConvolution(nn.Module):
    """One hop: givers (n_givers, n_in) -> takers (n_takers, n_out), each of which also hears itself.

    GCN hears itself as one of its neighbours, all weighted by degree^-1/2 of both ends; GraphSAGE adds a linear map of
    itself to one of the neighbours' mean; GATv2 adds a linear map of itself to the neighbours weighted by attention,
    so that the weights are about neighbours only and sum to one.
    """

    def __init__(self, kind: Convolution, n_in: int, n_out: int, *, bias: bool = True) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # of what it does with torch.jit as it is loaded, which is none of the user's
            warnings.simplefilter("ignore", DeprecationWarning)
            # takes three seconds, and a model with another encoder does without
            from torch_geometric.nn import GATv2Conv, GCNConv, SAGEConv

        self.kind: Convolution = kind
        self.layer: nn.Module
        if kind == "gcn":
            self.layer = GCNConv(n_in, n_out, normalize=False, bias=bias)
        elif kind == "sage":
            self.layer = SAGEConv(n_in, n_out, bias=bias)
        else:
            self.layer = GATv2Conv(n_in, n_out, add_self_loops=False, residual=True, bias=bias)

    def forward(self, givers: Float[Tensor, "n_givers n_in"], block: Block) -> Float[Tensor, "n_takers n_out"]:
        if torch.is_grad_enabled() or block.n_takers <= TAKERS_AT_ONCE:
            return self._take(givers, block)
        return torch.cat([self._take(some, piece) for piece, some in block.pieces(givers)])

    def _take(self, givers: Tensor, block: Block) -> Tensor:
        edges = block.edges()
        if self.kind == "gcn":
            itself = torch.arange(block.n_takers, device=edges.device).expand(2, -1)
            edges = torch.cat([edges, itself], dim=1)
            weights = (block.degree[edges[0]] * block.degree[edges[1]]).rsqrt()
            return self.layer(givers, edges, weights)[: block.n_takers]
        return self.layer((givers, givers[: block.n_takers]), edges)

    def attention(self, givers: Float[Tensor, "n_givers n_in"], block: Block) -> Float[Tensor, "n_takers n_neighbors"]:
        """GATv2's weight of each neighbour; zero where there is none."""
        edges = block.edges()
        found = self.layer((givers, givers[: block.n_takers]), edges, return_attention_weights=True)[1][1]
        weights = torch.zeros(block.heard.shape, device=givers.device)
        return weights.masked_scatter(block.heard >= 0, found[:, 0])
