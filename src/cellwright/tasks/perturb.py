"""Perturb: how cells would look under a treatment, and how near that comes to cells that had it.

    model with `perturbs`, control cells -> values on the model's scale (n_obs, n_vars) -> AnnData
    predicted cells, real control and real treated cells of a label -> rows of scores.csv, genes.csv, places.csv

What a prediction is compared with, and the genes by which, come from real cells alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.decomposition import PCA

from cellwright.core.abilities import Perturbs
from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Categories, Schema
from cellwright.data.source import StoredSource
from cellwright.errors import DataError, OptionError, did_you_mean
from cellwright.metrics.changed_genes import by_difference
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.nn import transform as transforms
from cellwright.nn.transform import Transform
from cellwright.tasks.ask import cells_for, needs
from cellwright.tasks.score_response import Reference, score_response
from cellwright.train.infer import over_cells

LEAST_SCORED = 2  # real cells of a label on each side, for a score


def perturb(
    model: Model, data: Any, *, treated: str | None = None, labels: Sequence[str] | None = None, seed: int = 0
) -> AnnData:
    """The control cells of `labels` (None: of every label) as they would look `treated`.

    `treated` is a condition that the model was trained with; None is the only one beside the control. Of data without
    the column of conditions every cell is a control. The same model, cells and seed give the same prediction.

    Returns an AnnData: `X` (n_obs, n_vars) float32 on the scale on which the model predicts, log(1 + 10,000 x /
    library) unless it was trained without logarithms; `obs` of the control cells, names kept, in the input's order,
    with the condition `treated` in place of their own, which is in `obs["predicted_from"]`; `uns["cellwright"]` model,
    options, version, seed and the scale. The input is not changed.

    `X` is dense and held at once: n_obs x n_vars x 4 bytes, 280 MB for 10,000 control cells and 7,000 genes, and the
    same again while its blocks are joined. Of many control cells, ask for a few `labels` at a time.

    Raises `AbilityError` if the model does not predict responses, `OptionError` for a condition or a label that it does
    not know, `DataError` for a model that was not trained and for a label without control cells.
    """
    perturber = needs(model, Perturbs, "perturb")
    source = cells_for(model, data, "perturb")
    condition = _conditions_of(model.schema)
    treated = treated_condition(model.schema, treated)
    code = condition.values.index(treated)
    rows = control_rows(source, model.schema, labels)
    generator = torch.Generator().manual_seed(seed)

    def as_treated(minibatch: Minibatch) -> torch.Tensor:
        return perturber.perturb(minibatch, torch.full((minibatch.n_obs,), code), generator)

    values = over_cells(as_treated, source, rows).astype(np.float32, copy=False)
    obs = source.annotation.obs.iloc[rows].copy()
    obs[condition.key] = pd.Categorical([treated] * len(rows), categories=pd.Index(condition.values))
    obs["predicted_from"] = pd.Categorical([model.schema.control] * len(rows))
    cells = AnnData(X=values, obs=obs, var=pd.DataFrame(index=list(model.schema.var_names)))
    cells.uns["cellwright"] = {
        "model": name_of(model),
        "options": model.options.model_dump_json(),
        "version": version("cellwright"),
        "seed": seed,
        "scale": scale_of(perturber),
        "filled_features": list(source.filled_features),
    }
    return cells


@dataclass(frozen=True, eq=False)
class RealCells:
    """Real cells of one label on both sides, on a model's scale: what predictions are held against."""

    label: str
    reference: Reference

    @cached_property
    def plane(self) -> PCA | None:
        """The first two principal components of the real cells, control and treated; no predicted cell enters.

        None where there is one gene only.
        """
        x = np.concatenate([self.reference.x_control, self.reference.x_treated])
        if x.shape[1] < 2:
            return None
        solver = "arpack" if min(x.shape) > 2 else "full"  # ARPACK cannot compute all there are
        return PCA(n_components=2, svd_solver=solver, random_state=0).fit(x)

    @cached_property
    def genes(self) -> pd.DataFrame:
        """One row per gene: control_mean, treated_mean, change, rank (1 changed most), fdr, variance_treated."""
        control, treated, changed = self.reference.x_control, self.reference.x_treated, self.reference.changed
        rank = np.empty(len(changed), dtype=np.int64)
        rank[by_difference(changed)] = np.arange(1, len(rank) + 1)
        return pd.DataFrame(
            {
                "control_mean": control.mean(axis=0, dtype=np.float64),
                "treated_mean": treated.mean(axis=0, dtype=np.float64),
                "change": changed["difference"].to_numpy(),
                "rank": rank,
                "fdr": changed["fdr"].to_numpy(),
                "variance_treated": treated.var(axis=0, ddof=1, dtype=np.float64),
            }
        )


