"""Token encoder: a cell as the set of the genes that it expresses, read by a transformer.

    values -choose-> genes, values (n_obs, n_tokens) -embed-> tokens (n_obs, n_tokens, width) beside one of the cell
    -attention blocks-> the cell's token (n_obs, width) -normalise, linear-> (n_obs, n_out)

A token is the embedding of its gene, each number of it scaled by a small MLP of the value. There is no positional
encoding, because the order of genes is arbitrary. A cell has at most `max_genes` tokens: those whose transformed value
is largest relative to the mean of the gene's values over all training cells, so that genes that are high everywhere do
not fill every cell. The hidden layers are attention blocks of width `n_hidden`, with layer normalisation before each
part; the model's `normalisation` is that of the cell's token in the end.

Genes may also be asked for: a token without a value that reads the cell and is read by none, so that what is said of
one gene does not depend on which others are asked for, nor what is said of the cell. The last block is computed for the
cell's token and those asked for only.

Memory is n_obs of the minibatch x (max_genes + asked) x width, in evaluation of `CELLS_AT_ONCE` cells at a time.

Differs from [Cui24] (scGPT): values are continuous, not binned per cell, and scale the gene's embedding instead of
being added to it; asked genes do not read one another; genes are chosen by value, not at random, nearly as
[Theodoris23] ranks them.

References: [Vaswani17] transformer; [Lee19] attention on sets; [Cui24] scGPT; [Theodoris23] Geneformer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.errors import OptionError
from cellwright.models.parts.encoder import Encoder, EncoderOptions
from cellwright.nn import transform as transforms
from cellwright.nn.attention import AttentionBlock
from cellwright.nn.mlp import ACTIVATIONS, Hidden, normaliser
from cellwright.nn.precision import float32_on_cpu
from cellwright.nn.transform import Transform

CELLS_AT_ONCE = 256  # 256 cells x 128 genes x 64 numbers are 8 MB, of which a block holds some ten
GENE_SD = 0.1  # of the initial embeddings; with 1, as torch draws them, they are slow to change


class TokenEncoder(EncoderOptions):
    """A transformer over the genes that a cell expresses; its width is `n_hidden`, its blocks are `n_layers`."""

    name: Literal["tokens"] = "tokens"
    n_heads: int = Field(2, ge=1, description="heads of the attention")
    max_genes: int = Field(128, ge=1, description="tokens of a cell at most: those largest relative to their mean")

    def build(self, schema: Schema, n_out: int, *, hidden: Hidden, transform: Transform) -> "TokenTransformer":
        return TokenTransformer(
            schema, n_out, hidden=hidden, transform=transform, n_heads=self.n_heads, max_genes=self.max_genes
        )


@dataclass(frozen=True, eq=False)
class Tokens:
    """The genes of each cell and their values, padded to the longest; `there` says what is no padding."""

    genes: Int[Tensor, "n_obs n_tokens"]
    values: Float[Tensor, "n_obs n_tokens"]
    there: Bool[Tensor, "n_obs n_tokens"]

    def part(self, start: int) -> "Tokens":
        """`CELLS_AT_ONCE` cells from `start`."""
        at = slice(start, start + CELLS_AT_ONCE)
        return Tokens(self.genes[at], self.values[at], self.there[at])


def choose_tokens(x: SparseRows, typical: Float[Tensor, " n_vars"], max_genes: int) -> Tokens:
    """Of each cell the `max_genes` values that are not zero and largest in size relative to `typical`."""
    genes, values = _padded(x)
    there = values != 0
    score = torch.where(there, values.abs() / typical[genes], -1.0)
    n_tokens = min(max_genes, int(there.sum(dim=1).max())) if x.n_obs else 0
    chosen = _largest(score, n_tokens)
    return Tokens(genes.gather(1, chosen), values.gather(1, chosen), there.gather(1, chosen))


def _largest(score: Float[Tensor, "n_obs n_longest"], n: int) -> Int[Tensor, "n_obs n"]:
    """Positions of the `n` largest of each row; of those that are equal at the end of these, the first."""
    found = score.topk(n, dim=1)
    if n == 0:
        return found.indices
    # which of them topk takes depends on the length of the rows, that is, on the other cells
    last = found.values[:, -1]
    tied = torch.nonzero((last >= 0) & ((score >= last[:, None]).sum(dim=1) > n))[:, 0]
    return found.indices.index_copy(0, tied, score[tied].sort(dim=1, descending=True, stable=True).indices[:, :n])


def _padded(x: SparseRows) -> tuple[Int[Tensor, "n_obs n_longest"], Float[Tensor, "n_obs n_longest"]]:
    """Columns and values of each row, zero where a row is shorter than the longest."""
    if x.columns is None or x.starts is None:
        return torch.arange(x.n_vars, device=x.values.device).expand(x.n_obs, -1), x.values
    longest = int(x.starts.diff().max()) if x.n_obs else 0
    row = x.row_of_value
    at = row, torch.arange(len(row), device=row.device) - x.starts[row]
    values = x.values.new_zeros(x.n_obs, longest).index_put(at, x.values)
    return row.new_zeros(x.n_obs, longest).index_put(at, x.columns.long()), values


class TokenTransformer(Encoder):
    """Reads the tokens of cells. `typical (n_vars,)` is the mean size of a gene's values over the training cells."""

    typical: Tensor

    def __init__(
        self, schema: Schema, n_out: int, *, hidden: Hidden, transform: Transform, n_heads: int, max_genes: int
    ) -> None:
        super().__init__()
        if hidden.n_layers == 0:
            raise OptionError(
                "encoder='tokens' must have a block that reads the genes; n_layers is 0. Give n_layers=1 or more."
            )
        width = hidden.n_hidden
        self.transform: Transform = transform
        self.max_genes = max_genes
        self.gene = nn.Embedding(schema.n_vars, width)
        nn.init.normal_(self.gene.weight, std=GENE_SD)
        self.value = nn.Sequential(nn.Linear(1, width), ACTIVATIONS[hidden.activation](), nn.Linear(width, width))
        # from zero, or what all cells have in common would hide for long what the first block reads
        self.cell = nn.Parameter(torch.zeros(width))
        self.unknown = nn.Parameter(torch.zeros(width))  # scales an embedding in the place of a value
        self.blocks = nn.ModuleList(
            AttentionBlock(width, n_heads, activation=hidden.activation, dropout=hidden.dropout)
            for _ in range(hidden.n_layers)
        )
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        # cells differ little beside what they share: without it a latent took several times the epochs
        self.normalise = normaliser(hidden.normalisation, width)
        self.out = nn.Linear(width, n_out)
        self.register_buffer("typical", torch.ones(schema.n_vars))

    def inputs(self, minibatch: Minibatch) -> SparseRows:
        return transforms.apply(self.transform, minibatch.x)

    def forward(self, inputs: SparseRows, minibatch: Minibatch) -> Float[Tensor, "n_obs n_out"]:
        return self.summary(self.read(choose_tokens(inputs, self.typical, self.max_genes)))

    @torch.no_grad()
    def prepare(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        total = torch.zeros(len(self.typical), dtype=torch.float64)
        for minibatch in in_order(source, rows):
            x = self.inputs(minibatch)
            sizes = x.values.abs().double()
            total += sizes.sum(dim=0) if x.columns is None else torch.zeros_like(total).index_add(0, x.columns, sizes)
        mean = (total / max(1, len(rows))).to(self.typical)
        # of a gene that no training cell has nothing can be known: it comes last
        self.typical.copy_(torch.where(mean > 0, mean, torch.inf))

    def summary(self, states: Float[Tensor, "n_obs n_states width"]) -> Float[Tensor, "n_obs n_out"]:
        """The output of each cell, from what `read` says."""
        with float32_on_cpu(states.device):
            return self.out(self.normalise(states[:, 0]))

    def read(
        self, tokens: Tokens, asked: Int[Tensor, "n_obs n_asked"] | None = None
    ) -> Float[Tensor, "n_obs n_states width"]:
        """What the blocks say, given the tokens, of the cell (the first) and of each gene that is asked for."""
        n_obs = len(tokens.genes)
        if asked is None:
            asked = tokens.genes.new_zeros(n_obs, 0)
        starts = range(0, max(1, n_obs), CELLS_AT_ONCE)
        return torch.cat([self._read(tokens.part(start), asked[start : start + CELLS_AT_ONCE]) for start in starts])

    def _read(self, tokens: Tokens, asked: Int[Tensor, "n_obs n_asked"]) -> Float[Tensor, "n_obs n_states width"]:
        n_obs, n_tokens = tokens.genes.shape
        with float32_on_cpu(tokens.values.device):
            cell = self.cell.expand(n_obs, 1, -1)
            known = torch.cat([cell, self.gene(tokens.genes) * (1 + self.value(tokens.values[..., None]))], dim=1)
            wanted = self.gene(asked) * (1 + self.unknown)
            there = torch.cat([tokens.there.new_ones(n_obs, 1), tokens.there], dim=1)
            for block in self.blocks[:-1]:
                both = block(torch.cat([known, wanted], dim=1), known, there)
                known, wanted = both[:, : 1 + n_tokens], both[:, 1 + n_tokens :]
            return self.norm(self.blocks[-1](torch.cat([known[:, :1], wanted], dim=1), known, there))

    @torch.no_grad()
    def take(self, other: "TokenTransformer", names: Sequence[str], theirs: Sequence[str]) -> None:
        """Copy all weights but those of the output; embeddings of genes by name (`names` here, `theirs` there).

        A gene that only this one has keeps its own. Raises `OptionError` where the parts have other sizes, or no gene
        is in common.
        """
        for what, ours, there in (
            ("n_hidden", self.gene.embedding_dim, other.gene.embedding_dim),
            ("n_layers", len(self.blocks), len(other.blocks)),
            ("n_heads", self.blocks[0].n_heads, other.blocks[0].n_heads),
            ("transform", self.transform, other.transform),
        ):
            if ours != there:
                raise OptionError(
                    f"{what} must be that of the pretrained run, {there!r}; it is {ours!r}. Give {what}={there}."
                )
        at = {name: row for row, name in enumerate(theirs)}
        shared = [(row, at[name]) for row, name in enumerate(names) if name in at]
        if not shared:
            raise OptionError(
                f"the pretrained run must have genes in common with the data; it has none of their {len(names)}. "
                "Give names of the same kind, or another run."
            )
        here, there_rows = torch.tensor(shared).T
        genes = self.gene.weight.detach().clone()
        genes[here] = other.gene.weight[there_rows].to(genes)
        mine = self.state_dict()
        kept = {name: value for name, value in mine.items() if name.startswith(("out.", "typical"))}
        self.load_state_dict({**other.state_dict(), **kept, "gene.weight": genes})
