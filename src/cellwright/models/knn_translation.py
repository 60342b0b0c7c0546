"""Translation by nearest neighbours: a modality that a cell lacks is that of training cells alike in the others.

    the other modalities -components, side by side-> nearest training cells that have this one -mean-> its values

A cell is not its own neighbour: a training cell at distance zero is left out. A cell is compared by all other
modalities, of which those that it lacks are predicted from those that it has.

References: [Cover67] nearest neighbours; [Escofier94] the weights of the modalities.
"""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from scipy import sparse
from torch import Generator, Tensor, nn

from cellwright.core.abilities import DrawsModality, Translates
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.models.model import Model
from cellwright.models.parts.joint_components import JointComponents
from cellwright.models.parts.kept_rows import KeptRows
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.models.parts.reference_cells import SAME_CELL, weights_of
from cellwright.nn.from_data import FromData
from cellwright.nn.nearest import nearest


class KNNTranslationOptions(Options):
    """Options of translation by nearest neighbours."""

    n_neighbors: int = Field(15, ge=1, description="training cells that are averaged")
    n_components: int = Field(30, ge=1, description="components of each modality that cells are compared by")
    real_valued: tuple[str, ...] = Field((), description="modalities that are no counts: values are taken as they are")
    max_references: int = Field(20_000, ge=1, description="training cells that are kept of each modality, at most")


class KNNTranslation(Model, Translates, DrawsModality):
    """Keeps the training cells of each modality, and where they lie by the others."""

    is_baseline = True
    reads = frozenset({"views", "present"})
    reads_several = True
    citations = ("Cover67", "Escofier94")

    def __init__(self, schema: Schema, options: KNNTranslationOptions = KNNTranslationOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: KNNTranslationOptions = options
        self.joint = JointComponents(schema, n_components=options.n_components, real_valued=options.real_valued)
        widths = [sum(self.joint.widths) - width for width in self.joint.widths]
        self.places = nn.ModuleList(FromData({"latent": torch.zeros(0, width)}) for width in widths)
        self.rows = nn.ModuleList(KeptRows(len(schema.features[modality])) for modality in schema.modalities)

    @property
    def support(self) -> Support:
        return self.support_in(self.schema.modalities[0])

    def support_in(self, modality: str) -> Support:
        return self.joint.pca(modality).support

    @torch.no_grad()
    def translate(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """The mean over the neighbours, whatever their library."""
        index = self._neighbours(minibatch, modality)
        weight = (index >= 0) / (index >= 0).sum(dim=1, keepdim=True).clamp(min=1)
        return self._averaged(index, weight, modality)

    @torch.no_grad()
    def draw_modality(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """The values of one of the neighbours."""
        index = self._neighbours(minibatch, modality)
        n_there = (index >= 0).sum(dim=1)
        drawn = (torch.rand(len(index), generator=generator, device=index.device) * n_there).long()
        weight = torch.arange(index.shape[1], device=index.device) == drawn[:, None]
        return self._averaged(index, weight.float(), modality)

    def _neighbours(self, minibatch: Minibatch, modality: str) -> Int[Tensor, "n_obs n_neighbors"]:
        """Positions among the kept cells; -1 where there are none, as for cells without another modality."""
        others = minibatch.without(modality)
        place = self._place(modality)
        index, _ = nearest(self._compared(others, modality), place.latent, self.options.n_neighbors, same=SAME_CELL)
        return torch.where(others.present.any(dim=1, keepdim=True), index, -1)

    def _compared(self, others: Minibatch, modality: str) -> Tensor:
        """What cells are compared by: the components of the other modalities."""
        pairs = zip(self.schema.modalities, self.joint(others)[0], strict=True)
        return torch.cat([others.weight.new_zeros(others.n_obs, 0), *(b for name, b in pairs if name != modality)], 1)

    def _averaged(self, index: Tensor, weight: Tensor, modality: str) -> Tensor:
        kept = self._rows(modality).csr
        summed = torch.from_numpy((weights_of(index, weight, kept.shape[0]) @ kept).toarray()).to(index.device)
        return torch.where((index >= 0).any(dim=1, keepdim=True), summed, torch.nan)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.joint.learn(source, rows, rng)
        others_measured = {m: source.measured(m)[rows] for m in self.schema.modalities}
        for modality in self.schema.modalities:
            others = [there for name, there in others_measured.items() if name != modality]
            with_both = others_measured[modality] & np.any(others, axis=0) if others else others_measured[modality]
            able = rows[with_both]
            if len(able) > self.options.max_references:
                able = np.sort(rng.choice(able, self.options.max_references, replace=False))
            if len(able):
                self._keep(source, able, modality)

    def _keep(self, source: Source, rows: np.ndarray, modality: str) -> None:
        cells = [
            (self._compared(m.without(modality), modality), m.of(modality).x.csr())
            for m in in_order(source, rows, BLOCK_ROWS)
        ]
        self._place(modality).set(latent=torch.cat([latent for latent, _ in cells]))
        self._rows(modality).set(sparse.vstack([csr for _, csr in cells], format="csr"))

    def _place(self, modality: str) -> FromData:
        return cast(FromData, self.places[self.schema.modalities.index(modality)])

    def _rows(self, modality: str) -> KeptRows:
        return cast(KeptRows, self.rows[self.schema.modalities.index(modality)])
