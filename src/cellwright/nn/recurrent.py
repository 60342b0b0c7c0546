"""Recurrent layers over sequences of unequal length.

    inputs (n_sequences, n_steps, n_in), lengths (n_sequences,) -(cell, dropout) x n_layers-> states (.., n_steps, n_out)

What lies beyond a sequence's length is never computed with: the steps are packed, so padding changes nothing.

References: [Elman90] the plain recurrent layer (tanh); [Hochreiter97] LSTM; [Cho14] GRU; [Srivastava14] dropout, here
between layers only.
"""

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cellwright.nn.dropout import Dropout
from cellwright.nn.precision import float32_on_cpu

Cell = Literal["tanh", "gru", "lstm"]
State: TypeAlias = Tensor | tuple[Tensor, Tensor]  # of one layer after its last step; an LSTM has two

_CELLS: dict[str, type[nn.RNNBase]] = {"tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class StackedRNN(nn.Module):
    """Layers of which each has half the units of the one before it: 128, 64, ...; dropout follows every layer."""

    def __init__(self, n_in: int, n_hidden: int, n_layers: int, *, cell: Cell = "lstm", dropout: float = 0.0) -> None:
        super().__init__()
        widths = [n_in, *(max(1, n_hidden // 2**index) for index in range(n_layers))]
        self.layers = nn.ModuleList(
            _CELLS[cell](before, after, batch_first=True) for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.dropout = Dropout(dropout)
        self.n_out = widths[-1]

    def forward(
        self,
        inputs: Float[Tensor, "n_sequences n_steps n_in"],
        lengths: Int[Tensor, " n_sequences"],
        states: list[State] | None = None,
    ) -> tuple[Float[Tensor, "n_sequences n_steps n_out"], list[State]]:
        """The last layer's output at every step (zero beyond the length), and every layer's state after the last step.

        `states` of earlier steps let sequences go on. Every length is at least 1.
        """
        if not len(lengths):
            return inputs.new_zeros(0, inputs.shape[1], self.n_out), []
        after = []
        with float32_on_cpu(inputs.device):
            steps = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
            for index, layer in enumerate(self.layers):
                steps, state = layer(steps, None if states is None else states[index])
                steps = steps._replace(data=self.dropout(steps.data))
                after.append(state)
        return pad_packed_sequence(steps, batch_first=True, total_length=inputs.shape[1])[0], after


def at_last(
    outputs: Float[Tensor, "n_sequences n_steps n_out"], lengths: Int[Tensor, " n_sequences"]
) -> Float[Tensor, "n_sequences n_out"]:
    """The output at the last step of each sequence."""
    return outputs[torch.arange(len(lengths), device=lengths.device), lengths - 1]
