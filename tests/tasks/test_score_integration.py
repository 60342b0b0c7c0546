"""Score an integration: rows of the contract, totals of their parts, planted batches told from planted types."""

import numpy as np
import pytest

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score_integration import BATCH, BESIDE, BIO, score_integration

N_OBS = 240


@pytest.fixture(scope="module")
def cells():
    """Three types far apart, in two batches that are drawn alike: perfectly integrated."""
    rng = np.random.default_rng(0)
    types, batches = rng.integers(0, 3, N_OBS), rng.integers(0, 2, N_OBS)
    latent = rng.normal(size=(N_OBS, 5)) + 8 * np.eye(5)[types]
    return {"latent": latent, "types": types, "labels": np.array(["T", "B", "NK"])[types], "batches": batches}


def shifted(cells, by: float) -> np.ndarray:
    """The same cells with a batch effect along an axis that no type is on."""
    return cells["latent"] + by * np.eye(5)[4] * cells["batches"][:, None]


@pytest.fixture(scope="module")
def table(cells):
    return score_integration(
        cells["latent"], labels=cells["labels"], batches=cells["batches"], before=shifted(cells, 8), seed=3
    )


def overall(table):
    return table[table["group"] == ""].set_index("metric")["value"]


def test_rows_have_the_columns_of_the_contract_and_one_value_over_all_cells_per_metric(table):
    assert table.columns.tolist() == SCORE_COLUMNS
    totals = ["bio_total", "batch_total", "integration_total"]
    assert overall(table).index.tolist() == [*BIO, *BATCH, *BESIDE, *totals]
    assert set(table["task"]) == {"integrate"}
    assert set(table["better"]) == {"higher"}
    assert set(table["seed"]) == {3}
    assert not table["held_out"].any()


def test_values_per_label_stand_under_the_labels_name(table):
    for name in ("silhouette", "clisi", "ilisi", "kbet", "bras", "graph_connectivity"):
        assert set(table[table["metric"] == name]["group"]) == {"", "T", "B", "NK"}


def test_totals_are_means_of_their_parts_and_weigh_six_to_four(table):
    values = overall(table)
    assert values["bio_total"] == pytest.approx(values[list(BIO)].mean())
    assert values["batch_total"] == pytest.approx(values[list(BATCH)].mean())
    assert values["integration_total"] == pytest.approx(0.6 * values["bio_total"] + 0.4 * values["batch_total"])


def test_types_that_lie_apart_and_batches_that_are_drawn_alike_reach_what_can_be_reached(table):
    values = overall(table)
    assert values[["leiden_nmi", "leiden_ari", "clisi"]].tolist() == pytest.approx([1, 1, 1], abs=1e-6)
    assert values["pc_regression"] > 0.95
    assert values["batch_total"] > 0.9


def test_an_uncorrected_batch_costs_mixing_and_a_lost_type_costs_types(cells, table):
    # so far away that the kernel gives the other batch no weight, though a type has fewer cells than neighbours
    given = {"labels": cells["labels"], "batches": cells["batches"], "before": shifted(cells, 80)}
    uncorrected = overall(score_integration(shifted(cells, 80), **given))
    assert uncorrected["pc_regression"] == 0
    assert uncorrected["ilisi"] == pytest.approx(0, abs=1e-3)
    assert uncorrected["kbet"] == 0
    assert uncorrected["batch_total"] < overall(table)["batch_total"] - 0.5
    collapsed = overall(score_integration(cells["latent"] - 8 * np.eye(5)[cells["types"]], **given))
    assert collapsed["bio_total"] < overall(table)["bio_total"] - 0.4


def test_a_type_that_was_mixed_away_is_seen_in_its_own_row(cells):
    """B is moved onto T: the rows of NK stay at the best."""
    latent = np.where((cells["labels"] == "B")[:, None], cells["latent"] - 8 * np.eye(5)[1] + 8 * np.eye(5)[0], 0)
    latent = np.where((cells["labels"] == "B")[:, None], latent, cells["latent"])
    found = score_integration(latent, labels=cells["labels"], batches=cells["batches"])
    by_label = found[found["metric"] == "clisi"].set_index("group")["value"]
    assert by_label["NK"] == pytest.approx(1, abs=1e-6)
    assert by_label[["T", "B"]].max() < 0.7


def test_without_labels_what_needs_none_is_there_and_no_total(cells):
    values = overall(score_integration(cells["latent"], batches=cells["batches"], before=shifted(cells, 8)))
    assert values.dropna().index.tolist() == ["ilisi", "pc_regression"]
    assert values.index.tolist() == ["ilisi", "pc_regression", "bio_total", "batch_total", "integration_total"]


