"""Ask: a task asks a model for an ability, and gets the cells in the form that the model was trained on.

It answers in an AnnData of its own, which says what made it.
"""

from importlib.metadata import version
from typing import Any, TypeVar

import pandas as pd
from anndata import AnnData

from cellwright.core.abilities import ABILITIES, abilities_of
from cellwright.core.schema import Schema
from cellwright.data.check import check_values
from cellwright.data.open import open_data
from cellwright.data.source import StoredSource
from cellwright.data.split import PARTS, Split
from cellwright.errors import AbilityError, DataError, SchemaMismatch
from cellwright.models import MODELS, name_of
from cellwright.models.model import Model

Ability = TypeVar("Ability")


def needs(model: Model, ability: type[Ability], task: str) -> Ability:
    """The model, seen as having `ability`. Raises `AbilityError` that names the models which can."""
    if isinstance(model, ability):
        return model
    name = next(name for name, kind in ABILITIES.items() if kind is ability)
    able = ", ".join(other for other, entry in MODELS.items() if name in entry.abilities)
    has = ", ".join(abilities_of(type(model))) or "nothing that a task can use"
    raise AbilityError(
        f"{name_of(model)} cannot do `{task}`: it must have the ability {name!r}; it has {has}. {able} can."
    )


def refuse_unfitted(model: Model, task: str) -> None:
    """Raise `DataError` for a model that was not trained."""
    if not model.fitted:
        raise DataError(f"`{task}` must have a fitted model; this {name_of(model)} was not trained. Call fit first.")


def cells_for(model: Model, data: Any, task: str) -> StoredSource:
    """`data` (a source, an AnnData, a MuData or a path) as a source with the model's features, in the model's order.

    Raises `DataError` for a model that was not trained, `SchemaMismatch` for other features or other categories,
    `UnsuitableValues` for values that the model cannot use.
    """
    refuse_unfitted(model, task)
    if not isinstance(data, StoredSource):
        data = open_data(data, schema=model.schema)
    if data.schema.features != model.schema.features:
        raise SchemaMismatch(
            f"`{task}` needs the {model.schema.n_vars} features that {name_of(model)} was trained on, in their order; "
            f"the source has {data.schema.n_vars} others. Open it with open_data(..., schema=model.schema)."
        )
    _refuse_other_codes(data.schema, model, task)
    for modality in model.schema.modalities:
        check_values(data, model.support_in(modality), wanted_by=name_of(model), modality=modality)
    return data


def _refuse_other_codes(schema: Schema, model: Model, task: str) -> None:
    """Codes mean what the schema says; under another one, label 0 is another label."""
    for field in ("batch", "label", "condition"):
        known, given = getattr(model.schema, field), getattr(schema, field)
        if known is not None and given is not None and known.values != given.values:
            raise SchemaMismatch(
                f"`{task}` must have cells with the {field} categories that {name_of(model)} was trained with, "
                f"{', '.join(known.values[:5])}{', ...' if known.n > 5 else ''}; the source has "
                f"{', '.join(given.values[:5])}{', ...' if given.n > 5 else ''}. "
                "Open it with open_data(..., schema=model.schema)."
            )


def annotated(model: Model, source: StoredSource, split: Split | None = None) -> AnnData:
    """An AnnData for what a model says of the cells: their `obs`, feature names and order, without values.

    `uns["cellwright"]` says what made it; with the `split` of the training, `obs["split"]` says which part a cell had,
    unless the input has such a column.
    """
    cells = AnnData(obs=source.annotation.obs.copy(), var=pd.DataFrame(index=list(model.schema.var_names)))
    cells.uns["cellwright"] = {
        "model": name_of(model),
        "options": model.options.model_dump_json(),
        "version": version("cellwright"),
        "filled_features": list(source.filled_features),
    }
    if split is not None and "split" not in cells.obs:
        cells.obs["split"] = pd.Categorical(split.names(), categories=list(PARTS))
    return cells
