"""Hidden molecules: is what is expected of a cell right about molecules that nobody has seen.

    cells -binomial thinning-> kept, hidden -impute(kept)-> expected x hidden share -> deviance, per label too
    expected, normalised -> silent markers, clusters of its components: what it does to types

Genes are chosen, and all models and settings are made, from the kept molecules.
"""

import numpy as np
import pandas as pd

from cellwright.data.thinning import thinned
from cellwright.metrics import METRICS
from cellwright.tasks.cluster import ClusterOptions, cluster_labels
from cellwright.tasks.exams.exam import Asked, Exam, Examined, Impute, counts_of, normalised, scored, within_reach
from cellwright.tasks.reconstruct import label_names
from cellwright.tasks.score import ScoreRow, score_rows

N_COMPONENTS = 30
CLUSTER_METRICS = ("ari", "balanced_ari", "label_f1")
N_PAIRS, N_POINTS = 6, 400  # of the picture: pairs of genes, cells


def hidden_molecules(asked: Asked, impute: Impute) -> Examined:
    """Deviance and squared error of hidden molecules; markers kept silent; clusters against labels; gene pairs."""
    rng = asked.rng(0)
    parts = thinned(asked.source, np.arange(asked.source.n_obs), 1 - asked.hidden, rng)
    parts = within_reach(parts, asked.preprocessing)
    expected = impute(parts.kept).mean
    labels = label_names(parts.kept, np.arange(parts.kept.n_obs))
    hidden = parts.hidden.toarray()
    of_hidden = expected * (asked.hidden / (1 - asked.hidden))
    scores: list[ScoreRow] = []
    for name in ("poisson_deviance", "log_mse"):
        scores += score_rows(METRICS[name], name, labels, x_hidden=hidden, x_expected=of_hidden)
    kept = normalised(counts_of(parts.kept))
    if labels is not None:
        arrays = {"x_measured": kept, "x_expected": normalised(expected), "labels_true": labels.to_numpy()}
        scores += scored("zeros_kept", labels, **arrays)
        scores += _clusters(np.log1p(normalised(expected)), labels, asked.seed)
    names = parts.kept.schema.var_names
    return Examined(scores, {"gene_pairs.csv": gene_pairs(kept, normalised(expected), names, labels, rng)})


def _clusters(values: np.ndarray, labels: pd.Series, seed: int) -> list[ScoreRow]:
    """K-means of principal components, with as many clusters as labels, against the labels."""
    from sklearn.decomposition import PCA  # takes a second, and only exams need it

    n = min(N_COMPONENTS, *values.shape)
    latent = PCA(n, random_state=seed, svd_solver="randomized").fit_transform(values - values.mean(axis=0))
    n_labels = int(labels.nunique())
    if not 1 < n_labels < len(values):
        return []
    found = cluster_labels(latent, ClusterOptions(n_clusters=n_labels, seed=seed)).labels
    rows: list[ScoreRow] = []
    for name in CLUSTER_METRICS:
        rows += score_rows(METRICS[name], name, labels, labels_true=labels.to_numpy(), clusters=found)
    return rows


def gene_pairs(
    before: np.ndarray, after: np.ndarray, names: tuple[str, ...], labels: pd.Series | None, rng: np.random.Generator
) -> pd.DataFrame:
    """For a picture: pairs of genes that go together before, in some cells, before and after; log(1 + normalised).

    Columns gene_x, gene_y, label, before_x, before_y, after_x, after_y, a row per pair and cell. Pairs are chosen from
    the measured values, so that they are the same for every model.
    """
    before, after = np.log1p(before), np.log1p(after)
    spread = before.std(axis=0)
    top = np.argsort(-spread, kind="stable")[:100]
    correlation = np.abs(np.nan_to_num(np.corrcoef(before[:, top].T)))
    np.fill_diagonal(correlation, 0)
    taken: list[tuple[int, int]] = []
    used: set[int] = set()
    for flat in np.argsort(-np.triu(correlation), axis=None, kind="stable"):
        i, j = divmod(int(flat), len(top))
        if i < j and not {i, j} & used:
            taken.append((int(top[i]), int(top[j])))
            used |= {i, j}
        if len(taken) == N_PAIRS or correlation[i, j] == 0:
            break
    cells = np.sort(rng.choice(len(before), min(N_POINTS, len(before)), replace=False))
    label = np.full(len(cells), "") if labels is None else labels.fillna("").to_numpy(dtype=str)[cells]
    tables = [
        pd.DataFrame(
            {"gene_x": names[x], "gene_y": names[y], "label": label}
            | {
                f"{when}_{axis}": values[cells, gene]
                for when, values in (("before", before), ("after", after))
                for axis, gene in (("x", x), ("y", y))
            }
        )
        for x, y in taken
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


MOLECULES = Exam(hidden_molecules, "a tenth of the molecules is hidden: are they expected where they were")
