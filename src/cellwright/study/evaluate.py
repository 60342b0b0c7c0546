"""Evaluate: what a comparison asks of every fitted model, and adds to its run.

    fitted model, cells, split -encodes-> latent -> k-means, Leiden -> scores.csv (all cells; held-out cells)
                               -classifies-> labels -> scores.csv (held-out cells);  all that was said -> cells.h5ad
                               -generates-> new cells against held-out ones -> scores.csv
                               -translates-> each modality of held-out cells from the others -> scores.csv
                               -forecasts-> the last steps of held-out sequences, and which state follows which
                                            -> scores.csv; a few forecasts.csv, transitions.csv, for looking

A model is scored for each ability that it has and that can be scored; one that has none is in the table with its cost.
Of a model that learns from labels no latent of training cells is scored against them.
With labels, k-means gets their number, the same for every model. The clusters of held-out cells are those whose
centre, found on the other cells, is nearest: held-out cells enter no clustering that they are scored by.
"""

import math
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.core.abilities import Classifies, Decodes, Encodes, Forecasts, Generates, Translates
from cellwright.data.prepare import Prepared, as_anndata
from cellwright.data.write import h5ad_bytes
from cellwright.keys import cluster_key, latent_key, predicted_key
from cellwright.metrics import METRICS
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.tasks.ask import annotated
from cellwright.tasks.classify import add_labels, score_classification
from cellwright.tasks.cluster import ClusterOptions, best_leiden_by_labels, cluster, cluster_labels
from cellwright.tasks.composition import composition
from cellwright.tasks.confidence import Confidence, confidence_of
from cellwright.tasks.embed import embed
from cellwright.tasks.fans import fans
from cellwright.tasks.forecast import score_forecast
from cellwright.tasks.generate import score_generation
from cellwright.tasks.markers import markers
from cellwright.tasks.reconstruct import score_reconstruction
from cellwright.tasks.reduce import reduce
from cellwright.tasks.score import score
from cellwright.tasks.state_transitions import clustered_states, score_transitions, state_transitions
from cellwright.tasks.translate import score_translation

WITH_LABELS = ("ari", "nmi", "balanced_ari", "label_f1", "silhouette")


@dataclass(frozen=True)
class Asked:
    """What a classifier is asked beside its labels; see `confidence_of`."""

    accuracy: float | None = None
    calibrate: bool = False


def evaluate(
    run: Run,
    model: Model,
    cells: Prepared,
    *,
    seed: int,
    for_looking: bool,
    asked: Asked = Asked(),
) -> None:
    """Write `scores.csv` and `cells.h5ad`, whatever the model is able to do.

    UMAP, markers and composition only `for_looking`, because they cost time. `cells.h5ad` comes last: a run that has
    it is complete.
    """
    adata = annotated(model, cells.source, cells.split)
    scores = []
    if isinstance(model, Encodes):
        scores += _embedding(run, adata, model, cells, seed=seed, for_looking=for_looking)
    if isinstance(model, Classifies):
        scores.append(_classification(run, adata, model, cells, seed, asked))
    if isinstance(model, Generates) and len(cells.split.test):
        scores.append(score_generation(model, cells.source, cells.split.test, held_out=True, seed=seed))
    if isinstance(model, Translates) and len(model.schema.modalities) > 1 and len(cells.split.test):
        scores.append(score_translation(model, cells.source, cells.split.test, held_out=True, seed=seed))
    if isinstance(model, Forecasts) and len(cells.split.test):
        scores += _forecasts(run, model, cells, seed=seed, for_looking=for_looking)
    if scores:
        run.add_scores(pd.concat(scores, ignore_index=True))
    image = h5ad_bytes(adata)
    with run.writing("cells.h5ad") as path:
        path.write_bytes(image)


def _embedding(
    run: Run, adata: AnnData, model: Model, cells: Prepared, *, seed: int, for_looking: bool
) -> list[pd.DataFrame]:
    """The latent and its clusters into `adata`; scores of both, and of what is given back from the latent."""
    use_rep = latent_key(name_of(model))
    adata.obsm[use_rep] = reduce(model, cells.source).obsm[use_rep]
    label_key = cells.source.schema.label.key if cells.source.schema.label else None
    n_labels = cells.source.schema.n_labels or None
    key = cluster_key(cells.source.annotation.obs.columns)
    run.note("cluster_key", key)
    cluster(adata, ClusterOptions(n_clusters=n_labels, seed=seed), use_rep=use_rep, key_added=key)
    # as of a classifier: what a latent says of labels that made it tells nothing of others
    knows_labels = "label" in model.reads
    scores = [_clustering(adata, use_rep, key, cells, seed, on_all=not knows_labels)]
    if label_key and not knows_labels and find_spec("igraph") and find_spec("leidenalg"):
        scores.append(_leiden(adata, use_rep, label_key, seed))
    # of sequences with gaps there is nothing to compare a reconstruction with
    if isinstance(model, Decodes) and len(cells.split.test) and cells.source.schema.steps is None:
        scores.append(score_reconstruction(model, cells.source, cells.split.test, held_out=True, seed=seed))
    if for_looking:
        _add_what_people_look_at(adata, use_rep, key, cells)
    return scores


