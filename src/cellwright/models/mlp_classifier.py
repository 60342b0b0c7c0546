"""Multilayer perceptron as a classifier of plain profiles: cells, or samples of a tissue.

    x (n_obs, n_vars) -transform, centre-> x' -hidden layers-> h (n_obs, n_hidden) -linear, softmax-> (n_obs, n_labels)

Features are centred by the training cells: where values are logarithms of intensities (7 to 14, say), what they have in
common hides what they differ by, and on `golub_microarray` nothing was learnt without. Scaling them as well made it
worse on validation cells (accuracy .85 against .96 on `khan_microarray`, .89 against .91 on `mouse_bladder`) and is an
option. Layers are normalised over their units and not over the minibatch, whose running means lag behind where there
are few cells. A value that was not measured in a sequence is the training mean.

References: [Rumelhart86]; [King01] for class weights; [Ba16] layer normalisation.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from cellwright.core.abilities import Classifies
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.class_weight import ClassWeight, class_weights
from cellwright.models.parts.moments import filled, moments, support_with_gaps
from cellwright.nn import transform as transforms
from cellwright.nn.mlp import MLP, Activation, Hidden, Normalisation
from cellwright.nn.transform import Transform

MAX_VALUE = 10.0  # standard deviations beyond which a value is cut, as scanpy does: one cell of a rare gene


class MLPClassifierOptions(Options):
    """Options of the multilayer perceptron as a classifier."""

    n_hidden: int = Field(128, ge=1, description="width of each hidden layer")
    n_layers: int = Field(1, ge=0, description="hidden layers; 0 is a logistic regression on all features")
    activation: Activation = Field("relu", description="of the hidden layers")
    normalisation: Normalisation = Field("layer", description="of the hidden layers; batch wants many cells")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout rate after each hidden layer")
    scale: bool = Field(default=False, description="scale every feature to unit variance on the training cells")
    class_weight: ClassWeight = Field(
        "none", description="balanced: every label counts the same in training, however many cells it has"
    )
    transform: Transform = Field("log_normalise", description="of the values; none for values that are logarithms")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class MLPClassifier(Model, Classifies):
    """Says which label a profile has; the loss is the cross-entropy of the labelled cells, in nats."""

    reads = frozenset({"views", "label"})
    needs = frozenset({"label"})
    citations = ("Rumelhart86", "King01", "Ba16", "Srivastava14", "Kingma15")
    centre: Tensor
    spread: Tensor
    class_weight: Tensor

    def __init__(self, schema: Schema, options: MLPClassifierOptions = MLPClassifierOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: MLPClassifierOptions = options
        hidden = Hidden(
            options.n_hidden,
            options.n_layers,
            dropout=options.dropout,
            activation=options.activation,
            normalisation=options.normalisation,
        )
        self.trunk = MLP(schema.n_vars, hidden)
        self.head = nn.Linear(options.n_hidden if options.n_layers else schema.n_vars, schema.n_labels)
        self.register_buffer("centre", torch.zeros(schema.n_vars))
        self.register_buffer("spread", torch.ones(schema.n_vars))
        self.register_buffer("class_weight", torch.ones(schema.n_labels))

    @property
    def support(self) -> Support:
        return support_with_gaps(self.options.transform, self.schema)

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.class_weight.copy_(class_weights(self.options.class_weight, source, rows))
        mean, variance = moments(source, rows, self._transformed, self.centre.device)
        self.centre.copy_(mean)
        if self.options.scale:
            # a feature that never varies stays at zero
            self.spread.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("classification", self.cross_entropy, trains=self, optimiser=adam)]]

    def logits(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        """The logarithm of each label's probability, up to a constant of the cell."""
        values = filled(self._transformed(minibatch), self.centre) - self.centre
        if self.options.scale:
            values = (values / self.spread).clamp(-MAX_VALUE, MAX_VALUE)
        return self.head(self.trunk(values))

    def classify(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        return self.logits(minibatch).softmax(dim=1)

    def cross_entropy(self, minibatch: Minibatch, step: Step) -> Loss:
        """-log p(label | x) times the label's weight; zero for a cell without a label."""
        loss = functional.cross_entropy(self.logits(minibatch), minibatch.label, reduction="none", ignore_index=-1)
        return Loss({"cross_entropy": loss * self.class_weight[minibatch.label.clamp(min=0)]})

    def _transformed(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_vars"]:
        return transforms.apply(self.options.transform, minibatch.x).dense()
