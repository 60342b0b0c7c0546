"""Kinds: a label under a condition, as one code; what is estimated of each kind, and of what is known of it only half.

    label, condition (n_obs,), -1 unknown -kind_of-> code (n_obs,) < n_kinds
    sums by kind (n_kinds, ...) -pooled-> the same, where an unknown label or condition stands for any

Without conditions the kinds are the labels, and the last is that of no label.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellwright.core.schema import Schema


def n_kinds(schema: Schema) -> int:
    """How many kinds there are, those of unknown label or condition included."""
    return (schema.n_labels + 1) * (schema.n_conditions + 1)


def kind_of(schema: Schema, label: Int[Tensor, " n_obs"], condition: Int[Tensor, " n_obs"]) -> Int[Tensor, " n_obs"]:
    """The code of each cell's kind; unknown is the last label, the last condition."""
    return (label % (schema.n_labels + 1)) * (schema.n_conditions + 1) + condition % (schema.n_conditions + 1)


def pooled(schema: Schema, sums: Float[Tensor, "n_kinds ..."]) -> Float[Tensor, "n_kinds ..."]:
    """Sums over the cells of each kind; in the result a kind of unknown label or condition holds those of any."""
    by = sums.reshape(schema.n_labels + 1, schema.n_conditions + 1, *sums.shape[1:]).clone()
    by[-1] = by.sum(dim=0)
    by[:, -1] = by.sum(dim=1)
    return by.reshape(sums.shape)


def one_hot(codes: Int[Tensor, " n_obs"], n: int) -> Float[Tensor, "n_obs n"]:
    """Ones at the codes; a cell of unknown code (-1) has a zero for each."""
    return (codes[:, None] == torch.arange(n, device=codes.device)).to(torch.float32)
