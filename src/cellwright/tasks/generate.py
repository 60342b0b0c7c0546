"""Generate: make new cells, and compare them with real ones that the model has not seen.

model with `generates`; labels, batches, conditions -> counts (n_obs, n_vars), a block at a time -> AnnData
held-out cells, as many generated cells of each label and condition -> rows of scores.csv
"""

from collections.abc import Mapping, Sequence
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
Kind = tuple[int, ...]  # codes of label, batch and condition, and how many cells
FIELDS = ("label", "batch", "condition")  # of the schema, in the order of `Kind` and of `Generates.kind_counts`


def generate(
    model: Model,
    n_obs: int | None = None,
    *,
    labels: Asked = None,
    batches: Asked = None,
    conditions: Asked = None,
    seed: int = 0,
) -> AnnData:
    """New cells. The same model, wishes and seed give the same cells, in the order of label, batch and condition.

    `labels` is one label for all `n_obs` cells, or how many cells of each (`{"CD4 T": 100, "B": 50}`); None makes them
    in the proportions of the training cells. `batches` and `conditions` likewise, of experimental batches and of
    conditions (treatments); None shares the cells of each label among those that it had, in proportion. Counts say how
    many cells there are, so they need no `n_obs`; counts of several labels and of several batches (or conditions) at
    once are two calls.

    Returns an AnnData: `X` the counts (or what the model was trained on), CSR float32; `obs` the label, the batch and
    the condition that each cell was made with, under the keys of the training data, and `obs["generated"]`, the model;
    `uns["cellwright"]` model, options, version and seed.

    Raises `AbilityError` if the model does not generate, `OptionError` for a name that the model does not know or a
    number that does not fit, `DataError` for a label, batch and condition that no training cell had together.
    """
    maker = needs(model, Generates, "generate")
    refuse_unfitted(model, "generate")
    total = _total(n_obs, labels, batches, conditions)
    fields = [getattr(model.schema, name) for name in FIELDS]
    wishes = zip(fields, (labels, batches, conditions), ("labels", "batches", "conditions"), strict=True)
    asked = [_counts_of(field, wish, total, role) for field, wish, role in wishes]
    kinds = np.array(_kinds(maker.kind_counts.cpu().numpy(), asked, total))
    codes = kinds[:, :-1].repeat(kinds[:, -1], axis=0)
    cells = AnnData(X=_drawn(maker, codes, seed), var=pd.DataFrame(index=list(model.schema.var_names)))
    cells.obs_names = [f"generated_{number}" for number in range(total)]
    cells.obs["generated"] = pd.Categorical([name_of(model)] * total)
    for field, of_cells in zip(fields, codes.T, strict=True):
        if field is not None:
            cells.obs[field.key] = pd.Categorical.from_codes(of_cells, categories=pd.Index(field.values))
    cells.uns["cellwright"] = {
        "model": name_of(model),
        "options": model.options.model_dump_json(),
        "version": version("cellwright"),
        "seed": seed,
    }
    return cells


