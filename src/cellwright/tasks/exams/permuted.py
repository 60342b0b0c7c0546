"""Permuted genes: does an imputation find that genes go together which have nothing to do with each other.

cells -each gene's shares dealt to the cells anew-> impute -> correlations of genes, after - before (means, draws)
"""

import numpy as np

from cellwright.data.thinning import permuted
from cellwright.tasks.exams.exam import Asked, Exam, Examined, Impute, counts_of, drawn, normalised, only, scored

MAX_CELLS, MAX_GENES = 1_000, 500  # at random; the genes with most molecules, where there is something to correlate


def permuted_genes(asked: Asked, impute: Impute) -> Examined:
    """The rise of the mean absolute correlation of genes, on logarithms."""
    rng, source = asked.rng(2), asked.source
    rows = np.arange(source.n_obs)
    if len(rows) > MAX_CELLS:
        rows = np.sort(rng.choice(rows, MAX_CELLS, replace=False))
    molecules = counts_of(only(source, rows)).sum(axis=0)
    features = np.sort(np.argsort(-molecules, kind="stable")[:MAX_GENES])
    cells = only(source, rows, features)
    dealt = permuted(cells, np.arange(cells.n_obs), rng)
    cells = only(dealt, np.arange(dealt.n_obs))
    before, imputed = np.log1p(normalised(counts_of(cells))), impute(cells)
    scores = scored("false_correlation", None, x_before=before, x_after=np.log1p(normalised(imputed.mean)))
    if imputed.draw is not None:
        scores += drawn(scored("false_correlation", None, x_before=before, x_after=np.log1p(normalised(imputed.draw))))
    return Examined(scores)


PERMUTED = Exam(permuted_genes, "genes are permuted: do they seem to go together")
