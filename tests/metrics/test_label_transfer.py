"""Label transfer equals scikit-learn's classifier where votes are not tied; ties go to the nearer cells."""

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from cellwright.errors import DataError, UnsuitableValues
from cellwright.metrics.label_transfer import transfer_accuracy, transfer_f1, transferred


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    codes, other = rng.integers(0, 2, 80), rng.integers(0, 2, 50)
    reference, latent = rng.normal(size=(80, 2)) + codes[:, None], rng.normal(size=(50, 2)) + other[:, None]
    labels = np.array(["T", "B"])
    return reference, labels[codes], latent, labels[other]


def test_equals_scikit_learns_five_nearest_neighbours(cells):
    reference, labels, latent, true = cells
    expected = KNeighborsClassifier(5).fit(reference, labels).predict(latent)  # two labels, five votes: no ties
    assert transferred(reference, labels, latent).tolist() == expected.tolist()
    assert transfer_accuracy(reference, labels, latent, true) == pytest.approx(np.mean(expected == true))
    assert transfer_f1(reference, labels, latent, true) == pytest.approx(f1_score(true, expected, average="macro"))


@pytest.mark.parametrize("names", [["a", "b", "c"], ["c", "b", "a"]], ids=["in order", "reversed"])
def test_of_labels_with_as_many_votes_the_nearer_one_wins(names):
    first, second, third = names
    reference, labels = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]), [first, second, second, first, third]
    assert transferred(reference, labels, np.zeros((1, 1))).tolist() == [first]  # ranks 1 and 4 against 2 and 3


def test_cells_without_a_label_give_none_and_are_not_judged(cells):
    reference, labels, latent, true = cells
    known, judged = np.arange(80) > 9, np.arange(50) > 9
    expected = transfer_accuracy(reference[known], labels[known], latent[judged], true[judged])
    found = transfer_accuracy(reference, np.where(known, labels, None), latent, np.where(judged, true, None))
    assert found == expected


def test_a_reference_of_fewer_than_five_cells_is_asked_as_a_whole():
    assert transferred(np.array([[0.0], [1.0], [9.0]]), ["T", "T", "B"], np.array([[9.0]])).tolist() == ["T"]


def test_other_spaces_other_cells_and_nan_are_refused(cells):
    reference, labels, latent, true = cells
    with pytest.raises(DataError, match="Encode both by one model"):
        transfer_accuracy(reference[:, :1], labels, latent, true)
    with pytest.raises(DataError, match="they have 79 and 80 entries"):
        transfer_accuracy(reference, labels[1:], latent, true)
    with pytest.raises(UnsuitableValues, match="latent must be finite"):
        transfer_accuracy(reference, labels, np.where(latent > 1, np.nan, latent), true)
