"""Screen: what a perturbation study of many treatments adds: all targets predicted, and one score over them.

model, control cells of a held-out label -perturb, target by target-> scores.csv, targets.csv, ceiling.csv; profiles
scores of all runs -with_screen_scores-> the same with `screen_score`: how far beyond the mean response

The baseline is `mean_response` of the same held-out label and seed, so a run by itself has no `screen_score`. Real
cells have none either: halves of a target's few cells find fewer of its changed genes, and are further apart, than a
good prediction of its mean, so they are no upper bound of it.
"""

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.data.source import StoredSource
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.study.perturb_plan import MEAN_RESPONSE
from cellwright.study.response import CEILING
from cellwright.tasks.perturb import perturb
from cellwright.tasks.score_screen import JUDGED, Screen, score_screen, screen_score

SCREEN_SCORE = "screen_score"


def predict_screen(model: Model, source: StoredSource, real: Screen, run: Run) -> AnnData:
    """Predict every target of a screen from the control cells of its label; scores and tables into the run.

    Returns a profile per target, the mean of its predicted cells: `X (n_targets, n_vars)` float32, names are those of
    the targets, `obs` their condition, label and `n_cells`, how many cells were predicted: the control cells. The
    cells themselves would be as many times these as there are targets.
    """

    def predict(target: str) -> AnnData:
        return perturb(model, source, treated=target, labels=[real.group], seed=real.seed)

    scored = score_screen(real, lambda target: np.asarray(predict(target).X))
    run.add_scores(scored.scores)
    run.write_table("targets.csv", scored.targets)
    run.write_table("ceiling.csv", real.ceiling)
    return _profiles(source, real, scored.means)


def with_screen_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of all runs with `screen_score` before them, of every held-out label and seed that has a baseline.

    `half_split`, real cells, gets none: it is no upper bound (see the head of this file).

    `scores` has the columns that `response.board_of` asks for. See `tasks.score_screen.screen_score`.
    """
    if not len(scores):
        return scores
    judged = scores[scores["metric"].isin(JUDGED)]
    # baselines precede what is asked for, so the first is the preset, whatever else goes by the name
    of_baseline = judged[judged["model"] == MEAN_RESPONSE].drop_duplicates(["group", "seed", "metric"])
    baselines = {key: _values(part) for key, part in of_baseline.groupby(["group", "seed"], sort=False)}
    rows = [
        part.iloc[:1].assign(
            metric=SCREEN_SCORE, better="higher", value=screen_score(_values(part), baselines[key[:2]])
        )
        for key, part in judged.groupby(["group", "seed", "model", "setting"], sort=False)
        if key[:2] in baselines and key[2] != CEILING
    ]
    return pd.concat([*rows, scores], ignore_index=True)


def _values(scores: pd.DataFrame) -> dict[str, float]:
    return dict(zip(scores["metric"].astype(str), scores["value"].astype(float), strict=True))


def _profiles(source: StoredSource, real: Screen, means: np.ndarray) -> AnnData:
    assert source.schema.label is not None
    assert source.schema.condition is not None
    targets = list(real.x_treated)
    obs = pd.DataFrame(index=pd.Index(targets))
    obs[source.schema.condition.key] = targets
    obs[source.schema.label.key] = real.group
    obs["n_cells"] = len(real.x_control)
    return AnnData(X=means.astype(np.float32), obs=obs, var=pd.DataFrame(index=list(source.schema.var_names)))