def score_generation(model: Model, data: Any, rows: np.ndarray, *, held_out: bool, seed: int = 0) -> pd.DataFrame:
    """Rows of `scores.csv` for the task `generate`: generated cells against the real ones in `rows`, label by label.

    There are as many generated cells of each label and condition as real ones, so that their proportions tell nothing.
    Of more than 2,000 real cells a seeded sample is taken; a cell whose label and condition no training cell had
    together is left out, and so is one without a label where others have one. Values are compared as
    log(1 + 10,000 x / library) (real-valued data as they are), over all cells and within each label.
    """
    maker = needs(model, Generates, "generate")
    source = cells_for(model, data, "generate")
    rows = rows[_can_be_made(maker, source.annotation.label[rows], source.annotation.condition[rows])]
    if len(rows) > AT_MOST_CELLS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, AT_MOST_CELLS, replace=False))
    table: list[ScoreRow] = []
    if len(rows):
        scale = common_scale(source, rows)
        real = over_cells(lambda cells: transforms.apply(scale, cells.x).dense(), source, rows)
        label, condition = source.annotation.label[rows], source.annotation.condition[rows]
        codes = np.stack([label, np.full(len(rows), -1), condition], axis=1)
        # in one block: what hands out training cells would repeat some in the next, and copies are easy to recognise
        made = SparseRows.of(_drawn(maker, codes, seed, block_rows=AT_MOST_CELLS))
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
def _drawn(model: Generates, codes: np.ndarray, seed: int, block_rows: int = BLOCK_ROWS) -> sparse.csr_matrix:
    """Cells of these `codes (n_obs, 3)` of `FIELDS`; memory is that of a dense block and of the sparse result."""
    device = model.kind_counts.device
    generator = torch.Generator(device).manual_seed(seed)
    blocks = []
    for start in range(0, len(codes), block_rows):
        block = torch.from_numpy(codes[start : start + block_rows]).to(device)
        wanted = Wanted(*block.T)
        blocks.append(sparse.csr_matrix(model.generate(wanted, generator).cpu().numpy().astype(np.float32)))
    return sparse.vstack(blocks, format="csr")


def _total(n_obs: int | None, *wishes: Asked) -> int:
    """How many cells are asked for. Raises `OptionError` where nothing or more than one thing is said."""
    said = {int(n) for n in (n_obs, *(_sum(asked) for asked in wishes)) if n is not None}
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


def _kinds(trained: np.ndarray, asked: Sequence[Counts | None], total: int) -> list[Kind]:
    """How many cells of each label, batch and condition, in their order; what is None follows the training cells.

    `trained (n_labels + 1, n_batch + 1, n_conditions + 1)` are theirs, the last of each being of unknown.
    """
    if sum(counts is not None and len(counts) > 1 for counts in asked) > 1:
        raise OptionError(
            "generate takes counts of several labels, of several batches or of several conditions; it was given more "
            "than one of these. Call it once for each batch or condition."
        )
    parts: list[tuple[dict[int, int], int]] = [({}, total)]  # codes by axis, and how many cells
    for axis, counts in enumerate(asked):
        if counts is not None:
            parts = [({**codes, axis: code}, min(n, m)) for codes, n in parts for code, m in counts.items()]
    for axis, counts in enumerate(asked):
        if counts is None:
            parts = [
                ({**codes, axis: code}, m) for codes, n in parts for code, m in _shares(trained, axis, codes, n).items()
            ]
    return sorted((*(codes[axis] for axis in range(len(asked))), n) for codes, n in parts)


def _shares(trained: np.ndarray, axis: int, codes: dict[int, int], total: int) -> Counts:
    """`total` in proportion to the training cells along an axis, among those of the `codes` of other axes; -1 is any.

    By largest remainder; any code where there are none.
    """
    for other, code in codes.items():
        trained = trained.take([code], other) if code >= 0 else trained
    counts = trained.sum(axis=tuple({0, 1, 2} - {axis}))[:-1]  # the last is of unknown
    if not counts.sum():
        return {-1: total}
    shared = apportion(total * counts / counts.sum(), total, np.zeros_like(counts), np.full_like(counts, total))
    return {code: int(n) for code, n in enumerate(shared) if n}


def _can_be_made(maker: Generates, label: np.ndarray, condition: np.ndarray) -> np.ndarray:
    """Whether cells of these labels and conditions can be asked for, (n_obs,); -1 is any.

    Cells without a label are a mixture of all, so they are asked for only where no cell has one.
    """
    trained = maker.kind_counts.sum(dim=1).cpu().numpy() > 0  # (n_labels + 1, n_conditions + 1)
    trained[:, -1] = trained.any(axis=1)
    trained[-1] = trained.any(axis=0)
    return trained[label, condition] & ((label >= 0) | (label < 0).all())
