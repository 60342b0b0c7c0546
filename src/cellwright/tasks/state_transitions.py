"""State transitions: which state a model says follows which, against what followed in the sequences.

steps of the rows that are learnt from -k-means, or labels of their own-> states
every prefix of the other rows -one step ahead, drawn-> state of what is drawn, counted -> a table from x to
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from cellwright.core.abilities import DrawsForecast, Forecasts
from cellwright.core.schema import Steps
from cellwright.data.source import StoredSource, in_order
from cellwright.errors import DataError
from cellwright.metrics import METRICS
from cellwright.metrics.transitions import counted, terminal
from cellwright.models.model import Model
from cellwright.models.parts.step_grid import StepGrid
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.ask import cells_for, needs

N_DRAWS = 20  # of the step behind each prefix
N_NEIGHBORS = 15  # among labelled steps, whose majority labels a drawn one
COLUMNS = ["from", "to", "learned", "reference", "n"]


@dataclass(frozen=True, eq=False)
class StepStates:
    """The state of each step of each row's longest sequence (of several, the first), and of any other step."""

    codes: np.ndarray  # (n_obs, n_steps) int, -1 where there is none
    names: tuple[str, ...]
    of: Callable[[np.ndarray], np.ndarray]  # values (n, n_quantities) -> codes (n,)


def clustered_states(data: StoredSource, rows: np.ndarray, n_states: int = 6, *, seed: int = 0) -> StepStates:
    """States by k-means over the steps of `rows`, in standard deviations of each quantity; named in order of time.

    A quantity that was not measured at a step counts with its mean. Raises `DataError` for data without steps.
    """
    from sklearn.cluster import KMeans  # takes two seconds, and few need it

    values, known = _steps_of(data)
    learnt = values[rows][known[rows]]
    if not len(learnt):
        raise DataError("states of steps need a step that was measured; the rows to learn from have none. Give others.")
    mean, sd = np.nanmean(learnt, axis=0), np.nanstd(learnt, axis=0)

    def standard(steps: np.ndarray) -> np.ndarray:
        return np.nan_to_num((steps - mean) / np.where(sd > 0, sd, 1.0))

    n = min(n_states, len(np.unique(standard(learnt), axis=0)))
    means = KMeans(n, n_init=5, random_state=seed).fit(standard(learnt))
    when = np.broadcast_to(np.arange(known.shape[1]), known.shape)[rows][known[rows]]
    order = np.argsort(np.argsort([when[means.labels_ == state].mean() for state in range(n)], kind="stable"))

    def code_of(steps: np.ndarray) -> np.ndarray:
        return order[means.predict(standard(steps).astype(means.cluster_centers_.dtype))]

    codes = np.full(known.shape, -1)
    codes[known] = code_of(values[known])
    return StepStates(codes, tuple(f"state {i + 1}" for i in range(n)), code_of)


def labelled_states(data: StoredSource, rows: np.ndarray, labels: np.ndarray) -> StepStates:
    """States that steps have: `labels` (n_obs, n_steps) of str, None where there is none.

    What is drawn has the label of most of its nearest steps among `rows`. Raises `DataError` where shapes differ.
    """
    from sklearn.neighbors import KNeighborsClassifier  # takes two seconds, and few need it

    values, known = _steps_of(data)
    if labels.shape != known.shape:
        raise DataError(
            f"labels must be {known.shape}, one for each row and step; the shape is {labels.shape}. Give one per step."
        )
    given = known & pd.notna(labels)
    names = sorted(set(labels[given]))
    codes = np.full(known.shape, -1)
    codes[given] = np.searchsorted(names, labels[given].astype(str))
    learnt = given[rows]
    near = KNeighborsClassifier(min(N_NEIGHBORS, int(learnt.sum())))
    near.fit(np.nan_to_num(values[rows][learnt]), codes[rows][learnt])
    return StepStates(codes, tuple(map(str, names)), lambda steps: near.predict(np.nan_to_num(steps)))