def _forecasts(run: Run, model: Model, cells: Prepared, *, seed: int, for_looking: bool) -> list[pd.DataFrame]:
    """The hidden ends of held-out sequences, and the states that follow states; both as tables to look at."""
    rows = cells.split.test
    states = clustered_states(cells.source, cells.split.train, seed=seed)
    table = state_transitions(model, cells.source, states, rows, seed=seed)
    if for_looking:
        run.write_table("transitions.csv", table)
        run.write_table("forecasts.csv", fans(model, cells.source, rows, seed=seed))
    return [
        score_forecast(model, cells.source, rows, held_out=True, seed=seed),
        score_transitions(table, held_out=True, seed=seed),
    ]


def _classification(run: Run, adata: AnnData, model: Model, cells: Prepared, seed: int, asked: Asked) -> pd.DataFrame:
    """Predicted labels of all cells into `adata`; scores of the held-out ones, for the others were learnt from."""
    key = predicted_key(adata.obs.columns)
    run.note("predicted_key", key)
    confidence = Confidence()
    if asked != Asked():
        confidence = confidence_of(model, cells.source, cells.split, **asdict(asked))
        run.note("temperature", confidence.temperature)
        # infinity is no JSON
        run.note("threshold", confidence.threshold if math.isfinite(confidence.threshold) else "no cell is answered")
    add_labels(adata, model, cells.source, key_added=key, confidence=confidence)
    return score_classification(model, cells.source, cells.split.test, held_out=True, seed=seed, confidence=confidence)


def _clustering(adata: AnnData, use_rep: str, key: str, cells: Prepared, seed: int, *, on_all: bool) -> pd.DataFrame:
    """K-means against labels on all cells (`on_all`) and on held-out ones; without labels, how compact clusters are."""
    label = cells.source.schema.label
    if label is None:
        return score(adata, ["silhouette_cluster"], use_rep=use_rep, cluster_key=key, seed=seed)
    every = score(adata, WITH_LABELS, use_rep=use_rep, label_key=label.key, cluster_key=key, seed=seed)
    tables = [every if on_all else every[:0]]
    rows = cells.split.test
    if len(rows) > 1:
        obs = adata.obs.assign(held_out=held_out_clusters(np.asarray(adata.obsm[use_rep]), cells, label.n, seed))
        names = [name for name in WITH_LABELS if name != "silhouette"]
        keys = {"label_key": label.key, "cluster_key": "held_out"}
        tables.append(score(AnnData(obs=obs), names, rows=rows, held_out=True, seed=seed, **keys))
    return pd.concat(tables, ignore_index=True)


def held_out_clusters(latent: np.ndarray, cells: Prepared, n_clusters: int, seed: int) -> np.ndarray:
    """Clusters of all cells from a k-means on those that are not held out, by the nearest centre; (n_obs,) int."""
    seen = np.concatenate([cells.split.train, cells.split.validation])
    labels = cluster_labels(latent[seen], ClusterOptions(n_clusters=n_clusters, seed=seed)).labels
    names = np.unique(labels)
    centres = np.stack([latent[seen][labels == name].mean(axis=0) for name in names])
    distances = ((latent**2).sum(axis=1)[:, None] - 2 * latent @ centres.T) + (centres**2).sum(axis=1)
    return distances.argmin(axis=1)


def _leiden(adata: AnnData, use_rep: str, label_key: str, seed: int) -> pd.DataFrame:
    """ARI of Leiden at the resolution that the labels like best: an oracle, to compare with published tables only."""
    value, _ = best_leiden_by_labels(np.asarray(adata.obsm[use_rep]), adata.obs[label_key], seed=seed)
    metric = METRICS["best_leiden_ari"]
    row = {"task": metric.task, "metric": "best_leiden_ari", "value": value, "better": metric.better, "group": ""}
    return pd.DataFrame([row | {"held_out": False, "seed": seed}])


def _add_what_people_look_at(adata: AnnData, use_rep: str, key: str, cells: Prepared) -> None:
    embed(adata, use_rep=use_rep)
    # the features of a sequence are its times, with gaps: none of them is a marker
    if adata.obs[key].nunique() > 1 and cells.source.schema.steps is None:
        there = cells.source.measured(cells.source.schema.modalities[0])  # what was not measured is no zero
        if adata.obs[key][there].nunique() > 1:
            adata.uns["markers"] = markers(as_anndata(cells.source)[there].copy(), adata.obs[key][there])
    by = [field.key for field in (cells.source.schema.label, cells.source.schema.batch) if field]
    if by:
        adata.uns["composition"] = pd.concat([composition(adata.obs, key, column) for column in by], ignore_index=True)
