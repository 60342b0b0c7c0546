"""Trajectory: a pseudotime that knows only where it starts, to ask whether a latent keeps the order in time.

latent (n_obs, n_latent), time (n_obs,) -> root among the earliest cells -> diffusion pseudotime (n_obs,)

It is scanpy's, on the nearest neighbours that everything else uses. It is asked of a latent in order to score the
latent: the time gives the root, and nothing else.

References: [Haghverdi16] diffusion pseudotime.
"""

import numpy as np
import torch

from cellwright.tasks.neighbours import Known, cells_only

N_NEIGHBORS = 15  # scanpy's default, which counts the cell itself
EARLIEST = 0.05  # share of the cells with a known time, among which the root is


def pseudotime(latent: np.ndarray, time: np.ndarray, seed: int) -> np.ndarray:
    """Diffusion pseudotime `(n_obs,)` from the root; infinite for cells that no path reaches.

    The root is the cell nearest to the median of the earliest: `EARLIEST` of the cells, with all of the same time.
    """
    import scanpy as sc  # takes five seconds of CPU

    cells = cells_only(len(latent))
    cells.obsm["latent"] = latent
    n_threads = torch.get_num_threads()
    sc.pp.neighbors(cells, use_rep="latent", transformer=Known(latent, N_NEIGHBORS - 1, seed), random_state=seed)
    sc.tl.diffmap(cells, random_state=seed)
    cells.uns["iroot"] = root_of(latent, time)
    sc.tl.dpt(cells)
    torch.set_num_threads(n_threads)  # scanpy's compiled code sets OpenMP's for the whole process
    return cells.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)


def root_of(latent: np.ndarray, time: np.ndarray) -> int:
    """The row of the root."""
    known = time[np.isfinite(time)]
    earliest = np.flatnonzero(time <= np.quantile(known, EARLIEST))
    middle = np.median(latent[earliest], axis=0)
    return int(earliest[((latent[earliest] - middle) ** 2).sum(axis=1).argmin()])
