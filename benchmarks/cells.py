"""Cells: simulated counts as sparse as real ones, written once as `.h5ad`.

Negative binomial counts whose rates follow ten latent dimensions and six cell types (`cellwright.simulate`); 8 to
9 % of the values are not zero, as in 10x data over all genes. The cells are drawn independently, so the first ones may
train and the last ones validate.
"""

from pathlib import Path

import cellwright as cw

SHARES = (0.3, 0.2, 0.15, 0.15, 0.1, 0.1)
COUNTS_PER_GENE = 0.14  # gives 8.8 % stored values at 2,000 genes and 8.2 % at 20,000


def cells_file(folder: Path, n_obs: int, n_vars: int) -> Path:
    """The file of so many cells and genes; it is made if it is not there."""
    path = folder / f"cells-{n_obs}x{n_vars}.h5ad"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = cw.SimulateOptions(
            n_obs=n_obs, n_vars=n_vars, n_latent=10, label_shares=SHARES, library_mean=COUNTS_PER_GENE * n_vars
        )
        beside = path.with_suffix(".partial")
        cw.simulate(options, seed=0).adata.write_h5ad(beside)
        beside.replace(path)
    return path
