"""The multilayer perceptron finds what no linear function can, weights labels, and without layers is linear."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import Split
from cellwright.errors import UnsuitableValues
from cellwright.models import build
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells
from cellwright.train.options import FitOptions

N_OBS = 600
SPLIT = Split(np.arange(300), np.arange(300, 400), np.arange(400, N_OBS))


def source_of(values, labels):
    adata = AnnData(X=values.astype("f4"), obs={"type": labels})
    adata.obs_names = [f"cell{i}" for i in range(len(adata))]
    return open_data(adata, label_key="type")


@pytest.fixture(scope="module")
def corners():
    """The label is whether two values have the same sign: a linear function is right half of the time."""
    values = np.random.default_rng(0).normal(size=(N_OBS, 2))
    return source_of(values, np.where((values > 0).all(1) | (values < 0).all(1), "same", "other"))


def accuracy(model, source, **options):
    built = build(model, source.schema, transform="none", **options)
    fit(built, source, FitOptions(batch_size=32, max_epochs=60), split=SPLIT, progress=False)
    said = over_cells(built.classify, source, SPLIT.test).argmax(axis=1)
    return (said == source.annotation.label[SPLIT.test]).mean()


def test_it_finds_what_no_linear_function_can(corners):
    assert accuracy("mlp_classifier", corners, n_hidden=32, dropout=0.0, learning_rate=0.01) > 0.85
    assert accuracy("logistic", corners) < 0.65


def test_without_hidden_layers_the_logits_are_linear(corners):
    """What is added to the values is added to the logits, wherever the values are."""
    model = build("mlp_classifier", corners.schema, transform="none", n_layers=0)  # as it is made, its centre is zero
    x = np.array([[0, 0], [1, 0], [0, 1], [2, -3]], dtype="f4")
    adata = AnnData(x, obs={"type": ["same"] * 4})
    minibatch = next(iter(in_order(open_data(adata, schema=corners.schema), np.arange(4), 4)))
    zero, first, second, both = model.logits(minibatch).detach()
    torch.testing.assert_close(both - zero, 2 * (first - zero) - 3 * (second - zero))


def test_weights_make_every_label_count_the_same_and_unlabelled_cells_count_nothing():
    labels = np.array(["often"] * 8 + ["rare"] * 2 + [None], dtype=object)
    source = source_of(np.random.default_rng(0).normal(size=(11, 4)), labels)
    minibatch = next(iter(in_order(source, np.arange(11), 11)))
    losses = {}
    for weight in ("none", "balanced"):
        torch.manual_seed(0)
        model = build("mlp_classifier", source.schema, transform="none", class_weight=weight)
        model.prepare(0, source, np.arange(11), np.random.default_rng(0))
        model.eval()
        losses[weight] = model.cross_entropy(minibatch, Step(0, NoiseKey(0))).per_cell.detach().numpy()
    assert losses["none"][10] == losses["balanced"][10] == 0
    ratio = losses["balanced"][:10] / losses["none"][:10]
    np.testing.assert_allclose(ratio, [10 / (2 * 8)] * 8 + [10 / (2 * 2)] * 2, rtol=1e-5)


def test_negative_values_want_no_logarithm(corners):
    model = build("mlp_classifier", corners.schema)
    with pytest.raises(UnsuitableValues, match="transform"):
        fit(model, corners, split=SPLIT, progress=False)


def test_what_all_cells_have_in_common_changes_nothing():
    """Intensities lie far from zero; scaled, their unit does not matter either."""
    values = np.random.default_rng(0).normal(size=(N_OBS, 2))
    labels = np.where(values.sum(axis=1) > 0, "up", "down")
    near, far = source_of(values, labels), source_of(values + np.array([1000.0, -50.0]), labels)
    options = {"n_hidden": 8, "learning_rate": 0.01}
    assert accuracy("mlp_classifier", far, **options) == pytest.approx(
        accuracy("mlp_classifier", near, **options), abs=0.02
    )
    unequal = source_of(values * np.array([1.0, 1e-4]), labels)
    assert accuracy("mlp_classifier", unequal, scale=True, **options) > 0.9
    assert accuracy("mlp_classifier", unequal, scale=False, **options) < 0.85


def test_a_gap_in_a_sequence_is_the_training_mean():
    rng = np.random.default_rng(0)
    values = rng.normal(2, 1, size=(40, 4)).astype("f4")
    adata = AnnData(values.copy(), obs={"type": np.array(["a", "b"])[np.arange(40) % 2]})
    adata.X[5, 2] = np.nan
    adata.var["time"] = np.arange(4.0)
    source = open_data(adata, label_key="type", step_key="time")
    model = build("mlp_classifier", source.schema, transform="none")
    model.prepare(0, source, np.arange(40), rng)
    model.eval()
    found = model.logits(next(iter(in_order(source, np.array([5]), 1))))
    adata.X[5, 2] = np.nanmean(adata.X[:, 2].astype(float))
    filled = open_data(adata, label_key="type", step_key="time")
    torch.testing.assert_close(found, model.logits(next(iter(in_order(filled, np.array([5]), 1)))))
