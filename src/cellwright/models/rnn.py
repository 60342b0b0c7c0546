"""Recurrent networks over sequences: a gene over time points, a branch over windows of pseudotime.

    x (n_obs, n_vars), NaN = not measured -step grid-> sequences of the steps that were -recurrent layers-> states
    classifier:  mean over a row's sequences of the last state -linear, softmax-> (n_obs, n_labels)
    forecaster:  state after each step, time to the next -> the next step's mean and spread; rolled out for several
    autoencoder: mean of the last states -linear-> z (n_obs, n_latent) -recurrent layers-> values at the measured times

A row is one sequence or several (experiments); a network is told which it reads, how long ago the last step was and
which quantities were measured. A sequence without a step does not enter the mean; a row without any has a mean of zero,
so that its answer is the same whatever it is. Values are standardised by the training rows, for each sequence and
quantity. The losses count measured values only.

Differs from [Srivastava15]: the autoencoder's decoder sees no earlier values, only the latent and the times, and gives
the sequence forwards.

References: [Elman90] the plain recurrent network; [Hochreiter97] LSTM; [Cho14] GRU; [Srivastava15] recurrent
autoencoder; [Che18] masks and intervals as inputs.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional

from cellwright.core.abilities import Classifies, DrawsForecast, Encodes, Forecasts
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema, Steps
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.class_weight import ClassWeight, class_weights
from cellwright.models.parts.next_step import NextStep, mean_by_row
from cellwright.models.parts.past import Past, keyed
from cellwright.models.parts.step_grid import Sequences, StepGrid
from cellwright.nn.recurrent import Cell, StackedRNN, at_last


class RecurrentOptions(Options):
    """What all recurrent networks have."""

    cell: Cell = Field("lstm", description="recurrent unit: plain (tanh), GRU or LSTM")
    n_hidden: int = Field(128, ge=1, description="units of the first layer; each further one has half as many")
    n_layers: int = Field(2, ge=1, description="recurrent layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout rate after each layer, never between steps")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")

    def stack(self, n_in: int) -> StackedRNN:
        """New recurrent layers."""
        return StackedRNN(n_in, self.n_hidden, self.n_layers, cell=self.cell, dropout=self.dropout)

    @property
    def adam(self) -> AdamOptions:
        """How the weights are trained."""
        return AdamOptions(learning_rate=self.learning_rate, weight_decay=self.weight_decay)


class SequenceClassifierOptions(RecurrentOptions):
    """Options of the sequence classifier."""

    class_weight: ClassWeight = Field(
        "none", description="of a row in the loss; balanced: every label counts the same, however rare"
    )


class SequenceClassifier(Model, Classifies):
    """Says which label a row's sequences have; the loss is the cross-entropy of the labelled rows, in nats."""

    reads = frozenset({"views", "label"})
    needs = frozenset({"steps", "label"})
    citations = ("Elman90", "Hochreiter97", "Cho14", "Che18", "Srivastava14", "Kingma15")
    class_weight: Tensor

    def __init__(
        self,
        schema: Schema,
        options: SequenceClassifierOptions = SequenceClassifierOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: SequenceClassifierOptions = options
        self.grid = StepGrid(_steps_of(schema))
        self.recurrent = options.stack(self.grid.n_inputs)
        self.head = nn.Linear(self.recurrent.n_out, schema.n_labels)
        self.register_buffer("class_weight", torch.ones(schema.n_labels))

    @property
    def support(self) -> Support:
        return Support.missing

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)
        self.class_weight.copy_(class_weights(self.options.class_weight, source, rows))

    def stages(self) -> list[list[Objective]]:
        return [[Objective("classification", self.cross_entropy, trains=self, optimiser=self.options.adam)]]

    def logits(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        """The logarithm of each label's probability, up to a constant of the row."""
        return self.head(_summary(self.grid(minibatch.x), self.grid, self.recurrent))

    def classify(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_labels"]:
        return self.logits(minibatch).softmax(dim=1)

    def cross_entropy(self, minibatch: Minibatch, step: Step) -> Loss:
        """-log p(label) times the label's weight; zero where there is no label."""
        label = minibatch.label.clamp(min=0)
        weight = torch.where(minibatch.label >= 0, self.class_weight[label], 0.0)
        entropy = functional.cross_entropy(self.logits(minibatch), label, reduction="none")
        return Loss({"cross_entropy": entropy * weight})


class SequenceForecasterOptions(RecurrentOptions):
    """Options of the forecaster."""

    cell: Cell = Field("gru", description="recurrent unit: plain (tanh), GRU or LSTM")


class SequenceForecaster(Model, Forecasts, DrawsForecast):
    """Predicts the next step of a sequence from every prefix of it; the loss is the squared error, standardised.

    Beside it stands how sure it is, which changes nothing of what is expected (see models/parts/next_step.py).
    """

    reads = frozenset({"views"})
    needs = frozenset({"steps"})
    citations = ("Hochreiter97", "Cho14", "Elman90", "Che18", "Nix94", "Srivastava14", "Kingma15")

    def __init__(
        self,
        schema: Schema,
        options: SequenceForecasterOptions = SequenceForecasterOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: SequenceForecasterOptions = options
        self.grid = StepGrid(_steps_of(schema))
        self.recurrent = options.stack(self.grid.n_inputs)
        self.next = NextStep(self.grid.shape[2], self.recurrent.n_out)

    @property
    def support(self) -> Support:
        return Support.missing

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)

    def stages(self) -> list[list[Objective]]:
        return [[Objective("forecast", self.next_step, trains=self, optimiser=self.options.adam)]]

    def next_step(self, minibatch: Minibatch, step: Step) -> Loss:
        """Squared error of the next step, and minus the log-density of what it is within its spread, in nats."""
        return Loss(self.next.terms(self.grid, self.grid(minibatch.x), self._read))

    def forecast(
        self, minibatch: Minibatch, n_steps: int, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        return past.in_unit(self.next.rolled_out(past, self._read))

    def draw_forecast(
        self, minibatch: Minibatch, n_steps: int, generator: Generator, hidden: int = 0
    ) -> Float[Tensor, "n_obs n_sequences n_steps n_quantities"]:
        past = Past.of(self.grid, minibatch, n_steps, hidden)
        return past.in_unit(self.next.rolled_out(past, self._read, keyed(generator)))

    def _read(self, inputs: Tensor, times: Tensor, lengths: Tensor) -> Tensor:
        return self.recurrent(inputs, lengths)  # the times are in the inputs, as gaps


class SequenceAutoencoderOptions(RecurrentOptions):
    """Options of the sequence autoencoder."""

    cell: Cell = Field("gru", description="recurrent unit: plain (tanh), GRU or LSTM")
    n_latent: int = Field(10, ge=1, description="width of the latent space")


class SequenceAutoencoder(Model, Encodes):
    """Encodes all sequences of a row as one point; the loss is the squared error of measured values, standardised."""

    reads = frozenset({"views"})
    needs = frozenset({"steps"})
    citations = ("Srivastava15", "Elman90", "Hochreiter97", "Cho14", "Che18", "Srivastava14", "Kingma15")

    def __init__(
        self,
        schema: Schema,
        options: SequenceAutoencoderOptions = SequenceAutoencoderOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: SequenceAutoencoderOptions = options
        self.grid = StepGrid(_steps_of(schema))
        self.encoder = options.stack(self.grid.n_inputs)
        self.to_latent = nn.Linear(self.encoder.n_out, options.n_latent)
        self.decoder = options.stack(options.n_latent + self.grid.n_context)
        self.to_values = nn.Linear(self.decoder.n_out, self.grid.shape[2])

    @property
    def support(self) -> Support:
        return Support.missing

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)

    def stages(self) -> list[list[Objective]]:
        return [[Objective("reconstruction", self.reconstruction, trains=self, optimiser=self.options.adam)]]

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self._encoded(self.grid(minibatch.x))

    def reconstruction(self, minibatch: Minibatch, step: Step) -> Loss:
        """Squared error, mean over a row's measured values."""
        sequences = self.grid(minibatch.x)
        z = self._encoded(sequences)[sequences.row]
        context = self.grid.context(sequences.sequence, sequences.gaps)
        inputs = torch.cat([z[:, None].expand(-1, context.shape[1], -1), context], dim=2)
        outputs = self.decoder(inputs, sequences.lengths)
        error = (self.to_values(outputs) - sequences.values).square()
        return Loss({"squared_error": mean_by_row(error, sequences.observed, sequences)})

    def _encoded(self, sequences: Sequences) -> Float[Tensor, "n_obs n_latent"]:
        return self.to_latent(_summary(sequences, self.grid, self.encoder))


def _steps_of(schema: Schema) -> Steps:
    assert schema.steps is not None, "a model that needs steps was built without"
    return schema.steps


def _summary(sequences: Sequences, grid: StepGrid, recurrent: StackedRNN) -> Float[Tensor, "n_obs width"]:
    """The mean over a row's sequences of the output at the last step."""
    outputs = recurrent(grid.inputs(sequences), sequences.lengths)
    return sequences.mean_by_row(at_last(outputs, sequences.lengths))
