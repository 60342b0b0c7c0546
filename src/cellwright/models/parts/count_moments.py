"""Count moments: where the parameters of a negative binomial start, from training cells.

    source, rows -> share of each feature (n_vars,), theta (n_vars,): variance = mean + mean^2 / theta

Within a label and condition a cell's mean is its library times the share of the feature there. The excess of the
squared deviations over the mean, divided by the squared mean, is 1 / theta; a feature with few molecules has the usual
one.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cellwright.data.source import Source, in_order
from cellwright.models.parts.gene_share import share_of
from cellwright.models.parts.kinds import kind_of, n_kinds
from cellwright.models.parts.moments import BLOCK_ROWS

USUAL = 0.3  # 1 / theta
MOLECULES = 50.0  # sum of squared means from which a feature's own moments count as much as the usual value
BOUNDS = (0.02, 10.0)  # of 1 / theta


def count_moments(source: Source, rows: np.ndarray) -> tuple[Float[Tensor, " n_vars"], Float[Tensor, " n_vars"]]:
    """Share of every feature in all molecules, and theta within labels and conditions."""
    schema = source.schema
    total = torch.zeros(n_kinds(schema), schema.n_vars, dtype=torch.float64)
    library = torch.zeros(n_kinds(schema), 1, dtype=torch.float64)
    for minibatch in in_order(source, rows, BLOCK_ROWS):
        kind = kind_of(schema, minibatch.label, minibatch.condition)
        total.index_add_(0, kind, minibatch.x.dense().double())
        library.index_add_(0, kind, minibatch.library.double())
    share = (total / library.clamp(min=1)).float()
    excess, squares = torch.zeros(schema.n_vars), torch.zeros(schema.n_vars)
    for minibatch in in_order(source, rows, BLOCK_ROWS):
        kind = kind_of(schema, minibatch.label, minibatch.condition)
        mean = minibatch.library * share[kind]
        excess += ((minibatch.x.dense() - mean).square() - mean).sum(dim=0)
        squares += mean.square().sum(dim=0)
    own = (excess / squares.clamp(min=1e-9)).clamp(0, BOUNDS[1])
    weight = squares / (squares + MOLECULES)
    inverse_theta = (weight * own + (1 - weight) * USUAL).clamp(*BOUNDS)
    return share_of(total.sum(dim=0)), 1 / inverse_theta
