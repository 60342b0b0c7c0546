"""Paths: sequences that are sampled among the cells of lineages, where a lineage by itself would be one row only.

    cells, time -windows-> of each lineage and path one cell (or the mean of a few) per window -> (n_paths, ...)
    cells, time, transitions -random walks-> the first cell of each walk in every window -> (n_paths, ...)

A path of a lineage draws each window by itself: what the cells of the window before it were tells nothing but the
lineage, so that the spread of a state from window to window is that of its cells. A walk goes from cell to cell along
`obsp["transitions"]`, and its steps belong together as far as that graph says. With fates, cells of a lineage are drawn
by how probable it is that they end there.

Rows are many and made of the same cells: divide lineages or donors between training and test, or train on the windows
before a time and forecast those after it (`split_steps`). Never divide paths, or windows at random.

References: [Lange22] walks along a directed chain of cells, fate probabilities.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import sparse

from cellwright.core.options import Options
from cellwright.data.sequences import dense, named_quantities, quantities, window_of
from cellwright.errors import DataError, MissingKey, OptionError

MOST_MOVES = 1000  # of a walk; one that has not ended by then stays where it is


class PathOptions(Options):
    """How paths are sampled."""

    n_windows: int = Field(10, ge=1, description="windows of equal width, from the first to the last time")
    n_paths: int = Field(200, ge=1, description="paths of each lineage, or walks in all")
    n_cells: int = Field(1, ge=1, description="cells of a window whose mean is a step; more for less noise of cells")
    seed: int = Field(0, ge=0, description="of all that is drawn")


@dataclass(frozen=True, eq=False)
class _Windows:
    """The window of each cell, -1 without a time, and the middles of the windows."""

    of_cell: np.ndarray
    middles: np.ndarray


def paths(
    adata: AnnData,
    *,
    time: str,
    by: str | None = None,
    fates: str | None = None,
    use_rep: str | None = None,
    options: PathOptions = PathOptions(),  # noqa: B008  frozen
) -> AnnData:
    """Paths through the windows of each lineage: for every path one cell, or a mean of `n_cells`, of each window.

    - `time`: column of `obs` with numbers (pseudotime, age). Cells without one, or an infinite one, are left out.
    - `by`: column of `obs` with the lineage (branch, donor). With `fates` it may be missing.
    - `fates`: key in `obsm` with the probability that a cell ends in each terminal state `(n_obs, n_fates)`: lineages
      are the fates (named by a DataFrame's columns, `uns["trajectory"]["fates"]`, or numbers), and cells are drawn by
      it; with `by`, within its groups.
    - `use_rep`: key in `obsm` whose columns are the quantities; without it, the features of `X`.

    Returns `X (n_paths, n_windows * n_quantities)` float32, NaN where the lineage has no cell in a window;
    `var["step"]` (middle of the window), `var["quantity"]`; `obs["lineage"]`, `obs["fate"]` where asked for, and
    columns of `obs` that are constant within every lineage; `obsm["cell"]` (n_paths, n_windows) int64, the row of the
    first cell that was drawn, -1 where there is none. The same seed gives the same paths. Raises `MissingKey`;
    `DataError` for a time that is not numeric, or fates that are no probabilities; `OptionError` without `by` and
    `fates`.
    """
    if by is None and fates is None:
        raise OptionError("paths must have lineages; neither by nor fates was given. Name a column of obs, or fates.")
    windows = _windows(adata, time, options.n_windows)
    rng = np.random.default_rng(options.seed)
    cells, names = [], []
    for name, weight in _lineages(adata, by, fates):
        drawn = _sampled(windows, weight, options, rng)  # (n_paths, n_windows, n_cells)
        if (drawn >= 0).any():
            cells.append(drawn)
            names.append(name)
    if not cells:
        raise DataError("paths must have a lineage with cells that have a time; there is none. Give other columns.")
    lineages = pd.DataFrame(names, columns=[name for name in ("lineage", "fate") if _has(name, by, fates)])
    obs = lineages.loc[lineages.index.repeat(options.n_paths)].reset_index(drop=True)
    if by is not None:
        obs = _with_constants(obs, adata.obs, by)
    return _of_cells(adata, np.concatenate(cells), windows, use_rep, obs)


def walks(
    adata: AnnData,
    *,
    time: str,
    transitions: str = "transitions",
    use_rep: str | None = None,
    keep: tuple[str, ...] = (),
    backwards: bool = False,
    anywhere: bool = False,
    options: PathOptions = PathOptions(),  # noqa: B008  frozen
) -> AnnData:
    """Random walks along `obsp[transitions]` from cells of the first window; a step is where the walk comes into it.

    With `backwards` they start in the last window, and go to where cells may have come from: against the transitions,
    in proportion to them. With `anywhere` they start from any cell that has a time, for the first window may lack
    lineages; windows before the start are NaN. A walk ends in the window at the other end, or after `MOST_MOVES` moves.
    Windows that it steps over are NaN. Returns what `paths` does; of `obs` the columns `keep` of the cell of its last
    window. `n_cells` must be 1. Raises as `paths`, and `DataError` where the rows of the transitions do not sum to one.
    """
    if options.n_cells != 1:
        raise OptionError(f"n_cells of walks must be 1, for a walk is in one cell; it is {options.n_cells}. Leave it.")
    chain = _chain(adata, transitions)
    windows = _windows(adata, time, options.n_windows)
    rng = np.random.default_rng(options.seed)
    if backwards:
        order = np.where(windows.of_cell >= 0, options.n_windows - 1 - windows.of_cell, -1)
        cells = _walked(_against(chain), order, options, rng, anywhere=anywhere)[:, ::-1]
    else:
        cells = _walked(chain, windows.of_cell, options, rng, anywhere=anywhere)
    missing = [name for name in keep if name not in adata.obs]
    if missing:
        raise MissingKey.of("obs", missing[0], "keep", adata.obs.columns)
    last = np.array([path[path >= 0][-1] for path in cells])
    obs = adata.obs.iloc[last][list(keep)].reset_index(drop=True)
    return _of_cells(adata, cells[:, :, None], windows, use_rep, obs)


def split_steps(sequences: AnnData, before: float, *, step_key: str = "step") -> tuple[AnnData, AnnData]:
    """The sequences up to a time and from it on, `(earlier, later)`: to train on the one and to forecast the other.

    The steps of `earlier` are those with `var[step_key] < before`; of `obsm["cell"]` either has its own. Raises
    `MissingKey`, and `OptionError` where no step is on either side.
    """
    if step_key not in sequences.var:
        raise MissingKey.of("var", step_key, "step_key", sequences.var.columns)
    early = sequences.var[step_key].to_numpy(np.float64) < before
    if early.all() or not early.any():
        times = sequences.var[step_key]
        raise OptionError(
            f"before must have steps on both sides, from above {times.min():g} to {times.max():g}; it is {before:g}. "
            "Give a time between."
        )
    is_early = np.unique(sequences.var[step_key].to_numpy(np.float64)) < before
    return _with_steps(sequences, early, is_early), _with_steps(sequences, ~early, ~is_early)


def _with_steps(sequences: AnnData, columns: np.ndarray, steps: np.ndarray) -> AnnData:
    out = sequences[:, columns].copy()
    if "cell" in out.obsm and out.obsm["cell"].shape[1] == len(steps):
        out.obsm["cell"] = out.obsm["cell"][:, steps]
    return out


def _has(name: str, by: str | None, fates: str | None) -> bool:
    return by is not None if name == "lineage" else fates is not None


def _windows(adata: AnnData, time: str, n_windows: int) -> _Windows:
    if time not in adata.obs:
        raise MissingKey.of("obs", time, "time", adata.obs.columns)
    return _Windows(*window_of(adata.obs[time], n_windows))


def _lineages(adata: AnnData, by: str | None, fates: str | None) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """The names of each lineage, and how probable each cell is in it, (n_obs,)."""
    groups: list[tuple[tuple[str, ...], np.ndarray]] = [((), np.ones(adata.n_obs))]
    if by is not None:
        if by not in adata.obs:
            raise MissingKey.of("obs", by, "by", adata.obs.columns)
        column = pd.Categorical(adata.obs[by]).remove_unused_categories()
        groups = [((str(name),), (column.codes == code) * 1.0) for code, name in enumerate(column.categories)]
    if fates is None:
        return groups
    ends = _fates(adata, fates)
    return [((*name, str(end)), weight * ends[end].to_numpy()) for name, weight in groups for end in ends]


def _fates(adata: AnnData, key: str) -> pd.DataFrame:
    if key not in adata.obsm:
        raise MissingKey.of("obsm", key, "fates", adata.obsm)
    found = adata.obsm[key]
    values = np.nan_to_num(np.asarray(found, dtype=np.float64))
    if (values < 0).any() or (values > 1 + 1e-6).any():
        raise DataError(
            f"obsm[{key!r}] (fates) must hold probabilities, 0 to 1; they are {values.min():g} to {values.max():g}. "
            "Give what a trajectory wrote."
        )
    known = adata.uns.get("trajectory", {}).get("fates", None)
    names = found.columns if isinstance(found, pd.DataFrame) else known
    if names is None or len(names) != values.shape[1]:
        names = range(values.shape[1])
    return pd.DataFrame(values, columns=[str(name) for name in names])


def _sampled(windows: _Windows, weight: np.ndarray, options: PathOptions, rng: np.random.Generator) -> np.ndarray:
    """Cells of each path and window, with replacement, `(n_paths, n_windows, n_cells)`; -1 where there is none."""
    out = np.full((options.n_paths, options.n_windows, options.n_cells), -1)
    for window in range(options.n_windows):
        there = np.flatnonzero((windows.of_cell == window) & (weight > 0))
        if len(there):
            share = weight[there] / weight[there].sum()
            out[:, window] = rng.choice(there, (options.n_paths, options.n_cells), p=share)
    return out


def _chain(adata: AnnData, key: str) -> sparse.csr_matrix:
    if key not in adata.obsp:
        raise MissingKey.of("obsp", key, "transitions", adata.obsp)
    chain = sparse.csr_matrix(adata.obsp[key])
    total = np.asarray(chain.sum(axis=1)).ravel()
    if not np.allclose(total, 1, atol=1e-3):
        raise DataError(
            f"obsp[{key!r}] (transitions) must have rows that sum to one; they sum to {total.min():.3g} to "
            f"{total.max():.3g}. Give what a trajectory wrote."
        )
    return chain


def _against(chain: sparse.csr_matrix) -> sparse.csr_matrix:
    """Where a walk may have come from; a cell that nothing leads to stays."""
    came = chain.T.tocsr()
    total = np.asarray(came.sum(axis=1)).ravel()
    came = came + sparse.diags_array((total == 0).astype(np.float64), format="csr")
    return sparse.csr_matrix(sparse.diags_array(1 / np.where(total == 0, 1.0, total), format="csr") @ came)


def _walked(
    chain: sparse.csr_matrix,
    window_of_cell: np.ndarray,
    options: PathOptions,
    rng: np.random.Generator,
    *,
    anywhere: bool,
) -> np.ndarray:
    """The first cell of each walk in every window, `(n_paths, n_windows)`; -1 where it was in none."""
    known = window_of_cell >= 0
    first = np.flatnonzero(known if anywhere else window_of_cell == window_of_cell[known].min())
    at = rng.choice(first, options.n_paths)
    out = np.full((options.n_paths, options.n_windows), -1)
    every, cumulative = np.arange(options.n_paths), _cumulative(chain)
    for _ in range(MOST_MOVES):
        window = window_of_cell[at]
        # the first, so that walks start evenly: the last before a window is left is a hub of the graph
        new = (window >= 0) & (out[every, window] < 0)
        out[every[new], window[new]] = at[new]
        going = window_of_cell[at] < options.n_windows - 1
        if not going.any():
            break
        at[going] = _moved(chain, cumulative, at[going], rng.random(int(going.sum())))
    return out


def _cumulative(chain: sparse.csr_matrix) -> np.ndarray:
    """Running sums of the stored values, each row from the number of rows before it on."""
    sums = np.cumsum(chain.data)
    starts = np.r_[0.0, sums][chain.indptr[:-1]]
    rows = np.repeat(np.arange(chain.shape[0]), np.diff(chain.indptr))
    total = np.asarray(chain.sum(axis=1)).ravel()
    return rows + (sums - starts[rows]) / total[rows]


def _moved(chain: sparse.csr_matrix, cumulative: np.ndarray, at: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    place = np.searchsorted(cumulative, at + uniform, side="right")
    return chain.indices[np.clip(place, chain.indptr[at], chain.indptr[at + 1] - 1)]


def _of_cells(adata: AnnData, cells: np.ndarray, windows: _Windows, use_rep: str | None, obs: pd.DataFrame) -> AnnData:
    """The sequences that these cells `(n_paths, n_windows, n_cells)` are."""
    values, names = quantities(adata, use_rep)
    n_paths, n_windows, n_cells = cells.shape
    there = cells[:, :, 0].ravel() >= 0
    steps = np.full((n_paths * n_windows, len(names)), np.nan, dtype=np.float32)
    chosen = cells.reshape(-1, n_cells)[there]
    mean = np.zeros((len(chosen), len(names)))
    for cell in chosen.T:
        mean += dense(values[cell])
    steps[there] = mean / n_cells
    var = pd.DataFrame(
        {"step": np.repeat(windows.middles, len(names)), "quantity": named_quantities(names, n_windows)},
        index=[f"{name}_{window}" for window in range(n_windows) for name in names],
    )
    obs = obs.set_axis([f"path{path}" for path in range(n_paths)])
    out = AnnData(steps.reshape(n_paths, -1), obs=obs, var=var)
    out.obsm["cell"] = cells[:, :, 0].astype(np.int64)
    return out


def _with_constants(obs: pd.DataFrame, of_cells: pd.DataFrame, by: str) -> pd.DataFrame:
    """Columns of `obs` that are constant within every lineage, beside its name."""
    grouped = of_cells.groupby(by, observed=True)
    constant = list(of_cells.columns.drop(by)[(grouped.nunique(dropna=False) <= 1).all(axis=0)])
    first = grouped[constant].first() if constant else pd.DataFrame(index=grouped.size().index)
    first.index = first.index.astype(str)
    added = first.loc[obs["lineage"]].reset_index(drop=True)
    return obs.join(added[[name for name in added if name not in obs]])
