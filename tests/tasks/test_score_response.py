"""Rows equal the metrics that they name; no change lies at 0, real cells at 1, and both come from real cells alone."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

from cellwright.errors import DataError, OptionError, UnsuitableValues
from cellwright.metrics import METRICS
from cellwright.metrics.changed_genes import most_changed
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score_response import (
    ALL_GENES,
    PLACED,
    TOP_GENES,
    Reference,
    response_ceiling,
    score_response,
)

N_VARS, N_TOP = 80, 12
_RNG = np.random.default_rng(0)
RATE = _RNG.gamma(1.0, size=N_VARS) + 1
CHANGE = np.where(np.arange(N_VARS) < N_TOP, _RNG.choice([0.1, 6.0], N_VARS), 1.0)


def cells(rate, n_obs, seed):
    return np.log1p(np.random.default_rng(seed).poisson(rate, size=(n_obs, N_VARS))).astype(np.float32)


CONTROL, TREATED = cells(RATE, 90, 1), cells(RATE * CHANGE, 70, 2)
PREDICTED = cells(RATE * CHANGE**0.7, 50, 3)


@pytest.fixture(scope="module")
def reference():
    return Reference.of(CONTROL, TREATED, n_top=N_TOP)


def values(table):
    return table.set_index("metric")["value"].to_dict()


def test_rows_are_those_of_scores_csv(reference):
    table = score_response(reference, PREDICTED, group="NK", seed=4)
    assert table.columns.tolist() == SCORE_COLUMNS
    assert table[["task", "group", "held_out", "seed"]].drop_duplicates().to_numpy().tolist() == [
        ["perturb", "NK", True, 4]
    ]
    names = [*ALL_GENES, *(f"{name}_top{N_TOP}" for name in TOP_GENES)]
    rows = [row for name in names for row in (name, *([f"{name}_placed"] if name in PLACED else []))]
    assert table["metric"].tolist() == rows
    better = table.set_index("metric")["better"]
    assert all(better[f"{name}_placed"] == "higher" for name in PLACED)
    assert all(better[name] == METRICS[name.removesuffix(f"_top{N_TOP}")].better for name in names)


def test_values_equal_the_metrics_over_all_genes_and_over_the_most_changed(reference):
    found = values(score_response(reference, PREDICTED, group="NK"))
    top = most_changed(CONTROL, TREATED, N_TOP)

    def directly(name, genes):
        control, treated, predicted = (side[:, genes] for side in (CONTROL, TREATED, PREDICTED))
        arrays = {"x_control": control, "x_treated": treated, "x_predicted": predicted}
        arrays |= {"x_real": treated, "x_generated": predicted}
        return METRICS[name].function(**{need: arrays[need] for need in METRICS[name].needs})

    for name in ALL_GENES:
        assert found[name] == pytest.approx(directly(name, slice(None)), abs=1e-9), name
    for name in TOP_GENES:
        assert found[f"{name}_top{N_TOP}"] == pytest.approx(directly(name, top), abs=1e-9), name


def test_the_planted_genes_are_the_most_changed(reference):
    assert set(reference.top) == set(range(N_TOP))


def test_predicted_cells_have_no_say_in_genes_floor_or_ceiling(reference):
    assert list(inspect.signature(Reference.of).parameters) == ["x_control", "x_treated", "seed", "n_top"]
    before = reference.top.copy(), dict(reference.floor), dict(reference.ceiling)
    score_response(reference, np.random.default_rng(0).permuted(TREATED, axis=1) * 3, group="NK")
    np.testing.assert_array_equal(reference.top, before[0])
    assert (reference.floor, reference.ceiling) == before[1:]


def test_no_change_lies_at_zero_and_what_real_cells_score_at_one(reference):
    for table, place in (
        (score_response(reference, CONTROL, group="NK"), 0),
        (response_ceiling(reference, group="NK"), 1),
    ):
        placed = table[table["metric"].str.endswith("_placed")]["value"]
        np.testing.assert_allclose(placed, place, atol=1e-12)


def test_a_prediction_lies_in_proportion_between_them(reference):
    found = values(score_response(reference, PREDICTED, group="NK"))
    for name in PLACED:
        expected = (found[name] - reference.floor[name]) / (reference.ceiling[name] - reference.floor[name])
        assert found[f"{name}_placed"] == pytest.approx(expected)


def test_where_real_cells_are_no_better_than_no_change_nothing_is_placed(reference):
    """The ceiling of no response at all lies beside the floor, on one side or the other by chance."""
    worse = replace(reference, ceiling={**reference.floor, "mean_r2": -1.0})
    assert np.isnan([worse.placed("mean_r2", 0.5), worse.placed("mean_mae", 0.5)]).all()
    worse = replace(worse, ceiling=worse.ceiling | {"mean_mae": reference.floor["mean_mae"] + 0.1})
    assert np.isnan(worse.placed("mean_mae", 0.5))


def test_the_distance_over_the_most_changed_genes_has_the_ceiling_that_was_found(reference):
    assert reference.ceiling["e_distance"] == 0
    assert reference.ceiling[f"e_distance_top{N_TOP}"] != 0


@pytest.fixture(scope="module")
def replicates():
    """How much more than the ceiling another sample of the same population and size scores, pair by pair of samples."""
    names = ("mean_r2", "mean_fit", "mean_mae", "change_pearson", "e_distance")
    differences = {name: [] for name in names}
    for seed in range(30):
        treated, others = cells(RATE * CHANGE, 40, 1000 + seed), cells(RATE * CHANGE, 40, 2000 + seed)
        ceiling = Reference.of(CONTROL, treated, seed=seed, n_top=1).ceiling
        arrays = {"x_control": CONTROL, "x_treated": treated, "x_predicted": others}
        for name in names:
            score = METRICS[name].function(**{need: arrays[need] for need in METRICS[name].needs})
            differences[name].append(score - ceiling[name])
    return differences


@pytest.mark.parametrize("name", ["mean_r2", "mean_fit", "mean_mae", "change_pearson", "e_distance"])
def test_the_ceiling_is_what_as_many_other_real_cells_score(replicates, name):
    differences = replicates[name]
    assert abs(np.mean(differences)) < 4 * np.std(differences, ddof=1) / np.sqrt(len(differences))


def test_the_seed_chooses_the_halves():
    ceilings = [Reference.of(CONTROL, TREATED, seed=seed).ceiling["mean_r2"] for seed in (0, 0, 1)]
    assert ceilings[0] == ceilings[1] != ceilings[2]


def test_of_three_treated_cells_there_are_scores_but_no_places():
    found = values(score_response(Reference.of(CONTROL, TREATED[:3], n_top=5), PREDICTED, group="pDC"))
    placed = {name: value for name, value in found.items() if name.endswith("_placed")}
    assert np.isnan(list(placed.values())).all()
    assert np.isfinite([value for name, value in found.items() if name not in placed]).all()


def test_a_metric_that_a_single_predicted_cell_does_not_have_is_nan(reference):
    found = values(score_response(reference, PREDICTED[:1], group="NK"))
    assert np.isnan([found["e_distance"], found["e_distance_placed"], found["mmd"], found["changed_genes_found"]]).all()
    assert np.isfinite([found["mean_r2"], found["mean_r2_placed"], found["change_pearson"]]).all()


def test_where_no_gene_changes_the_share_of_them_is_0():
    other = cells(RATE, 70, 9)
    found = values(score_response(Reference.of(CONTROL, other), PREDICTED, group="B"))
    assert found["changed_genes_found"] == 0


def test_of_fewer_genes_than_the_top_all_count():
    found = values(score_response(Reference.of(CONTROL, TREATED), PREDICTED, group="B"))
    for name in TOP_GENES:
        assert found[f"{name}_top100"] == pytest.approx(found[name], abs=1e-9)


@pytest.mark.parametrize(
    ("predicted", "kind", "said"),
    [
        pytest.param(PREDICTED[:, :9], DataError, r"shapes are \(70, 80\) and \(50, 9\)", id="other features"),
        pytest.param(PREDICTED[:0], DataError, "at least 1 cell in x_predicted; it has 0", id="no cell"),
        pytest.param(PREDICTED * np.nan, UnsuitableValues, "x_predicted must be finite", id="NaN"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused_in_a_sentence(reference, predicted, kind, said):
    with pytest.raises(kind, match=said):
        score_response(reference, predicted, group="NK")


@pytest.mark.parametrize(
    ("control", "treated", "n_top", "kind", "said"),
    [
        pytest.param(CONTROL, TREATED[:1], 100, DataError, "at least 2 cells in x_treated; it has 1", id="one cell"),
        pytest.param(CONTROL[:, :9], TREATED, 100, DataError, "same features", id="other features"),
        pytest.param(
            np.full_like(CONTROL, np.inf), TREATED, 100, UnsuitableValues, "x_control must be finite", id="infinite"
        ),
        pytest.param(CONTROL, TREATED, 0, OptionError, "n_top must be at least 1; it is 0", id="no genes"),
    ],
)
def test_real_cells_that_cannot_be_a_reference_are_refused_in_a_sentence(control, treated, n_top, kind, said):
    with pytest.raises(kind, match=said):
        Reference.of(control, treated, n_top=n_top)
