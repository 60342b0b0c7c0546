"""`impute`: one command from cells to a layer; a saved run on new cells; what is refused."""

import anndata
import numpy as np
import pytest
from scipy import sparse

FAST = ("--model", "knn_smoothing:n_neighbors=5:own_weight=1:n_latent=5")


def test_a_file_becomes_a_file_with_a_layer_and_stays_as_it_is(cellwright, cells, tmp_path, digest):
    before, out = digest(cells), tmp_path / "imputed.h5ad"
    ended = cellwright("impute", cells, "--out", out, *FAST)
    assert ended.code == 0
    assert "knn_smoothing: 120 cells x 40 features" in ended.out
    found, given = anndata.read_h5ad(out), anndata.read_h5ad(cells)
    assert np.array_equal(sparse.csr_matrix(found.X).toarray(), sparse.csr_matrix(given.X).toarray())
    assert found.layers["imputed"].shape == given.shape
    assert digest(cells) == before


def test_the_usual_model_is_diffusion_and_a_store_is_written_in_blocks(cellwright, cells, tmp_path):
    out = tmp_path / "imputed.zarr"
    tokens = ["--max-epochs", "2", "--n-draws", "3", "--threshold", "0.1", "--scale", "log", "--values", "zeros"]
    assert cellwright("impute", cells, "--out", out, *tokens).code == 0
    found = anndata.read_zarr(out)
    assert found.uns["cellwright"]["model"] == "diffusion"
    assert set(found.layers) == {"imputed", "imputed_sd"}
    assert dict(found.uns["imputed"]) == {
        "values": "zeros", "fill": "mean", "scale": "log", "threshold": 0.1, "n_draws": 3, "seed": 0,
    }  # fmt: skip


def test_a_saved_run_imputes_new_cells_without_a_fit(cellwright, finished, cells, tmp_path):
    few = anndata.read_h5ad(cells)[:30, ::-1].copy()
    few.write_h5ad(tmp_path / "few.h5ad")
    outs = [tmp_path / "one.h5ad", tmp_path / "two.h5ad"]
    for data, out in zip((cells, tmp_path / "few.h5ad"), outs, strict=True):
        assert cellwright("impute", data, "--run", finished, "--out", out).code == 0
    every, part = (anndata.read_h5ad(out) for out in outs)
    assert part.var_names.equals(every.var_names)
    assert part.n_obs == 30
    assert part.uns["cellwright"]["model"] == "vae"


@pytest.mark.parametrize(
    ("tokens", "what"),
    [
        (["--model", "pca"], "pca cannot impute"),
        (["--model", "vea"], "Did you mean 'vae'?"),
        (["--model", "gene_mean", "--fill", "draw"], "gene_mean cannot draw"),
        (["--threshold", "-1"], "threshold"),
        (["--layer", "absent"], "absent"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_no_file(cellwright, cells, tmp_path, tokens, what):
    ended = cellwright("impute", cells, "--out", tmp_path / "out.h5ad", *tokens)
    assert ended.code == 2
    assert what in ended.sentence
    assert not (tmp_path / "out.h5ad").exists()


def test_the_cells_are_never_replaced_and_a_place_that_cannot_be_is_refused_before_the_fit(
    cellwright, cells, tmp_path, digest, monkeypatch
):
    monkeypatch.setattr("cellwright.cli.impute.fit", None)  # it is not called
    before = digest(cells)
    (tmp_path / "there.zarr").mkdir()
    for out, what in ((cells, "must be another file"), (tmp_path / "there.zarr", "must not be there"),
                      (tmp_path / "absent" / "out.h5ad", "its folder is not there")):  # fmt: skip
        ended = cellwright("impute", cells, "--out", out, *FAST)
        assert (ended.code, what in ended.sentence) == (2, True)
    assert digest(cells) == before


def test_a_model_and_a_run_or_another_suffix_are_refused(cellwright, cells, finished, tmp_path):
    both = cellwright("impute", cells, "--run", finished, *FAST, "--out", tmp_path / "out.h5ad")
    assert (both.code, "must not both be given" in both.sentence) == (2, True)
    suffix = cellwright("impute", cells, "--out", tmp_path / "out.csv")
    assert (suffix.code, "must end with .h5ad or .zarr" in suffix.sentence) == (2, True)
