"""An AnnData as the bytes of its file."""

import numpy as np
import pytest
from anndata import AnnData, read_h5ad

from cellwright.data.write import h5ad_bytes


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_bytes_are_a_file_that_anndata_reads(tmp_path, compression):
    adata = AnnData(np.arange(6, dtype=np.float32).reshape(2, 3), obs={"label": ["a", "b"]})
    (tmp_path / "cells.h5ad").write_bytes(h5ad_bytes(adata, compression=compression))
    back = read_h5ad(tmp_path / "cells.h5ad")
    assert np.array_equal(back.X, adata.X)
    assert back.obs["label"].tolist() == ["a", "b"]


def test_compressed_the_bytes_are_fewer():
    adata = AnnData(np.zeros((200, 300), dtype=np.float32))
    assert len(h5ad_bytes(adata, compression="gzip")) < len(h5ad_bytes(adata)) / 2
