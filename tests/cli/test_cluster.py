"""`cellwright cluster`: what it adds to a run."""

import pandas as pd
import pytest
from anndata import read_h5ad

from cellwright.run import Run

pytestmark = pytest.mark.usefixtures("without_umap")


def test_the_table_printed_is_the_clustering_written(cellwright, finished):
    ended = cellwright("cluster", finished, "--n-clusters", "3")
    sizes = read_h5ad(finished / "cells.h5ad").obs["cluster"].value_counts()
    rows = [line.split() for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert rows == [["cluster", "cells"], *([name, str(n)] for name, n in sizes.items())]
    assert sizes.sum() == 120
    assert Run(finished).verify() == []


def test_the_composition_counts_every_cell_once_per_key(cellwright, finished):
    cellwright("cluster", finished, "--n-clusters", "3")
    table = read_h5ad(finished / "cells.h5ad").uns["composition"]
    assert table.groupby("by")["n"].sum().to_dict() == {"label": 120}


def test_markers_come_with_the_values_whatever_their_order(cellwright, finished, simulated, tmp_path):
    tables = []
    for name, values in (("same", simulated), ("turned", simulated[::-1, ::-1])):
        values.copy().write_h5ad(tmp_path / f"{name}.h5ad")
        cellwright("cluster", finished, "--n-clusters", "3", "--data", tmp_path / f"{name}.h5ad")
        tables.append(read_h5ad(finished / "cells.h5ad").uns["markers"])
    pd.testing.assert_frame_equal(*tables)


def test_values_of_other_cells_end_with_2_and_change_nothing(cellwright, finished, simulated, tmp_path, digest):
    simulated[1:].copy().write_h5ad(tmp_path / "fewer.h5ad")
    before = digest(finished)
    ended = cellwright("cluster", finished, "--data", tmp_path / "fewer.h5ad")
    assert ended.code == 2
    assert "1 are not in it (first: 'cell_1')" in ended.sentence
    assert digest(finished) == before


def test_a_run_without_cells_ends_with_2(cellwright, finished):
    (finished / "cells.h5ad").unlink()
    ended = cellwright("cluster", finished)
    assert ended.code == 2
    assert "must have the cells.h5ad of a finished fit" in ended.sentence


def test_an_option_of_another_method_ends_with_2(cellwright, finished):
    ended = cellwright("cluster", finished, "--method", "dbscan", "--n-clusters", "3")
    assert ended.code == 2
    assert "n_clusters of ClusterOptions must be left out for method 'dbscan'" in ended.sentence


def test_cells_with_a_column_cluster_keep_it_and_are_scored_by_the_new_one(cellwright, cells, tmp_path):
    adata = read_h5ad(cells)
    adata.obs["cluster"] = "theirs"
    adata.write_h5ad(tmp_path / "cells.h5ad")
    run = tmp_path / "run"
    assert cellwright("fit", "pca", tmp_path / "cells.h5ad", "--out", run, "--label-key", "label").code == 0
    assert cellwright("cluster", run, "--n-clusters", "2").code == 0
    written = read_h5ad(run / "cells.h5ad").obs
    assert set(written["cluster"].astype(str)) == {"theirs"}
    assert written["cellwright_cluster"].nunique() == 2
    assert cellwright("score", run, "--label-key", "label", "--metrics", "ari").code == 0
