"""Impute: fill in what the measurement missed, as a new layer beside the measured values.

model with `imputes`, cells -a block at a time-> what is expected of a second measurement (n_obs, n_vars)
-> all values or only zeros -> scale -> threshold -> layers["imputed"] of an AnnData, or of a zarr store on disk
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch
from anndata import AnnData
from pydantic import Field, field_validator
from scipy import sparse
from torch import Tensor

from cellwright.core.abilities import Draws, Imputes
from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options
from cellwright.core.support import Support
from cellwright.data.check import check_values
from cellwright.data.layers import write_layers
from cellwright.data.source import Matrix, StoredSource, in_order
from cellwright.data.split import Split
from cellwright.errors import DataError, OptionError
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.nn.transform import TARGET_SUM
from cellwright.tasks.ask import annotated, cells_for, needs

BLOCK_ROWS = 512  # cells that are dense at a time
MEMORY_SHARE = 0.8  # of the memory that is free, which a result that is held in memory may take


class ImputeOptions(Options):
    """Which values are filled in, on which scale, and with how much said of their uncertainty."""

    values: Literal["all", "zeros"] = Field(
        "all", description="all: every value is replaced by what is expected; zeros: measured ones above zero stay"
    )
    fill: Literal["mean", "draw"] = Field(
        "mean",
        description="mean: what is expected, to look at and to predict with; draw: a second measurement as it could "
        "be, counts with their noise, for tests and correlations, in which means seem surer than cells are",
    )
    scale: Literal["data", "normalised", "log"] = Field(
        "data", description="data: at the cell's own library; normalised: per 10,000; log: log(1 + normalised)"
    )
    threshold: float = Field(
        0.0, ge=0, description="on that scale: what is below is zero, and the layer is sparse; 0 keeps all, dense"
    )
    n_draws: int = Field(
        0,
        ge=0,
        description="draws of what could be expected, whose standard deviation is a second layer; 0: no layer, else 2 "
        "or more. It tells of what varies in the model: of ae and dae with a gaussian or poisson likelihood nothing "
        "does, and it is 0",
    )

    @field_validator("n_draws")
    @classmethod
    def _a_single_draw_has_no_spread(cls, n_draws: int) -> int:
        if n_draws == 1:
            raise OptionError(
                "n_draws of ImputeOptions must be 0, or 2 or more, to have a spread; it is 1. Give e.g. 20."
            )
        return n_draws


@dataclass(frozen=True, eq=False)
class _Block:
    """Some cells: their measured values, and the layers that go beside them."""

    x: Matrix
    layers: dict[str, Matrix]


def impute(
    model: Model,
    data: Any,
    options: ImputeOptions = ImputeOptions(),  # noqa: B008  frozen
    *,
    key_added: str = "imputed",
    split: Split | None = None,
    seed: int = 0,
) -> AnnData:
    """What is expected of every value. `data` is a source or what `open_data` takes, new cells too; it is left alone.

    Returns an AnnData with the input's `obs` and order, over the model's features:

    - `X`: the measured values, as they are;
    - `layers[key_added]` (n_obs, n_vars) float32: what is expected of a second measurement of the cell, on
      `options.scale`; dense, or CSR with a threshold;
    - `layers[f"{key_added}_sd"]`, with `options.n_draws`: the standard deviation of what could be expected, over what
      varies in the model: 0, and not sure for that, where neither latent nor rates do (`ae` with a Gaussian).

    `uns["cellwright"]` says what made it, `uns[key_added]` options and seed. The same seed gives the same values.

    Raises `AbilityError` if the model does not impute (or does not draw, with `n_draws`), `SchemaMismatch` if no
    feature is in common, `UnsuitableValues` for a scale that negative values have not, `DataError` if the result would
    not fit in memory (see `impute_to`).
    """
    source, blocks = _asked(model, data, options, key_added, seed)
    _refuse_too_large(source, options)
    cells = annotated(model, source, split)
    parts = list(blocks)
    cells.X = _stacked([part.x for part in parts])
    for name in parts[0].layers:
        cells.layers[name] = _stacked([part.layers[name] for part in parts])
    cells.uns[key_added] = _said(options, seed)
    return cells


def impute_to(
    model: Model,
    data: Any,
    path: Path | str,
    options: ImputeOptions = ImputeOptions(),  # noqa: B008  frozen
    *,
    key_added: str = "imputed",
    split: Split | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """The same, written block by block into the zarr store `path`; memory is that of a block, whatever the cells.

    The store is written beside its place and moved into it. Raises as `impute`, and `DataFileError` where it is there
    already or cannot be written.
    """
    source, blocks = _asked(model, data, options, key_added, seed)
    cells = annotated(model, source, split)
    cells.uns[key_added] = _said(options, seed)
    write_layers(Path(path), cells, ((block.x, block.layers) for block in blocks), progress)


def _asked(
    model: Model, data: Any, options: ImputeOptions, key_added: str, seed: int
) -> tuple[StoredSource, Iterator[_Block]]:
    """The cells, and their imputation to be made block by block; what can be refused is refused here."""
    imputer = needs(model, Imputes, "impute")
    if options.n_draws or options.fill == "draw":
        needs(model, Draws, f"impute with {'n_draws' if options.n_draws else 'fill=draw'}")
    if options.fill == "draw" and model.support < Support.counts:
        raise OptionError(
            f"fill of ImputeOptions must be 'mean' for {name_of(model)} with these options, which is no model of "
            "counts; it is 'draw'. Choose mean, or a likelihood of counts."
        )
    source = cells_for(model, data, "impute")
    if options.scale != "data":
        check_values(source, Support.non_negative, wanted_by=f"scale={options.scale!r} of ImputeOptions")
    return source, _blocks(imputer, source, options, key_added, seed)


@torch.no_grad()
def _blocks(
    imputer: Imputes, source: StoredSource, options: ImputeOptions, key_added: str, seed: int
) -> Iterator[_Block]:
    generator = torch.Generator().manual_seed(seed)
    for minibatch in in_order(source, None, BLOCK_ROWS):
        values = _on_scale(_filled(imputer, minibatch, options, generator), minibatch, options)
        layers = {key_added: values}
        if options.n_draws:
            assert isinstance(imputer, Draws), "refused before"
            layers[f"{key_added}_sd"] = _spread(imputer, minibatch, options, generator)
        x = minibatch.x.values.numpy() if minibatch.x.is_dense else minibatch.x.csr()
        kept = values >= options.threshold if options.threshold else None
        yield _Block(x, {name: _stored(layer, kept) for name, layer in layers.items()})


def _filled(imputer: Imputes, minibatch: Minibatch, options: ImputeOptions, generator: torch.Generator) -> Tensor:
    if options.fill == "mean":
        return imputer.impute(minibatch, generator)
    assert isinstance(imputer, Draws), "refused before"
    return imputer.draw_counts(minibatch, generator)


def _on_scale(expected: Tensor, minibatch: Minibatch, options: ImputeOptions) -> Tensor:
    if options.values == "zeros":
        measured = minibatch.x.dense()
        expected = torch.where(measured != 0, measured, expected)
    if options.scale == "data":
        return expected
    normalised = expected * (TARGET_SUM / minibatch.library.clamp(min=1e-12))
    # what is expected may be below zero where the likelihood is over real numbers
    return normalised if options.scale == "normalised" else torch.log1p(normalised.clamp(min=0))


def _spread(imputer: Draws, minibatch: Minibatch, options: ImputeOptions, generator: torch.Generator) -> Tensor:
    """Standard deviation over draws; zero for a value that stays as it was measured."""
    total, squares = torch.zeros(()), torch.zeros(())
    for _ in range(options.n_draws):
        drawn = _on_scale(imputer.draw(minibatch, generator), minibatch, options).double()
        total, squares = total + drawn, squares + drawn.square()
    n = options.n_draws
    variance = (squares - total.square() / n).clamp(min=0) / max(n - 1, 1)
    return variance.sqrt().float()


def _stored(values: Tensor, kept: Tensor | None) -> Matrix:
    """Dense, or sparse with what is kept; a spread is kept where its value is."""
    return values.numpy() if kept is None else sparse.csr_matrix(torch.where(kept, values, 0.0).numpy())


def _stacked(parts: list[Matrix]) -> Matrix:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return sparse.vstack(parts, format="csr")


def _said(options: ImputeOptions, seed: int) -> dict[str, Any]:
    return {**options.model_dump(mode="json"), "seed": seed}


def _refuse_too_large(source: StoredSource, options: ImputeOptions) -> None:
    """A sparse result cannot be known beforehand."""
    n_layers = 0 if options.threshold else 1 + bool(options.n_draws)
    dense_x = isinstance(source.read(source.schema.modalities[0], np.arange(min(1, source.n_obs))), np.ndarray)
    n_bytes = 4 * (n_layers + dense_x) * source.n_obs * source.schema.n_vars
    free = psutil.virtual_memory().available
    # the blocks and what they are stacked to are there at once
    if 2 * n_bytes > MEMORY_SHARE * free:
        raise DataError(
            f"the result of impute must fit in memory twice; {source.n_obs:,} x {source.schema.n_vars:,} values take "
            f"{n_bytes / 1e9:.1f} GB, of {free / 1e9:.1f} GB that are free. Write it to a .zarr store (impute_to), or "
            "give a threshold."
        )
