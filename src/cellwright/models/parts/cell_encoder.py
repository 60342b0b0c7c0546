"""Cell encoder: sparse values -> transform -> MLP -> one linear layer -> (n_obs, n_out)."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.schema import Schema
from cellwright.models.parts.encoder import Encoder, EncoderOptions
from cellwright.nn import transform as transforms
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.precision import float32_on_cpu
from cellwright.nn.sparse_linear import SparseLinear
from cellwright.nn.transform import Transform


class MLPEncoder(EncoderOptions):
    """A multilayer perceptron over all features; its sizes are the model's."""

    name: Literal["mlp"] = "mlp"

    def build(self, schema: Schema, n_out: int, *, hidden: Hidden, transform: Transform) -> "CellEncoder":
        return CellEncoder(schema.n_vars, n_out, hidden=hidden, transform=transform)


class CellEncoder(Encoder):
    """Without hidden layers it is one linear map of the transformed values."""

    def __init__(self, n_vars: int, n_out: int, *, hidden: Hidden, transform: Transform) -> None:
        super().__init__()
        self.transform: Transform = transform
        if hidden.n_layers == 0:
            self.trunk: nn.Module = nn.Identity()
            self.out: nn.Module = SparseLinear(n_vars, n_out)
        else:
            self.trunk = MLP(n_vars, hidden, sparse_input=True)
            self.out = nn.Linear(hidden.n_hidden, n_out)

    def inputs(self, minibatch: Minibatch) -> SparseRows:
        return transforms.apply(self.transform, minibatch.x)

    def forward(self, inputs: SparseRows, minibatch: Minibatch) -> Float[Tensor, "n_obs n_out"]:
        with float32_on_cpu(inputs.values.device):
            # a posterior in bfloat16 would have two digits
            return self.out(self.trunk(inputs)).to(inputs.values.dtype)
