"""Fans: a few forecasts to look at: what was seen, what was hidden and came, and the quantiles of what was said of it.

some rows, their most variable quantities -hidden ends, draws-> a row per step: value, mean, q05, q25, q75, q95
"""

import numpy as np
import pandas as pd
import torch

from cellwright.core.abilities import Forecasts
from cellwright.core.schema import Steps
from cellwright.data.source import StoredSource, in_order
from cellwright.models.model import Model
from cellwright.models.parts.step_grid import StepGrid
from cellwright.tasks.ask import cells_for, needs
from cellwright.tasks.forecast import QUANTILES, Future, hidden_steps, summary

N_ROWS = 6
N_SERIES = 4  # of each row: sequences and quantities
FAN_COLUMNS = ["row", "sequence", "quantity", "step", "seen", "value", "mean", *QUANTILES]


def fans(
    model: Model, source: StoredSource, rows: np.ndarray, *, n_hidden: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Of up to 6 of `rows`, drawn with the seed among those with most measured, and of up to 4 series of each.

    A series is a quantity of a sequence that is longer than what is hidden; those are taken that vary most over rows
    and steps. Columns: row (its name), sequence, quantity, step (time), seen (1 or 0), value (empty where nothing was
    measured), and, of hidden steps, mean and quantiles of 100 draws (empty for a model that does not draw).
    """
    needs(model, Forecasts, "forecast")
    cells_for(model, source, "forecast")
    steps = source.schema.steps
    assert steps is not None, "a model that forecasts needs steps"
    grid, hidden = StepGrid(steps), hidden_steps(steps) if n_hidden is None else n_hidden
    values = _placed(grid, source, rows)
    chosen = np.sort(_complete(values, seed))
    series = _series(values, grid, hidden)
    future = Future.of(model, source, rows[chosen], hidden, seed=seed, standardised=False)
    said = {"mean": future.expected} | ({} if future.draws is None else summary(future.draws))
    names = source.annotation.obs.index[rows[chosen]].astype(str)
    table = []
    for row, name in enumerate(names):
        for sequence, quantity in series:
            table += _seen(grid, values[chosen[row]], (sequence, quantity), hidden, name, steps)
            for at in np.flatnonzero((future.columns.at[0] == sequence) & (future.columns.at[2] == quantity)):
                of = future.columns.var.iloc[at]
                found = {key: array[row, at] for key, array in said.items() if key != "sd"}
                table.append(
                    {"row": name, "sequence": of["sequence"], "quantity": of["quantity"], "step": of["step"], "seen": 0}
                    | {"value": future.came[row, at], **found}
                )
    return pd.DataFrame(table, columns=FAN_COLUMNS)


def _placed(grid: StepGrid, source: StoredSource, rows: np.ndarray) -> np.ndarray:
    parts = []
    for minibatch in in_order(source, rows):
        values, observed = grid.placed(minibatch.x)
        parts.append(torch.where(observed, values, torch.nan).numpy())
    return np.concatenate(parts)


def _complete(values: np.ndarray, seed: int) -> np.ndarray:
    """Up to `N_ROWS` positions at random among the fuller half."""
    n_known = (~np.isnan(values)).sum(axis=(1, 2, 3))
    order = np.argsort(-n_known, kind="stable")
    full = order[: max(N_ROWS, len(order) // 2)]
    return np.random.default_rng(seed).permutation(full)[:N_ROWS]


def _series(values: np.ndarray, grid: StepGrid, hidden: int) -> list[tuple[int, int]]:
    """Sequence and quantity of up to `N_SERIES` of those that are longer than what is hidden."""
    found = []
    for sequence, quantity in np.argwhere(grid.has_quantity.numpy()):
        of = values[:, sequence, :, quantity]
        known = of[~np.isnan(of)]
        if int(grid.n_steps[sequence]) > hidden and len(known):
            found.append((-float(known.var()), int(sequence), int(quantity)))
    return [(sequence, quantity) for _, sequence, quantity in sorted(found)[:N_SERIES]]


def _seen(
    grid: StepGrid, values: np.ndarray, series: tuple[int, int], hidden: int, name: str, steps: Steps
) -> list[dict[str, object]]:
    sequence, quantity = series
    n = int(grid.n_steps[sequence])
    times = grid.known[sequence]
    what = {"row": name, "sequence": steps.sequences[sequence], "quantity": steps.quantities[quantity], "seen": 1}
    known = zip(times[: n - hidden], values[sequence, : n - hidden, quantity], strict=True)
    return [what | {"step": t, "value": v} for t, v in known if not np.isnan(v)]
