"""Embed: two dimensions to look at, by UMAP.

    obsm[use_rep] (n_obs, n_latent) -> nearest neighbours -> scanpy's UMAP -> obsm[key_added] (n_obs, 2)

The picture is for looking only: distances between groups and their sizes mean little, and no metric is computed on it.
"""

import anndata as ad
import numpy as np
import torch

from cellwright.errors import DataError
from cellwright.keys import umap_key
from cellwright.tasks.neighbours import Known, cells_only, representation

# UMAP's own default; scanpy counts the cell itself as one of them
N_NEIGHBORS = 15


def embed(adata: ad.AnnData, *, use_rep: str, key_added: str | None = None, seed: int = 0) -> None:
    """Add a UMAP [McInnes18] of `obsm[use_rep]`, the same for the same `seed` on the same machine.

    Writes `obsm[key_added] (n_obs, 2)` float32; `key_added` is f"{use_rep}_umap" if not given. Nothing else is changed.
    Raises `MissingKey` if `obsm` has no `use_rep`, `DataError` for fewer than four cells.
    """
    adata.obsm[key_added or umap_key(use_rep)] = umap_of(representation(adata, use_rep), seed)


def umap_of(latent: np.ndarray, seed: int) -> np.ndarray:
    """UMAP coordinates `(n_obs, 2)` float32 of `latent (n_obs, n_latent)`."""
    if len(latent) < 4:
        raise DataError(f"a UMAP needs at least four cells; there are {len(latent)}. Plot the latent itself.")
    import scanpy as sc  # takes five seconds of CPU, and `reduce` draws a UMAP only where it is asked to

    cells = cells_only(len(latent))
    cells.obsm["latent"] = latent
    n_threads = torch.get_num_threads()
    sc.pp.neighbors(cells, use_rep="latent", transformer=Known(latent, N_NEIGHBORS - 1, seed), random_state=seed)
    sc.tl.umap(cells, random_state=seed)
    # UMAP's compiled code sets the number of OpenMP's threads for the whole process
    torch.set_num_threads(n_threads)
    return np.asarray(cells.obsm["X_umap"], dtype=np.float32)
