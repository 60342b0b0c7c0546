"""`cellwright reduce`: new cells are matched by name, and nothing that was there before changes."""

import numpy as np
import pytest
from anndata import read_h5ad


def latents(path):
    return read_h5ad(path).obsm["X_vae"]


def without_features(adata, n):
    return adata[:, n:].copy()


def with_zeros(adata, n):
    out = adata.copy()
    out.X = out.X.toarray() * (np.arange(out.n_vars) >= n)
    return out


@pytest.fixture
def reduced(cellwright, finished, tmp_path):
    """A function: AnnData -> how the command ended, and where its cells are."""

    def of(adata):
        adata.write_h5ad(tmp_path / "new.h5ad")
        ended = cellwright("reduce", finished, "--data", tmp_path / "new.h5ad", "--out", tmp_path / "reduced.h5ad")
        return ended, tmp_path / "reduced.h5ad"

    return of


def test_permuted_features_and_cells_have_the_same_latents(reduced, finished, simulated):
    rng = np.random.default_rng(0)
    cells, features = rng.permutation(simulated.n_obs), rng.permutation(simulated.n_vars)
    ended, path = reduced(simulated[cells, features].copy())
    assert (ended.code, ended.err) == (0, "")
    assert read_h5ad(path).obs_names.tolist() == simulated.obs_names[cells].tolist()
    np.testing.assert_array_equal(latents(path), latents(finished / "cells.h5ad")[cells])


@pytest.mark.parametrize(
    ("n_missing", "warned"), [pytest.param(4, False, id="a tenth missing"), pytest.param(12, True, id="more than 20 %")]
)
def test_missing_features_are_zeros_that_are_counted_and_warned_of_above_a_fifth(reduced, simulated, n_missing, warned):
    ended, path = reduced(without_features(simulated, n_missing))
    filled = latents(path)
    assert ended.code == 0
    assert f"{n_missing} of 40 features missing and taken as zero" in ended.out
    if warned:
        assert ended.sentence.startswith(f"warning: X in new.h5ad lacks {n_missing} of the model's 40 features")
    else:
        assert ended.err == ""
    assert read_h5ad(path).uns["cellwright"]["filled_features"].tolist() == simulated.var_names[:n_missing].tolist()
    _, path = reduced(with_zeros(simulated, n_missing))
    np.testing.assert_allclose(filled, latents(path), atol=1e-6)


def test_no_feature_in_common_ends_with_2(reduced, simulated):
    other = simulated.copy()
    other.var_names = [f"other_{number}" for number in range(other.n_vars)]
    ended, path = reduced(other)
    assert (ended.code, ended.out) == (2, "")
    assert "it has none of the 40" in ended.sentence
    assert not path.exists()


def test_values_that_the_model_cannot_use_end_with_2(reduced, simulated):
    negative = simulated.copy()
    negative.X.data[0] = -3
    ended, path = reduced(negative)
    assert (ended.code, ended.out) == (2, "")
    assert "vae needs non-negative integers" in ended.sentence
    assert not path.exists()


def test_the_run_and_the_new_cells_stay_as_they_are(reduced, finished, simulated, digest):
    before = digest(finished)
    reduced(simulated)
    new = digest(finished.parent / "new.h5ad")
    ended, _ = reduced(simulated)
    assert ended.code == 0
    assert (digest(finished), digest(finished.parent / "new.h5ad")) == (before, new)


def test_the_new_cells_are_never_written_over(cellwright, finished, cells, digest):
    before = digest(cells)
    ended = cellwright("reduce", finished, "--data", cells, "--out", cells)
    assert ended.code == 2
    assert ended.sentence.startswith("--out must be another file than --data")
    assert digest(cells) == before


def test_a_folder_that_is_not_there_ends_with_2_and_the_remedy(cellwright, finished, cells, tmp_path):
    ended = cellwright("reduce", finished, "--data", cells, "--out", tmp_path / "nowhere" / "new.h5ad")
    assert ended.code == 2
    assert "its folder is not there. Make the folder first" in ended.sentence


def test_a_run_that_is_not_finished_ends_with_2(cellwright, finished, cells, tmp_path):
    (finished / "model.safetensors").unlink()
    ended = cellwright("reduce", finished, "--data", cells, "--out", tmp_path / "new.h5ad")
    assert ended.code == 2
    assert "must hold a finished fit" in ended.sentence


def test_a_failure_of_ours_is_in_the_log_of_the_run_and_leaves_it_done(cellwright, finished, cells, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("cellwright.cli.reduce.check_values", fail)
    ended = cellwright("reduce", finished, "--data", cells, "--out", finished.parent / "new.h5ad")
    assert ended.code == 1
    assert "ZeroDivisionError: planted" in (finished / "log.txt").read_text()
    assert '"status": "done"' in (finished / "run.json").read_text()
