"""Protein: do imputed values rank cells as the measured protein of the same gene does.

cells -impute, all molecules-> normalised RNA of genes with a protein -> Spearman's correlation with it
"""

import numpy as np
import pandas as pd

from cellwright.metrics import METRICS
from cellwright.tasks.exams.exam import Asked, Exam, Examined, Impute, counts_of, normalised, only
from cellwright.tasks.reconstruct import label_names
from cellwright.tasks.score import score_rows


def protein_link(asked: Asked, impute: Impute) -> Examined:
    """The mean correlation over proteins, per label too; each protein's own, measured and imputed, in `proteins.csv`.

    All cells are imputed, over all features; those with proteins are asked.
    """
    proteins = asked.proteins
    assert proteins is not None, "asked only where there are proteins"
    source = only(asked.source, np.arange(asked.source.n_obs))  # a cell without a molecule cannot be imputed
    kept = asked.source.annotation.obs.index.get_indexer(source.annotation.obs.index)
    metric = METRICS["protein_spearman"]
    at = pd.Index(source.schema.var_names).get_indexer(pd.Index(proteins.genes))
    there = np.flatnonzero(~np.isnan(proteins.values[kept]).any(axis=1))
    protein = proteins.values[kept][there]
    before, after = (normalised(values)[there][:, at] for values in (counts_of(source), impute(source).mean))
    labels = label_names(source, there)
    scores = score_rows(metric, "protein_spearman", labels, x_rna=after, x_protein=protein)
    table = pd.DataFrame({"protein": proteins.names, "gene": proteins.genes})
    for name, values in (("measured", before), ("imputed", after)):
        table[name] = [_one(values[:, [k]], protein[:, [k]]) for k in range(len(at))]
    return Examined(scores, {"proteins.csv": table})


def _one(rna: np.ndarray, protein: np.ndarray) -> float:
    return METRICS["protein_spearman"].function(x_rna=rna, x_protein=protein) if np.ptp(protein) > 0 else float("nan")


PROTEIN = Exam(protein_link, "proteins of the same cells: does RNA follow them better than before", needs="proteins")
