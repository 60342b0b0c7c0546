"""Kinds in common: weights by which modalities of unequal composition have the same kinds of cells.

    linked features (n_obs, n_linked) -k-means-> kind of each cell -> weight = sqrt(share in others / share in its own)

Weighted so, a kind has the same weight, the geometric mean of its shares, in two modalities; a kind that another
modality lacks has none, and is not drawn onto another kind there. Kinds are found in the training cells of all
modalities together, each modality counted the same. Of several other modalities it is the mean share.

References: [Cao22] balanced weights in an adversarial alignment, there of clusters that are matched.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cellwright.core.schema import Schema
from cellwright.data.source import Source, in_order
from cellwright.models.parts.linked_features import LinkedFeatures
from cellwright.models.parts.moments import BLOCK_ROWS
from cellwright.nn.from_data import FromData

MOST_CELLS = 10_000  # that kinds are found in


def group_of(present: Tensor) -> Tensor:
    """The first modality that each cell has; -1 if it has none."""
    return torch.where(present.any(dim=1), present.to(torch.int8).argmax(dim=1), -1)


class KindsInCommon(nn.Module):
    """Without kinds every weight is one."""

    def __init__(self, schema: Schema, n_kinds: int) -> None:
        super().__init__()
        self.n_kinds, self.n_groups = n_kinds, len(schema.modalities)
        self.kept = FromData({"centres": torch.zeros(0, 0), "weight": torch.ones(0, self.n_groups)})

    def forward(self, linked: Float[Tensor, "n_obs n_linked"], group: Int[Tensor, " n_obs"]) -> Float[Tensor, " n_obs"]:
        """The weight of each cell in the alignment."""
        if not self.n_kinds:
            return linked.new_ones(len(linked))
        kind = torch.cdist(nn.functional.normalize(linked, dim=1), self.kept.centres).argmin(dim=1)
        return self.kept.weight[kind, group.clamp(min=0)]

    @torch.no_grad()
    def learn(self, features: LinkedFeatures, source: Source, rows: np.ndarray, rng: np.random.Generator) -> None:
        """Kinds and their shares, from a sample of the cells of `rows`."""
        if not self.n_kinds:
            return
        sample = np.sort(rng.choice(rows, MOST_CELLS, replace=False)) if len(rows) > MOST_CELLS else rows
        blocks = [(features(m), group_of(m.present)) for m in in_order(source, sample, BLOCK_ROWS)]
        self.learn_from(torch.cat([linked for linked, _ in blocks]), torch.cat([group for _, group in blocks]), rng)

    def learn_from(
        self, linked: Float[Tensor, "n_obs n_linked"], group: Int[Tensor, " n_obs"], rng: np.random.Generator
    ) -> None:
        """The same from the cells' linked features and modalities."""
        at_length_one, of = nn.functional.normalize(linked, dim=1).numpy(), group.numpy()
        n_in_group = np.bincount(of[of >= 0], minlength=self.n_groups)
        weight = np.where(of >= 0, 1 / n_in_group.clip(min=1)[of], 0)
        from sklearn.cluster import KMeans  # takes two seconds

        means = KMeans(min(self.n_kinds, len(at_length_one)), n_init=3, random_state=int(rng.integers(2**31)))
        kind = means.fit_predict(at_length_one, sample_weight=weight)
        shares = np.zeros((means.n_clusters, self.n_groups))
        np.add.at(shares, (kind[of >= 0], of[of >= 0]), weight[of >= 0])
        others = (shares.sum(axis=1, keepdims=True) - shares) / max(1, self.n_groups - 1)
        ratio = np.sqrt(np.divide(others, shares, out=np.zeros_like(shares), where=shares > 0))
        self.kept.set(centres=torch.from_numpy(means.cluster_centers_), weight=torch.from_numpy(ratio))
