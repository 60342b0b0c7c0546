"""Layers equal torch's on dense input; conditions are what the schema says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy import sparse
from torch import nn

from cellwright.core.minibatch import SparseRows
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.nn.conditions import Conditions
from cellwright.nn.mlp import MLP, Hidden
from cellwright.nn.sparse_linear import SparseLinear


def test_sparse_linear_equals_linear():
    dense = torch.from_numpy(np.random.default_rng(0).poisson(0.5, (6, 9)).astype(np.float32))
    layer, reference = SparseLinear(9, 4), nn.Linear(9, 4)
    reference.load_state_dict({"weight": layer.weight.T, "bias": layer.bias})
    torch.testing.assert_close(layer(SparseRows.of(sparse.csr_matrix(dense.numpy()))), reference(dense))


def test_initial_weights_have_the_spread_of_linear():
    ours, theirs = SparseLinear(400, 300).weight, nn.Linear(400, 300).weight
    assert abs(float(ours.detach().std() / theirs.detach().std()) - 1) < 0.02


def test_a_sparse_first_layer_gives_what_a_dense_one_gives():
    dense = torch.rand(8, 5)
    sparse_mlp, dense_mlp = (MLP(5, Hidden(4, 2), sparse_input=flag).eval() for flag in (True, False))
    state = sparse_mlp.state_dict()
    state["layers.0.weight"] = state["layers.0.weight"].T
    dense_mlp.load_state_dict(state)
    torch.testing.assert_close(sparse_mlp(SparseRows.of(dense.numpy())), dense_mlp(dense))


def test_conditions_are_one_hot_batch_categories_and_standardised_numbers():
    obs = pd.DataFrame(
        {"batch": list("abab"), "sex": list("ffmm"), "age": [20.0, 40.0, 60.0, 80.0]}, index=list("1234")
    )
    data = open_data(AnnData(np.ones((4, 2), np.float32), obs=obs), batch_key="batch", covariate_keys=("sex", "age"))
    minibatch = next(iter(in_order(data)))
    conditions = Conditions(data.schema)
    seen = conditions(minibatch).numpy()  # in training mode: standardised by these four cells
    age = (obs["age"] - 50) / np.sqrt(500)
    expected = np.column_stack([obs["batch"] == "a", obs["batch"] == "b", obs["sex"] == "f", obs["sex"] == "m", age])
    np.testing.assert_allclose(seen, expected.astype(float), atol=1e-5)
    unknown = conditions.eval()(replace(minibatch, batch=torch.full((4,), -1)))
    assert (unknown[:, :2] == 0.5).all()


def test_an_unknown_batch_is_the_average_of_the_batches_that_were_met():
    obs = pd.DataFrame({"batch": list("abcd")}, index=list("1234"))
    data = open_data(AnnData(np.ones((4, 2), np.float32), obs=obs), batch_key="batch")
    conditions, minibatch = Conditions(data.schema), next(iter(in_order(data)))
    conditions.met(torch.tensor([0, 2, 2, -1]))
    assert conditions.known(torch.tensor([0, 1, 2, 3, -1])).tolist() == [0, -1, 2, -1, -1]
    unknown = conditions(replace(minibatch, batch=torch.full((4,), -1)))
    assert unknown.tolist() == [[0.5, 0, 0.5, 0]] * 4
    conditions.met(torch.tensor([-1]))  # nothing is known: all are
    assert conditions(replace(minibatch, batch=torch.full((4,), -1))).tolist() == [[0.25] * 4] * 4
