"""Multilayer perceptron with a sparse or a dense first layer.

x -(linear, normalisation, activation, dropout) x n_layers-> h (n_obs, n_hidden)
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import SparseRows
from cellwright.nn.dropout import Dropout
from cellwright.nn.sparse_linear import SparseLinear

Activation = Literal["relu", "leaky_relu", "gelu", "silu", "linear"]
Normalisation = Literal["batch", "layer", "none"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "linear": nn.Identity,
}


@dataclass(frozen=True)
class Hidden:
    """Hidden layers of equal width."""

    n_hidden: int
    n_layers: int
    dropout: float = 0.0
    activation: Activation = "relu"
    normalisation: Normalisation = "batch"


class MLP(nn.Module):
    """Hidden layers. The input is `SparseRows` if `sparse_input`, else `(n_obs, n_in)`."""

    def __init__(self, n_in: int, hidden: Hidden, *, sparse_input: bool = False) -> None:
        super().__init__()
        width = hidden.n_hidden
        # what batch normalisation takes away again would move by the noise of its rounding errors, which Adam scales up
        bias = hidden.normalisation != "batch"
        layers: list[nn.Module] = []
        for index in range(hidden.n_layers):
            if index == 0 and sparse_input:
                layers.append(SparseLinear(n_in, width, bias=bias))
            else:
                layers.append(nn.Linear(width if index else n_in, width, bias=bias))
            layers += [normaliser(hidden.normalisation, width), ACTIVATIONS[hidden.activation]()]
            layers += [Dropout(hidden.dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: SparseRows | Float[Tensor, "n_obs n_in"]) -> Float[Tensor, "n_obs n_hidden"]:
        return self.layers(x)


def normaliser(kind: Normalisation, width: int) -> nn.Module:
    """The normalisation layer of that name."""
    if kind == "batch":
        # the momentum and epsilon of scvi-tools; torch's 0.1 follows single minibatches of unequal cell types too
        # closely
        return nn.BatchNorm1d(width, momentum=0.01, eps=1e-3)
    return nn.LayerNorm(width) if kind == "layer" else nn.Identity()
