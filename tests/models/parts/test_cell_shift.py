"""Pairs are the best assignment; the shifts over them are scikit-learn's ridge regression and a planted map."""

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from cellwright.core.schema import Categories, Schema
from cellwright.errors import DataError
from cellwright.models.parts import cell_shift as module
from cellwright.models.parts.cell_shift import CellShift, RegressionShift, TransportShift, _assigned
from cellwright.models.parts.responses import Responses

CONDITIONS = ("control", "drug", "other")
SCHEMA = Schema(
    features={"X": ("g1", "g2")},
    label=Categories(key="label", values=("a", "b", "c")),
    condition=Categories(key="condition", values=CONDITIONS),
    control="control",
)
BOTH = pytest.mark.parametrize("options", [RegressionShift(), TransportShift()], ids=lambda options: options.name)


def responses_of(*kinds, weight=None):
    """Cells from (label, condition, points) of each kind, in a random order."""
    points = np.concatenate([points for _, _, points in kinds])
    label = np.repeat([label for label, _, _ in kinds], [len(points) for _, _, points in kinds])
    condition = np.repeat([condition for _, condition, _ in kinds], [len(points) for _, _, points in kinds])
    weight = np.ones(len(points)) if weight is None else weight
    order = np.random.default_rng(1).permutation(len(points))
    return Responses(points[order], label[order], condition[order], weight[order], SCHEMA)


def learnt(options, responses):
    shift = CellShift(options, SCHEMA, responses.points.shape[1])
    shift.learn(responses, np.random.default_rng(0))
    return shift


def asked(shift, points, label, condition):
    n = len(points)
    where = torch.from_numpy(np.asarray(points, dtype=np.float32))
    return shift(where, torch.full((n,), label), torch.full((n,), condition)).numpy()


@pytest.mark.parametrize("seed", range(5))
def test_the_assignment_has_the_least_sum_of_squares_of_all_permutations(seed):
    rng = np.random.default_rng(seed)
    control, treated = rng.normal(size=(5, 2)), 3 + rng.normal(size=(5, 2))
    # moved to one mean; over permutations this changes every sum by the same, so the result is that without moving
    sums = {order: np.square(control - treated[list(order)]).sum() for order in permutations(range(5))}
    assert _assigned(control, treated).tolist() == list(min(sums, key=sums.__getitem__))


# a grid: each image of a map that moves points by less than half its spacing is nearest to its own origin
GRID = np.array([[x, y] for x in (-2.0, -1.0, 0.0, 1.0, 2.0) for y in (-2.0, -1.0, 0.0, 1.0, 2.0)])
ANGLE = np.radians(8)
TURN = np.array([[np.cos(ANGLE), np.sin(ANGLE)], [-np.sin(ANGLE), np.cos(ANGLE)]])
MAPS = {
    "translation": lambda points: points + np.array([7.0, -3.0]),
    "rotation": lambda points: points @ TURN,
    "both": lambda points: points @ TURN + np.array([7.0, -3.0]),
}


def planted(moved, n_treated=25):
    """Two labels under the same map, one of them elsewhere; c is held out."""
    kinds = []
    for label, centre in ((0, np.zeros(2)), (1, np.array([10.0, 4.0]))):
        kinds += [(label, 0, GRID + centre), (label, 1, moved(GRID + centre)[:n_treated])]
    return responses_of(*kinds, (2, 0, GRID - 10))


@pytest.mark.parametrize("name", list(MAPS))
def test_transport_finds_a_planted_map_at_the_training_cells(name):
    moved = MAPS[name]
    found = asked(learnt(TransportShift(n_neighbors=1), planted(moved)), GRID, 0, 1)
    np.testing.assert_allclose(GRID + found, moved(GRID), atol=1e-4)


@pytest.mark.parametrize("name", list(MAPS))
def test_regression_without_penalty_finds_a_planted_map_everywhere(name):
    moved, elsewhere = MAPS[name], GRID - 10
    found = asked(learnt(RegressionShift(penalty=0), planted(moved)), elsewhere, 2, 1)
    np.testing.assert_allclose(elsewhere + found, moved(elsewhere), atol=1e-4)


@BOTH
def test_a_translation_is_the_shift_of_any_cell(options):
    found = asked(learnt(options, planted(MAPS["translation"])), 30 * GRID, 2, 1)
    np.testing.assert_allclose(found, np.broadcast_to([7.0, -3.0], found.shape), atol=1e-4)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
def test_regression_is_that_of_scikit_learn_on_the_pairs(penalty):
    rng = np.random.default_rng(0)
    start, change, weight = rng.normal(size=(60, 3)), rng.normal(size=(60, 3)), rng.uniform(0.5, 2, 60)
    share = weight / weight.sum()
    spread = (share @ np.square(start - share @ start)).mean()  # the mean variance of the points
    model = Ridge(alpha=penalty * spread * weight.sum()).fit(start, change, sample_weight=weight)
    slope, offset = RegressionShift(penalty=penalty).fitted(start, change, weight)
    np.testing.assert_allclose(slope, model.coef_.T, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(offset, model.intercept_, rtol=1e-5, atol=1e-8)


def test_transport_is_the_mean_change_of_the_nearest_pairs_by_weight_and_distance():
    rng = np.random.default_rng(0)
    start, change, weight = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)), rng.uniform(0.5, 2, 30)
    points = rng.normal(size=(4, 2))
    found = TransportShift(n_neighbors=6).of_pairs(*(torch.from_numpy(a) for a in (points, start, change, weight)))
    for point, moved in zip(points, found.numpy(), strict=True):
        distance = np.linalg.norm(start - point, axis=1)
        nearest = distance.argsort()[:6]
        share = weight[nearest] * np.exp(-((distance[nearest] / distance[nearest].max()) ** 2))
        np.testing.assert_allclose(moved, share @ change[nearest] / share.sum(), rtol=1e-5)


