"""Decode forecast: a forecast in the latent of a model becomes one of its genes.

forecast of latents: one sequence, quantities X_vae_0, X_vae_1, ... -model with `decodes`-> log-normalised expression of
every gene at every step ahead, at a library of 10,000
"""

import re

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from cellwright.core.abilities import Decodes, Encodes
from cellwright.core.minibatch import Minibatch
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import DataError
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.nn.transform import TARGET_SUM
from cellwright.tasks.ask import needs, refuse_unfitted

BLOCK_ROWS = 512  # rows that are dense at a time


def decode_forecast(found: AnnData, model: Model) -> AnnData:
    """The genes of a forecast of latents. `found` is what `forecast` returned; `model` made the latents.

    Returns an AnnData with the rows of `found`, and a column for each step ahead and gene: `X` float32 is
    log(1 + 10,000 x / library) of what the model decodes for the expected latent, `var` has `step`, `ahead`,
    `sequence` and `quantity` (the gene). Spread and quantiles are those of latents and are not carried over. Raises
    `AbilityError` for a model that does not decode, `DataError` where the quantities are not its latent.
    """
    needs(model, Encodes, "decode_forecast")
    needs(model, Decodes, "decode_forecast")
    refuse_unfitted(model, "decode_forecast")
    steps = found.var.drop_duplicates(["sequence", "ahead"])
    parts: list[np.ndarray] = []
    var: list[tuple[float, int, str, str]] = []
    for time, ahead, sequence in zip(steps["step"], steps["ahead"], steps["sequence"], strict=True):
        at = np.flatnonzero((found.var["sequence"] == sequence) & (found.var["ahead"] == ahead))
        at = at[in_order_of_latent(found.var["quantity"].to_numpy()[at])]
        parts.append(expression(model, np.asarray(found.X[:, at], dtype=np.float32)))
        var += [(float(time), int(ahead), str(sequence), gene) for gene in model.schema.var_names]
    frame = pd.DataFrame(var, columns=["step", "ahead", "sequence", "quantity"])
    frame.index = pd.Index(
        ["_".join([*filter(None, (sequence,)), gene, f"{time:g}"]) for time, _, sequence, gene in var]
    )
    return AnnData(np.concatenate(parts, axis=1), obs=found.obs.copy(), var=frame, uns=dict(found.uns))


def in_order_of_latent(quantities: np.ndarray) -> np.ndarray:
    """Positions of quantities in the order of the numbers that they end with; as they are where one has none.

    What a file has as text comes sorted as text, with X_pca_10 before X_pca_2.
    """
    numbers = [re.search(r"\d+$", str(name)) for name in quantities]
    if any(number is None for number in numbers):
        return np.arange(len(quantities))
    return np.argsort([int(number.group()) for number in numbers if number is not None], kind="stable")


def expression(model: Model, latent: np.ndarray) -> np.ndarray:
    """Log-normalised expression `(n_obs, n_vars)` float32 of latents `(n_obs, n_latent)`; NaN where a latent is."""
    decoder = needs(model, Decodes, "decode_forecast")
    blocks = [latent[start : start + BLOCK_ROWS] for start in range(0, len(latent), BLOCK_ROWS)]
    return np.concatenate([_decoded(decoder, model, block) for block in blocks])


@torch.no_grad()
def _decoded(decoder: Decodes, model: Model, latent: np.ndarray) -> np.ndarray:
    known = ~np.isnan(latent).any(axis=1)
    out = np.full((len(latent), model.schema.n_vars), np.nan, dtype=np.float32)
    if known.any():
        cells = _of_usual_library(model, int(known.sum()))
        width = _encoded_width(model, cells)
        if latent.shape[1] != width:
            raise DataError(
                f"the forecast must be of the latent of {name_of(model)}, {width} numbers a step; it is of "
                f"{latent.shape[1]}. Give the run that made the latents."
            )
        out[known] = decoder.expected_log(torch.from_numpy(latent[known]), cells).cpu().numpy()
    return out


def _encoded_width(model: Model, cells: Minibatch) -> int:
    assert isinstance(model, Encodes), "asked before"
    return model.encode(cells).shape[1]


def _of_usual_library(model: Model, n: int) -> Minibatch:
    """Cells of nothing known but a library of 10,000, evenly over the genes."""
    even = np.full((n, model.schema.n_vars), TARGET_SUM / model.schema.n_vars, dtype=np.float32)
    cells = AnnData(even, var=pd.DataFrame(index=list(model.schema.var_names)))
    return next(iter(in_order(open_data(cells, schema=model.schema), None, n)))
