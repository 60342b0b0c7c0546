"""Generate: make new cells, and compare them with real ones that the model has not seen.

model with `generates`, labels and batches -> counts (n_obs, n_vars), a block at a time -> AnnData
held-out cells, as many generated cells of each label -> rows of scores.csv
"""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse

from cellwright.core.abilities import Generates, Wanted
from cellwright.core.minibatch import SparseRows
from cellwright.core.schema import Categories
from cellwright.data.split import apportion
from cellwright.errors import DataError, OptionError, UnsuitableValues, did_you_mean
from cellwright.metrics import METRICS
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.nn import transform as transforms
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.ask import cells_for, needs, refuse_unfitted
from cellwright.tasks.reconstruct import common_scale, label_names
from cellwright.tasks.score import ScoreRow, score_rows
from cellwright.train.infer import over_cells

BLOCK_ROWS = 1024  # cells that are dense at a time
AT_MOST_CELLS = 2000  # of each side, for scores
# the first is what models are ordered by
SCORES = ("c2st", "mmd", "variance_error", "correlation_error")

Asked = str | Mapping[str, int] | None
Counts = dict[int, int]  # of cells, by code; -1 is any
Kind = tuple[int, int, int]  # code of label, code of batch, how many cells


def generate(
    model: Model, n_obs: int | None = None, *, labels: Asked = None, batches: Asked = None, seed: int = 0
) -> AnnData:
    """New cells. The same model, wishes and seed give the same cells, in the order of label and batch.

    `labels` is one label for all `n_obs` cells, or how many cells of each (`{"CD4 T": 100, "B": 50}`); None makes them
    in the proportions of the training cells. `batches` likewise, of experimental batches; None shares the cells of each
    label among its batches in proportion. Counts say how many cells there are, so they need no `n_obs`; several labels
    and several batches at once are two calls.

    Returns an AnnData: `X` the counts (or what the model was trained on), CSR float32; `obs` the label and the batch
    that each cell was made with, under the keys of the training data, and `obs["generated"]`, the model;
    `uns["cellwright"]` model, options, version and seed.

    Raises `AbilityError` if the model does not generate, `OptionError` for a label that the model does not know or a
    number that does not fit, `DataError` for a label or batch without training cells.
    """
    maker = needs(model, Generates, "generate")
    refuse_unfitted(model, "generate")
    total = _total(n_obs, labels, batches)
    of_label = _counts_of(model.schema.label, labels, total, "labels")
    of_batch = _counts_of(model.schema.batch, batches, total, "batches")
    if of_label is None and of_batch is None:
        of_label = _shares(maker.label_counts.cpu().numpy(), total)
    kinds = np.array(_kinds(maker.kind_counts.cpu().numpy(), of_label, of_batch))
    label, batch = kinds[:, 0].repeat(kinds[:, 2]), kinds[:, 1].repeat(kinds[:, 2])
    cells = AnnData(X=_drawn(maker, label, batch, seed), var=pd.DataFrame(index=list(model.schema.var_names)))
    cells.obs_names = [f"generated_{number}" for number in range(total)]
    cells.obs["generated"] = pd.Categorical([name_of(model)] * len(label))
    for field, codes in ((model.schema.label, label), (model.schema.batch, batch)):
        if field is not None:
            cells.obs[field.key] = pd.Categorical.from_codes(codes.astype(np.int64), categories=pd.Index(field.values))
    cells.uns["cellwright"] = {
        "model": name_of(model),
        "options": model.options.model_dump_json(),
        "version": version("cellwright"),
        "seed": seed,
    }
    return cells


