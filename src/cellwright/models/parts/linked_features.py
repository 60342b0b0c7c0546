"""Linked features: what a cell of any modality says of the features of the first one that others are linked to.

    x_m (n_obs, n_features_m) -standardise, smooth-> -sum over links-> -standardise-> (n_obs, n_linked)

It is the one view that cells of all modalities have, whatever was measured on them: an antibody and its gene, a gene
and the peaks near it, each in standard deviations over its own modality's training cells. To smooth is to keep the
leading principal components of all the modality's features, linked or not: a gene that is seen in few cells is then
known from the genes that go with it. Of a cell that has several modalities it is their mean; of one without any, zero.

References: [Stuart19] linked features as the common space of two modalities; [Chen24] smoothing before linked features
are compared.
"""

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.data.links import Links
from cellwright.data.source import Source
from cellwright.errors import DataError, OptionError
from cellwright.models.model import Model
from cellwright.models.parts.log_ratios import LogRatios, log_ratios
from cellwright.models.parts.modality import Measured
from cellwright.models.parts.moments import moments
from cellwright.models.pca import PCA, PCAOptions
from cellwright.nn.from_data import FromData
from cellwright.nn.transform import Transform

MOST = 10.0  # standard deviations that a value may be from the mean, as in PCA


class LinkedFeatures(nn.Module):
    """Learnt from training cells; `n_smooth` components are kept, 0 takes values as measured.

    Counts are log-normalised; those of `panels` become centred log ratios within each cell, for the total over a few
    chosen features says little; values of `real_valued` modalities are taken as they are.
    """

    def __init__(self, schema: Schema, n_smooth: int, *, panels: Collection[str], real_valued: Collection[str]) -> None:
        super().__init__()
        self.schema = schema
        ratios = set(panels) - set(real_valued)
        as_they_are = {*panels, *real_valued}
        self.modalities = nn.ModuleList(
            _Modality(
                schema.of(name), n_smooth, "none" if name in as_they_are else "log_normalise", ratios=name in ratios
            )
            for name in schema.modalities
        )
        self.kept = FromData({"linked": torch.zeros(0, dtype=torch.int64)})

    @property
    def linked(self) -> Tensor:
        """Positions (n_linked,) of the features of the first modality that are linked, ascending."""
        return self.kept.linked

    def learn(self, links: dict[str, Links], source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Moments and components of each modality from those of `rows` that have it.

        Raises `DataError` for a modality that has links and too few cells.
        """
        linked = np.unique(np.concatenate([of_modality.to for of_modality in links.values()]))
        itself = Links(of=linked, to=linked, weight=np.ones(len(linked)))
        for name, part in self._parts():
            of_modality = itself if name == self.schema.modalities[0] else links.get(name)
            if of_modality is not None:
                measured = rows[source.measured(name)[rows]]
                part.learn(of_modality, linked, source.of(name), measured, rng)
        self.kept.set(linked=torch.tensor(linked))

    def forward(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_linked"]:
        """In standard deviations of the cell's own modality."""
        total = minibatch.weight.new_zeros(minibatch.n_obs, len(self.linked))
        n_there = minibatch.weight.new_zeros(minibatch.n_obs, 1)
        for name, part in self._parts():
            measured = Measured.of(minibatch, name)
            if part.is_linked and len(measured.at):
                total = total + measured.spread(part(measured.cells))
                n_there = n_there + measured.mask[:, None]
        return total / n_there.clamp(min=1)

    def _parts(self) -> list[tuple[str, "_Modality"]]:
        parts = [part for part in self.modalities if isinstance(part, _Modality)]
        return list(zip(self.schema.modalities, parts, strict=True))


class _Modality(nn.Module):
    """One modality's features, standardised and smoothed, summed over links, standardised again."""

    def __init__(self, schema: Schema, n_smooth: int, transform: Transform, *, ratios: bool) -> None:
        super().__init__()
        self.n_smooth = n_smooth
        self.ratios = ratios
        # without smoothing no component is looked at, but the standardised values are PCA's all the same
        self.pca = PCA(schema, PCAOptions(n_latent=max(1, n_smooth), transform=transform))
        self.pca.exact_n_vars = n_smooth  # what is smoothed by need not be exact, and is learnt in seconds
        self.kept = FromData(
            {
                "feature": torch.zeros(0, dtype=torch.int64),
                "linked": torch.zeros(0, dtype=torch.int64),
                "weight": torch.zeros(0),
                "loadings": torch.zeros(self.pca.n_latent, 0),
                "centre": torch.zeros(0),
                "spread": torch.zeros(0),
            }
        )

    @property
    def is_linked(self) -> bool:
        return len(self.kept.feature) > 0

    def forward(self, cells: Minibatch) -> Tensor:
        cells = log_ratios(cells) if self.ratios else cells
        values = (self._sums(cells) - self.kept.centre) / self.kept.spread
        return values.clamp(-MOST, MOST)

    def _sums(self, cells: Minibatch) -> Tensor:
        if self.n_smooth:
            return self.pca.encode(cells) @ self.kept.loadings
        return self._over_links(self.pca.standardised(cells))

    def _over_links(self, values: Float[Tensor, "n n_features"]) -> Float[Tensor, "n n_linked"]:
        """Weighted sums of the features that are linked to each linked feature."""
        summands = values[:, self.kept.feature] * self.kept.weight
        return values.new_zeros(len(values), len(self.kept.centre)).index_add(1, self.kept.linked, summands)

    @torch.no_grad()
    def learn(
        self, links: Links, linked: np.ndarray, source: Source, rows: np.ndarray, rng: np.random.Generator
    ) -> None:
        if len(rows) <= self.pca.n_latent:
            raise DataError(
                f"{source.schema.modalities[0]!r} must have more training cells than the {self.pca.n_latent} components"
                f" by which linked features are smoothed; it has {len(rows)}. Set a smaller n_smooth, or give more."
            )
        source = LogRatios(source) if self.ratios else source
        self.pca.learn(source, rows, rng)
        n_linked = len(linked)
        at = np.searchsorted(linked, links.to)
        feature, weight = torch.tensor(links.of), torch.tensor(links.weight)
        self.kept.set(feature=feature, linked=torch.from_numpy(at), weight=weight)
        self.kept.set(centre=torch.zeros(n_linked), spread=torch.ones(n_linked))
        self.kept.set(loadings=self._over_links(self.pca.components.T))
        mean, variance = moments(source, rows, self._sums, self.kept.centre.device)
        self.kept.set(centre=mean, spread=torch.where(variance > 0, variance.sqrt(), 1.0))


def refuse_one_modality(model: Model) -> None:
    """Raise `OptionError` where a model that relates modalities is fitted on a single one."""
    if len(model.schema.modalities) < 2:
        raise OptionError(
            f"{type(model).__name__} relates modalities to each other; the data have {model.schema.modalities[0]!r} "
            "alone. Give a MuData, or a file of each: open_data({'rna': ..., 'protein': ...})."
        )
