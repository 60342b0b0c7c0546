"""Gene mean: every cell is the average cell, with as many molecules as it has.

    training cells -> share of each feature (n_vars,);  library (n_obs, 1) -> library * share

Whoever does worse has learnt nothing of how cells differ.
"""

import numpy as np
from jaxtyping import Float
from torch import Generator, Tensor

from cellwright.core.abilities import Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source
from cellwright.models.model import Model
from cellwright.models.parts.gene_share import GeneShare


class GeneMeanOptions(Options):
    """It has none."""


class GeneMean(Model, Imputes):
    """Expects of every cell its library times the share that each feature has among all molecules."""

    is_baseline = True
    citations = ("Batson19",)  # the mean as the simplest denoising

    def __init__(self, schema: Schema, options: GeneMeanOptions = GeneMeanOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: GeneMeanOptions = options
        self.genes = GeneShare(schema)

    @property
    def support(self) -> Support:
        return Support.non_negative

    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.genes.learn(source, rows)

    def impute(self, minibatch: Minibatch, generator: Generator) -> Float[Tensor, "n_obs n_vars"]:
        return minibatch.library * self.genes.share
