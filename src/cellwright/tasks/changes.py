"""Changes: the features that rise and fall along each lineage of a trajectory.

values (n_obs, n_vars), obs["pseudotime"], obsm["fates"] -> a curve per feature and lineage -> table, curves

References: [VandenBerge20]; [SongLi21] on what such p-values mean; [Benjamini95].
"""

import numpy as np
import pandas as pd
from anndata import AnnData

from cellwright.dynamics.changes import Changes, adjusted
from cellwright.dynamics.changes import changes as along
from cellwright.errors import DataError, MissingKey
from cellwright.tasks.markers import as_logarithms
from cellwright.tasks.trajectory import CHANGES, CURVES, FATES, PSEUDOTIME, UNS

COLUMNS = ["lineage", "rank", "feature", "statistic", "p_value", "p_adjusted", "explained", "size", "peak", "direction"]


def changes(adata: AnnData, values: AnnData, *, layer: str | None = None, n_top: int = 50) -> None:
    """Add the `n_top` features that follow each lineage most, to what `trajectory` wrote into `adata`.

    `values` are the same cells in the same order; counts are scaled to 10,000 per cell and log1p-transformed in a copy,
    as `markers` does. A cell counts in a lineage as its fate says. Writes

    - `uns["changes"]`, a row per lineage and feature: `rank` (1 explains most), `statistic` (F), `p_value`,
      `p_adjusted` (over all features and lineages), `explained` (share of the variance), `size` (of the curve, from its
      lowest to its highest point), `peak` (pseudotime of the highest), `direction` (rises, falls, peaks, dips)
    - `uns["changes_curves"]` (n_rows, n_points): each row's curve, from the first to the last pseudotime of its lineage

    A lineage with too few cells has no row. Pseudotime was made of the same values, so that p-values only describe.
    Raises `MissingKey` without a trajectory, `DataError` for other cells.
    """
    for slot, key in (("obs", PSEUDOTIME), ("obsm", FATES), ("uns", UNS)):
        if key not in getattr(adata, slot):
            raise MissingKey.of(slot, key, "what `trajectory` writes", getattr(adata, slot))
    if list(values.obs_names) != list(adata.obs_names):
        raise DataError(
            f"values of `changes` must be of the {adata.n_obs} cells of the trajectory, in their order; they are of "
            f"{values.n_obs} others. Give values[adata.obs_names]."
        )
    matrix = as_logarithms(values, layer)
    time = adata.obs[PSEUDOTIME].to_numpy(np.float64)
    fates = np.nan_to_num(np.asarray(adata.obsm[FATES], dtype=np.float64))
    names = [str(name) for name in adata.uns[UNS]["fates"]]
    found = {name: along(matrix, time, fates[:, position]) for position, name in enumerate(names)}
    known = {name: one for name, one in found.items() if one is not None}
    corrected = adjusted(np.array([one.p for one in known.values()]))
    tables, curves = [pd.DataFrame(columns=COLUMNS)], [np.zeros((0, 0))]
    for (name, one), p_adjusted in zip(known.items(), corrected, strict=True):
        best = np.argsort(-one.explained, kind="stable")[:n_top]
        tables.append(_table(name, one, p_adjusted, best, values.var_names))
        curves.append(one.curves[best])
    adata.uns[CHANGES] = pd.concat(tables[1:] or tables, ignore_index=True)
    adata.uns[CURVES] = np.concatenate(curves[1:] or curves).astype(np.float32)


def _table(name: str, found: Changes, p_adjusted: np.ndarray, best: np.ndarray, features: pd.Index) -> pd.DataFrame:
    columns = {
        "lineage": name,
        "rank": np.arange(1, len(best) + 1),
        "feature": features[best].astype(str),
        "statistic": found.statistic[best],
        "p_value": found.p[best],
        "p_adjusted": p_adjusted[best],
        "explained": found.explained[best],
        "size": found.size[best],
        "peak": found.peak[best],
        "direction": _directions(found.curves[best]),
    }
    return pd.DataFrame(columns)


def _directions(curves: np.ndarray) -> list[str]:
    """Rises or falls where the ends differ by more than half of the size; else peaks or dips between them."""
    low, high = curves.min(axis=1), curves.max(axis=1)
    first, last = curves[:, 0], curves[:, -1]
    out = []
    for a, b, bottom, top in zip(first, last, low, high, strict=True):
        if abs(b - a) > (top - bottom) / 2:
            out.append("rises" if b > a else "falls")
        else:
            out.append("peaks" if top - max(a, b) >= min(a, b) - bottom else "dips")
    return out
