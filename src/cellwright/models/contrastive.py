"""Contrastive learning: a latent in which two views of one cell are near, and far from other cells.

    x (n_obs, n_vars) -mask, twice-> two views -encoder-> z (n_obs, n_latent) each -projection-> NT-Xent (n_obs,)

A view is the cell without a random share of its genes. Self-supervised: no label and no decoder; the projection is
thrown away after training [Chen20]. The negatives are the other cells of the minibatch. The validation loss, which
stops training, is of minibatches of 1,024, so it is on another scale than the training loss of 128: by about the
logarithm of the ratio, 2 nats.

Differs from [Chen20]: the projection has batch normalisation, and there is no learning-rate schedule.

References: [Chen20] SimCLR; [Richter25] views of single cells by masking.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from cellwright.core.abilities import Encodes
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.losses.contrastive import nt_xent
from cellwright.models.model import Model
from cellwright.models.parts.cell_encoder import MLPEncoder
from cellwright.models.parts.encoders import AnyEncoder
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.transform import Transform, support_of

STREAMS = 2, 3  # of the noise of either view


class ContrastiveOptions(Options):
    """Options of contrastive learning."""

    n_latent: int = Field(10, ge=1, description="width of the latent space")
    n_hidden: int = Field(128, ge=1, description="width of each hidden layer, and of the projection")
    n_layers: int = Field(1, ge=1, description="hidden layers in the encoder")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate in the encoder")
    transform: Transform = Field("log_normalise", description="of the values before the encoder")
    encoder: AnyEncoder = Field(MLPEncoder(), description="what reads a cell: an MLP, or an encoder of another family")
    masked_share: float = Field(0.5, ge=0, lt=1, description="share of its genes that a view of a cell lacks")
    temperature: float = Field(0.2, gt=0, description="of the similarities; less gives near cells more weight")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class Contrastive(Model, Encodes):
    """Encodes a cell as a point near those of its masked views."""

    reads = frozenset({"views", "batch", "coordinates"})  # the last two by an encoder over places
    citations = ("Chen20", "Richter25", "Kingma15")

    def __init__(self, schema: Schema, options: ContrastiveOptions = ContrastiveOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: ContrastiveOptions = options
        hidden = Hidden(options.n_hidden, options.n_layers)
        self.encoder = options.encoder.build(
            schema, options.n_latent, hidden=replace(hidden, dropout=options.dropout), transform=options.transform
        )
        self.projection = nn.Sequential(
            MLP(options.n_latent, replace(hidden, n_layers=1)), nn.Linear(options.n_hidden, options.n_hidden)
        )

    @property
    def support(self) -> Support:
        return support_of(self.options.transform)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.encoder.prepare(source, rows, rng)

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self.encoder(self.encoder.inputs(minibatch), minibatch)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("contrast", self.contrast, trains=self, optimiser=adam)]]

    def contrast(self, minibatch: Minibatch, step: Step) -> Loss:
        """NT-Xent of two views, in nats per cell, in training and in validation."""
        inputs = self.encoder.inputs(minibatch)
        first, second = (
            self.projection(self.encoder(self.view(inputs, minibatch, step, stream), minibatch)) for stream in STREAMS
        )
        return Loss({"contrast": nt_xent(first, second, self.options.temperature)})

    def view(self, inputs: SparseRows, minibatch: Minibatch, step: Step, stream: int) -> SparseRows:
        """The cells without a share of their genes, drawn for each cell."""
        share, rows = self.options.masked_share, minibatch.rows
        return inputs.keep(lambda r, c: step.noise.uniform_at(rows[r], c, stream) >= share)
