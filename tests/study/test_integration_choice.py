"""The choice is the best total that loses nothing; what has seen the labels comes second."""

import numpy as np
import pandas as pd
import pytest

from cellwright.study.integration_choice import COLUMNS, integration_choice

PLAIN = {"pca": (0.70, 0.30), "harmony": (0.69, 0.70), "vae": (0.72, 0.60), "semi_vae": (0.95, 0.80)}


def scores(models=PLAIN, *, time=None, labels=True, seeds=3):
    """Bio and batch total of each model, a little more with each seed."""
    rows = []
    for model, (bio, batch) in models.items():
        for seed in range(seeds):
            found = {"bio_total": bio, "batch_total": batch, "integration_total": 0.6 * bio + 0.4 * batch}
            found = found if labels else {"ilisi": batch}
            found |= {} if time is None else {"time_order": time[model]}
            rows += [(model, metric, value + 0.001 * seed, seed) for metric, value in found.items()]
    frame = pd.DataFrame(rows, columns=["model", "metric", "value", "seed"])
    return frame.assign(setting="", group="", is_baseline=frame["model"].isin(["pca", "harmony"]))


def chosen(table):
    return table.loc[table["is_recommended"], "model"].tolist()


def test_the_best_total_without_labels_is_recommended_and_rows_are_in_order():
    table = integration_choice(scores(), "pca")
    assert table.columns.tolist() == COLUMNS
    assert table["model"].tolist() == ["semi_vae", "harmony", "vae", "pca"]
    assert chosen(table) == ["harmony"]
    assert table.set_index("model")["reads_labels"].to_dict() == {
        "semi_vae": True, "harmony": False, "vae": False, "pca": False,
    }  # fmt: skip


def test_who_loses_cell_types_is_not_recommended():
    table = integration_choice(scores(PLAIN | {"harmony": (0.6, 0.99)}), "pca")
    assert table.set_index("model").loc["harmony", "loses_bio"]
    assert chosen(table) == ["vae"]


def test_who_loses_the_order_in_time_is_not_recommended():
    table = integration_choice(scores(time={"pca": 0.8, "harmony": 0.7, "vae": 0.77, "semi_vae": 0.8}), "pca")
    assert table.set_index("model")["loses_time"].to_dict() == {
        "semi_vae": False, "harmony": True, "vae": False, "pca": False,
    }  # fmt: skip
    assert chosen(table) == ["vae"]


def test_where_every_correction_loses_something_cells_stay_uncorrected():
    table = integration_choice(scores({"pca": (0.7, 0.3), "harmony": (0.5, 0.9), "vae": (0.4, 0.9)}), "pca")
    assert chosen(table) == ["pca"]


def test_differences_are_paired_by_seed():
    table = integration_choice(scores(), "pca").set_index("model")
    assert table.loc["vae", "best_baseline"] == "harmony"
    assert table.loc["vae", "difference"] == pytest.approx(0.6 * 0.03 - 0.4 * 0.1)
    assert table.loc["vae", "ci_high"] == pytest.approx(table.loc["vae", "ci_low"])
    assert table.loc["vae", "batch_change"] == pytest.approx(0.3)
    assert np.isnan(table.loc["harmony", "difference"])
    assert np.isnan(table.loc["pca", "bio_change"])


def test_who_has_fewer_seeds_comes_after_who_has_all():
    rows = scores()
    table = integration_choice(rows[(rows["model"] != "semi_vae") | (rows["seed"] < 2)], "pca")
    assert table["model"].tolist()[-1] == "semi_vae"


def test_without_labels_mixing_decides():
    table = integration_choice(scores(labels=False), "pca")
    assert table["model"].tolist() == ["semi_vae", "harmony", "vae", "pca"]
    assert not table["loses_bio"].any()


def test_without_scores_there_is_no_row():
    assert not len(integration_choice(pd.DataFrame(), "pca"))
