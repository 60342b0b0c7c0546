"""Time courses with missing values through the command line: a dense file, from memory and from disk."""

import anndata
import numpy as np
import pandas as pd
import pytest

KEYS = ("--step-key", "time", "--sequence-key", "experiment")
SHORT = ("--max-epochs", 2, "--n-hidden", 8, "--device", "cpu")


@pytest.fixture
def genes(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 9)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    obs = pd.DataFrame({"phase": ["G1", "S", "M"] * 20}, index=[f"gene{i}" for i in range(60)])
    var = pd.DataFrame({"time": [*range(5), *range(4)], "experiment": ["alpha"] * 5 + ["elu"] * 4})
    adata = anndata.AnnData(values, obs=obs, var=var.set_axis([f"t{i}" for i in range(9)]))
    adata.write_h5ad(tmp_path / "genes.h5ad")
    adata[:, ["t0", "t1", "t2", "t3", "t5", "t6", "t7", "t8"]].copy().write_h5ad(tmp_path / "shorter.h5ad")
    return tmp_path


@pytest.mark.parametrize("where", ["--in-memory", "--no-in-memory"])
def test_an_lstm_is_fitted_on_genes_and_classifies_others(cellwright, genes, where):
    files = genes / "genes.h5ad", "--out", genes / "run"
    ended = cellwright("fit", "lstm", *files, "--label-key", "phase", *KEYS, *SHORT, where)
    assert (ended.code, ended.out.split(":")[0]) == (0, "lstm")
    ended = cellwright("classify", genes / "run", "--data", genes / "shorter.h5ad", "--out", genes / "said.h5ad")
    assert ended.code == 0
    assert set(anndata.read_h5ad(genes / "said.h5ad").obs["predicted"]) <= {"G1", "S", "M"}


def test_genes_are_placed_in_the_latent_of_a_sequence_autoencoder(cellwright, genes):
    files = genes / "genes.h5ad", "--out", genes / "run"
    assert cellwright("fit", "sequence_ae", *files, *KEYS, *SHORT).code == 0
    latent = anndata.read_h5ad(genes / "run" / "cells.h5ad").obsm["X_sequence_ae"]
    assert latent.shape == (60, 10)
    assert np.isfinite(latent).all()


@pytest.mark.parametrize("model", ["lstm", "forecaster", "sequence_ae"])
def test_a_model_of_sequences_without_a_step_key_is_refused_in_one_sentence(cellwright, genes, model):
    ended = cellwright("fit", model, genes / "genes.h5ad", "--label-key", "phase", "--out", genes / "run")
    assert ended.code == 2
    assert "must have rows that are sequences of steps; the data were opened without step_key" in ended.sentence


@pytest.mark.parametrize("kind", ["a row without a value", "sequences of length one"])
def test_rows_that_say_little_are_placed_and_clustered_all_the_same(cellwright, genes, tmp_path, kind):
    adata = anndata.read_h5ad(genes / "genes.h5ad")
    if kind == "a row without a value":
        adata.X[:3] = np.nan
    else:
        adata = adata[:, [0]].copy()
    adata.write_h5ad(tmp_path / "genes.h5ad")
    files = (tmp_path / "genes.h5ad", "--out", tmp_path / "run")
    assert cellwright("fit", "sequence_ae", *files, *KEYS, *SHORT).code == 0
    assert cellwright("cluster", tmp_path / "run", "--n-clusters", "2").code == 0
    adata = anndata.read_h5ad(tmp_path / "run" / "cells.h5ad")
    assert np.isfinite(adata.obsm["X_sequence_ae"]).all()
    if kind == "a row without a value":
        assert adata.obs["cluster"].iloc[:3].nunique() == 1
