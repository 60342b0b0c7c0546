"""Integrate: which model takes the batches off a user's cells and leaves the cell types; models, baselines, seeds.

    data, arms x seeds -compare's loop-> runs/<data>-<model>-<hash>-s<seed>/ -> leaderboard.csv, recommendation.csv
    obs -> confounding.csv: what the batch tells of label and time, whatever the model

Baselines of batch removal are always there, and the cells without any correction. All cells are trained on: what is
asked is how these batches are joined, and no label or time is used for it except by models that say so.
"""

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field

from cellwright.core.options import Options
from cellwright.data.prepare import OpenOptions, Prepared, SplitOptions, prepare
from cellwright.data.preprocess import PreprocessOptions
from cellwright.errors import DataError
from cellwright.run import replacing
from cellwright.study.arm import ENCODES, OF_PLACES, Arm, encoders_asked, with_baselines
from cellwright.study.compare import Study, can_use, real_valued, refuse_several, run_study, write_leaderboard
from cellwright.study.confounding import confounding
from cellwright.study.folder import Outcome, data_name, scores_of, write_plan
from cellwright.study.integrate_scores import Examination, column_of
from cellwright.study.integration_choice import integration_choice
from cellwright.train.options import FitOptions

UNCORRECTED = "pca"
# the batch goes late in a training, when little of the loss is left to gain: a VAE that stopped at the usual rule had a
# third less of the mixing that it had when its validation loss stopped falling (docs/integration.md)
PATIENT = FitOptions(min_improvement=0.0, patience=30)
USUAL_MODELS = ("vae", "vae:beta=2", "mmd_vae")


class IntegrateOptions(Options):
    """What is compared, and how often."""

    models: tuple[str, ...] = Field(
        USUAL_MODELS, min_length=1, description="names, or name:option=value:...; baselines are always added"
    )
    seeds: int = Field(3, ge=1, description="runs per model; each has its own split for early stopping, and weights")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping; scored like all")


@dataclass(frozen=True, eq=False)
class Integration:
    """What a study found: its leaderboard, which model to use, and how far batches are confounded with biology."""

    leaderboard: pd.DataFrame
    recommendation: pd.DataFrame
    confounding: pd.DataFrame


def integrate(
    data: Any,
    options: IntegrateOptions = IntegrateOptions(),  # noqa: B008  frozen
    *,
    out: Path | str,
    keys: OpenOptions,
    fit_options: FitOptions = PATIENT,
    preprocessing: PreprocessOptions | None = None,
    name: str | None = None,
    command: str = "integrate",
    watch: Callable[[Outcome], None] = lambda outcome: None,
) -> Integration:
    """Run the study into the folder `out`: `study.toml`, `runs/`, the leaderboard and two more tables.

    `data` is what `open_data` takes; `keys` must name the batch; label and time are optional, and more is scored with
    them. Raises what concerns all models alike (data, keys, a single batch, a model that does not encode) before
    anything is written; what concerns one model is a row with the status `failed` and the reason.
    """
    asked = _asked(options)
    if preprocessing is not None and preprocessing.batch_key is None:
        # genes that vary between batches only would be chosen for it
        preprocessing = preprocessing.model_copy(update={"batch_key": keys.batch_key})
    fit_options = fit_options.model_copy(update={"validation": options.validation})

    def cells(seed: int) -> Prepared:
        return prepare(data, keys, SplitOptions(seed=seed, validation=options.validation), preprocessing)

    prepared = cells(0)
    refuse_several(prepared, "a study of integrations")
    _refuse_one_batch(prepared)
    _warn_of_unlabelled_batches(prepared)
    arms = arms_of(options, real_valued=real_valued(prepared))
    arms = [arm for arm in arms if arm in asked or can_use(arm, prepared)]
    uncorrected = next((arm for arm in arms if arm.model == UNCORRECTED), Arm(UNCORRECTED))
    provenance = {"command": command, "open": dict(keys)}
    study = Study(
        Path(out), name or data_name(data), arms, fit_options, cells, provenance, Examination(uncorrected)
    )  # fmt: skip
    plan = {"integrate": options, "open": keys, "fit": fit_options, "preprocess": preprocessing}
    free = {("integrate", "models"), ("integrate", "seeds"), ("fit", "checkpoint_seconds")}
    write_plan(study.folder, study.name, plan, free=free)
    found = _confounding(prepared)
    _write(study.folder / "confounding.csv", found)
    outcomes = run_study(study, prepared, options.seeds, watch)
    recommended = _recommendation(study, outcomes)
    return Integration(write_leaderboard(study, outcomes), recommended, found)


def arms_of(options: IntegrateOptions, *, real_valued: Collection[str] = ()) -> list[Arm]:
    """The models, preceded by every baseline that encodes, those that take batches off among them."""
    return with_baselines(_asked(options), real_valued=real_valued, abilities={ENCODES}, without=OF_PLACES)


def _asked(options: IntegrateOptions) -> list[Arm]:
    return encoders_asked(options.models, "models of IntegrateOptions", "integrate")


def _refuse_one_batch(cells: Prepared) -> None:
    batch = cells.source.schema.batch
    if batch is None:
        raise DataError(
            "a study of integrations must know the batch of each cell; the data were opened without batch_key. "
            "Give it (--batch-key)."
        )
    if batch.n < 2:
        raise DataError(
            f"a study of integrations must have cells of two batches at least; obs[{batch.key!r}] has only "
            f"{batch.values[0]!r}. Give another batch_key, or use compare."
        )


def _warn_of_unlabelled_batches(cells: Prepared) -> None:
    """Scores by labels are of labelled cells: a batch without any is in none of them, which nobody would see."""
    schema, annotation = cells.source.schema, cells.source.annotation
    if schema.label is None or schema.batch is None:
        return
    labelled = set(annotation.batch[annotation.label >= 0])
    silent = [name for code, name in enumerate(schema.batch.values) if code not in labelled]
    if silent:
        warnings.warn(
            f"the batches {', '.join(silent)} of obs[{schema.batch.key!r}] have no cell with a label in "
            f"obs[{schema.label.key!r}]: they are trained on and drawn, and no score knows of them. "
            "Leave label_key out to score how all batches mix.",
            stacklevel=3,
        )


def _confounding(cells: Prepared) -> pd.DataFrame:
    time = cells.source.schema.time
    return confounding(
        cells.source.annotation.batch,
        labels=column_of(cells, "label"),
        time=None if time is None else pd.Series(cells.source.annotation.time, name=time),
    )


def _recommendation(study: Study, outcomes: Sequence[Outcome]) -> pd.DataFrame:
    tables = [table for outcome in outcomes if len(table := scores_of(study.name, outcome))]
    scores = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return _write(study.folder / "recommendation.csv", integration_choice(scores, UNCORRECTED))


def _write(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    with replacing(path) as part:
        table.to_csv(part, index=False)
    return table