def score_generation(model: Model, data: Any, rows: np.ndarray, *, held_out: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `generate`: generated cells against the real ones in `rows`, label by label.

    There are as many generated cells of each label as real ones, so that the proportions of labels tell nothing. Of
    more than 2,000 real cells a seeded sample is taken; a cell whose label no training cell had is left out, and so is
    one without a label where others have one. Values are compared as log(1 + 10,000 x / library) (real-valued data as
    they are), over all cells and within each label.
    """
    maker = needs(model, Generates, "generate")
    source = cells_for(model, data, "generate")
    label = source.annotation.label[rows]
    # the last is for -1, no label: such cells can be asked for only as a mixture of all
    known = np.append(maker.label_counts.cpu().numpy() > 0, (label < 0).all())
    rows = rows[known[label]]
    if len(rows) > AT_MOST_CELLS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, AT_MOST_CELLS, replace=False))
    table: list[ScoreRow] = []
    if len(rows):
        scale = common_scale(source, rows)
        real = over_cells(lambda cells: transforms.apply(scale, cells.x).dense(), source, rows)
        label = source.annotation.label[rows]
        # in one block: what hands out training cells would repeat some in the next, and copies are easy to recognise
        made = SparseRows.of(_drawn(maker, label, np.full(len(rows), -1), seed, block_rows=AT_MOST_CELLS))
        if scale != "none":
            made = made.map(lambda values: values.clamp(min=0))  # no data could be less, and it has no logarithm
        generated = transforms.apply(scale, made).dense().numpy()
        for name in SCORES:
            table += _scored(name, label_names(source, rows), real, generated)
    frame = pd.DataFrame(table, columns=["task", "metric", "value", "better", "group"])
    return frame.assign(held_out=held_out, seed=seed)[SCORE_COLUMNS]


def _scored(name: str, labels: pd.Series | None, real: np.ndarray, generated: np.ndarray) -> list[ScoreRow]:
    """The rows of one metric, none where there are too few cells for it. Raises `UnsuitableValues` for NaN."""
    try:
        return score_rows(METRICS[name], name, labels, x_real=real, x_generated=generated)
    except UnsuitableValues:
        raise  # a generator that makes such values has failed
    except DataError:
        return []


@torch.no_grad()
def _drawn(
    model: Generates, label: np.ndarray, batch: np.ndarray, seed: int, block_rows: int = BLOCK_ROWS
) -> sparse.csr_matrix:
    """Cells of these labels and batches; memory is that of a dense block and of the sparse result."""
    device = model.label_counts.device
    generator = torch.Generator(device).manual_seed(seed)
    blocks = []
    for start in range(0, len(label), block_rows):
        codes = (torch.from_numpy(part[start : start + block_rows].astype(np.int64)) for part in (label, batch))
        wanted = Wanted(*(part.to(device) for part in codes))
        blocks.append(sparse.csr_matrix(model.generate(wanted, generator).cpu().numpy().astype(np.float32)))
    return sparse.vstack(blocks, format="csr")


def _total(n_obs: int | None, labels: Asked, batches: Asked) -> int:
    """How many cells are asked for. Raises `OptionError` where nothing or more than one thing is said."""
    said = {int(n) for n in (n_obs, *(_sum(asked) for asked in (labels, batches))) if n is not None}
    if len(said) != 1 or min(said) < 1:
        numbers = " and ".join(str(n) for n in sorted(said)) or "nothing"
        raise OptionError(
            f"n_obs or counts by label must say how many cells to generate, 1 or more; they say {numbers}. "
            "Give n_obs, or a count for each label."
        )
    return said.pop()


def _sum(asked: Asked) -> int | None:
    return sum(asked.values()) if isinstance(asked, Mapping) else None


def _counts_of(field: Categories | None, asked: Asked, total: int, role: str) -> Counts | None:
    """How many cells of each code; None where nothing is asked. Raises `OptionError` for a name that is not there."""
    if asked is None:
        return None
    if field is None:
        raise OptionError(f"{role} of generate cannot be chosen: the model was trained without any. Leave them out.")
    counts = {asked: total} if isinstance(asked, str) else asked
    for name, n in counts.items():
        if name not in field.values:
            raise OptionError(
                f"{role} of generate must be values of {field.key!r}: {', '.join(field.values)}; {name!r} is none."
                f"{did_you_mean(name, field.values)}"
            )
        if n < 0:
            raise OptionError(f"counts of {role} of generate must be 0 or more; that of {name!r} is {n}.")
    return {field.values.index(name): n for name, n in counts.items() if n}


def _kinds(trained: np.ndarray, of_label: Counts | None, of_batch: Counts | None) -> list[Kind]:
    """How many cells of each label and batch, in their order; the one that is None follows the training cells.

    `trained (n_labels + 1, n_batch)` are theirs, in the last row those without a label.
    """
    if of_batch is None:
        assert of_label is not None
        kinds = [(a, b, n) for a, wanted in of_label.items() for b, n in _shares(trained[a], wanted).items()]
    elif of_label is None:
        kinds = [(a, b, n) for b, wanted in of_batch.items() for a, n in _shares(trained[:-1, b], wanted).items()]
    elif len(of_label) == 1 or len(of_batch) == 1:
        kinds = [(a, b, min(n, m)) for a, n in of_label.items() for b, m in of_batch.items()]
    else:
        raise OptionError(
            "generate takes several labels or several batches; it was given several of both. Call it for each batch."
        )
    return sorted(kinds)


def _shares(trained: np.ndarray, total: int) -> Counts:
    """`total` in proportion to the training cells, by largest remainder; any code where there are none."""
    if not trained.sum():
        return {-1: total}
    counts = apportion(total * trained / trained.sum(), total, np.zeros_like(trained), np.full_like(trained, total))
    return {code: int(n) for code, n in enumerate(counts) if n}
