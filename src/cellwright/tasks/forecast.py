"""Forecast: how sequences go on, with how sure that is; and how far it is right where the end was hidden.

model with `forecasts`, rows that are sequences -> expectations, spread and quantiles of the steps ahead -> AnnData
rows, their last steps hidden -> forecasts against what was measured -> rows of scores.csv
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from pydantic import Field, field_validator

from cellwright.core.abilities import DrawsForecast, Forecasts
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.schema import Steps
from cellwright.data.source import StoredSource, in_order
from cellwright.errors import DataError, OptionError
from cellwright.metrics import METRICS
from cellwright.models.model import Model
from cellwright.models.parts.step_grid import StepGrid
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.ask import annotated, cells_for, needs

BLOCK_ROWS = 512  # rows whose draws are held at a time
QUANTILES = {"q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}
N_SCORED_DRAWS = 100
OF_DRAWS = ("crps", "energy_score", "coverage_error")
BY_STEP = ("forecast_rmse", "crps")  # scored for each step ahead by itself as well


class ForecastOptions(Options):
    """How far ahead, and with how many draws."""

    n_steps: int = Field(1, ge=1, description="steps ahead of the end of each sequence, its median gap apart")
    n_draws: int = Field(
        0,
        ge=0,
        description="draws of how a sequence could go on: their spread and quantiles are layers; 0: none, or 2 or more",
    )

    @field_validator("n_draws")
    @classmethod
    def _a_single_draw_has_no_spread(cls, n_draws: int) -> int:
        if n_draws == 1:
            raise OptionError(
                "n_draws of ForecastOptions must be 0, or 2 or more, to have a spread; it is 1. Give e.g. 100."
            )
        return n_draws


@dataclass(frozen=True, eq=False)
class Columns:
    """The steps ahead of every sequence and quantity, a column each, by sequence, step and quantity."""

    var: pd.DataFrame  # step (its time), ahead (1, 2, ...), sequence, quantity
    at: tuple[np.ndarray, np.ndarray, np.ndarray]  # positions in (n_sequences, n_steps, n_quantities)

    @classmethod
    def of(cls, steps: Steps, n_steps: int, hidden: int = 0) -> "Columns":
        """The columns; none for a quantity that a sequence does not have."""
        grid = StepGrid(steps)
        times = grid.when(n_steps, hidden)
        there = np.repeat(grid.has_quantity.numpy()[:, None], n_steps, axis=1)
        at = np.nonzero(there)
        var = pd.DataFrame(
            {
                "step": times[at[:2]],
                "ahead": at[1] + 1,
                "sequence": np.array(steps.sequences, dtype=object)[at[0]],
                "quantity": np.array(steps.quantities, dtype=object)[at[2]],
            }
        )
        parts = zip(var["sequence"], var["quantity"], var["step"], strict=True)
        names = ["_".join([*filter(None, (sequence, quantity)), f"{step:g}"]) for sequence, quantity, step in parts]
        return cls(var.set_axis(names), (at[0], at[1], at[2]))

    def take(self, values: torch.Tensor) -> np.ndarray:
        """`(n_obs, n_sequences, n_steps, n_quantities)` as `(n_obs, n_columns)` float32."""
        return values.cpu().numpy()[:, *self.at].astype(np.float32)


@torch.no_grad()
def forecast(
    model: Model,
    data: Any,
    options: ForecastOptions = ForecastOptions(),  # noqa: B008  frozen
    *,
    seed: int = 0,
) -> AnnData:
    """How the sequences of each row go on. `data` is a source or what `open_data` takes, new rows too.

    Returns an AnnData with the input's rows and `obs`, a column for each step ahead of each sequence and quantity:

    - `X` (n_obs, n_columns) float32: what is expected, in the unit of the data; NaN where a row has no such sequence;
    - `var`: `step` (its time, in the unit of the data's steps), `ahead` (1, 2, ...), `sequence`, `quantity`;
    - with `options.n_draws`: `layers["sd"]`, and the quantiles `layers["q05"]`, `["q25"]`, `["q75"]`, `["q95"]`.

    Steps ahead lie behind the last step of the data, also for a row that ended before. `uns["cellwright"]` says what
    made it. The same seed gives the same values. Raises `AbilityError` if the model does not forecast (or not draw,
    with `n_draws`), `SchemaMismatch` if no feature is in common.
    """
    forecaster = needs(model, Forecasts, "forecast")
    drawer = needs(model, DrawsForecast, "forecast with n_draws") if options.n_draws else None
    source = cells_for(model, data, "forecast")
    columns = Columns.of(_steps(model), options.n_steps)
    parts: dict[str, list[np.ndarray]] = {}
    for minibatch in _blocks(source):
        found = {"X": columns.take(forecaster.forecast(minibatch, options.n_steps))}
        if drawer is not None:
            found |= summary(_draws(drawer, minibatch, columns, options.n_steps, options.n_draws, seed))
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
    layers = {name: np.concatenate(values) for name, values in parts.items()}
    obs, uns = _said(model, source, options, seed)
    return AnnData(layers.pop("X"), obs=obs, var=columns.var, layers=layers, uns=uns)


def summary(draws: np.ndarray) -> dict[str, np.ndarray]:
    """Spread and quantiles of draws `(n_obs, n_columns, n_draws)`, each `(n_obs, n_columns)` float32."""
    quantiles = np.quantile(draws, list(QUANTILES.values()), axis=2).astype(np.float32)
    return {"sd": draws.std(axis=2, ddof=1), **dict(zip(QUANTILES, quantiles, strict=True))}


def score_forecast(
    model: Model, data: Any, rows: np.ndarray, *, held_out: bool, n_hidden: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `forecast`: the last `n_hidden` steps of `rows` from those before them.

    Without `n_hidden` a fifth of the longest sequence is hidden. Sequences that are no longer than that are left out.
    In the unit of the data; of several quantities each in its standard deviation over the steps that are seen. `group`
    is `2 ahead` for the second step behind what is seen, and empty for all. Draws, 100 of each, are scored of models
    that draw. Empty where nothing that was hidden was measured; raises as `forecast`.
    """
    needs(model, Forecasts, "forecast")
    source = cells_for(model, data, "forecast")
    hidden = hidden_steps(_steps(model)) if n_hidden is None else n_hidden
    future = Future.of(model, source, rows, hidden, seed=seed)
    table = [("", name, value) for name, value in _scores(future, slice(None)).items()]
    for ahead in range(1, hidden + 1):
        at = (future.columns.var["ahead"] == ahead).to_numpy()
        found = _scores(future, at)
        table += [(f"{ahead} ahead", name, found[name]) for name in BY_STEP if name in found]
    lines = [("forecast", name, value, METRICS[name].better, group) for group, name, value in table]
    frame = pd.DataFrame(lines, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def hidden_steps(steps: Steps) -> int:
    """How many steps are hidden to score a forecast: a fifth of the longest sequence, one at least."""
    return max(1, round(StepGrid(steps).shape[1] / 5))


@dataclass(frozen=True, eq=False)
class Future:
    """What was hidden of some rows, and what was said of it; standardised where there are several quantities."""

    columns: Columns
    came: np.ndarray  # (n_rows, n_columns), NaN where nothing was measured
    expected: np.ndarray
    draws: np.ndarray | None  # (n_rows, n_columns, n_draws)

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        model: Model,
        source: StoredSource,
        rows: np.ndarray,
        hidden: int,
        *,
        seed: int,
        standardised: bool = True,
    ) -> "Future":
        """Ask the model; `hidden` is how many steps of each sequence it does not see."""
        steps = _steps(model)
        grid, columns = StepGrid(steps), Columns.of(steps, hidden, hidden)
        came, expected, draws = [], [], []
        for minibatch in _blocks(source, rows):
            values, observed = grid.placed(minibatch.x)
            came.append(columns.take(_hidden_part(grid, torch.where(observed, values, torch.nan), hidden)))
            assert isinstance(model, Forecasts), "asked before"
            expected.append(columns.take(model.forecast(minibatch, hidden, hidden)))
            if isinstance(model, DrawsForecast):
                draws.append(_draws(model, minibatch, columns, hidden, N_SCORED_DRAWS, seed, hidden))
        scale = np.ones(len(columns.var))
        if standardised and grid.shape[2] > 1:
            scale = _scale(grid, source, rows, hidden)[columns.at[0], columns.at[2]]
        every = np.concatenate(draws) / scale[:, None] if draws else None
        return cls(columns, np.concatenate(came) / scale, np.concatenate(expected) / scale, every)


def _scores(future: Future, at: slice | np.ndarray) -> dict[str, float]:
    """The metrics of some columns; those that are not defined there are left out."""
    x_future, found = future.came[:, at], {}
    arrays = {"forecast_rmse": future.expected[:, at], "forecast_r2": future.expected[:, at]}
    if future.draws is not None:
        arrays |= dict.fromkeys(OF_DRAWS, future.draws[:, at])
    for name, said in arrays.items():
        try:
            found[name] = float(METRICS[name].function(x_future, said))
        except DataError:
            continue  # of sequences that short, nothing was hidden that is known
    return found


def _hidden_part(grid: StepGrid, values: torch.Tensor, hidden: int) -> torch.Tensor:
    """The last `hidden` steps of each sequence; NaN for sequences that are no longer than that."""
    first = (grid.n_steps - hidden)[:, None] + torch.arange(hidden)  # (n_sequences, hidden)
    at = first.clamp(min=0)[None, :, :, None].expand(len(values), -1, -1, values.shape[3])
    return torch.where((grid.n_steps > hidden)[:, None, None], values.gather(2, at), torch.nan)


def _scale(grid: StepGrid, source: StoredSource, rows: np.ndarray, hidden: int) -> np.ndarray:
    """Standard deviation of each sequence and quantity over the steps of the rows that are seen; 1 where unknown."""
    seen = []
    for minibatch in _blocks(source, rows):
        values, observed = grid.placed(minibatch.x)
        is_seen = torch.arange(grid.shape[1]) < (grid.n_steps - hidden)[:, None]
        seen.append(torch.where(observed & is_seen[..., None], values, torch.nan).double().numpy())
    every = np.concatenate(seen)
    n = (~np.isnan(every)).sum(axis=(0, 2))
    mean = np.nansum(every, axis=(0, 2)) / n.clip(1)
    variance = np.nansum((every - mean[:, None]) ** 2, axis=(0, 2)) / n.clip(1)
    return np.where(variance > 0, np.sqrt(variance), 1.0)


def _draws(
    drawer: DrawsForecast,
    minibatch: Minibatch,
    columns: Columns,
    n_steps: int,
    n_draws: int,
    seed: int,
    hidden: int = 0,
) -> np.ndarray:
    """Draws of a block, `(n_rows, n_columns, n_draws)`; noise is keyed by row, so blocks of any size have the same."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [columns.take(drawer.draw_forecast(minibatch, n_steps, generator, hidden)) for _ in range(n_draws)]
    return np.stack(drawn, axis=2)


def _blocks(source: StoredSource, rows: np.ndarray | None = None) -> Iterator[Minibatch]:
    return in_order(source, rows, BLOCK_ROWS)


def _steps(model: Model) -> Steps:
    assert model.schema.steps is not None, "a model that forecasts needs steps"
    return model.schema.steps


def _said(model: Model, source: StoredSource, options: ForecastOptions, seed: int) -> tuple[pd.DataFrame, dict]:
    cells = annotated(model, source)
    return cells.obs, {"cellwright": {**cells.uns["cellwright"], **options.model_dump(), "seed": seed}}
