"""Perturb plan: what a perturbation study runs: held-out types x seeds, and for each baselines and models x remedies.

A screen is a study of many treatments: `treated="all"`, which is not a list of them, for there may be hundreds, and not
an option of its own, for it would contradict `treated`. A condition that is called "all" cannot be predicted alone.

PerturbOptions -groups_of-> Group (seed, what is held out)
               -variants_of-> Variant (model, options, a remedy for unequal cell-type numbers, where it acts)
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cellwright.core.options import Options
from cellwright.data.contents import ONLY_MODALITY
from cellwright.errors import AbilityError, OptionError
from cellwright.models import MODELS, Entry
from cellwright.study.arm import Arm, refuse_repeated, with_baselines
from cellwright.train.options import FitOptions

QUICK_EPOCHS = 15
SEEDS = 3
NONE = "none"
USUAL_MODELS = ("response_vae", "scgen")  # the one that predicts best first
# the option of a model that is a remedy for its shift
SHIFT_BALANCE = "shift_balance"
# as `treated`: a screen
ALL = "all"
# the baseline of screens; of a single treatment it is gene_shift
MEAN_RESPONSE = "mean_response"
Where = Literal["training", "shift", "both"]


class PerturbOptions(Options):
    """What is predicted, by what, and how often."""

    models: tuple[str, ...] = Field(
        USUAL_MODELS,
        min_length=1,
        description="names, or name:option=value:...; baselines are always added; response_vae, where it is not asked "
        "for, is left out of what is not counts",
    )
    treated: str | None = Field(
        None,
        description=f"the condition to predict; not needed where there is only one. {ALL}: a screen, every one of them",
    )
    hold_out: tuple[str, ...] = Field(
        (), description="labels whose treated cells are predicted and not trained on, all of them together"
    )
    hold_out_each: tuple[str, ...] = Field((), description="the study: such labels, one after another")
    balance: tuple[str, ...] = Field(
        (NONE,), description="remedies for unequal cell-type numbers, name or name:option=value:...; none is always run"
    )
    where: tuple[Where, ...] = Field(
        ("training", "shift", "both"), min_length=1, description="where a remedy acts: training, shift, or both"
    )
    seeds: int | None = Field(
        None, ge=1, description=f"runs of each model and held-out label; None is {SEEDS}, and 1 with quick"
    )
    validation: float = Field(0.1, ge=0, lt=1, description="share of the cells for early stopping")
    min_cells: int = Field(
        100, ge=0, description="a label with fewer control and treated cells is left out, unless it is held out"
    )
    quick: bool = Field(
        default=False, description=f"a quick look: at most {QUICK_EPOCHS} epochs and one seed, unless said otherwise"
    )
    workers: int = Field(1, ge=1, description="processes that share the held-out labels and seeds, one thread each")

    @field_validator("balance")
    @classmethod
    def _remedies_exist(cls, remedies: tuple[str, ...]) -> tuple[str, ...]:
        found: dict[str, Options] = {}
        for remedy in (NONE, *remedies):
            options = FitOptions(balance=remedy).balance  # its validator takes text
            if options not in found.values():  # whatever the spelling: twice it would count twice in Holm's adjustment
                found[remedy] = options
        return tuple(found)

    @model_validator(mode="after")
    def _something_is_held_out(self) -> "PerturbOptions":
        if bool(self.hold_out) == bool(self.hold_out_each):
            raise OptionError(
                "hold_out or hold_out_each must name labels whose treated cells are predicted; "
                f"{'both do' if self.hold_out else 'none does'}. Give hold_out for one prediction, hold_out_each for a "
                "study."
            )
        if self.is_screen and self.hold_out:
            raise OptionError(
                f"treated={ALL} must go with hold_out_each, since a screen is scored label by label; hold_out was "
                "given. Give hold_out_each, or the one condition to predict."
            )
        return self

    @property
    def is_screen(self) -> bool:
        """Whether every condition beside the control is predicted."""
        return self.treated == ALL

    @property
    def n_seeds(self) -> int:
        """How many seeds are run."""
        return self.seeds or (1 if self.quick else SEEDS)


@dataclass(frozen=True)
class Group:
    """Runs on the same cells: a seed, and the labels whose treated cells are held out."""

    seed: int
    held_out: tuple[str, ...]

    @property
    def name(self) -> str:
        """What is held out, for people."""
        return ", ".join(self.held_out)


@dataclass(frozen=True)
class Variant:
    """A model with its options, and a remedy in its training, in its shift or in both."""

    arm: Arm
    remedy: str = NONE
    where: str = ""  # empty where there is no remedy
    # that the remedy of its shift is none, where its options do not name one: what other variants are compared with is
    # then a shift without a remedy, whatever the preset of the model has
    says_shift: bool = False
    limit: str = ""  # what tables say of a training that was cut short

    @property
    def model(self) -> str:
        """The name in MODELS."""
        return self.arm.model

    @property
    def entry(self) -> Entry:
        """Its line in MODELS."""
        return self.arm.entry

    @property
    def base(self) -> str:
        """The setting without the remedy."""
        return ", ".join(filter(None, [self.arm.setting, self.limit]))

    @property
    def setting(self) -> str:
        """What differs from the preset, for tables: options, and the remedy with where it acts."""
        remedy = f"balance={self.remedy} in {self.where}" if self.where else ""
        return ", ".join(filter(None, [self.base, remedy]))

    def options(self) -> Options:
        """The options of the model."""
        changes: dict[str, Any] = dict(self.arm.changes)
        if self.where in ("shift", "both"):
            changes[SHIFT_BALANCE] = self.remedy
        elif self.says_shift:
            changes.setdefault(SHIFT_BALANCE, NONE)
        return self.entry.options(**changes)

    def fit_options(self, options: FitOptions, seed: int) -> FitOptions:
        """The options of the training: those of the study with the remedy and a seed."""
        remedy = self.remedy if self.where in ("training", "both") else NONE
        return FitOptions(**{**dict(options), "balance": remedy, "seed": seed})


def groups_of(options: PerturbOptions) -> list[Group]:
    """The groups in the order in which they are run: a seed with every held-out label, then the next seed."""
    held_out = [options.hold_out] if options.hold_out else [(label,) for label in options.hold_out_each]
    return [Group(seed, labels) for seed in range(options.n_seeds) for labels in held_out]


def training_of(options: PerturbOptions, fit_options: FitOptions) -> FitOptions:
    """The options of every training of the study, before remedies and seeds."""
    quick = options.quick and fit_options.max_epochs is None
    changes = {"validation": options.validation} | ({"max_epochs": QUICK_EPOCHS} if quick else {})
    return fit_options.model_copy(update=changes)


def variants_of(options: PerturbOptions, fit_options: FitOptions, *, real_valued: bool = False) -> list[Variant]:
    """The baselines, then every model without and with every remedy.

    Raises `AbilityError` for a model that does not predict responses, `OptionError` for one that is there twice or
    whose options are wrong.
    """
    asked = [Arm.parse(text) for text in options.models]
    refuse_repeated(asked, "models of PerturbOptions")
    for arm in asked:
        if "perturbs" not in arm.entry.abilities:
            able = ", ".join(name for name, entry in MODELS.items() if "perturbs" in entry.abilities)
            raise AbilityError(f"{arm.model} cannot predict responses: it lacks the ability 'perturbs'. {able} can.")
    arms = with_baselines(asked, real_valued=[ONLY_MODALITY] if real_valued else [], abilities={"perturbs"})
    if not options.is_screen:
        arms = [arm for arm in arms if arm.model != MEAN_RESPONSE or arm in asked]
    limit = f"quick: {training_of(options, fit_options).max_epochs} epochs at most" if options.quick else ""
    return [variant for arm in arms for variant in _variants(arm, options, limit)]


def _variants(arm: Arm, options: PerturbOptions, limit: str) -> list[Variant]:
    if arm.entry.model.is_baseline:
        return [Variant(arm)]
    remedies = [remedy for remedy in options.balance if remedy != NONE]
    has_shift = SHIFT_BALANCE in arm.entry.options_type.model_fields
    says = bool(remedies) and has_shift
    places = [where for where in options.where if has_shift or where == "training"]
    with_remedy = [Variant(arm, remedy, where, says, limit) for remedy in remedies for where in places]
    return [Variant(arm, says_shift=says, limit=limit), *with_remedy]
