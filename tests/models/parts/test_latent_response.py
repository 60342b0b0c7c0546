"""A shift in a latent is learnt from the training cells only, after a remedy that never mixes conditions."""

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

from cellwright.core.abilities import Encodes
from cellwright.data.balance import ClassWeights, InverseDensity, Mixed, NoBalance, Over, Smote, Under
from cellwright.data.open import open_data
from cellwright.errors import DataError
from cellwright.models.parts.latent_response import LatentResponse
from cellwright.models.parts.mean_shift import BalancedShift, RawShift, SharedShift

SIZES = {("a", "control"): 60, ("a", "treated"): 20, ("b", "control"): 8, ("b", "treated"): 30, ("c", "control"): 25}


class AsItIs(Encodes):
    """The values are the latent, so that what is learnt of it can be worked out."""

    def encode(self, minibatch):
        return minibatch.x.dense()


@pytest.fixture(scope="module")
def data():
    """Treated cells are 100 away from control cells; labels and cells differ by much less."""
    label, condition = np.repeat(np.array(list(SIZES)), list(SIZES.values()), axis=0).T
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 3, (len(label), 2)) + (label == "b")[:, None] * [2, 5] + (label == "c")[:, None] * [4, 1]
    values[condition == "treated"] += 100
    order = rng.permutation(len(label))
    obs = pd.DataFrame({"label": label, "condition": condition}, index=[f"cell{i}" for i in range(len(label))])
    cells = AnnData(values.astype(np.float32), obs=obs)[order].copy()
    return open_data(cells, label_key="label", condition_key="condition", control="control")


def learnt(data, shift, balance, seed=0, rows=None):
    response = LatentResponse(data.schema, 2, shift, balance)
    response.learn(AsItIs(), data, np.arange(data.n_obs) if rows is None else rows, np.random.default_rng(seed))
    return response


def table(data, shift, balance, seed=0):
    """The shift of the held-out label."""
    return learnt(data, shift, balance, seed).shift.table[2, 1].numpy().astype(np.float64)


def test_latents_move_by_the_shift_of_their_label_and_condition(data):
    response = learnt(data, SharedShift(), NoBalance())
    latent, label, condition = torch.randn(3, 2), torch.tensor([0, 2, 1]), torch.tensor([1, 1, 0])
    moved = response(latent, label, condition)
    torch.testing.assert_close(moved - latent, response.shift.table[label, condition], atol=1e-4, rtol=0)
    assert torch.equal(moved[2], latent[2])


def test_only_the_given_rows_are_learnt_from(data):
    rows = np.flatnonzero(np.arange(data.n_obs) % 3 > 0)
    kept = open_data(
        AnnData(data.read("X", rows), obs=data.annotation.obs.iloc[rows]),
        label_key="label",
        condition_key="condition",
        control="control",
    )
    found = learnt(data, SharedShift(), NoBalance(), rows=rows)
    assert torch.equal(found.shift.table, learnt(kept, SharedShift(), NoBalance()).shift.table)


def test_class_weights_make_the_raw_shift_balanced(data):
    balanced = table(data, BalancedShift(), NoBalance())
    np.testing.assert_allclose(table(data, RawShift(), ClassWeights()), balanced, rtol=1e-5)
    assert np.abs(table(data, RawShift(), NoBalance()) - balanced).max() > 0.3


@pytest.mark.parametrize("balance", [Over(), Under(), Mixed()], ids=lambda balance: balance.name)
def test_equal_sizes_make_the_raw_shift_balanced_in_the_mean(data, balance):
    draws = np.array([table(data, RawShift(), balance, seed) for seed in range(200)])
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - table(data, BalancedShift(), NoBalance())) < 4 * error).all()


@pytest.mark.parametrize(
    "balance", [Over(), Mixed(), Smote(), ClassWeights(), InverseDensity()], ids=lambda balance: balance.name
)
def test_no_remedy_takes_cells_of_one_condition_for_those_of_another(data, balance):
    """Else the change, 100, would be a share of that."""
    for shift in (RawShift(), SharedShift()):
        np.testing.assert_allclose(table(data, shift, balance), 100, atol=6)


def test_cells_without_label_or_condition_change_nothing(data):
    obs = data.annotation.obs.copy()
    rows = np.arange(data.n_obs)
    values = data.read("X", rows)
    unknown = obs.iloc[:20].assign(label=[None, "a"] * 10, condition=["treated", None] * 10)
    unknown.index = [f"unknown{i}" for i in range(20)]
    both = AnnData(np.concatenate([values, values[:20] * 7]), obs=pd.concat([obs, unknown]))
    more = open_data(both, label_key="label", condition_key="condition", control="control")
    for balance in (NoBalance(), Over(), ClassWeights()):
        assert np.array_equal(table(more, RawShift(), balance), table(data, RawShift(), balance))


def test_training_cells_that_are_all_unknown_are_refused(data):
    values = data.read("X", np.arange(data.n_obs))
    obs = data.annotation.obs.copy()
    obs["label"] = np.where(np.arange(data.n_obs) < 10, None, obs["label"])
    some = open_data(AnnData(values, obs=obs), label_key="label", condition_key="condition", control="control")
    with pytest.raises(DataError, match="with a label and a condition; none of 10 training cells has both"):
        learnt(some, RawShift(), NoBalance(), rows=np.arange(10))
