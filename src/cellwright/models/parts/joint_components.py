"""Joint components: principal components of each modality side by side, each as wide as any other.

    x_m -PCA-> (n_obs, n_components_m) / standard deviation of the first -side by side-> (n_obs, sum of n_components_m)
    a modality that a cell lacks -linear maps from those that it has, averaged-> its components; the mean without any

The weights are those of multiple factor analysis [Escofier94]: no modality counts more because it has more features.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.errors import DataError, OptionError, did_you_mean
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.models.pca import PCA, PCAOptions

RIDGE = 1e-2  # of the linear maps, in variances of a component

Blocks = list[Tensor]  # of each modality (n_obs, n_components_m)


class JointComponents(nn.Module):
    """PCA of each modality, and a linear map from each to each other one, from cells that have both."""

    widths: list[int]

    def __init__(self, schema: Schema, *, n_components: int, real_valued: tuple[str, ...]) -> None:
        super().__init__()
        refuse_unknown(real_valued, schema)
        self.modalities = schema.modalities
        self.pcas = nn.ModuleList(
            PCA(
                schema.of(modality),
                PCAOptions(n_latent=n_components, transform="none" if modality in real_valued else "log_normalise"),
            )
            for modality in schema.modalities
        )
        self.widths = [self.pca(modality).n_latent for modality in schema.modalities]
        for number, width in enumerate(self.widths):
            self.register_buffer(f"scale_{number}", torch.ones(()))
            for other, other_width in enumerate(self.widths):
                if other != number:
                    self.register_buffer(f"map_{other}_{number}", torch.zeros(other_width + 1, width))

    def pca(self, modality: str) -> PCA:
        """The components of a modality."""
        pca = self.pcas[self.modalities.index(modality)]
        assert isinstance(pca, PCA)
        return pca

    def forward(self, minibatch: Minibatch) -> tuple[Blocks, Bool[Tensor, "n_obs n_modalities"]]:
        """The components of each modality, those that a cell lacks from the others; and which it has."""
        blocks, present = self._measured(minibatch), minibatch.present
        return [
            torch.where(present[:, [number]], block, self._from_others(blocks, present, number))
            for number, block in enumerate(blocks)
        ], present

    def values(
        self, block: Float[Tensor, "n_obs n_components"], modality: str, library: Float[Tensor, "n_obs 1"]
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """Of components of a modality: its values on the scale of the data, for cells of the given library."""
        return self.pca(modality).decode_at(block * self._scale(self.modalities.index(modality)), library)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Components, their scales, and the maps between them. A modality that no cell of `rows` has stays at zero."""
        for number, modality in enumerate(self.modalities):
            self._scale(number).fill_(1)
            if len(measured := rows[source.measured(modality)[rows]]):
                self._refuse_few(modality, len(measured))
                self.pca(modality).learn(source.of(modality), measured, rng)
        found = [(self._measured(m), m.present) for m in in_order(source, rows, BLOCK_ROWS)]
        blocks = [torch.cat(parts) for parts in zip(*(blocks for blocks, _ in found), strict=True)]
        present = torch.cat([there for _, there in found])
        for number, block in enumerate(blocks):
            there = block[present[:, number]]
            scale = there[:, 0].std(correction=0) if len(there) else torch.ones(())
            self._scale(number).copy_(torch.where(scale > 0, scale, 1.0))
        blocks = [block / self._scale(number) for number, block in enumerate(blocks)]
        for number, target in enumerate(blocks):
            for other, given in enumerate(blocks):
                both = present[:, number] & present[:, other]
                if other != number:
                    self._map(other, number).copy_(_least_squares(given[both], target[both]))

    def _refuse_few(self, modality: str, n_cells: int) -> None:
        if n_cells <= (n := self.pca(modality).n_latent):
            raise DataError(
                f"{n} components of {modality!r} must be learnt from more training cells that have it; there are "
                f"{n_cells}. Use a smaller n_components."
            )

    def _measured(self, minibatch: Minibatch) -> Blocks:
        pairs = enumerate(self.modalities)
        return [self.pca(modality).encode(minibatch.of(modality)) / self._scale(number) for number, modality in pairs]

    def _from_others(self, blocks: Blocks, present: Tensor, number: int) -> Tensor:
        total, n_others = torch.zeros_like(blocks[number]), torch.zeros(len(present), 1, device=present.device)
        for other, block in enumerate(blocks):
            if other != number:
                there = present[:, [other]]
                total = total + there * (_with_one(block) @ self._map(other, number))
                n_others = n_others + there
        return total / n_others.clamp(min=1)

    def _scale(self, number: int) -> Tensor:
        return self.get_buffer(f"scale_{number}")

    def _map(self, source: int, target: int) -> Tensor:
        return self.get_buffer(f"map_{source}_{target}")


def refuse_unknown(real_valued: tuple[str, ...], schema: Schema) -> None:
    """Raise `OptionError` for a name that is no modality of the schema."""
    for name in real_valued:
        if name not in schema.modalities:
            raise OptionError(
                f"real_valued must be modalities of the data: {', '.join(schema.modalities)}; one of them is "
                f"{name!r}.{did_you_mean(name, schema.modalities)} Name those whose values are no counts."
            )


def _with_one(block: Tensor) -> Tensor:
    return torch.cat([block, torch.ones_like(block[:, :1])], dim=1)


def _least_squares(given: Tensor, target: Tensor) -> Tensor:
    """The map (n_given + 1, n_target) from `given` and an intercept; zeros where no cell has both."""
    columns = _with_one(given).double()
    ridge = RIDGE * max(1, len(columns)) * torch.eye(columns.shape[1], dtype=columns.dtype)
    ridge[-1, -1] = 1e-6  # the intercept is not drawn to zero
    return torch.linalg.solve(columns.T @ columns + ridge, columns.T @ target.double()).to(target.dtype)
