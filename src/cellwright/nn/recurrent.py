"""Recurrent layers over sequences of unequal length.

    inputs (n_sequences, n_steps, n_in), lengths -(cell, dropout) x n_layers-> (n_sequences, n_steps, n_out)

A step sees the steps before it only, so what lies beyond a sequence's length changes no output within it.

References: [Elman90] the plain recurrent layer (tanh); [Hochreiter97] LSTM; [Cho14] GRU; [Srivastava14] dropout, here
between layers only.
"""

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from cellwright.nn.dropout import Dropout
from cellwright.nn.precision import float32_on_cpu

Cell = Literal["tanh", "gru", "lstm"]

AT_ONCE = 128  # sequences of like length that a CPU computes together

_CELLS: dict[str, type[nn.RNN | nn.GRU | nn.LSTM]] = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class StackedRNN(nn.Module):
    """Layers of which each has half the units of the one before it: 128, 64, ...; dropout follows every layer."""

    def __init__(self, n_in: int, n_hidden: int, n_layers: int, *, cell: Cell = "lstm", dropout: float = 0.0) -> None:
        super().__init__()
        widths = [n_in, *(max(1, n_hidden // 2**index) for index in range(n_layers))]
        self.layers = nn.ModuleList(_CELLS[cell](before, after, batch_first=True) for before, after in pairwise(widths))
        self.dropout = Dropout(dropout)
        self.n_out = widths[-1]

    def forward(
        self, inputs: Float[Tensor, "n_sequences n_steps n_in"], lengths: Int[Tensor, " n_sequences"]
    ) -> Float[Tensor, "n_sequences n_steps n_out"]:
        """The last layer's output at every step; beyond a sequence's length, which is 1 or more, it means nothing."""
        if not len(lengths):
            return inputs.new_zeros(0, inputs.shape[1], self.n_out)
        # torch's packed sequences compute the least, but their gradient writes all steps anew for each step; sequences
        # of like length side by side take half the time of that, and of one padded block
        order = lengths.argsort(descending=True, stable=True)
        parts = order.split(AT_ONCE if inputs.device.type == "cpu" else len(order))
        with float32_on_cpu(inputs.device):
            found = [self._stack(inputs[part, : int(lengths[part].max())]) for part in parts]
        padded = [functional.pad(h, (0, 0, 0, inputs.shape[1] - h.shape[1])) for h in found]
        return torch.cat(padded)[order.argsort()]

    def _stack(self, h: Tensor) -> Tensor:
        for layer in self.layers:
            h = self.dropout(layer(h)[0])
        return h


def at_last(
    outputs: Float[Tensor, "n_sequences n_steps width"], lengths: Int[Tensor, " n_sequences"]
) -> Float[Tensor, "n_sequences width"]:
    """What stands at the last step of each sequence."""
    return outputs[torch.arange(len(lengths), device=lengths.device), lengths - 1]
