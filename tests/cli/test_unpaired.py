"""Modalities without common cells through the command line: one MuData file, fit with links, reduce, new cells."""

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData, read_h5ad
from mudata import MuData


@pytest.fixture
def files(tmp_path):
    """Cells of genes, other cells of proteins, in one file; and the links."""
    rng = np.random.default_rng(0)
    parts = {
        name: AnnData(
            rng.poisson(5, (n_obs, n_vars)).astype(np.float32),
            obs=pd.DataFrame(index=[f"{name}{i}" for i in range(n_obs)]),
            var=pd.DataFrame(index=[f"{name[0]}{i}" for i in range(n_vars)]),
        )
        for name, n_obs, n_vars in (("rna", 60, 12), ("protein", 50, 8))
    }
    with mudata.set_options(pull_on_update=False):
        MuData(parts).write(tmp_path / "cells.h5mu")
    rows = [("rna", f"r{i}", "protein", f"p{i}") for i in range(8)]
    columns = ["modality_a", "feature_a", "modality_b", "feature_b"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "links.csv", index=False)
    return tmp_path / "cells.h5mu", tmp_path / "links.csv"


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        ("linked_cca", ["--n-latent", "4"]),
        ("aligned_vae", ["--n-latent", "4", "--max-epochs", "2", "--alignment", "sinkhorn:blur=0.5"]),
    ],
)
def test_cells_of_both_modalities_get_a_place(cellwright, tmp_path, files, model, flags):
    cells, links = files
    fitted = cellwright("fit", model, cells, "--links", links, "--n-smooth", "4", *flags, "--out", tmp_path / "run")
    assert fitted.code == 0, fitted.err
    reduced = cellwright("reduce", tmp_path / "run", "--data", cells, "--out", tmp_path / "out.h5ad")
    assert reduced.code == 0, reduced.err
    found = read_h5ad(tmp_path / "out.h5ad")
    assert found.obsm[f"X_{model}"].shape == (110, 4)
    assert np.isfinite(found.obsm[f"X_{model}"]).all()


def test_a_table_without_a_link_of_the_cells_is_one_sentence(cellwright, tmp_path, files):
    cells, links = files
    links.write_text("modality_a,feature_a,modality_b,feature_b\nrna,CD3E,protein,CD3\n")
    ended = cellwright("fit", "linked_cca", cells, "--links", links, "--out", tmp_path / "run")
    assert ended.code == 2
    assert "none of 1 is (the data lack CD3E, CD3)" in " ".join(ended.err.split())
