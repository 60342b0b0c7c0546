"""Hidden entries: values above zero are set to zero, gene by gene; is what is expected there what it was.

cells -a share of the entries above zero of each gene-> zero -impute-> log(1 + normalised) at these entries -> scores

That an entry was above zero is known of all that are asked, so predicting too much costs less than it should. The share
of hidden molecules is the honest question; this one is asked in most publications.
"""

import numpy as np

from cellwright.data.thinning import without_entries
from cellwright.tasks.exams.exam import Asked, Exam, Examined, Impute, counts_of, normalised, scored, within_reach
from cellwright.tasks.reconstruct import label_names

METRICS_OF_ENTRIES = ("entry_rmse", "entry_pearson_cell", "entry_pearson_gene")


def hidden_entries(asked: Asked, impute: Impute) -> Examined:
    """Error and correlations, within cells and within genes, of the hidden entries."""
    every = np.arange(asked.source.n_obs)
    parts = within_reach(without_entries(asked.source, every, 1 - asked.hidden, asked.rng(1)), asked.preprocessing)
    expected = np.log1p(normalised(impute(parts.kept).mean))
    hidden = parts.hidden.toarray()
    whole = np.log1p(normalised(hidden + counts_of(parts.kept)))
    entries = np.where(hidden > 0, whole, np.nan)
    labels = label_names(parts.kept, np.arange(parts.kept.n_obs))
    return Examined(
        [row for name in METRICS_OF_ENTRIES for row in scored(name, labels, x_entries=entries, x_expected=expected)]
    )


ENTRIES = Exam(hidden_entries, "entries above zero are hidden: is their value expected")