@pytest.mark.parametrize("batches", [None, np.zeros(N_OBS)], ids=["none", "one"])
def test_without_a_second_batch_types_are_scored_and_mixing_is_not(cells, batches):
    values = overall(score_integration(cells["latent"], labels=cells["labels"], batches=batches))
    scored = ["leiden_nmi", "leiden_ari", "silhouette", "clisi", "graph_connectivity"]
    assert values.dropna().index.tolist() == scored


def test_without_what_was_before_there_is_no_total_of_mixing(cells):
    values = overall(score_integration(cells["latent"], labels=cells["labels"], batches=cells["batches"]))
    assert "pc_regression" not in values
    assert not np.isnan(values["bio_total"])
    assert np.isnan(values[["batch_total", "integration_total"]]).all()


def test_what_is_not_defined_for_the_cells_is_nan_and_the_rest_is_scored(cells):
    one_type = overall(score_integration(cells["latent"], labels=np.full(N_OBS, "T"), batches=cells["batches"]))
    assert np.isnan(one_type[["silhouette", "isolated_labels", "clisi", "bio_total"]]).all()
    # three places, none of which is a neighbour of another
    assert one_type["graph_connectivity"] == pytest.approx(np.bincount(cells["types"]).max() / N_OBS)
    twins = np.repeat(cells["latent"][:120], 2, axis=0)
    equal = score_integration(twins, labels=cells["labels"], batches=np.arange(N_OBS) % 2, before=twins)
    assert np.isnan(overall(equal)["pc_regression"])  # batches never differed


def test_a_label_in_one_batch_and_a_label_of_one_cell_have_no_value_where_they_cannot(cells):
    labels = np.where((cells["labels"] == "NK") & (cells["batches"] == 0), "one batch", cells["labels"])
    labels[0] = "single"
    found = score_integration(cells["latent"], labels=labels, batches=cells["batches"])
    value = found.set_index(["metric", "group"])["value"]
    for name in ("bras", "ilisi", "kbet", "batch_asw"):
        assert np.isnan(value[name, "one batch"])
        assert np.isnan(value[name, "single"])
    assert np.isnan(value["graph_connectivity", "single"])
    assert 0 < value["silhouette", "one batch"] < 1


def test_cells_without_a_label_or_a_batch_are_left_out_everywhere(cells):
    labels, batches = cells["labels"].astype(object), cells["batches"].astype(object)
    labels[:20], batches[10:30] = None, np.nan
    found = score_integration(cells["latent"], labels=labels, batches=batches, before=shifted(cells, 8))
    kept = slice(30, None)
    expected = score_integration(
        cells["latent"][kept],
        labels=cells["labels"][kept],
        batches=cells["batches"][kept],
        before=shifted(cells, 8)[kept],
    )
    assert found["value"].to_numpy() == pytest.approx(expected["value"].to_numpy(), abs=1e-12)


def test_rows_restrict_all_arrays_and_are_said_to_be_held_out(cells):
    rows = np.arange(40, 200)
    found = score_integration(
        cells["latent"], labels=cells["labels"], batches=cells["batches"], rows=rows, held_out=True
    )
    expected = score_integration(cells["latent"][rows], labels=cells["labels"][rows], batches=cells["batches"][rows])
    np.testing.assert_array_equal(found["value"], expected["value"])
    assert found["held_out"].all()


def test_the_order_of_cells_and_the_names_of_types_and_batches_do_not_matter(cells, table):
    order = np.random.default_rng(1).permutation(N_OBS)
    names = np.array(["x", "y", "z"])[cells["types"]]
    found = score_integration(
        cells["latent"][order],
        labels=names[order],
        batches=np.array(["here", "there"])[cells["batches"]][order],
        before=shifted(cells, 8)[order],
    )
    values = overall(table)
    # Leiden visits cells in their order, and may end elsewhere among equally good partitions
    assert overall(found)[values.index].to_numpy() == pytest.approx(values.to_numpy(), abs=1e-6)


def test_arrays_of_other_cells_and_nan_are_refused(cells):
    with pytest.raises(DataError, match="of the cells of latent; they have 239 and 240 rows"):
        score_integration(cells["latent"], labels=cells["labels"][1:])
    with pytest.raises(UnsuitableValues, match="latent must be finite"):
        score_integration(np.where(cells["latent"] > 9, np.nan, cells["latent"]), batches=cells["batches"])
    with pytest.raises(DataError, match="at least two cells"):
        score_integration(cells["latent"][:1])


def test_every_part_of_a_total_is_a_metric_of_which_more_is_better():
    assert {METRICS[name].better for name in (*BIO, *BATCH, *BESIDE)} == {"higher"}
