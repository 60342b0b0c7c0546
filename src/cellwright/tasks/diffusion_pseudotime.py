"""Diffusion pseudotime: scanpy's, on the nearest neighbours that everything else uses.

latent (n_obs, n_latent), root -> neighbours -> diffusion map -> pseudotime (n_obs,)

References: [Haghverdi16] diffusion pseudotime.
"""

import numpy as np
import torch

from cellwright.errors import DataError
from cellwright.tasks.neighbours import Known, cells_only

N_NEIGHBORS = 15  # scanpy's default, which counts the cell itself
FEWEST_CELLS = 11  # scanpy asks for ten components of the map, and has one less than there are cells


def diffusion_pseudotime(latent: np.ndarray, root: int, seed: int, n_neighbors: int = N_NEIGHBORS) -> np.ndarray:
    """The pseudotime of each cell, from the root; infinite for cells that no path reaches.

    Raises `DataError` for fewer than `FEWEST_CELLS`.
    """
    if len(latent) < FEWEST_CELLS:
        raise DataError(
            f"diffusion pseudotime needs {FEWEST_CELLS} cells at least; there are {len(latent)}. Give more cells, or "
            "pseudotime 'geodesic'."
        )
    import scanpy as sc  # takes five seconds of CPU

    cells = cells_only(len(latent))
    cells.obsm["latent"] = latent
    n_threads = torch.get_num_threads()
    sc.pp.neighbors(cells, use_rep="latent", transformer=Known(latent, n_neighbors - 1, seed), random_state=seed)
    sc.tl.diffmap(cells, random_state=seed)
    cells.uns["iroot"] = root
    sc.tl.dpt(cells)
    torch.set_num_threads(n_threads)  # scanpy's compiled code sets OpenMP's for the whole process
    return cells.obs["dpt_pseudotime"].to_numpy(dtype=np.float64)
