"""Integrate scores: what a study of integrations asks of every fitted model, and adds to its run.

fitted model, cells -> latent of all cells -> bio, batch and total; clusters against labels; order in time -> scores.csv
                                           -> UMAP of the first seed, for looking -> cells.h5ad

The latent before any correction, which some metrics compare with, is that of `pca` with the same seed and cells.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cellwright.core.abilities import Encodes
from cellwright.data.prepare import Prepared
from cellwright.data.write import h5ad_bytes
from cellwright.dynamics.roots import earliest, most_central
from cellwright.keys import latent_key
from cellwright.metrics import METRICS
from cellwright.models import build_with, name_of
from cellwright.models.model import Model
from cellwright.run import SCORE_COLUMNS, Run
from cellwright.study.arm import Arm
from cellwright.tasks.ask import annotated
from cellwright.tasks.cluster import ClusterOptions, cluster_labels
from cellwright.tasks.diffusion_pseudotime import diffusion_pseudotime
from cellwright.tasks.embed import embed
from cellwright.tasks.reduce import reduce
from cellwright.tasks.score_integration import TASK, score_integration
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions


@dataclass(eq=False)
class Examination:
    """Scores an integration; remembers the uncorrected components of the cells that it saw last."""

    uncorrected: Arm
    _seen: dict[int, np.ndarray] = field(default_factory=dict)  # by seed

    def __call__(self, run: Run, model: Model, cells: Prepared, *, seed: int, for_looking: bool) -> None:
        """Write `scores.csv` and, last, `cells.h5ad`."""
        assert isinstance(model, Encodes), "the plan refuses models that do not encode"
        adata = annotated(model, cells.source, cells.split)
        use_rep = latent_key(name_of(model))
        adata.obsm[use_rep] = latent = np.asarray(reduce(model, cells.source).obsm[use_rep])
        labels, batches = column_of(cells, "label"), column_of(cells, "batch")
        before = self._before(cells, seed)
        scores = [score_integration(latent, labels=labels, batches=batches, before=before, seed=seed)]
        if len(further := _further_rows(latent, labels, cells, seed)):
            scores.append(further)
        run.note("time_key", cells.source.schema.time)
        run.note("reads_labels", "label" in model.reads)
        run.add_scores(pd.concat(scores, ignore_index=True))
        if for_looking:
            embed(adata, use_rep=use_rep)
        image = h5ad_bytes(adata)
        with run.writing("cells.h5ad") as path:
            path.write_bytes(image)

    def _before(self, cells: Prepared, seed: int) -> np.ndarray:
        if seed not in self._seen:
            model = build_with(self.uncorrected.model, cells.source.schema, self.uncorrected.options())
            fit(model, cells.source, FitOptions(seed=seed), split=cells.split, progress=False)
            found = reduce(model, cells.source)
            self._seen = {seed: np.asarray(found.obsm[latent_key(name_of(model))])}
        return self._seen[seed]


def column_of(cells: Prepared, role: str) -> pd.Series | None:
    """The labels or batches of the cells as text, missing where the code is -1."""
    field = getattr(cells.source.schema, role)
    if field is None:
        return None
    codes = getattr(cells.source.annotation, role)
    names = np.array([*field.values, None], dtype=object)
    return pd.Series(names[codes], name=field.key)


def _further_rows(latent: np.ndarray, labels: pd.Series | None, cells: Prepared, seed: int) -> pd.DataFrame:
    """K-means with as many clusters as labels, against these; order in time, where times are known."""
    found: dict[str, float] = {}
    if labels is not None:
        known = labels.notna().to_numpy()
        clusters = cluster_labels(latent[known], ClusterOptions(n_clusters=labels.nunique(), seed=seed)).labels
        found["ari"] = METRICS["ari"].function(labels_true=labels[known].to_numpy(), clusters=clusters)
    time = cells.source.annotation.time.astype(np.float64)
    if cells.source.schema.time is not None and len(np.unique(time[np.isfinite(time)])) > 1:
        root = int(most_central(latent, earliest(time))[0])
        order = diffusion_pseudotime(latent, root, seed)
        found["time_order"] = METRICS["time_order"].function(pseudotime=order, time=time)
    rows = [(TASK, name, value, METRICS[name].better, "") for name, value in found.items()]
    frame = pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=False, seed=seed)[SCORE_COLUMNS]
