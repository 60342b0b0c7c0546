"""Arm: one model with one setting of its options, as it stands in a comparison.

"vae:n_latent=20:beta=2" -> Arm(model="vae", changes={"n_latent": 20, "beta": 2.0}) -> options
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from cellwright.core.options import Options, name_and_settings
from cellwright.data.contents import ONLY_MODALITY
from cellwright.models import MODELS, Entry, entry_of, nearest_name

# the abilities that a comparison scores; see `evaluate`
SCORED = frozenset({"encodes", "classifies", "generates", "translates", "forecasts"})
# baselines that take the batch off: competitors only where that is what is asked for
OF_BATCHES = frozenset({"pca_centred", "harmony"})
# and baselines that look at the places of cells
OF_PLACES = frozenset({"pca_smoothed"})
# and baselines that need to be told which features of two modalities belong together
OF_LINKS = frozenset({"linked_cca", "linked_features"})


@dataclass(frozen=True)
class Arm:
    """A name in MODELS and the options that differ from its preset."""

    model: str
    changes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """From `name` or `name:option=value:...`. Raises `OptionError` for what does not exist or is out of bounds."""
        name, changes = name_and_settings(text)
        entry_of(name)
        arm = cls(name, changes)
        arm.options()
        return arm

    @property
    def entry(self) -> Entry:
        """Its line in MODELS."""
        return MODELS[self.model]

    @property
    def setting(self) -> str:
        """What differs from the preset, for tables; empty for the preset itself."""
        return ", ".join(f"{name}={value}" for name, value in sorted(self.changes.items()))

    def options(self) -> Options:
        """The options of the model."""
        return self.entry.options(**self.changes)


def with_baselines(
    arms: list[Arm],
    *,
    modalities: Sequence[str] = (ONLY_MODALITY,),
    real_valued: Collection[str] = (),
    abilities: Collection[str] = SCORED,
    without: Collection[str] = OF_BATCHES | OF_PLACES | OF_LINKS,
) -> list[Arm]:
    """The arms, preceded by the baselines that are not among them: no model stands alone.

    A baseline is added where it can do what one of the arms is scored by, one of `abilities`: encoders meet PCA,
    classifiers a logistic regression; of data with several modalities, those that read several. With
    `pca:scale=false` among them it is scaled PCA that is missing, so an arm counts as what its options make it. Nobody
    is met by those in `without`. Of `real_valued` modalities (negative values, or gaps) they are told to take no
    logarithms, and those that decode to give what is decoded: the other way zero is the least value.
    """
    there = {nearest_name(arm.entry.model, arm.options()) for arm in arms}
    scored = {ability for arm in arms for ability in arm.entry.abilities} & {*abilities}
    several = len(modalities) > 1
    baselines = [
        name
        for name, entry in MODELS.items()
        if entry.model.is_baseline and entry.model.reads_several == several and scored & {*entry.abilities}
    ]
    missing = [name for name in baselines if name not in there and name not in without]
    return [_baseline(name, real_valued) for name in missing] + arms


def _baseline(name: str, real_valued: Collection[str]) -> Arm:
    settings = {"transform": "none", "decoding": "published", "real_valued": [*real_valued]}
    of_real_values = settings if real_valued else {}
    fields = MODELS[name].options_type.model_fields
    return Arm(name, {option: value for option, value in of_real_values.items() if option in fields})
