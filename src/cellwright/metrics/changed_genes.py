"""Changed genes: which features a treatment changes, told from cells without and cells with it.

x_control (n_control, n_vars), x_treated (n_treated, n_vars) -> Wilcoxon rank-sum test, fold change, difference of means
-> the genes that change, in order

The genes on which a prediction is judged are chosen here, from real cells: no function of this file that chooses them
takes predicted ones. With these among the cells compared, a prediction would choose its own judges.
"""

import numpy as np
import pandas as pd
from scipy import sparse

from cellwright.metrics.rank_sum import rank_sum
from cellwright.metrics.responses import check_cells

FALSE_DISCOVERY_RATE = 0.05


def changed_genes(x_control: np.ndarray, x_treated: np.ndarray) -> pd.DataFrame:
    """What the treatment did to each feature, a row each, in their order; give log-normalised values.

    - `p_value`: Wilcoxon rank-sum test, two-sided, normal approximation with correction for ties [Wilcoxon45]
    - `fdr`: p-value adjusted for all features, Benjamini-Hochberg [Benjamini95]
    - `log2_fold_change`: log2(mean exp(x) of the treated / mean exp(x) of the control cells); of logarithms of counts
      per 10,000 this is log2((mean treated + 1) / (mean control + 1)), as in the task markers. Without the 1, genes
      that are all but silent would lead every order
    - `difference`: mean of the treated minus mean of the control cells, in the unit of the values

    Raises `DataError` where the features differ in number or a side has fewer than two cells.
    """
    check_cells("changed_genes", 2, x_control=x_control, x_treated=x_treated)
    is_treated = np.repeat([0, 1], [len(x_control), len(x_treated)])
    membership = sparse.csr_matrix((np.ones(len(is_treated)), (np.arange(len(is_treated)), is_treated)))
    tested = rank_sum(np.concatenate([x_control, x_treated]), membership)
    return pd.DataFrame(
        {
            "p_value": tested["p_value"][1],
            "fdr": tested["p_adjusted"][1],
            "log2_fold_change": (_log_mean_exp(x_treated) - _log_mean_exp(x_control)) / np.log(2),
            "difference": x_treated.mean(axis=0, dtype=np.float64) - x_control.mean(axis=0, dtype=np.float64),
        }
    )


def by_fold_change(changed: pd.DataFrame) -> np.ndarray:
    """Positions of the features with a false discovery rate under .05, by |log2 fold change|, the largest first."""
    order = np.argsort(-changed["log2_fold_change"].abs().to_numpy(), kind="stable")
    return order[changed["fdr"].to_numpy()[order] < FALSE_DISCOVERY_RATE]


def by_difference(changed: pd.DataFrame) -> np.ndarray:
    """Positions of all features: those with a false discovery rate under .05 first, then by |difference of means|."""
    uncertain = ~(changed["fdr"].to_numpy() < FALSE_DISCOVERY_RATE)
    return np.lexsort((-changed["difference"].abs().to_numpy(), uncertain))


def most_changed(x_control: np.ndarray, x_treated: np.ndarray, n: int = 100) -> np.ndarray:
    """Positions of the `n` features with the largest |difference of means| among those that change.

    Those that change have a false discovery rate under .05; where they are fewer than `n`, the next largest differences
    follow; where all features are fewer, these are all. Raises as `changed_genes`.
    """
    return by_difference(changed_genes(x_control, x_treated))[:n]


def _log_mean_exp(values: np.ndarray) -> np.ndarray:
    """log(mean exp) over cells, `(n_vars,)`: finite for every finite value, whatever a prediction holds."""
    # SciPy's logsumexp does the same in five times the time, and every prediction waits for it
    peak = values.max(axis=0)
    return np.log(np.exp(np.subtract(values, peak, dtype=np.float64)).mean(axis=0)) + peak
