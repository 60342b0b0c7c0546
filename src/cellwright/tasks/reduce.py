"""Reduce: place cells in a model's latent space.

model with `encodes`, cells -> latent (n_obs, n_latent) -> obsm["X_<model>"] of an AnnData of its own
"""

from typing import Any

from anndata import AnnData

from cellwright.core.abilities import Encodes
from cellwright.data.split import Split
from cellwright.keys import latent_key
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.tasks.ask import annotated, cells_for, needs
from cellwright.train.infer import over_cells


def reduce(model: Model, data: Any, *, key_added: str | None = None, split: Split | None = None) -> AnnData:
    """The latent of every cell. `data` is a source or what `open_data` takes, new cells included; it is left alone.

    Returns an AnnData with the input's `obs`, feature names and order, without values, and
    `obsm["X_<model>"]` (n_obs, n_latent), float32 (or `key_added`); `uns["cellwright"]` says what made it. With the
    `split` of the training, `obs["split"]` says which part a cell had, unless the input has such a column.

    Raises `AbilityError` if the model does not encode, `SchemaMismatch` if no feature is in common.
    """
    encoder = needs(model, Encodes, "reduce")
    source = cells_for(model, data, "reduce")
    cells = annotated(model, source, split)
    cells.obsm[key_added or latent_key(name_of(model))] = over_cells(encoder.encode, source)
    return cells
