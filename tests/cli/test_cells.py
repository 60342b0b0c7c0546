"""Cells go to disk and come back."""

import numpy as np
import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.cli.cells import cells_of, write_cells
from cellwright.errors import RunError
from cellwright.run import Run


def test_cells_come_back_as_anndata_itself_would_write_them(simulated, tmp_path):
    adata = simulated.copy()
    adata.obs["text"] = [f"cell {number}" for number in range(adata.n_obs)]
    adata.obsm["X_vae"] = np.arange(240, dtype=np.float32).reshape(120, 2)
    adata.uns["table"] = pd.DataFrame({"name": ["a", "b"], "value": [0.5, np.nan]})
    write_cells(adata.copy(), tmp_path / "ours.h5ad")
    adata.copy().write_h5ad(tmp_path / "theirs.h5ad")
    ours, theirs = read_h5ad(tmp_path / "ours.h5ad"), read_h5ad(tmp_path / "theirs.h5ad")
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    pd.testing.assert_frame_equal(ours.uns["table"], theirs.uns["table"])
    np.testing.assert_array_equal(ours.obsm["X_vae"], theirs.obsm["X_vae"])
    assert (ours.X != theirs.X).nnz == 0


def test_damaged_cells_are_refused_with_the_remedy(finished):
    whole = (finished / "cells.h5ad").read_bytes()
    (finished / "cells.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"cells\.h5ad cannot be read .*it is damaged\. Fit again"):
        cells_of(Run(finished))
