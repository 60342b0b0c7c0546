"""Encoder: an option of models that encode, so that any encoder stands before any decoder and objective.

options.build(...) -> Encoder;  inputs(minibatch) -> what may be corrupted -> (n_obs, n_out)
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.data.source import Source
from cellwright.nn.mlp import Hidden
from cellwright.nn.transform import Transform


class Encoder(nn.Module, ABC):
    """From the values of cells to `n_out` numbers each."""

    @abstractmethod
    def inputs(self, minibatch: Minibatch) -> SparseRows:
        """The transformed values that it sees; what masks or adds noise works on these."""

    @abstractmethod
    def forward(self, inputs: SparseRows, minibatch: Minibatch) -> Float[Tensor, "n_obs n_out"]:
        """Encode `inputs`; the minibatch says what else is known of the cells (their places, their batch)."""

    def prepare(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """What it needs of the training cells beforehand (a graph, the features' scale); nothing for most."""


class EncoderOptions(Options, ABC):
    """Options of an encoder, beside the hidden layers and the transform, which the model names for all of them."""

    name: str  # the key in ENCODERS, narrowed to a Literal by each encoder

    @abstractmethod
    def build(self, schema: Schema, n_out: int, *, hidden: Hidden, transform: Transform) -> Encoder:
        """A new encoder with its own weights."""