@torch.no_grad()
def state_transitions(
    model: Model, data: Any, states: StepStates, rows: np.ndarray, *, reference: np.ndarray | None = None, seed: int = 0
) -> pd.DataFrame:
    """Which state follows which, one step ahead of every prefix of the longest sequence of `rows`.

    Columns: `from`, `to`, `learned` (share of the model's draws), `reference` (share of what followed in these rows,
    or the given `(n_states, n_states)`, a graph's chain over the same states), `n` (prefixes that end in `from`). NaN
    where none does. Without a reference only those prefixes are asked whose next step was measured. Raises as
    `forecast`.
    """
    forecaster = needs(model, Forecasts, "state_transitions")
    source = cells_for(model, data, "state_transitions")
    last, which = states.codes.shape[1] - 1, _longest(source.schema.steps)
    generator = torch.Generator().manual_seed(seed)
    before, drawn, after = [], [], []
    for minibatch in in_order(source, rows, len(rows)):
        for step in range(last):
            start = states.codes[rows, step]
            for _ in range(N_DRAWS if isinstance(model, DrawsForecast) else 1):
                said = (
                    model.draw_forecast(minibatch, 1, generator, last - step)
                    if isinstance(model, DrawsForecast)
                    else forecaster.forecast(minibatch, 1, last - step)
                )
                drawn.append(_codes(states, said[:, which, 0].cpu().numpy()))
                before.append(start)
                after.append(states.codes[rows, step + 1])
    n, starts, followed = len(states.names), _joined(before), _joined(after)
    # where nothing was measured next, there is nothing to compare with
    asked = starts if reference is not None else np.where(followed >= 0, starts, -1)
    learned = counted(asked, _joined(drawn), n)
    truth = counted(starts, followed, n) if reference is None else reference
    n_from = states.codes[rows, :last].ravel()
    sizes = np.bincount(n_from[n_from >= 0], minlength=n)
    return pd.DataFrame(
        [(states.names[i], states.names[j], learned[i, j], truth[i, j], sizes[i]) for i in range(n) for j in range(n)],
        columns=COLUMNS,
    )


def score_transitions(table: pd.DataFrame, *, held_out: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `state_transitions`; what is not defined is left out."""
    n = round(len(table) ** 0.5)
    learned, true = (table[name].to_numpy(float).reshape(n, n) for name in ("learned", "reference"))
    both = {"transitions_true": true, "transitions_learned": learned}
    ends = {"terminal_true": terminal(true), "terminal_learned": terminal(learned)}
    lines = []
    for name, arrays in (("transition_l1", both), ("transition_kl", both), ("terminal_recall", ends)):
        try:
            value = float(METRICS[name].function(**arrays))
        except DataError:
            continue
        lines.append((METRICS[name].task, name, value, METRICS[name].better, ""))
    frame = pd.DataFrame(lines, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _codes(states: StepStates, values: np.ndarray) -> np.ndarray:
    codes = np.full(len(values), -1)
    known = ~np.isnan(values).all(axis=1)
    if known.any():
        codes[known] = states.of(values[known])
    return codes


def _joined(codes: list[np.ndarray]) -> np.ndarray:
    """Of sequences of a single step there are none."""
    return np.concatenate(codes) if codes else np.zeros(0, dtype=np.int64)


def _longest(steps: Steps | None) -> int:
    """The sequence with most steps; of several, the first."""
    assert steps is not None, "states of steps were found without steps"
    return int(StepGrid(steps).n_steps.argmax())


def _steps_of(data: StoredSource) -> tuple[np.ndarray, np.ndarray]:
    """The longest sequence of every row `(n_obs, n_steps, n_quantities)`, and which steps have a value."""
    if data.schema.steps is None:
        raise DataError("states of steps must be of data that are sequences; no step_key was given. Give it.")
    grid, which = StepGrid(data.schema.steps), _longest(data.schema.steps)
    parts = []
    for minibatch in in_order(data):
        values, observed = grid.placed(minibatch.x)
        parts.append(torch.where(observed, values, torch.nan)[:, which, : int(grid.n_steps[which])].numpy())
    every = np.concatenate(parts)
    return every, ~np.isnan(every).all(axis=2)
