"""Score reads the keys it is told, gives one row for all and one per label, and refuses what is not there."""

import numpy as np
import pytest
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

from cellwright.errors import DataError, MissingKey, OptionError
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score import score


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    cells = AnnData(obsm={"X_pca": rng.normal(size=(60, 3))})
    cells.obs["type"] = rng.choice(["B", "NK", "T"], 60)
    cells.obs["cluster"] = rng.choice(["0", "1"], 60)
    return cells


KEYS = {"use_rep": "X_pca", "label_key": "type", "cluster_key": "cluster"}


def test_rows_have_the_columns_of_the_contract_and_the_metrics_values(adata):
    table = score(adata, ["ari", "label_f1"], seed=4, **KEYS)
    assert table.columns.tolist() == SCORE_COLUMNS
    expected = adjusted_rand_score(adata.obs["type"], adata.obs["cluster"])
    assert table.query("metric == 'ari'")["value"].item() == pytest.approx(expected)
    assert set(table.query("metric == 'label_f1'")["group"]) == {"", "B", "NK", "T"}
    assert (table["seed"] == 4).all()


def test_rows_restrict_the_cells(adata):
    rows = np.arange(10, 40)
    found = score(adata, ["ari"], rows=rows, held_out=True, **KEYS)
    expected = adjusted_rand_score(adata.obs["type"].iloc[rows], adata.obs["cluster"].iloc[rows])
    assert found["value"].item() == pytest.approx(expected)
    assert found["held_out"].all()


@pytest.mark.parametrize(
    ("metrics", "keys", "error", "sentence"),
    [
        (["arri"], KEYS, OptionError, "Did you mean 'ari'"),
        (["ari"], {**KEYS, "label_key": "typ"}, MissingKey, "Did you mean 'type'"),
        (["silhouette"], {**KEYS, "use_rep": "X_pc"}, MissingKey, "Did you mean 'X_pca'"),
        (["ari"], {"label_key": "type"}, DataError, "must have clusters; none were given. Please give cluster_key"),
        (["r2"], KEYS, DataError, "must have x_true; none were given. Please use tasks.reconstruct"),
        (["ilisi"], KEYS, DataError, r"must have neighbours; none were given. Please give them to METRICS\['ilisi'\]"),
    ],
    ids=["metric", "label", "representation", "no clusters", "no values", "no neighbours"],
)
def test_what_is_not_there_is_refused_with_the_nearest_name(adata, metrics, keys, error, sentence):
    with pytest.raises(error, match=sentence):
        score(adata, metrics, **keys)
