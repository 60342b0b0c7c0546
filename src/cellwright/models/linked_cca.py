"""Canonical correlation of linked features: the baseline of modalities that have no cell in common.

    cells of any modality -parts/linked_features.py-> y (n_obs, n_linked) -one linear map-> z (n_obs, n_latent)

With Y of the first modality's training cells and W of the others', U S V' are the leading singular vectors of Y W', the
products of every cell with every other. A cell of the first modality lies at y W' V, of another at w Y' U: for the
training cells these are U S and V S, and new cells have a place too. Every cell then has length one. Neither a pair of
cells nor a label is needed: what is correlated over the cells of both modalities are the same linked features.
Without smoothing it is the diagonal canonical correlation of [Stuart19], who take U and V in the place of U S and V S.
`linked_features` has no rotation: the linked features themselves, whose nearest neighbours are the plainest way from
one modality to another.

References: [Stuart19] canonical correlation between the cells of two data sets; [Hotelling36] canonical correlation;
[Chen24] smoothed linked features.
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from cellwright.core.abilities import Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.links import read_links
from cellwright.data.source import Source, in_order
from cellwright.errors import OptionError
from cellwright.models.model import Model
from cellwright.models.parts.linked_features import LinkedFeatures, refuse_one_modality
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.nn.from_data import FromData
from cellwright.nn.transform import support_of


class LinkedCCAOptions(Options):
    """Options of the canonical correlation of linked features."""

    links: str | None = Field(None, description="CSV of feature links: modality_a, feature_a, modality_b, feature_b")
    canonical: bool = Field(default=True, description="canonical directions; else the linked features as they are")
    n_latent: int = Field(20, ge=1, description="canonical directions; at most as many as there are linked features")
    n_smooth: int = Field(20, ge=0, description="principal components of each modality that are kept; 0: all values")
    panels: tuple[str, ...] = Field(("protein",), description="modalities of chosen features: centred log ratios")
    real_valued: tuple[str, ...] = Field((), description="modalities whose values are not to be log-normalised")


class LinkedCCA(Model, Encodes):
    """Places cells of all modalities by what is linked between them."""

    is_baseline = True
    reads = frozenset({"views", "present"})
    reads_several = True
    citations = ("Stuart19", "Hotelling36", "Chen24")

    def __init__(self, schema: Schema, options: LinkedCCAOptions = LinkedCCAOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: LinkedCCAOptions = options
        self.linked = LinkedFeatures(schema, options.n_smooth, panels=options.panels, real_valued=options.real_valued)
        self.directions = FromData({"of_first": torch.zeros(0, 0), "of_others": torch.zeros(0, 0)})

    @property
    def support(self) -> Support:
        return self.support_in(self.schema.modalities[0])

    def support_in(self, modality: str) -> Support:
        return support_of("none" if modality in self.options.real_valued else "log_normalise")

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        """Of length one; zero for a cell without any linked modality."""
        features = self.linked(minibatch)
        if self.options.canonical:
            is_first = minibatch.present[:, [0]]
            features = torch.where(is_first, features @ self.directions.of_first, features @ self.directions.of_others)
        return functional.normalize(features, dim=1)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Raises `OptionError` without links or a second modality, and what `read_links` raises."""
        refuse_one_modality(self)
        if self.options.links is None:
            raise OptionError(
                f"{type(self).__name__} must have feature links, which tell it what the modalities have in common; "
                "links is not given. Give a CSV file: links=..."
            )
        self.linked.learn(read_links(self.options.links, self.schema), source, rows, rng)
        if self.options.canonical:
            self._learn_directions(source, rows)

    def _learn_directions(self, source: Source, rows: np.ndarray) -> None:
        """The singular vectors of Y W' by way of two triangles (n_linked, n_linked), whatever the number of cells."""
        is_first = source.measured(self.schema.modalities[0])
        first = self._triangle(source, rows[is_first[rows]])
        others = self._triangle(source, rows[~is_first[rows]] if (~is_first[rows]).any() else rows)
        left, _, right = torch.linalg.svd(first @ others.T)
        n = min(self.options.n_latent, len(left))
        # Y' U = R_y' (R_y W' ...)'s left vectors, for Y = Q R with Q' Q = 1
        self.directions.set(of_first=others.T @ right[:n].T, of_others=first.T @ left[:, :n])

    def _triangle(self, source: Source, rows: np.ndarray) -> Tensor:
        """R of Y = Q R, from Y' Y."""
        n_linked = len(self.linked.linked)
        products = torch.zeros(n_linked, n_linked, dtype=torch.float64)
        for minibatch in in_order(source, rows, BLOCK_ROWS):
            features = self.linked(minibatch).double()
            products += features.T @ features
        values, vectors = torch.linalg.eigh(products)
        return vectors.T * values.clamp(min=0).sqrt()[:, None]