def test_transport_of_cells_that_lie_on_all_their_pairs_is_finite():
    shift = TransportShift(n_neighbors=3)
    same, weight = torch.zeros(3, 2), torch.ones(3)
    change = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 3.0]])
    torch.testing.assert_close(shift.of_pairs(torch.zeros(1, 2), same, change, weight), torch.tensor([[2.0, 1.0]]))


def test_pairs_are_as_many_as_the_smaller_side_and_weigh_as_the_treated_cells_of_their_label():
    responses = responses_of((0, 0, GRID), (0, 1, GRID[:10] + 1), (1, 0, GRID[:5]), (1, 1, GRID + 1), (2, 0, GRID))
    pairs = learnt(TransportShift(), responses).pairs
    assert len(pairs.start) == 10 + 5
    np.testing.assert_allclose(pairs.weight.numpy(), [10 / 10] * 10 + [25 / 5] * 5)
    assert (pairs.condition == 1).all()


def test_of_many_cells_a_sample_is_paired(monkeypatch):
    monkeypatch.setattr(module, "AT_MOST_PAIRS", 7)
    pairs = learnt(TransportShift(), planted(MAPS["translation"])).pairs
    assert len(pairs.start) == 2 * 7
    np.testing.assert_allclose(pairs.weight.numpy(), 25 / 7, rtol=1e-6)


@BOTH
def test_conditions_do_not_mix_and_control_does_not_move(options):
    first, second = planted(MAPS["translation"]), planted(MAPS["both"])
    rest = second.condition == 1
    together = Responses(
        np.concatenate([first.points, second.points[rest]]),
        np.concatenate([first.label, second.label[rest]]),
        np.concatenate([first.condition, np.full(rest.sum(), 2)]),
        np.ones(len(first.points) + rest.sum()),
        SCHEMA,
    )
    shift = learnt(options, together)
    np.testing.assert_allclose(asked(shift, GRID, 0, 1), asked(learnt(options, first), GRID, 0, 1), atol=1e-5)
    assert np.abs(asked(shift, GRID, 0, 2) - asked(shift, GRID, 0, 1)).max() > 0.1
    assert (asked(shift, GRID, 0, 0) == 0).all()


@BOTH
def test_a_single_label_with_both_sides_is_refused(options):
    with pytest.raises(DataError, match="2 labels or more"):
        learnt(options, responses_of((0, 0, GRID), (0, 1, GRID), (1, 0, GRID)))


@BOTH
def test_without_treated_cells_every_treatment_is_refused_when_it_is_asked_for(options):
    shift = learnt(options, responses_of((0, 0, GRID), (1, 0, GRID)))
    assert (asked(shift, GRID, 0, 0) == 0).all()
    with pytest.raises(DataError, match="label 'a' under 'drug' is none of these"):
        asked(shift, GRID, 0, 1)


@BOTH
def test_learning_again_leaves_nothing_of_the_first_training(options):
    again = learnt(options, planted(MAPS["both"]))
    again.learn(planted(MAPS["translation"], n_treated=20), np.random.default_rng(0))
    anew = learnt(options, planted(MAPS["translation"], n_treated=20))
    for name, value in anew.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


@pytest.mark.parametrize(
    ("first", "second"),
    [(RegressionShift(), TransportShift()), (TransportShift(), RegressionShift())],
    ids=["transport after regression", "regression after transport"],
)
def test_what_the_other_shift_left_behind_is_gone(first, second):
    """`relearn` loads the buffers of a model that may have had the other shift."""
    shift = CellShift(second, SCHEMA, 2)
    shift.load_state_dict(learnt(first, planted(MAPS["both"])).state_dict())
    shift.learn(planted(MAPS["both"]), np.random.default_rng(0))
    for name, value in learnt(second, planted(MAPS["both"])).state_dict().items():
        assert torch.equal(value, shift.state_dict()[name]), name


@BOTH
def test_a_condition_that_one_label_has_on_both_sides_changes_nothing_and_is_refused_when_it_is_asked_for(options):
    kinds = [(label, side, GRID + 10 * label + side) for label in (0, 1) for side in (0, 1)]
    with_rare = learnt(options, responses_of(*kinds, (1, 2, GRID - 40)))
    without = learnt(options, responses_of(*kinds))
    where = GRID + 3
    np.testing.assert_allclose(asked(with_rare, where, 0, 1), asked(without, where, 0, 1), atol=1e-4)
    with pytest.raises(DataError, match="2 labels or more with cells of both 'control' and 'other'; b is the only one"):
        asked(with_rare, where, 0, 2)
