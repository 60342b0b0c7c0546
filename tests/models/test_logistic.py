"""Logistic regression is scikit-learn's, on components; what it does with labels that are rare, missing or two."""

import numpy as np
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression as Regression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cellwright.data.open import open_data
from cellwright.data.split import Split
from cellwright.errors import DataError, UnsuitableValues
from cellwright.models import build
from cellwright.models.logistic import TRIED
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells

N_OBS, N_VARS = 120, 12
RNG = np.random.default_rng(0)
LABELS = np.array(["a", "b", "c"])[np.arange(N_OBS) % 3]
VALUES = (RNG.normal(size=(N_OBS, N_VARS)) + (np.arange(N_OBS) % 3)[:, None] * np.linspace(-1, 1, N_VARS)).astype("f4")
SPLIT = Split(np.arange(90), np.arange(90, 90), np.arange(90, N_OBS))


def source_of(values=VALUES, labels=LABELS, **keys):
    adata = AnnData(X=values.copy(), obs={"type": labels})
    adata.obs_names = [f"cell{i}" for i in range(len(adata))]
    if keys:
        adata.var["time"] = np.arange(N_VARS)
    return open_data(adata, label_key="type", **keys)


def probabilities(source, name="logistic", split=SPLIT, **options):
    model = build(name, source.schema, transform="none", **options)
    fit(model, source, split=split, progress=False)
    return over_cells(model.classify, source)


@pytest.mark.parametrize(("name", "weight"), [("logistic", None), ("logistic_balanced", "balanced")])
def test_with_all_components_it_is_the_regression_on_scaled_values(name, weight):
    uneven = np.where(np.arange(N_OBS) % 3 < 2, np.where(RNG.random(N_OBS) < 0.5, "a", LABELS), LABELS)
    found = probabilities(source_of(labels=uneven), name, n_latent=N_VARS, penalty=2.0)
    reference = make_pipeline(StandardScaler(), Regression(C=0.5, class_weight=weight, tol=1e-8, max_iter=10_000))
    reference.fit(VALUES[SPLIT.train].astype(float), uneven[SPLIT.train])
    np.testing.assert_allclose(found, reference.predict_proba(VALUES.astype(float)), atol=2e-3)


def test_on_components_it_is_the_references_probability():
    source = source_of()
    model = build("logistic", source.schema, transform="none", n_latent=4)
    fit(model, source, split=SPLIT, progress=False)
    latent = over_cells(model.components.encode, source).astype(float)
    reference = Regression(C=0.1, max_iter=10_000).fit(latent[SPLIT.train], LABELS[SPLIT.train])
    np.testing.assert_allclose(over_cells(model.classify, source), reference.predict_proba(latent), atol=1e-5)


def test_two_labels_are_the_references_too():
    two = np.where(LABELS == "a", "a", "b")
    source = source_of(labels=two)
    model = build("logistic", source.schema, transform="none", n_latent=4)
    fit(model, source, split=SPLIT, progress=False)
    latent = over_cells(model.components.encode, source).astype(float)
    reference = Regression(C=0.1, max_iter=10_000).fit(latent[SPLIT.train], two[SPLIT.train])
    np.testing.assert_allclose(over_cells(model.classify, source), reference.predict_proba(latent), atol=1e-5)


def test_a_label_without_a_training_cell_is_never_said():
    labels = LABELS.copy()
    labels[:90][labels[:90] == "b"] = "a"
    found = probabilities(source_of(labels=labels), n_latent=4)
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_cells_without_a_label_teach_nothing():
    labels = LABELS.astype(object)
    labels[60:90] = None
    shorter = Split(np.arange(60), np.arange(60, 90), np.arange(90, N_OBS))
    with_unlabelled = build("logistic", source_of().schema, transform="none", n_latent=N_VARS)
    fit(with_unlabelled, source_of(labels=labels), split=SPLIT, progress=False)
    without = build("logistic", source_of().schema, transform="none", n_latent=N_VARS)
    fit(without, source_of(labels=labels), split=shorter, progress=False)
    # the components, and with them the scale of the penalty, come from all training cells
    agree = over_cells(with_unlabelled.classify, source_of()).argmax(1) == over_cells(
        without.classify, source_of()
    ).argmax(1)
    assert agree.mean() > 0.95


def test_one_label_among_the_training_cells_is_refused():
    labels = np.where(np.arange(N_OBS) < 90, "a", "b")
    with pytest.raises(DataError, match="two labels at least; they have 1"):
        probabilities(source_of(labels=labels), n_latent=4)


@pytest.mark.parametrize("name", ["logistic", "knn"])
def test_a_gap_in_a_sequence_is_the_training_mean_and_one_in_a_cell_is_refused(name):
    gaps = VALUES.copy()
    gaps[np.random.default_rng(1).random(gaps.shape) < 0.2] = np.nan
    means = np.nanmean(gaps[SPLIT.train], axis=0, dtype=np.float64)
    steps = source_of(gaps, step_key="time")
    model = build(name, steps.schema, transform="none", n_latent=4, scale=False)
    fit(model, steps, split=SPLIT, progress=False)
    found = over_cells(model.classify, steps)
    filled = source_of(np.where(np.isnan(gaps), means, gaps).astype("f4"), step_key="time")
    np.testing.assert_allclose(found, over_cells(model.classify, filled), atol=1e-5)
    with pytest.raises(UnsuitableValues, match="finite numbers"):
        probabilities(source_of(gaps), name, n_latent=4)


@pytest.mark.parametrize(("name", "scoring"), [("logistic", "accuracy"), ("logistic_balanced", "balanced_accuracy")])
def test_a_tuned_penalty_is_the_one_that_the_references_search_finds(name, scoring):
    """On few components of noisy labels, where penalties differ."""
    rng = np.random.default_rng(3)
    noisy = np.where(rng.random(N_OBS) < 0.3, rng.permutation(LABELS), LABELS)
    source = source_of(labels=noisy)
    model = build(name, source.schema, transform="none", n_latent=6, tuned=True)
    fit(model, source, split=SPLIT, progress=False)
    latent = over_cells(model.components.encode, source).astype(float)
    weight = "balanced" if name == "logistic_balanced" else None
    search = GridSearchCV(
        Regression(class_weight=weight, max_iter=10_000),
        {"C": TRIED},
        scoring=scoring,
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
    ).fit(latent[SPLIT.train], noisy[SPLIT.train])
    np.testing.assert_allclose(over_cells(model.classify, source), search.predict_proba(latent), atol=1e-4)


def test_a_label_with_a_single_cell_does_not_end_the_tuning():
    labels = np.where(np.arange(N_OBS) == 5, "c", np.where(LABELS == "c", "a", LABELS))
    assert np.isfinite(probabilities(source_of(labels=labels), n_latent=4, tuned=True)).all()
    two = Split(np.arange(2), np.arange(2, 2), np.arange(2, N_OBS))
    assert np.isfinite(probabilities(source_of(), split=two, tuned=True)).all()


@pytest.mark.parametrize("name", ["logistic", "knn"])
def test_with_fewer_training_cells_than_components_there_are_as_many_as_they_span(name):
    few = Split(np.arange(9), np.arange(9, 9), np.arange(9, N_OBS))
    wide, narrow = (probabilities(source_of(), name, split=few, n_latent=n) for n in (N_VARS, 8))
    np.testing.assert_allclose(wide, narrow, atol=1e-5)
