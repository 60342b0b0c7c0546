"""Spatial scores: what a study of tissues asks of every fitted model, and adds to its run.

fitted model, cells -> domains as clustered, and as refined by neighbours -> against labels, coherence -> scores.csv
                    -> domains beside labels in the tissue, enrichment of pairs -> cells.h5ad

Scores of the clusters have the task `cluster`, those of the refined domains the task `refine`: the refinement is no
part of a model, and what it does is read from both.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.data.place_graph import PlaceGraphOptions
from cellwright.data.prepare import Prepared
from cellwright.data.write import h5ad_bytes
from cellwright.keys import latent_key
from cellwright.metrics import METRICS
from cellwright.metrics.neighbours import Neighbours
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.run import SCORE_COLUMNS, Run
from cellwright.tasks.neighbours import nearest
from cellwright.tasks.score import score
from cellwright.tasks.spatial import DOMAIN, REFINED, SpatialOptions, labelled, places_of, spatial

WITH_LABELS = ("ari", "nmi", "balanced_ari", "label_f1")
COHERENCE = "spatial_coherence"
BESIDE = 6  # neighbours whose domain is asked for


_SCORED = ((DOMAIN, "cluster"), (REFINED, "refine"))  # a column of obs, and the task that it is scored under


@dataclass(frozen=True, eq=False)
class Examination:
    """Scores the domains of a tissue."""

    options: SpatialOptions
    graph: PlaceGraphOptions

    def __call__(self, run: Run, model: Model, cells: Prepared, *, seed: int, for_looking: bool) -> None:
        """Write `scores.csv` and, last, `cells.h5ad`."""
        schema = cells.source.schema
        adata = spatial(model, cells.source, self.options, graph=self.graph, seed=seed, split=cells.split)
        run.note("cluster_key", DOMAIN)
        run.note("coordinates_key", schema.coordinates.key if schema.coordinates else None)
        run.note("unlabelled", list(self.options.unlabelled))
        parts = [_coherence(adata, cells, key, task, seed) for key, task in _SCORED]
        label_key = schema.label.key if schema.label else None
        if label_key is not None:
            rows = np.flatnonzero(labelled(cells.source, self.options) >= 0)
            parts += [_against_labels(adata, label_key, key, task, rows, seed) for key, task in _SCORED]
            use_rep = latent_key(name_of(model))
            parts.append(score(adata, ["silhouette"], use_rep=use_rep, label_key=label_key, rows=rows, seed=seed))
        run.add_scores(pd.concat(parts, ignore_index=True))
        image = h5ad_bytes(adata)
        with run.writing("cells.h5ad") as path:
            path.write_bytes(image)


def _against_labels(adata: AnnData, label_key: str, key: str, task: str, rows: np.ndarray, seed: int) -> pd.DataFrame:
    found = score(adata, WITH_LABELS, label_key=label_key, cluster_key=key, rows=rows, seed=seed)
    return found.assign(task=task)


def _coherence(adata: AnnData, cells: Prepared, key: str, task: str, seed: int) -> pd.DataFrame:
    """The share of neighbours of the same domain, over the sections that have enough cells; no row where none has."""
    places, section = places_of(cells.source)
    domain = adata.obs[key].astype(str).to_numpy()
    rows, found = neighbours_in_sections(places, section)
    metric = METRICS[COHERENCE]
    if len(np.unique(domain[rows])) < 2:
        return pd.DataFrame(columns=SCORE_COLUMNS)
    value = float(metric.function(neighbours=found, clusters=domain[rows]))
    row = {"task": task, "metric": COHERENCE, "value": value, "better": metric.better, "group": ""}
    return pd.DataFrame([row | {"held_out": False, "seed": seed}])[SCORE_COLUMNS]


def neighbours_in_sections(places: np.ndarray, section: np.ndarray) -> tuple[np.ndarray, Neighbours]:
    """The cells of sections with more than `BESIDE` cells, and the nearest of each within its section."""
    kept = [np.flatnonzero(section == name) for name in np.unique(section)]
    kept = [rows for rows in kept if len(rows) > BESIDE]
    indices, distances, start = [np.zeros((0, BESIDE), np.int64)], [np.zeros((0, BESIDE))], 0
    for rows in kept:
        found, apart = nearest(places[rows], BESIDE, 0)
        indices.append(found + start)
        distances.append(apart)
        start += len(rows)
    rows = np.concatenate([np.zeros(0, np.int64), *kept])
    return rows, Neighbours(np.concatenate(indices), np.concatenate(distances))
