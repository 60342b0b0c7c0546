"""Changed genes found: the share of the genes that a treatment changes which a prediction names as well.

x_control with x_treated -> the k genes that change; x_control with x_predicted -> its k most changed -> overlap / k
"""

import numpy as np
import pandas as pd

from cellwright.metrics.changed_genes import by_fold_change, changed_genes
from cellwright.metrics.metric import Metric


def changed_genes_found(x_control: np.ndarray, x_treated: np.ndarray, x_predicted: np.ndarray) -> float:
    """The differential expression score of the Virtual Cell Challenge [Roohani25], its overlap at N.

    G are the k genes with a false discovery rate under .05 (Wilcoxon rank-sum test, Benjamini-Hochberg) between real
    treated and real control cells. Predicted cells are compared with the same control cells in the same way; of the
    genes under .05 there, the k with the largest |log2 fold change| are the prediction's (fewer if there are fewer).
    The score is the share of G among them, 0 where G is empty. Give log-normalised values.

    It knows no direction: a gene that goes up instead of down is found. Predicted cells that vary too little make every
    gene significant, so that the fold change alone decides.

    Raises `DataError` where the features differ in number or a side has fewer than two cells.
    """
    return share_found(changed_genes(x_control, x_treated), changed_genes(x_control, x_predicted))


def share_found(real: pd.DataFrame, predicted: pd.DataFrame) -> float:
    """The same from two tables of `changed_genes`, so that the real one is made once for many predictions."""
    wanted = by_fold_change(real)
    if not len(wanted):
        return 0.0
    return len(np.intersect1d(wanted, by_fold_change(predicted)[: len(wanted)])) / len(wanted)


CHANGED_GENES_FOUND = Metric(
    function=changed_genes_found,
    title="Changed genes found",
    task="perturb",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("x_control", "x_treated", "x_predicted"),
    citation="Roohani25",
)
