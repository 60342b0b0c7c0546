"""Trajectory scores: what a study of trajectories asks of every fitted model, and adds to its run.

fitted model, cells -> latent -> trajectory -> order in time, order of labels, branches -> scores.csv
                              -> changing features, UMAP with curves and arrows, of the first seed -> cells.h5ad
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.data.prepare import Prepared, as_anndata
from cellwright.data.write import h5ad_bytes
from cellwright.dynamics.projection import arrows, lineage_curves
from cellwright.errors import DataError, MissingKey, OptionError, did_you_mean
from cellwright.keys import latent_key, umap_key
from cellwright.metrics import METRICS
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.run import SCORE_COLUMNS, Run
from cellwright.tasks.ask import annotated
from cellwright.tasks.changes import changes
from cellwright.tasks.embed import embed
from cellwright.tasks.reduce import reduce
from cellwright.tasks.score import score_rows
from cellwright.tasks.trajectory import BRANCH, FATES, PSEUDOTIME, TRANSITIONS, UNS, TrajectoryOptions, trajectory

TASK = "trajectory"
NOT_FOUND = "not reached"  # a cell of no found branch is of one of its own, so that leaving cells out gains nothing


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the cells: the branch of each, and labels that follow each other."""

    branch: np.ndarray | None  # (n_obs,) of str or None
    orders: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, cells: Prepared, branch_key: str | None, orders: Sequence[str]) -> "Known":
        """Raises `MissingKey` for a column that is not there, `OptionError` for an order of labels that are not."""
        obs = cells.source.annotation.obs
        if branch_key is not None and branch_key not in obs:
            raise MissingKey.of("obs", branch_key, "branch_key", obs.columns)
        branch = None if branch_key is None else obs[branch_key].astype(object).where(obs[branch_key].notna(), None)
        if branch is not None and branch.isna().all():
            raise DataError(f"obs[{branch_key!r}] (branch_key) must name the branch of a cell; it is missing for all.")
        label = cells.source.schema.label
        names = label.values if label else ()
        parsed = {order: tuple(part.strip() for part in order.split("<")) for order in orders}
        for order, parts in parsed.items():
            unknown = next((part for part in parts if part not in names), None)
            if unknown is not None or len(parts) < 2 or len({*parts}) < len(parts):
                got = repr(unknown) if unknown is not None else "one" if len(parts) < 2 else "one of them twice"
                raise OptionError(
                    "orders of TrajectoryStudyOptions must be of two different labels at least, joined by '<'; "
                    f"{order!r} has {got}.{did_you_mean(str(unknown), names)} The labels "
                    f"are {', '.join(names[:8]) or 'not given: name label_key'}."
                )
        return cls(None if branch is None else branch.to_numpy(), parsed)


@dataclass(frozen=True, eq=False)
class Examination:
    """Scores the trajectory through the latent of a model."""

    options: TrajectoryOptions
    known: Known

    def __call__(self, run: Run, model: Model, cells: Prepared, *, seed: int, for_looking: bool) -> None:
        """Write `scores.csv` and, last, `cells.h5ad`."""
        schema = cells.source.schema
        adata = annotated(model, cells.source, cells.split)
        use_rep = latent_key(name_of(model))
        adata.obsm[use_rep] = reduce(model, cells.source).obsm[use_rep]
        label_key = schema.label.key if schema.label else None
        trajectory(adata, self.options, use_rep=use_rep, label_key=label_key, time_key=schema.time, seed=seed)
        run.note("time_key", schema.time)
        run.note("reads_labels", "label" in model.reads)
        rows = self._rows(adata, cells)
        table = pd.DataFrame(rows, columns=["task", "metric", "value", "better", "group"])
        run.add_scores(table.assign(held_out=False, seed=seed)[SCORE_COLUMNS])
        if for_looking:
            _add_what_people_look_at(adata, use_rep, cells)
        else:
            del adata.obsp[TRANSITIONS]  # of every seed it would be most of the folder
        image = h5ad_bytes(adata)
        with run.writing("cells.h5ad") as path:
            path.write_bytes(image)

    def _rows(self, adata: AnnData, cells: Prepared) -> list[tuple[str, str, float, str, str]]:
        order = adata.obs[PSEUDOTIME].to_numpy()
        label, schema = cells.source.annotation.label, cells.source.schema
        names = np.array([*(schema.label.values if schema.label else ()), None], dtype=object)
        labels = names[label] if schema.label else None
        rows = []
        if schema.time is not None:
            time = cells.source.annotation.time.astype(np.float64)
            rows += score_rows(METRICS["time_order"], "time_order", labels, pseudotime=order, time=time)
        of_orders = {}
        for text, parts in self.known.orders.items():
            rank = np.array([parts.index(name) if name in parts else np.nan for name in names[label]], dtype=float)
            of_orders[text] = METRICS["time_order"].function(pseudotime=order, time=rank)
        if of_orders and schema.time is None:  # what models are ordered by where no time is known
            of_orders = {"": float(np.mean(list(of_orders.values())))} | of_orders
        rows += [(TASK, "time_order", value, "higher", text) for text, value in of_orders.items()]
        if self.known.branch is not None:
            found = adata.obs[BRANCH].astype(object).where(adata.obs[BRANCH].notna(), NOT_FOUND).to_numpy()
            rows += score_rows(METRICS["branch_f1"], "branch_f1", None, labels_true=self.known.branch, clusters=found)
        return [(TASK, *row[1:]) for row in rows]


def _add_what_people_look_at(adata: AnnData, use_rep: str, cells: Prepared) -> None:
    embed(adata, use_rep=use_rep)
    places = np.asarray(adata.obsm[umap_key(use_rep)])
    order = adata.obs[PSEUDOTIME].to_numpy()
    adata.uns[UNS]["curves"] = lineage_curves(places, order, np.asarray(adata.obsm[FATES], dtype=np.float64))
    adata.uns[UNS]["arrows"] = arrows(places, adata.obsp[TRANSITIONS])
    try:
        changes(adata, as_anndata(cells.source))
    except DataError:  # values without a meaning on this scale: the trajectory stands without
        return
