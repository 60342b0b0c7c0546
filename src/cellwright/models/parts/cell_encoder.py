"""Cell encoder: sparse values -> transform -> MLP -> one linear layer -> (n_obs, n_out)."""

from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.nn import transform as transforms
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.precision import float32_on_cpu
from cellwright.nn.sparse_linear import SparseLinear
from cellwright.nn.transform import Transform


class CellEncoder(nn.Module):
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
        """The transformed values that the first layer sees."""
        return transforms.apply(self.transform, minibatch.x)

    def forward(self, inputs: SparseRows) -> Float[Tensor, "n_obs n_out"]:
        with float32_on_cpu(inputs.values.device):
            # a posterior in bfloat16 would have two digits
            return self.out(self.trunk(inputs)).to(inputs.values.dtype)
