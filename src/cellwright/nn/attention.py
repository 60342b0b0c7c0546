"""Attention among the elements of a set, pre-norm: nothing in it knows an order.

    asking (n_obs, n_asking, width), read (n_obs, n_read, width) -> asking, changed by what it read

asking + attention(norm(asking), norm(read)), then h + MLP(norm(h)). Elements ask; those in `read` are read, so that an
element that is only among the asking changes no other. Through torch's fused kernel memory is
n_obs x (n_asking + n_read) x width, never n_asking x n_read.

References: [Vaswani17] attention; [Xiong20] normalisation before each part instead of after it.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from cellwright.errors import OptionError
from cellwright.nn.dropout import Dropout
from cellwright.nn.mlp import ACTIVATIONS, Activation

WIDENING = 2  # of the MLP in a block, in widths; 4 as in [Vaswani17] costs half as much again


class AttentionBlock(nn.Module):
    """One block; `there` says which elements of `read` there are to be read: by all that ask, or by each of them."""

    def __init__(self, width: int, n_heads: int, *, activation: Activation, dropout: float) -> None:
        super().__init__()
        if width % n_heads:
            raise OptionError(
                f"n_hidden of attention must be a multiple of n_heads; they are {width} and {n_heads}. Change one."
            )
        self.n_heads = n_heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, WIDENING * width), ACTIVATIONS[activation](), nn.Linear(WIDENING * width, width)
        )
        self.dropout = Dropout(dropout)

    def forward(
        self,
        asking: Float[Tensor, "n_obs n_asking width"],
        read: Float[Tensor, "n_obs n_read width"],
        there: Bool[Tensor, "n_obs n_read"] | Bool[Tensor, "n_obs n_asking n_read"],
    ) -> Float[Tensor, "n_obs n_asking width"]:
        query = self._by_head(self.query(self.before_attention(asking)))
        key, value = (self._by_head(part) for part in self.key_value(self.before_attention(read)).chunk(2, dim=2))
        mask = there[:, None, None] if there.ndim == 2 else there[:, None]
        heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        h = asking + self.dropout(self.out(heard.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.mlp(self.before_mlp(h)))

    def _by_head(self, h: Tensor) -> Tensor:
        return h.unflatten(2, (self.n_heads, -1)).transpose(1, 2)  # (n_obs, n_heads, n_tokens, width / n_heads)