def real_cells(source: StoredSource, label: str, *, treated: str, scale: Transform, seed: int = 0) -> RealCells | None:
    """The real cells of a label on both sides, read from the source; None where a side has not two: nothing to score.

    The control cells are those that a prediction starts from; most models were trained on them. Both sides are held
    dense: n_cells of the label x n_vars x 4 bytes, 280 MB for 10,000 cells and 7,000 genes a side. Beside these, this
    function and each `evaluate_perturbation` take up to about 14 times one side for a while (measured with equally many
    cells on all sides): 3.9 GB. Of a label with more cells, score a sample.
    """
    of_label = source.annotation.label == _labels_of(source.schema).values.index(label)
    codes = source.schema.control_code, _conditions_of(source.schema).values.index(treated)
    sides = [np.flatnonzero(of_label & (source.annotation.condition == code)) for code in codes]
    if min(len(rows) for rows in sides) < LEAST_SCORED:
        return None
    control, real = (over_cells(lambda cells: transforms.apply(scale, cells.x).dense(), source, rows) for rows in sides)
    return RealCells(label, Reference.of(control, real, seed))


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a prediction is worth: rows of `scores.csv`, of `genes.csv` and of `places.csv`."""

    scores: pd.DataFrame
    genes: pd.DataFrame
    places: pd.DataFrame


def evaluate_perturbation(predicted: AnnData, real: RealCells, *, label_key: str, seed: int = 0) -> Evaluated:
    """Hold the predicted cells of a label against its real ones.

    `predicted` is what `perturb` returned; of its cells those of the label are looked at. They were predicted from all
    control cells of the label, which are among the training cells of the model: only the treated ones are held out.
    """
    x_predicted = np.asarray(predicted.X)[(predicted.obs[label_key].astype(str) == real.label).to_numpy()]
    scores = score_response(real.reference, x_predicted, group=real.label, seed=seed)
    genes = real.genes.assign(
        predicted_mean=x_predicted.mean(axis=0, dtype=np.float64),
        variance_predicted=x_predicted.var(axis=0, ddof=1, dtype=np.float64) if len(x_predicted) > 1 else np.nan,
        group=real.label,
        gene=predicted.var_names.to_numpy(),
    )
    return Evaluated(scores, genes[GENE_COLUMNS], _places(real, x_predicted))


def _places(real: RealCells, x_predicted: np.ndarray) -> pd.DataFrame:
    """Where at most `MOST_PLACED` cells of each kind lie in the plane of the real ones, and what share of variance."""
    if real.plane is None:
        return pd.DataFrame(columns=PLACE_COLUMNS)
    kinds = {"control": real.reference.x_control, "treated": real.reference.x_treated, "predicted": x_predicted}
    parts = []
    for kind, x in kinds.items():
        rows = np.arange(len(x))
        if len(x) > MOST_PLACED:
            rows = np.sort(np.random.default_rng(0).choice(len(x), MOST_PLACED, replace=False))
        if len(rows):
            places = np.round(real.plane.transform(x[rows]), 4)
            parts.append(pd.DataFrame({"group": real.label, "kind": kind, "x": places[:, 0], "y": places[:, 1]}))
    share = real.plane.explained_variance_ratio_
    return pd.concat(parts, ignore_index=True).assign(share_x=share[0], share_y=share[1])


MOST_PLACED = 400  # cells of a kind in places.csv: enough to see a cloud
PLACE_COLUMNS = ["group", "kind", "x", "y", "share_x", "share_y"]
GENE_COLUMNS = [
    "group", "gene", "control_mean", "treated_mean", "predicted_mean", "change", "rank", "fdr",
    "variance_treated", "variance_predicted",
]  # fmt: skip


def scale_of(model: Perturbs) -> Transform:
    """The scale on which a model predicts."""
    return "log_normalise" if model.takes_logarithms else "none"


def treated_condition(schema: Schema, treated: str | None) -> str:
    """The condition that is meant by `treated`; None is the only one beside the control. Raises `OptionError`."""
    condition, control = _conditions_of(schema), schema.control
    others = [value for value in condition.values if value != control]
    named = f"{condition.key!r} beside the control {control!r}"
    if not others:
        raise DataError(f"a treatment must be a value of {named}; there is none. Give data with treated cells.")
    if treated is None and len(others) > 1:
        raise OptionError(f"treated must say which value of {named} is meant; there are {', '.join(others)}. Give one.")
    if treated == control:
        raise OptionError(
            f"treated must be another value of {condition.key!r} than the control; both are {control!r}. "
            f"Give one of {', '.join(others)}."
        )
    if treated is not None and treated not in others:
        raise OptionError(
            f"treated must be a value of {named}: {', '.join(others)}; it is {treated!r}."
            f"{did_you_mean(treated, others)}"
        )
    return treated or others[0]


def control_rows(source: StoredSource, schema: Schema, labels: Sequence[str] | None) -> np.ndarray:
    """The rows of the control cells of these labels (None: of any label), ascending.

    Raises `OptionError` for a label that the schema does not have, `DataError` where there are no such cells.
    """
    cells, known, condition = source.annotation, _labels_of(schema), _conditions_of(schema)
    is_control = cells.condition == schema.control_code
    if condition.key not in cells.obs and (cells.condition < 0).all():
        is_control = np.ones(source.n_obs, dtype=bool)
    names = known.values if labels is None else [labels] if isinstance(labels, str) else list(labels)
    for name in names:
        if name not in known.values:
            raise OptionError(
                f"labels must be values of {known.key!r}: {', '.join(known.values)}; {name!r} is none."
                f"{did_you_mean(name, known.values)}"
            )
        if labels is not None and not (is_control & (cells.label == known.values.index(name))).any():
            raise DataError(
                f"a response is predicted from control cells ({condition.key!r} = {schema.control!r}); the data have "
                f"none of {name!r}. Give cells of it, or another label."
            )
    rows = np.flatnonzero(is_control & np.isin(cells.label, [known.values.index(name) for name in names]))
    if not len(rows):
        raise DataError(
            f"a response is predicted from control cells ({condition.key!r} = {schema.control!r}) that have a label "
            f"({known.key!r}); of {source.n_obs} cells none is one. Give such cells."
        )
    return rows


def _conditions_of(schema: Schema) -> Categories:
    assert schema.condition is not None, "a model of responses is refused where there are no conditions"
    return schema.condition


def _labels_of(schema: Schema) -> Categories:
    assert schema.label is not None, "a model of responses is refused where there are no labels"
    return schema.label
