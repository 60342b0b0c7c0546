"""Recover plan: what a study of imputations asks: models and their baselines, seeds, exams.

RecoverOptions -arms_of-> the models that are asked and every baseline that imputes
"""

from pydantic import Field, field_validator

from cellwright.core.options import Options
from cellwright.errors import AbilityError, OptionError, did_you_mean
from cellwright.models import MODELS
from cellwright.study.arm import Arm, refuse_repeated, with_baselines
from cellwright.tasks.exams import EXAMS

IMPUTES = "imputes"
KEPT = next(iter(EXAMS))  # the exam whose fit is the run
USUAL_MODELS = ("vae", "gae", "diffusion", "ae:likelihood=negative_binomial", "dae:likelihood=negative_binomial")


class RecoverOptions(Options):
    """What is compared, by which exams, and how often."""

    models: tuple[str, ...] = Field(
        USUAL_MODELS, min_length=1, description="names, or name:option=value:...; baselines are always added"
    )
    seeds: int = Field(3, ge=1, description="runs per model; each hides other molecules and starts from other weights")
    exams: tuple[str, ...] = Field(
        tuple(EXAMS),
        description="; ".join(f"{name}: {exam.summary}" for name, exam in EXAMS.items())
        + " (only where proteins are given)",
    )
    hidden: float = Field(0.1, gt=0, lt=1, description="share of the molecules, or of the entries, that is hidden")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping; imputed like all")
    workers: int = Field(1, ge=1, description="processes that share the runs, one thread each")

    @field_validator("exams")
    @classmethod
    def _exams_exist(cls, exams: tuple[str, ...]) -> tuple[str, ...]:
        for name in exams:
            if name not in EXAMS:
                raise OptionError(
                    f"exams of RecoverOptions must be of {', '.join(EXAMS)}; {name!r} is none."
                    f"{did_you_mean(name, EXAMS)}"
                )
        if KEPT not in exams:
            raise OptionError(
                f"exams of RecoverOptions must hold {KEPT!r}, by which models are ordered; they are "
                f"{', '.join(exams) or 'none'}. Add it."
            )
        return tuple(name for name in EXAMS if name in exams)


def n_runs_of(options: RecoverOptions) -> int:
    """How many runs the study has. Raises as `recover` for models that are not there or do not impute."""
    return options.seeds * len(arms_of(options))


def arms_of(options: RecoverOptions) -> list[Arm]:
    """The models, then every baseline. Raises `AbilityError` for one that does not impute."""
    asked = [Arm.parse(text) for text in options.models]
    refuse_repeated(asked, "models of RecoverOptions")
    for arm in asked:
        if IMPUTES not in arm.entry.abilities:
            able = ", ".join(name for name, entry in MODELS.items() if IMPUTES in entry.abilities)
            raise AbilityError(f"{arm.model} cannot impute: it lacks the ability {IMPUTES!r}. {able} can.")
    return with_baselines(asked, abilities={IMPUTES})
