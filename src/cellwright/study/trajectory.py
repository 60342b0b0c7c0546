"""Trajectory study: in the latent of which model do cells stand in the order in which they develop; models, seeds.

    data, arms x seeds -compare's loop-> runs/<data>-<model>-<hash>-s<seed>/ -> leaderboard.csv, study.toml, report.html

The baselines, principal components with and without scaling, are always there. One way to find trajectories is asked of
all models; what is compared are their latents.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from cellwright.core.options import Options
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.study.arm import ENCODES, OF_BATCHES, OF_PLACES, Arm, at_width, encoders_asked, with_baselines
from cellwright.study.compare import Study, can_use, real_valued, refuse_several, run_study, write_leaderboard
from cellwright.study.folder import Outcome, data_name, write_plan
from cellwright.study.trajectory_scores import Examination, Known
from cellwright.tasks.trajectory import TrajectoryOptions, asked_of
from cellwright.train.options import FitOptions

USUAL_MODELS = ("vae",)


class TrajectoryStudyOptions(Options):
    """What is compared, how often, and against what."""

    models: tuple[str, ...] = Field(
        USUAL_MODELS, min_length=1, description="names, or name:option=value:...; baselines are always added"
    )
    seeds: int = Field(3, ge=1, description="runs per model; each has its own split for early stopping, and weights")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping; scored like all")
    baseline_width: int = Field(30, ge=1, description="width of the latent of the baselines that are added")
    branch_key: str | None = Field(None, description="column of obs with the branch that each cell is known to be of")
    orders: tuple[str, ...] = Field(
        (), description='labels that are known to follow each other, as "MEP<early Ery<late Ery"; scored as an order'
    )


def trajectory_study(
    data: Any,
    options: TrajectoryStudyOptions = TrajectoryStudyOptions(),  # noqa: B008  frozen
    *,
    out: Path | str,
    keys: OpenOptions = OpenOptions(),  # noqa: B008  frozen
    trajectory: TrajectoryOptions = TrajectoryOptions(),  # noqa: B008  frozen
    fit_options: FitOptions = FitOptions(),  # noqa: B008  frozen
    preprocessing: PreprocessOptions | None = None,
    name: str | None = None,
    command: str = "trajectory",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> pd.DataFrame:
    """Run the study into the folder `out` and return its leaderboard.

    `data` is what `open_data` takes. With a time in `keys` the order in time is scored, overall and within labels; with
    known branches, how well these are found; with orders of labels, whether pseudotime has them (overall their mean,
    where no time is known). Time is used for the root where none is given, and by transport; for nothing else. Raises
    what concerns all models alike before anything is written; what concerns one model is a row with the status `failed`
    and the reason.
    """
    asked = encoders_asked(options.models, "models of TrajectoryStudyOptions", "give a trajectory")
    fit_options = fit_options.model_copy(update={"validation": options.validation})

    def cells(seed: int) -> Prepared:
        return prepare(data, keys, SplitOptions(seed=seed, validation=options.validation), preprocessing)

    prepared = cells(0)
    refuse_several(prepared, "a study of trajectories")
    schema = prepared.source.schema
    label_key = schema.label.key if schema.label else None
    asked_of(prepared.source.annotation.obs, trajectory, label_key, schema.time)
    known = Known.of(prepared, options.branch_key, options.orders)
    arms = arms_of(options, real_valued=real_valued(prepared))
    arms = [arm for arm in arms if arm in asked or can_use(arm, prepared)]
    provenance = {"command": command, "open": dict(keys)}
    study = Study(
        Path(out), name or data_name(data), arms, fit_options, cells, provenance, Examination(trajectory, known)
    )
    plan = {"study": options, "trajectory": trajectory, "open": keys, "fit": fit_options, "preprocess": preprocessing}
    free = {("study", "models"), ("study", "seeds"), ("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)
    return write_leaderboard(study, run_study(study, prepared, options.seeds, watch))


def arms_of(options: TrajectoryStudyOptions, *, real_valued: Collection[str] = ()) -> list[Arm]:
    """The models, preceded by the baselines that encode, in the width of the study."""
    asked = encoders_asked(options.models, "models of TrajectoryStudyOptions", "give a trajectory")
    arms = with_baselines(asked, real_valued=real_valued, abilities={ENCODES}, without=OF_BATCHES | OF_PLACES)
    return [arm if arm in asked else at_width(arm, options.baseline_width) for arm in arms]
