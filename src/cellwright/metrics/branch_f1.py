"""Branch F1: do found branches hold the cells of the true ones.

    branches as sets of cells -> Jaccard of every pair -> mean best of each true one (recovery), of each found one
    (relevance) -> harmonic mean

References: [Saelens19].
"""

from cellwright.metrics.labels import Labels, contingency
from cellwright.metrics.metric import Metric


def branch_f1(labels_true: Labels, clusters: Labels) -> float:
    """1 where the branches hold the same cells; near 0 where every branch is scattered over all others.

    Cells without a true branch are left out. Raises `DataError` where a cell has no found one.
    """
    table, _ = contingency(labels_true, clusters)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True) - table
    jaccard = table / union
    recovery, relevance = jaccard.max(axis=1).mean(), jaccard.max(axis=0).mean()
    return float(2 * recovery * relevance / (recovery + relevance))


BRANCH_F1 = Metric(
    function=branch_f1,
    title="Branch F1",
    task="trajectory",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "clusters"),
    citation="Saelens19",
)
