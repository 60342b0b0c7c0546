"""The score equals its definition and is known for perfect, worst and equal predictions."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cellwright.errors import DataError
from cellwright.metrics.pds import own_ranks, pds

N, N_VARS = 12, 20
RNG = np.random.default_rng(0)
TRUE = RNG.normal(size=(N, N_VARS))
NO_TARGET = np.full(N, -1)


def by_definition(true, predicted, target):
    scores = []
    for p in range(N):
        genes = [gene for gene in range(N_VARS) if gene != target[p]]
        distances = cdist(predicted[p : p + 1, genes], true[:, genes], metric="cityblock")[0]
        scores.append(1 - np.argsort(distances).tolist().index(p) / N)
    return np.mean(scores)


@pytest.mark.parametrize("target", [NO_TARGET, np.arange(N), np.arange(N) % 3 - 1], ids=["none", "each", "some"])
def test_equals_its_definition(target):
    predicted = TRUE + 2.5 * RNG.normal(size=TRUE.shape)
    predicted[np.arange(N), target] += 9  # wrong where it must not count, unless nothing is left out
    found = pds(TRUE, predicted, target)
    assert found == pytest.approx(by_definition(TRUE, predicted, target))
    assert 1 / N < found < 1


def test_perfect_predictions_score_one():
    assert pds(TRUE, TRUE, NO_TARGET) == 1


def test_predictions_furthest_from_their_own_score_one_in_n():
    """Each prediction has every gene but that of its own perturbation."""
    assert pds(np.eye(N), 50 * (1 - np.eye(N)), NO_TARGET) == pytest.approx(1 / N)


def test_one_prediction_for_all_has_the_middle_rank_on_average():
    assert pds(TRUE, np.tile(TRUE.mean(axis=0), (N, 1)), NO_TARGET) == pytest.approx((N + 1) / (2 * N))


def test_the_rank_of_each_is_how_many_true_profiles_are_nearer_than_its_own():
    true = np.array([[0.0], [1.0], [3.0], [7.0]])
    predicted = np.array([[0.0], [2.5], [2.0], [0.0]])  # 2.0 is as near to 1 as to its own 3
    assert own_ranks(true, predicted, NO_TARGET[:4]).tolist() == [0, 1, 0.5, 3]
    assert pds(true, predicted, NO_TARGET[:4]) == pytest.approx(1 - (0 + 1 + 0.5 + 3) / 16)


def test_equal_true_profiles_share_a_rank():
    assert pds(np.zeros((4, 3)), np.ones((4, 3)), NO_TARGET[:4]) == pytest.approx(1 - 1.5 / 4)


def test_the_target_gene_alone_tells_nothing():
    true = np.eye(N)
    assert pds(true, true, NO_TARGET) == 1
    predicted = np.eye(N) * 50  # only the target is predicted, and it is left out
    assert pds(true, predicted, np.arange(N)) == 1  # its own profile is all zero without it, as the prediction is
    assert pds(true, np.roll(predicted, 1, axis=1), np.arange(N)) < 1


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        pytest.param((TRUE[:1], TRUE[:1], NO_TARGET[:1]), "at least 2 perturbations", id="one perturbation"),
        pytest.param((TRUE, TRUE[:, :3], NO_TARGET), "same features", id="other features"),
        pytest.param((TRUE, TRUE[:5], NO_TARGET), "there are 12, 5 and 12", id="fewer predictions"),
        pytest.param((TRUE, TRUE, NO_TARGET[:5]), "there are 12, 12 and 5", id="fewer target genes"),
        pytest.param((TRUE, TRUE, np.full(N, 20)), "positions among 20 features", id="no such gene"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_a_sentence(arrays, said):
    with pytest.raises(DataError, match=said):
        pds(*arrays)
