"""Transformer over the steps of a sequence: forecasts the next one from those before it.

    values, which were measured, gaps (n_sequences, n_steps, n_inputs) -linear, + embedding of the time-> tokens
    -attention blocks, each step reads itself and those before it-> states (n_sequences, n_steps, n_hidden)
    state after each step, time to the next -> the next step's mean and spread; rolled out for several

The heads, the loss and the roll-out are those of the recurrent forecaster. Steps that were not measured are no tokens.
Memory is n_sequences of the minibatch x n_steps x (n_hidden + n_steps).

Differs from [Vaswani17]: normalisation before each part [Xiong20]; the encoding is of the time, not of the position, in
shares of the longest sequence of the schema.

References: [Vaswani17] causal attention; [Xiong20] pre-norm; [Nix94] the spread as an output of the network.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Generator, Tensor, nn

from cellwright.core.abilities import DrawsForecast, Forecasts
from cellwright.core.minibatch import Minibatch
from cellwright.core.objective import AdamOptions, Loss, Objective, Step
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.next_step import NextStep
from cellwright.models.parts.past import Past, keyed
from cellwright.models.parts.step_grid import StepGrid
from cellwright.nn.attention import AttentionBlock
from cellwright.nn.precision import float32_on_cpu
from cellwright.nn.time_embedding import time_embedding

TIME_WIDTH = 16  # waves that encode the time of a step


class TransformerForecasterOptions(Options):
    """Options of the transformer over steps."""

    n_hidden: int = Field(64, ge=1, description="width of the tokens; a multiple of n_heads")
    n_layers: int = Field(2, ge=1, description="attention blocks")
    n_heads: int = Field(2, ge=1, description="heads of the attention")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout rate in the blocks")
    learning_rate: float = Field(1e-3, gt=0, description="step size of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")


class TransformerForecaster(Model, Forecasts, DrawsForecast):
    """Predicts the next step of a sequence from every prefix of it; the loss is the squared error, standardised."""

    reads = frozenset({"views"})
    needs = frozenset({"steps"})
    citations = ("Vaswani17", "Xiong20", "Nix94", "Kingma15")

    def __init__(
        self,
        schema: Schema,
        options: TransformerForecasterOptions = TransformerForecasterOptions(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(schema, options)
        self.options: TransformerForecasterOptions = options
        assert schema.steps is not None, "a model that needs steps was built without"
        self.grid = StepGrid(schema.steps)
        width = options.n_hidden
        self.embed, self.when = nn.Linear(self.grid.n_inputs, width), nn.Linear(TIME_WIDTH, width)
        self.blocks = nn.ModuleList(
            AttentionBlock(width, options.n_heads, activation="gelu", dropout=options.dropout)
            for _ in range(options.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.next = NextStep(self.grid.shape[2], width)

    @property
    def support(self) -> Support:
        return Support.missing

    def prepare(self, stage: int, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.grid.learn(source, rows)

    def stages(self) -> list[list[Objective]]:
        adam = AdamOptions(learning_rate=self.options.learning_rate, weight_decay=self.options.weight_decay)
        return [[Objective("forecast", self.next_step, trains=self, optimiser=adam)]]

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

    def _read(
        self,
        inputs: Float[Tensor, "n_sequences n_steps n_inputs"],
        times: Float[Tensor, "n_sequences n_steps"],
        lengths: Int[Tensor, " n_sequences"],
    ) -> Float[Tensor, "n_sequences n_steps width"]:
        n_steps = inputs.shape[1]
        share = times / self.grid.ends.max().clamp(min=1)
        waves = time_embedding(share.reshape(-1), TIME_WIDTH).reshape(*share.shape, TIME_WIDTH)
        h = self.embed(inputs) + self.when(waves)
        # what lies beyond a length is read by nothing within it, so causality is mask enough
        earlier = torch.ones(n_steps, n_steps, dtype=torch.bool, device=inputs.device).tril()
        there = earlier.expand(len(h), -1, -1)
        with float32_on_cpu(inputs.device):
            for block in self.blocks:
                h = block(h, h, there)
        return self.norm(h)
