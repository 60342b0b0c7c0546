"""Schema: all that data tells a model. Frozen, JSON, no files and no tensors in it."""

from collections.abc import Iterable

from pydantic import Field, model_validator

from cellwright.core.options import Options
from cellwright.errors import DataError, SchemaMismatch, did_you_mean


class Categories(Options):
    """A categorical column of `obs`: its key and its categories in code order."""

    key: str
    values: tuple[str, ...]

    @property
    def n(self) -> int:
        """How many categories there are."""
        return len(self.values)


class Covariate(Options):
    """A further column of `obs` that the decoder is given: categorical (`values`) or continuous (`values` is None)."""

    key: str
    values: tuple[str, ...] | None = None

    @property
    def width(self) -> int:
        """Columns that it takes in `Minibatch.covariates`: one per category, or one number."""
        return 1 if self.values is None else len(self.values)


class Steps(Options):
    """How features form sequences: of each feature, to which sequence it belongs, when it was, and what is measured.

    A row (a gene over time points, a lineage over windows) then is one or more sequences of steps; a step holds one
    value per quantity. `keys` are the columns of `var` that say so.
    """

    keys: dict[str, str] = Field(description="columns of var: `step`, and `sequence` and `quantity` where given")
    sequences: tuple[str, ...] = Field(description="names of the sequences (experiments); one if there is no key")
    quantities: tuple[str, ...] = Field(description="what is measured at a step; one if there is no key")
    sequence_of: tuple[int, ...] = Field(description="position in `sequences`, of each feature")
    time_of: tuple[float, ...] = Field(description="time (or rank, or window) of each feature, in the data's unit")
    quantity_of: tuple[int, ...] = Field(description="position in `quantities`, of each feature")


class Coordinates(Options):
    """Where cells lie: the key in `obsm`, and how many numbers a place has."""

    key: str
    n: int = Field(ge=1)


class Schema(Options):
    """Feature names per modality, and the categories of batch, label and condition.

    A model is built from it, a saved run holds it as `schema.json`, and new cells are matched to it by name.
    """

    features: dict[str, tuple[str, ...]] = Field(description="feature names, by modality")
    batch: Categories | None = None
    label: Categories | None = None
    condition: Categories | None = None
    control: str | None = Field(None, description="the condition of untreated cells, where conditions are treatments")
    time: str | None = None
    covariates: tuple[Covariate, ...] = ()
    coordinates: Coordinates | None = None
    steps: Steps | None = Field(None, description="of the first modality, where its features form sequences")

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Schema":
        for modality, names in self.features.items():
            if twice := repeated(names):
                raise DataError(
                    f"the features of {modality!r} must have unique names; {len(twice)} are repeated "
                    f"({', '.join(twice[:5])}). Call adata.var_names_make_unique() first."
                )
        return self

    @model_validator(mode="after")
    def _control_is_a_condition(self) -> "Schema":
        values = self.condition.values if self.condition else ()
        if self.control is not None and self.control not in values:
            raise DataError(
                f"control must be a condition of the data: {', '.join(values) or 'they have none'}; it is "
                f"{self.control!r}.{did_you_mean(self.control, values)} Give one of them, and its condition_key."
            )
        return self

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in order; the first is the one that single-modality models read."""
        return tuple(self.features)

    @property
    def var_names(self) -> tuple[str, ...]:
        """The first modality's feature names."""
        return self.features[self.modalities[0]]

    @property
    def n_vars(self) -> int:
        """How many features the first modality has."""
        return len(self.var_names)

    def of(self, modality: str) -> "Schema":
        """The same cells as if this were the only modality. Raises `SchemaMismatch` for one that there is not."""
        if modality not in self.features:
            raise SchemaMismatch(
                f"the modality must be one of {', '.join(self.modalities)}; it is {modality!r}."
                f"{did_you_mean(modality, self.modalities)} Give one of them."
            )
        steps = self.steps if modality == self.modalities[0] else None
        return self.model_copy(update={"features": {modality: self.features[modality]}, "steps": steps})

    @property
    def n_batch(self) -> int:
        """How many experimental batches there are; 1 without a batch key."""
        return self.batch.n if self.batch else 1

    @property
    def n_labels(self) -> int:
        """How many labels there are; 0 without a label key."""
        return self.label.n if self.label else 0

    @property
    def n_conditions(self) -> int:
        """How many conditions there are; 0 without a condition key."""
        return self.condition.n if self.condition else 0

    @property
    def control_code(self) -> int:
        """The code of the control condition; -1 without one."""
        return self.condition.values.index(self.control) if self.condition and self.control is not None else -1

    @property
    def n_coordinates(self) -> int:
        """Width of `Minibatch.coordinates`."""
        return self.coordinates.n if self.coordinates else 0

    @property
    def n_covariates(self) -> int:
        """Width of `Minibatch.covariates`."""
        return sum(covariate.width for covariate in self.covariates)


def repeated(names: Iterable[str]) -> list[str]:
    """The names that occur more than once, in the order in which they are repeated."""
    seen: set[str] = set()
    return [name for name in names if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
