"""Joint PCA: the baseline of latents of several modalities, and of linear translation between them.

    x_m -PCA of each modality, equally wide-> side by side -PCA-> z (n_obs, n_latent)
    translate: components of the other modalities -linear-> components of this one -> its values

This is multiple factor analysis: a PCA of the modalities' components, none of which counts more than another.

References: [Escofier94] multiple factor analysis; [Pearson1901].
"""

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn

from cellwright.core.abilities import Encodes, Translates
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Schema
from cellwright.core.support import Support
from cellwright.data.source import Source, in_order
from cellwright.models.model import Model
from cellwright.models.parts.joint_components import JointComponents
from cellwright.models.parts.library_of_latent import LibraryOfLatent
from cellwright.models.parts.moments import BLOCK_ROWS


class JointPCAOptions(Options):
    """Options of joint PCA."""

    n_latent: int = Field(30, ge=1, description="number of joint components; at most as many as modalities have")
    n_components: int = Field(30, ge=1, description="components of each modality; at most as many as its features")
    real_valued: tuple[str, ...] = Field((), description="modalities that are no counts: values are taken as they are")


class JointPCA(Model, Encodes, Translates):
    """Projects cells on directions of all modalities together; what a cell lacks is predicted linearly."""

    is_baseline = True
    reads = frozenset({"views", "present", "batch"})
    reads_several = True
    citations = ("Escofier94", "Pearson1901")
    centre: Tensor
    components: Tensor

    def __init__(self, schema: Schema, options: JointPCAOptions = JointPCAOptions()) -> None:  # noqa: B008  frozen
        super().__init__(schema, options)
        self.options: JointPCAOptions = options
        self.joint = JointComponents(schema, n_components=options.n_components, real_valued=options.real_valued)
        self.libraries = nn.ModuleList(LibraryOfLatent(schema, width) for width in self.joint.widths)
        width = sum(self.joint.widths)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("components", torch.zeros(width, min(options.n_latent, width)))

    @property
    def support(self) -> Support:
        return self.support_in(self.schema.modalities[0])

    def support_in(self, modality: str) -> Support:
        return self.joint.pca(modality).support

    def encode(self, minibatch: Minibatch) -> Float[Tensor, "n_obs n_latent"]:
        return (torch.cat(self.joint(minibatch)[0], dim=1) - self.centre) @ self.components

    @torch.no_grad()
    def translate(
        self, minibatch: Minibatch, modality: str, generator: Generator
    ) -> Float[Tensor, "n_obs n_features_of_modality"]:
        """Linear in the components of the other modalities, of which those that a cell has are averaged."""
        others = minibatch.without(modality)
        number = self.schema.modalities.index(modality)
        block = self.joint(others)[0][number]
        library = self.libraries[number](block, minibatch)
        values = self.joint.values(block, modality, library)
        return torch.where(others.present.any(dim=1, keepdim=True), values, torch.nan)

    @torch.no_grad()
    def learn(self, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.joint.learn(source, rows, rng)
        joint = torch.cat([torch.cat(self.joint(m)[0], dim=1) for m in in_order(source, rows, BLOCK_ROWS)])
        self.centre.copy_(joint.mean(dim=0))
        centred = (joint - self.centre).double()
        vectors = torch.linalg.eigh(centred.T @ centred / len(centred)).eigenvectors.flip(1)
        leading = vectors[:, : self.components.shape[1]].float()
        largest = leading.gather(0, leading.abs().argmax(dim=0, keepdim=True))
        self.components.copy_(leading * torch.where(largest < 0, -1.0, 1.0))
        for number, modality in enumerate(self.schema.modalities):
            measured = rows[source.measured(modality)[rows]]
            if len(measured) and self.support_in(modality) >= Support.non_negative:
                cells = in_order(source, measured, BLOCK_ROWS)
                blocks = ((self.joint(m.without(modality))[0][number], m.of(modality)) for m in cells)
                self.libraries[number].learn(blocks)  # type: ignore[operator]
