"""Transformer: a cell as the set of the genes that it expresses; pretrained on masked values, or a classifier.

    Transformer:            x (n_obs, n_vars) -hide a share, token encoder-> z (n_obs, n_latent)
                            hidden and unexpressed genes, asked of the tokens and of z -> their values
    TransformerClassifier:  x -token encoder-> log p(label) (n_obs, n_labels)

`Transformer` is self-supervised. In every step a share of the expressed genes of a cell is hidden. Some of these, and
as many of the genes that are not expressed, so that zeros are learned too, are asked for by tokens without a value:
the term `masked`. All of both are predicted from the latent alone, without which the cell's token would have nothing to
learn: the term `cell`. Either is a mean squared error per gene asked for, in the square of the unit of the transformed
values. In evaluation nothing is hidden, and the latent is a linear map of the cell's token.

`TransformerClassifier` can start from the run of a `Transformer` on other cells with other genes (`pretrained`):
blocks are copied, embeddings of genes by name; afterwards all of it is trained.

Memory is n_obs of the minibatch x (max_genes + n_asked) x n_hidden for the tokens (see models/parts/token_encoder.py),
and n_obs of the minibatch x n_vars for what is predicted; nothing grows with the number of cells or is quadratic in
genes.

Differs from [Cui24] (scGPT): squared error of the values instead of that of their bins, no attention among the genes
that are asked for; from [Devlin19]: a latent has to tell the hidden values as well.

References: [Vaswani17]; [Devlin19] masked pretraining; [Cui24] tokens of genes and values, values told from the cell.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cellwright.core.abilities import Classifies, Encodes
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.errors import OptionError
from cellwright.models.model import Model
from cellwright.models.parts.class_weight import ClassWeight, class_weights
from cellwright.models.parts.token_encoder import TokenEncoder, choose_tokens
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.transform import Transform, support_of

HIDING_STREAM = 4  # of the noise that hides values


class TransformerOptions(Options):
    """Options of the transformer."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(64, ge=1, description="width of the tokens; a multiple of n_heads")
    n_layers: int = Field(1, ge=1, description="attention blocks")
    n_heads: int = Field(2, ge=1, description="heads of the attention")
    max_genes: int = Field(128, ge=1, description="tokens of a cell at most: those largest relative to their mean")
    n_asked: int = Field(32, ge=2, description="genes of a cell asked for in a step: half of them unexpressed")
    masked_share: float = Field(0.3, gt=0, lt=1, description="share of its expressed genes that is hidden in training")
    cell_weight: float = Field(10.0, ge=0, description="weight of the values told from the latent against the others")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate in the blocks")
    transform: Transform = Field("log_normalise", description="of the values")
    learning_rate: float = Field(4e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class Transformer(Model, Encodes):
    """Encodes a cell as what its genes say of those that are hidden."""

    usual_epochs = 40  # about 80 s of CPU for 4,271 x 2,000 cells; the loss still falls slowly
    citations = ("Vaswani17", "Devlin19", "Cui24", "Kingma15")

    def __init__(self, schema: Schema, options: TransformerOptions = TransformerOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: TransformerOptions = options
        width = options.n_hidden
        hidden = Hidden(width, options.n_layers, dropout=options.dropout)
        encoder = TokenEncoder(n_heads=options.n_heads, max_genes=options.max_genes)
        self.encoder = encoder.build(schema, options.n_latent, hidden=hidden, transform=options.transform)
        self.value = nn.Linear(width, 1)
        self.decoder = MLP(options.n_latent, Hidden(width, 1))
        self.gene = nn.Linear(width, width)  # embeddings of genes -> what the decoder's output is multiplied with
        self.usual = nn.Parameter(torch.zeros(schema.n_vars))

    @property
    def support(self) -> Support:
        return support_of(self.options.transform)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.encoder.prepare(source, rows, rng)

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self.encoder(self.encoder.inputs(minibatch), minibatch)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("masked", self.masked_values, trains=self, optimiser=adam)]]

    def masked_values(self, minibatch: Minibatch, step: Step) -> Loss:
        """Mean squared errors of hidden and unexpressed genes, told by tokens and told from the latent."""
        inputs = self.encoder.inputs(minibatch)
        values, share = inputs.dense(), self.options.masked_share
        draw = step.noise.uniform(minibatch.rows, inputs.n_vars, HIDING_STREAM)
        hidden, unexpressed = (values != 0) & (draw < share), values == 0
        asked, is_asked = self.asked(draw, hidden, unexpressed)
        from_tokens, from_latent = self.predict(inputs.keep(lambda r, c: draw[r, c] >= share), asked)
        return Loss(
            {
                "masked": _mean_over((from_tokens - values.gather(1, asked)).square(), is_asked),
                "cell": _mean_over((from_latent - values).square(), hidden | unexpressed),
            },
            weights={"cell": self.options.cell_weight},
        )

    def predict(
        self, seen: SparseRows, asked: Int[Tensor, "n_obs n_asked"]
    ) -> tuple[Float[Tensor, "n_obs n_asked"], Float[Tensor, "n_obs n_vars"]]:
        """Transformed values, given those that are seen: of the genes asked for, by tokens; of all, from the latent."""
        states = self.encoder.read(choose_tokens(seen, self.encoder.typical, self.options.max_genes), asked)
        from_tokens = self.value(states[:, 1:])[..., 0] + self.usual[asked]
        h = self.decoder(self.encoder.summary(states))
        return from_tokens, h @ self.gene(self.encoder.gene.weight).T / self.options.n_hidden**0.5 + self.usual

    def asked(
        self,
        draw: Float[Tensor, "n_obs n_vars"],
        hidden: Bool[Tensor, "n_obs n_vars"],
        unexpressed: Bool[Tensor, "n_obs n_vars"],
    ) -> tuple[Int[Tensor, "n_obs n_asked"], Bool[Tensor, "n_obs n_asked"]]:
        """Up to `n_asked` genes of each cell, at random: half of the hidden ones, half of the unexpressed ones.

        Also which of them are; where a cell has fewer, the others are not.
        """
        half = min(self.options.n_asked // 2, draw.shape[1])
        # the lowest draws; within either kind they are uniform
        lowest = [draw.masked_fill(~kind, 2.0).topk(half, dim=1, largest=False) for kind in (hidden, unexpressed)]
        return torch.cat([found.indices for found in lowest], dim=1), torch.cat([f.values < 2 for f in lowest], dim=1)


class TransformerClassifierOptions(Options):
    """Options of the transformer as a classifier."""

    n_hidden: int = Field(64, ge=1, description="width of the tokens; a multiple of n_heads")
    n_layers: int = Field(1, ge=1, description="attention blocks")
    n_heads: int = Field(2, ge=1, description="heads of the attention")
    max_genes: int = Field(128, ge=1, description="tokens of a cell at most: those largest relative to their mean")
    class_weight: ClassWeight = Field(
        "none", description="balanced: every label counts the same in training, however many cells it has"
    )
    pretrained: str | None = Field(
        None, description="run folder of a `transformer` with the same sizes, whose weights are the start"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the blocks")
    transform: Transform = Field("log_normalise", description="of the values")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class TransformerClassifier(Model, Classifies):
    """Says which label the set of a cell's genes has."""

    reads = frozenset({"views", "label"})
    needs = frozenset({"label"})
    usual_epochs = 30
    citations = ("Vaswani17", "Cui24", "Kingma15")
    class_weight: Tensor

    def __init__(
        self,
        schema: Schema,
        options: TransformerClassifierOptions = TransformerClassifierOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: TransformerClassifierOptions = options
        hidden = Hidden(options.n_hidden, options.n_layers, dropout=options.dropout)
        encoder = TokenEncoder(n_heads=options.n_heads, max_genes=options.max_genes)
        self.encoder = encoder.build(schema, schema.n_labels, hidden=hidden, transform=options.transform)
        self.register_buffer("class_weight", torch.ones(schema.n_labels))

    @property
    def support(self) -> Support:
        return support_of(self.options.transform)

    @property
    def pretrained(self) -> str | None:
        return self.options.pretrained

    def take(self, other: Model) -> None:
        if not isinstance(other, Transformer):
            raise OptionError(
                "pretrained of TransformerClassifierOptions must be the run of a transformer; it is one of "
                f"{other.name}. Fit a transformer first."
            )
        self.encoder.take(other.encoder, self.schema.var_names, other.schema.var_names)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.encoder.prepare(source, rows, rng)
        self.class_weight.copy_(class_weights(self.options.class_weight, source, rows))

    def logits(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        """log p(label | x), but for a constant of each cell."""
        return self.encoder(self.encoder.inputs(minibatch), minibatch)

    def classify(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        return self.logits(minibatch).softmax(dim=1)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("classification", self.cross_entropy, trains=self, optimiser=adam)]]

    def cross_entropy(self, minibatch: Minibatch, step: Step) -> Loss:
        """-log p(label | x) times the label's weight, in nats per cell; zero for a cell without a label."""
        loss = functional.cross_entropy(self.logits(minibatch), minibatch.label, reduction="none", ignore_index=-1)
        return Loss({"cross_entropy": loss * self.class_weight[minibatch.label.clamp(min=0)]})


def _mean_over(
    squares: Float[Tensor, "n_obs n_values"], where: Bool[Tensor, "n_obs n_values"]
) -> Float[Tensor, " n_obs"]:
    """The mean of each row where `where`; zero for a row with no such place."""
    return (squares * where).sum(dim=1) / where.sum(dim=1).clamp(min=1)
