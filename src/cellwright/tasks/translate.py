"""Translate: what a modality that was not measured would be, from those that were; and how far that is right.

model with `translates`, cells, modality -> expectations or draws (n_obs, n_features) -> AnnData
held-out cells with several modalities -> each from the others, against what was measured -> rows of scores.csv
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.abilities import DrawsModality, Translates
from cellwright.core.minibatch import Minibatch, SparseRows
from cellwright.data.source import StoredSource, in_order
from cellwright.errors import DataError
from cellwright.metrics import METRICS
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.nn import transform as transforms
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.ask import cells_for, needs
from cellwright.tasks.reconstruct import common_scale, label_names
from cellwright.tasks.score import ScoreRow, score_rows

BLOCK_ROWS = 1024  # cells that are dense at a time
AT_MOST_CELLS = 2000  # of which translations are scored: 2,000 x 20,000 values take 320 MB
ORIGIN = "translated_from"  # the column of obs
NOTHING = "nothing"  # what a cell is translated from on which no other modality was measured


def translate(model: Model, data: Any, to: str, *, draw: bool = False, seed: int = 0) -> AnnData:
    """The modality `to` of every cell, from its other modalities. `data` is a source or what `open_data` takes.

    Where `to` was measured, the measured values are not looked at. Returns an AnnData over the features of `to`, with
    the input's cells and `obs`: `X` (float32) is what is expected, on the scale of the data (counts, at a library
    that is predicted too), or with `draw` a measurement as it could be; `obs["translated_from"]` names the modalities
    that a cell was translated from. A cell without any has NaN in `X`, and `nothing` there.

    Raises `AbilityError` if the model does not translate, or not draw; `SchemaMismatch` for a modality that it does not
    know; `DataError` for cells that have a column of the name that is written.
    """
    translator = needs(model, Translates, "translate")
    drawer = needs(model, DrawsModality, "translate with draw") if draw else None
    source = cells_for(model, data, "translate")
    _refuse_taken(source)
    var = pd.DataFrame(index=list(model.schema.of(to).var_names))
    generator = torch.Generator().manual_seed(seed)
    function = translator.translate if drawer is None else drawer.draw_modality
    blocks = [function(m, to, generator).cpu().numpy() for m in _blocks(source)]
    values = np.concatenate(blocks).astype(np.float32)
    obs = source.annotation.obs.copy()
    obs[ORIGIN] = pd.Categorical(_others(source, to))
    cells = AnnData(sparse.csr_matrix(values) if draw and not np.isnan(values).any() else values, obs=obs, var=var)
    cells.uns["cellwright"] = {
        "model": name_of(model),
        "options": model.options.model_dump_json(),
        "version": version("cellwright"),
        "modality": to,
        "draw": draw,
        "seed": seed,
        "filled_features": list(source.filled_features),
    }
    return cells


def score_translation(model: Model, data: Any, rows: np.ndarray, *, held_out: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `translate`: each modality from the others, of those of `rows` that have both.

    The metric `feature_pearson` of log(1 + 10,000 x / library), or of real-valued modalities as they are. `group` is
    the modality (`protein`) for all cells, `protein: B` for those of a label. Of more than 2,000 cells a seeded sample
    is taken. A modality that none of the cells has beside another has no row.
    """
    translator = needs(model, Translates, "translate")
    source = cells_for(model, data, "translate")
    table: list[ScoreRow] = []
    for modality in model.schema.modalities:
        asked = _sampled(_with_others(source, rows, modality), seed)
        if len(asked) > 1:
            true, predicted = _compared(translator, source, asked, modality, seed)
            metric, labels = METRICS["feature_pearson"], label_names(source, asked)
            found = score_rows(metric, "feature_pearson", labels, x_true=true, x_predicted=predicted)
            for task, name, value, better, group in found:
                table.append((task, name, value, better, f"{modality}: {group}" if group else modality))
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _refuse_taken(source: StoredSource) -> None:
    if ORIGIN in source.annotation.obs:
        raise DataError(
            f"obs must not have {ORIGIN!r}, under which `translate` says what a cell was translated from; the data "
            f"have it. Give the column another name, or remove it: del adata.obs[{ORIGIN!r}]."
        )


def _compared(
    translator: Translates, source: StoredSource, rows: np.ndarray, modality: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Measured and translated values of cells, on the scale on which they are compared."""
    scale = common_scale(source.of(modality), rows)
    generator = torch.Generator().manual_seed(seed)
    true, predicted = [], []
    for minibatch in _blocks(source, rows):
        expected = SparseRows.of(translator.translate(minibatch, modality, generator).cpu().numpy())
        true.append(transforms.apply(scale, minibatch.of(modality).x).dense().numpy())
        predicted.append(transforms.apply(scale, expected).dense().numpy())
    return np.concatenate(true), np.concatenate(predicted)


def _blocks(source: StoredSource, rows: np.ndarray | None = None) -> Iterator[Minibatch]:
    return in_order(source, rows, BLOCK_ROWS)


def _others(source: StoredSource, to: str) -> np.ndarray:
    """The names of the other modalities that each cell has, joined by `+`."""
    names = np.full(source.n_obs, "", dtype=object)
    for modality in source.schema.modalities:
        if modality != to:
            there = source.measured(modality)
            names[there] = names[there] + np.where(names[there] == "", "", "+") + modality
    return np.where(names == "", NOTHING, names)


def _with_others(source: StoredSource, rows: np.ndarray, modality: str) -> np.ndarray:
    """The rows on which the modality and another were measured."""
    others = [source.measured(name)[rows] for name in source.schema.modalities if name != modality]
    return rows[source.measured(modality)[rows] & np.any(others, axis=0)] if others else rows[:0]


def _sampled(rows: np.ndarray, seed: int) -> np.ndarray:
    if len(rows) <= AT_MOST_CELLS:
        return np.sort(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, AT_MOST_CELLS, replace=False))
