"""Spatial study: which model finds the domains of a tissue; models, baselines with and without space, seeds.

    data, arms x seeds -compare's loop-> runs/<data>-<model>-<hash>-s<seed>/ -> leaderboard.csv, study.toml, report.html

The baselines are always there: PCA of the cells by themselves, and PCA of values smoothed over the tissue, both with
one width of the latent. Every model is clustered by k-means into the same number of domains, which is that of labels.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from cellwright.core.options import Options
from cellwright.data.place_graph import PlaceGraphOptions
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.study.arm import ENCODES, OF_BATCHES, Arm, at_width, encoders_asked, with_baselines
from cellwright.study.compare import Study, can_use, real_valued, refuse_several, run_study, write_leaderboard
from cellwright.study.folder import Outcome, data_name, write_plan
from cellwright.study.spatial_scores import Examination
from cellwright.tasks.spatial import SpatialOptions, places_of, refuse_taken
from cellwright.train.options import FitOptions

USUAL_MODELS = ("spatial_gae",)


class SpatialStudyOptions(Options):
    """What is compared, and how often."""

    models: tuple[str, ...] = Field(
        USUAL_MODELS, min_length=1, description="names, or name:option=value:...; baselines are always added"
    )
    seeds: int = Field(3, ge=1, description="runs per model; each has its own split for early stopping, and weights")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping; scored like all")
    baseline_width: int = Field(15, ge=1, description="width of the latent of the baselines that are added")


def spatial_study(
    data: Any,
    options: SpatialStudyOptions = SpatialStudyOptions(),  # noqa: B008  frozen
    *,
    out: Path | str,
    keys: OpenOptions,
    spatial: SpatialOptions = SpatialOptions(),  # noqa: B008  frozen
    graph: PlaceGraphOptions = PlaceGraphOptions(),  # noqa: B008  frozen
    fit_options: FitOptions = FitOptions(),  # noqa: B008  frozen
    preprocessing: PreprocessOptions | None = None,
    name: str | None = None,
    command: str = "spatial",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> pd.DataFrame:
    """Run the study into the folder `out` and return its leaderboard.

    `data` is what `open_data` takes; `keys` must name the places; the batch, if it is given, is the section, and scores
    need labels. `graph` is that of the refinement, the coherence and the enrichment; models have their own. Raises what
    concerns all models alike (data, keys, a model that does not encode) before anything is written; what concerns one
    model is a row with the status `failed` and the reason.
    """
    asked = _asked(options)
    fit_options = fit_options.model_copy(update={"validation": options.validation})

    def cells(seed: int) -> Prepared:
        return prepare(data, keys, SplitOptions(seed=seed, validation=options.validation), preprocessing)

    prepared = cells(0)
    refuse_several(prepared, "a study of space")
    places_of(prepared.source)  # refuses data without coordinates
    refuse_taken(prepared.source.annotation.obs)
    arms = arms_of(options, real_valued=real_valued(prepared))
    arms = [arm for arm in arms if arm in asked or can_use(arm, prepared)]
    provenance = {"command": command, "open": dict(keys)}
    examine = Examination(spatial, graph)
    study = Study(Path(out), name or data_name(data), arms, fit_options, cells, provenance, examine)
    plan = {
        "spatial": options, "domains": spatial, "graph": graph, "open": keys, "fit": fit_options,
        "preprocess": preprocessing,
    }  # fmt: skip
    free = {("spatial", "models"), ("spatial", "seeds"), ("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)
    return write_leaderboard(study, run_study(study, prepared, options.seeds, watch))


def arms_of(options: SpatialStudyOptions, *, real_valued: Collection[str] = ()) -> list[Arm]:
    """The models, preceded by the baselines that encode, in the width of the study."""
    asked = _asked(options)
    arms = with_baselines(asked, real_valued=real_valued, abilities={ENCODES}, without=OF_BATCHES)
    return [arm if arm in asked else at_width(arm, options.baseline_width) for arm in arms]


def _asked(options: SpatialStudyOptions) -> list[Arm]:
    return encoders_asked(options.models, "models of SpatialStudyOptions", "find domains")
