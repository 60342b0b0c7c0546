"""Class weights: every label counts the same in a loss, however many cells it has.

weight of a label = n_cells / (n_labels that occur x cells of the label), as in [King01]
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellwright.data.source import Source

ClassWeight = Literal["none", "balanced"]


def class_weights(kind: ClassWeight, source: Source, rows: np.ndarray) -> Float[Tensor, " n_labels"]:
    """The weight of each label of the schema from the labelled cells of `rows`; zero for one that none of them has.

    `none`: one for every label.
    """
    n_labels, labels = source.schema.n_labels, source.annotation.label[rows]
    counts = np.bincount(labels[labels >= 0], minlength=n_labels)
    if kind == "none":
        return torch.ones(n_labels)
    weights = np.divide(counts.sum(), (counts > 0).sum() * counts, out=np.zeros(n_labels), where=counts > 0)
    return torch.from_numpy(weights).float()
