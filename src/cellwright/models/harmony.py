"""Harmony: principal components with the batches brought together in every cluster; the baseline of batch removal.

    x -log-normalise, components-> z (n_obs, n_latent) -rounds of clusters and moves-> z without batch (n_obs, n_latent)

What is published as Harmony needs all cells at once. Here its rounds are kept (`parts/harmony_rounds.py`), so that new
cells of known batches, and of unknown ones, are placed in the embedding of the training cells without changing it.

References: [Korsunsky19] Harmony; [Kang21] Symphony, new cells in such an embedding; [Pearson1901] the components.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from cellwright.core.abilities import Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.models.model import Model
from cellwright.models.parts.harmony_rounds import Diversity, HarmonyRounds
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn.transform import Transform


class HarmonyOptions(Options):
    """Options of Harmony."""

    n_latent: int = Field(30, ge=1, description="number of components; at most as many as there are features")
    scale: bool = Field(default=True, description="scale every feature to unit variance on the training cells")
    transform: Transform = Field("log_normalise", description="of the values before centring")
    theta: float = Field(2.0, ge=0, description="reward for clusters in which all batches are")
    sigma: float = Field(0.1, gt=0, description="width of the soft clusters, in squared distances on the unit sphere")
    ridge: float = Field(1.0, gt=0, description="penalty on the move of a batch in a cluster, as so many cells")
    n_rounds: int = Field(10, ge=1, description="rounds of clusters and moves at most")


class Harmony(Model, Encodes):
    """Components whose batches overlap."""

    reads = frozenset({"views", "batch"})
    is_baseline = True
    citations = ("Korsunsky19", "Kang21", "Pearson1901")

    def __init__(self, schema: Schema, options: HarmonyOptions = HarmonyOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: HarmonyOptions = options
        components = PCAOptions(n_latent=options.n_latent, scale=options.scale, transform=options.transform)
        self.components = PCA(schema, components)
        how = Diversity(options.theta, options.sigma, options.ridge, options.n_rounds)
        self.rounds = HarmonyRounds(self.components.n_latent, schema.n_batch, how)

    @property
    def support(self) -> Support:
        return self.components.support

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return self.rounds(self.components.encode(minibatch), minibatch.batch)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.components.learn(source, rows, rng)
        device = self.components.components.device
        points = [self.components.encode(m.to(device)).cpu().numpy() for m in in_order(source, rows)]
        self.rounds.learn(np.concatenate(points), source.annotation.batch[rows], rng)
