"""Augment plan: what a study of augmentation runs: for each seed the generators, then classifiers x remedies.

    AugmentOptions -generators_of-> Arm (models that make cells of rare classes, fitted once per seed)
                   -variants_of-> Variant (a classifier, and what is added to its training cells)

Every remedy raises every class that is below `target` to it, so that all of them add the same number of cells to the
same classes: copies (`over`), cells between cells (`smote`), or generated ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator

from cellwright.core.options import Options
from cellwright.data.balance import Balance, Over, Smote
from cellwright.errors import AbilityError
from cellwright.models import MODELS, Entry
from cellwright.study.arm import Arm, refuse_repeated
from cellwright.train.options import FitOptions

NONE = "none"
DRAWN_BY_LABEL = "nb_by_label"  # the baseline of generators; the other one, real cells, would be oversampling
WEIGHTS = "class weights"  # what a classifier with them is to the same one without
_OF_THE_STUDY = {"target", "by"}  # options of a remedy that the study sets


class AugmentOptions(Options):
    """What is added to whose training cells, and how often."""

    models: tuple[str, ...] = Field(
        ("vae", "gan", "diffusion"),
        description=f"generators, names or name:option=value:...; {DRAWN_BY_LABEL} is added where there are counts",
    )
    classifiers: tuple[str, ...] = Field(
        ("logistic", "logistic_balanced", "knn"),
        min_length=1,
        description="classifiers that are trained on real and added cells, names or name:option=value:...",
    )
    balance: tuple[str, ...] = Field(
        ("over", "smote"), description="what generators are held against: over, smote, or name:option=value:..."
    )
    target: int = Field(100, ge=2, description="training cells that every class is raised to; one below it is rare")
    seeds: int = Field(3, ge=1, description="runs of everything; each has its own split and weights")
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping of generators")
    test: float = Field(0.2, gt=0, lt=1, description="share of the cells that classifiers are scored on")

    @field_validator("balance")
    @classmethod
    def _remedies_add_cells(cls, remedies: tuple[str, ...]) -> tuple[str, ...]:
        found: dict[str, Balance] = {}
        for name in remedies:
            options = FitOptions(balance=name).balance  # its validator takes text
            if not isinstance(options, Over | Smote) or _OF_THE_STUDY & options.model_fields_set:
                raise ValueError(f"must add cells: over or smote, without {' and '.join(sorted(_OF_THE_STUDY))}")
            if options not in found.values():  # whatever the spelling
                found[name] = options
        return tuple(found)


@dataclass(frozen=True)
class Variant:
    """A classifier, and what is added to its training cells: nothing, by a remedy, or by a generator."""

    arm: Arm
    added: str = NONE

    @property
    def model(self) -> str:
        """The name in MODELS."""
        return self.arm.model

    @property
    def entry(self) -> Entry:
        """Its line in MODELS."""
        return self.arm.entry

    @property
    def setting(self) -> str:
        """What differs from the preset, for tables: options, and what is added."""
        return ", ".join(filter(None, [self.arm.setting, "" if self.added == NONE else f"added={self.added}"]))


def name_of(generator: Arm) -> str:
    """A generator as remedies are called: `vae`, `vae:n_latent=20`."""
    return ":".join([generator.model, *(f"{name}={value}" for name, value in sorted(generator.changes.items()))])


def generators_of(options: AugmentOptions, *, are_counts: bool) -> list[Arm]:
    """Those that were asked for, preceded by draws of independent genes where the values are counts.

    Raises `AbilityError` for a model that does not generate, `OptionError` for one that is there twice.
    """
    asked = _arms(options.models, "generates", "models")
    if not are_counts or any(arm.model == DRAWN_BY_LABEL for arm in asked):
        return asked
    return [Arm(DRAWN_BY_LABEL), *asked]


def variants_of(options: AugmentOptions, generators: list[Arm]) -> list[Variant]:
    """Every classifier without and with every remedy. Raises as `generators_of`."""
    added = [NONE, *options.balance, *map(name_of, generators)]
    return [Variant(arm, one) for arm in _arms(options.classifiers, "classifies", "classifiers") for one in added]


def twins_of(variants: Sequence[Variant]) -> list[tuple[Arm, Arm]]:
    """Each classifier that weighs its classes, with the one that is the same but for that, where that is there too."""
    arms = [variant.arm for variant in variants if variant.added == NONE]
    return [
        (weighted, plain)
        for weighted in arms
        for plain in arms
        if getattr(weighted.options(), "class_weight", NONE) != NONE
        and plain.entry.model is weighted.entry.model
        and plain.options() == weighted.options().model_copy(update={"class_weight": NONE})
    ]


def _arms(texts: tuple[str, ...], ability: str, role: str) -> list[Arm]:
    arms = [Arm.parse(text) for text in texts]
    refuse_repeated(arms, f"{role} of AugmentOptions")
    for arm in arms:
        if ability not in arm.entry.abilities:
            able = ", ".join(name for name, entry in MODELS.items() if ability in entry.abilities)
            raise AbilityError(
                f"{role} of AugmentOptions must have the ability {ability!r}; {arm.model} lacks it. {able} can."
            )
    return arms
