"""RNA and protein of the same gene: do imputed values rank cells as the measured protein does.

x_rna, x_protein (n_obs, n_pairs) -> Spearman's correlation over cells, pair by pair -> mean

The protein is another molecule, measured by another chemistry, so it shares no noise with the RNA; between types both
differ, which is most of what is seen here.

References: [Spearman1904]; [Stoeckius17] for both in one cell.
"""

import numpy as np
from scipy import stats

from cellwright.errors import DataError
from cellwright.metrics.metric import Metric, within_labels
from cellwright.metrics.responses import check_cells


def protein_spearman(x_rna: np.ndarray, x_protein: np.ndarray) -> float:
    """The mean over pairs, columns of the same number; one whose RNA is the same in all cells counts as 0.

    Pairs whose protein does not vary are left out. Raises `DataError` where none varies or there is a single cell.
    """
    check_cells("protein_spearman", 2, x_rna=x_rna, x_protein=x_protein)
    found = [_spearman(rna, protein) for rna, protein in zip(x_rna.T, x_protein.T, strict=True) if np.ptp(protein) > 0]
    if not found:
        raise DataError(
            f"protein_spearman needs a protein that varies; none of {x_protein.shape[1]} does. Give other cells."
        )
    return float(np.mean(found))


def _spearman(rna: np.ndarray, protein: np.ndarray) -> float:
    return float(stats.spearmanr(rna, protein).statistic) if np.ptp(rna) > 0 else 0.0


PROTEIN_SPEARMAN = Metric(
    function=protein_spearman,
    title="Correlation of RNA and its protein",
    task="impute",
    better="higher",
    bounds=(-1.0, 1.0),
    needs=("x_rna", "x_protein"),
    citation="Stoeckius17",
    by_label=within_labels(protein_spearman),
)
