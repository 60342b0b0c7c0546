"""Class weights are scikit-learn's."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.models.parts.class_weight import class_weights


@pytest.fixture
def data():
    cells = simulate(SimulateOptions(n_obs=60, n_vars=5, n_latent=2, label_shares=(0.7, 0.2, 0.1)), seed=0).adata
    cells.obs.loc[cells.obs_names[:10], "label"] = np.nan
    return open_data(cells, label_key="label")


def test_balanced_weights_are_those_of_scikit_learn_over_the_labelled_training_rows(data):
    rows = np.arange(40)
    labels = data.annotation.label[rows]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels[labels >= 0])
    np.testing.assert_allclose(class_weights("balanced", data, rows), expected, rtol=1e-6)


def test_a_label_that_no_training_row_has_weighs_nothing_and_the_others_as_without_it(data):
    rows = np.flatnonzero(data.annotation.label != 2)
    weights = class_weights("balanced", data, rows)
    labels = data.annotation.label[rows]
    expected = compute_class_weight("balanced", classes=np.arange(2), y=labels[labels >= 0])
    np.testing.assert_allclose(weights, [*expected, 0], rtol=1e-6)


def test_without_balance_every_label_weighs_one(data):
    assert class_weights("none", data, np.arange(60)).tolist() == [1, 1, 1]
