"""`cellwright demo`: the whole journey on real cells that are always here."""

import pandas as pd
import pytest

pytestmark = pytest.mark.usefixtures("without_umap")


def test_the_demo_compares_networks_with_their_baselines_on_700_real_cells(cellwright, tmp_path):
    ended = cellwright("demo", "--out", tmp_path / "demo", "--seeds", "1", "--max-epochs", "3")
    board = pd.read_csv(tmp_path / "demo" / "leaderboard.csv")
    assert ended.code == 0
    assert set(board["model"]) == {"pca", "pca_unscaled", "nb_by_label", "real_cells", "ae", "dae", "vae"}
    assert set(board["data"]) == {"pbmc68k_reduced"}
    assert (tmp_path / "demo" / "report.html").exists()


def test_a_number_of_seeds_out_of_bounds_ends_with_2(cellwright, tmp_path):
    ended = cellwright("demo", "--out", tmp_path / "demo", "--seeds", "0")
    assert ended.code == 2
    assert ended.sentence == "seeds of CompareOptions should be greater than or equal to 1; it is 0."
