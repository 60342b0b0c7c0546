"""Forecasts for a study folder: errors by step of a baseline and a network, fans and transitions in their runs."""

import numpy as np
import pandas as pd

MEANS = {("vae", ""): 0.30, ("pca", ""): 0.50}
HALF_WIDTH = 0.02
STATES = ["early", "late"]


def with_forecasts(study, *, n_seeds=3, means=MEANS):
    """The study, whose leaderboard and first runs got what a model that forecasts has."""
    path = study / "leaderboard.csv"
    board = pd.read_csv(path, keep_default_na=False)
    rows = []
    for (model, setting), mean in means.items():
        rows += [_row(model, setting, "forecast", "forecast_rmse", g, mean * f, n_seeds) for g, f in _BY_STEP.items()]
        rows.append(_row(model, setting, "forecast", "coverage_error", "", 0.03, n_seeds))
        rows.append(_row(model, setting, "state_transitions", "transition_l1", "", mean / 3, n_seeds))
        for run in (study / "runs").glob(f"*-{model}-*-s0"):
            fan(mean).to_csv(run / "forecasts.csv", index=False)
            transitions(mean).to_csv(run / "transitions.csv", index=False)
    pd.concat([board, pd.DataFrame(rows)]).to_csv(path, index=False)
    return study


_BY_STEP = {"": 1.0, "1 ahead": 0.8, "2 ahead": 1.2}


def fan(spread):
    """Two rows of two series: four steps seen, two forecast; a value that was not measured."""
    table = []
    for row in ("YAL001C", "YBR<b>"):
        for sequence in ("alpha", "elu"):
            for step in range(6):
                seen = step < 4
                said = {} if seen else {q: step + spread * z for q, z in _NORMAL.items()}
                value = np.nan if step == 5 and sequence == "elu" else float(step)
                at = {"row": row, "sequence": sequence, "quantity": "", "step": 10.0 * step, "seen": int(seen)}
                table.append(at | {"value": value} | said)
    return pd.DataFrame(table)


_NORMAL = {"mean": 0.0, "q05": -1.64, "q25": -0.67, "q75": 0.67, "q95": 1.64}


def transitions(share):
    """Two states; nothing is known of what follows the second."""
    rows = [("early", "early", share, 0.4, 7), ("early", "late", 1 - share, 0.6, 7)]
    rows += [("late", name, np.nan, np.nan, 0) for name in STATES]
    return pd.DataFrame(rows, columns=["from", "to", "learned", "reference", "n"])


def _row(model, setting, task, metric, group, mean, n_seeds):
    several = n_seeds > 1
    return {
        "data": "pbmc", "model": model, "setting": setting, "task": task, "metric": metric, "better": "lower",
        "group": group, "held_out": True, "mean": mean, "sd": 0.01 if several else "",
        "ci_low": mean - HALF_WIDTH if several else "", "ci_high": mean + HALF_WIDTH if several else "",
        "n_seeds": n_seeds, "seconds": 9.0, "peak_bytes": 4e8, "is_baseline": model == "pca", "status": "done",
        "reason": "",
    }  # fmt: skip
