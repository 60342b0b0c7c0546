"""What every metric of the table must do, whatever it measures."""

import importlib
import inspect
import pkgutil
from functools import partial

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance
from sklearn import metrics as reference

import cellwright.metrics
from cellwright.errors import DataError
from cellwright.metrics import METRICS, Metric

OVER_METRICS = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
GROUPS = {"labels_true", "labels_predicted", "clusters"}
N_OBS = 120
FEW = 12
# cells without which a metric has nothing to say
MORE_THAN_FEW = {"entry_pearson_gene": 30, "zeros_kept": N_OBS}


def arrays_for(metric: Metric, n_obs: int = N_OBS, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of imperfect agreement: three labels, clusters and a latent that know something of them, noisy values."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, n_obs)
    x_true = rng.normal(size=(n_obs, 4)) + codes[:, None]
    every = {
        "labels_true": np.array(["T", "B", "NK"])[codes],
        "clusters": np.where(rng.random(n_obs) < 0.8, codes, rng.integers(0, 4, n_obs)),
        "labels_predicted": np.array(["T", "B", "NK"])[np.where(np.arange(n_obs) % 4, codes, (codes + 1) % 3)],
        "latent": rng.normal(size=(n_obs, 3)) + 2 * codes[:, None],
        "x_true": x_true,
        "log_prob": -rng.gamma(2.0, size=n_obs),
        "x_predicted": x_true + rng.normal(size=x_true.shape),
        "x_real": x_true,
        "x_generated": 1.2 * rng.normal(size=x_true.shape) + codes[:, None],
        "x_control": rng.normal(size=x_true.shape),
        "x_treated": x_true,
        "true_means": x_true,
        "predicted_means": x_true + rng.normal(size=x_true.shape),
        "target_gene": rng.integers(-1, 4, n_obs),
        "pseudotime": rng.random(n_obs) + codes,
        "time": rng.random(n_obs) + codes,
        "x_hidden": rng.poisson(3, x_true.shape).astype(float),
        "x_expected": rng.gamma(2.0, size=x_true.shape),
        "x_entries": np.where(np.arange(n_obs)[:, None] % 5 > 0, x_true, np.nan),
        "x_rna": x_true,
        "x_protein": x_true + rng.normal(size=x_true.shape),
        "x_before": x_true,
        "x_after": rng.normal(size=x_true.shape),
        "x_first": x_true,
        "x_second": rng.normal(size=x_true.shape),
        # a marker of each label that the others lack
        "x_measured": 10.0 * (codes[:, None] == np.arange(4)),
    }
    return {name: every[name] for name in metric.needs}


# scikit-learn's name for each metric; those without one have a slow closed form in their own test file
REFERENCE = {
    "ari": lambda labels_true, clusters: reference.adjusted_rand_score(labels_true, clusters),
    "best_leiden_ari": lambda labels_true, clusters: reference.adjusted_rand_score(labels_true, clusters),
    "nll": lambda log_prob: -np.average(log_prob),
    "nmi": lambda labels_true, clusters: reference.normalized_mutual_info_score(labels_true, clusters),
    "silhouette": lambda latent, labels_true: (reference.silhouette_score(latent, labels_true) + 1) / 2,
    "silhouette_cluster": lambda latent, clusters: reference.silhouette_score(latent, clusters),
    "r2": lambda x_true, x_predicted: reference.r2_score(x_true, x_predicted, multioutput="variance_weighted"),
    "rmse": lambda x_true, x_predicted: reference.root_mean_squared_error(x_true.ravel(), x_predicted.ravel()),
    "pearson": lambda x_true, x_predicted: np.corrcoef(x_true.ravel(), x_predicted.ravel())[0, 1],
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "macro_precision": partial(reference.precision_score, average="macro"),
    "macro_recall": partial(reference.recall_score, average="macro"),
    "macro_f1": partial(reference.f1_score, average="macro"),
    "mean_r2": lambda treated, predicted: stats.linregress(predicted.mean(0), treated.mean(0)).rvalue ** 2,
    "mean_fit": lambda treated, predicted: reference.r2_score(treated.mean(0), predicted.mean(0)),
    "mean_mae": lambda treated, predicted: reference.mean_absolute_error(treated.mean(0), predicted.mean(0)),
    "change_pearson": lambda control, treated, predicted: (
        stats.pearsonr(treated.mean(0) - control.mean(0), predicted.mean(0) - control.mean(0)).statistic
    ),
    "e_distance": lambda treated, predicted: (
        2 * distance.cdist(treated, predicted).mean()
        - distance.pdist(treated).mean()
        - distance.pdist(predicted).mean()
    ),
}
# unbiased estimates lie on both sides of the bound of what they estimate, and have tests of their own for that
UNBIASED = {"e_distance"}

_LABELS, _VALUES = np.repeat(["T", "B"], 10), np.random.default_rng(0).normal(size=(20, 3))
_FAR_APART = np.repeat([[0.0], [1e12]], 10, axis=0) + np.tile([[0.0], [1.0]], (10, 1))
PERFECT = {
    "labels_true": _LABELS,
    "labels_predicted": _LABELS,
    "clusters": np.repeat([7, 3], 10),
    "latent": _FAR_APART,
    "x_true": _VALUES,
    "log_prob": np.full(20, np.inf),
    "x_predicted": _VALUES,
    "x_real": _VALUES,
    "x_generated": _VALUES,
    "x_control": _VALUES - np.array([3.0, 5.0, 4.0]),
    "x_treated": _VALUES,
    "true_means": _VALUES,
    "predicted_means": _VALUES,
    "target_gene": np.full(20, -1),
    "pseudotime": np.arange(20.0),
    "time": np.arange(20.0) ** 2,
    "x_rna": _VALUES,
    "x_protein": _VALUES,
    "x_first": _VALUES,
    "x_second": _VALUES,
}
# where the same name means other values to other metrics
PERFECT_FOR = {
    "poisson_deviance": {"x_hidden": 1 + np.round(np.abs(_VALUES)), "x_expected": 1 + np.round(np.abs(_VALUES))},
    "log_mse": {"x_hidden": 1 + np.round(np.abs(_VALUES)), "x_expected": 1 + np.round(np.abs(_VALUES))},
    **{
        name: {"x_entries": _VALUES.repeat(5, 1), "x_expected": _VALUES.repeat(5, 1)}
        for name in ("entry_rmse", "entry_pearson_cell", "entry_pearson_gene")
    },
    # all genes the same before, and none that varies afterwards
    "false_correlation": {"x_before": _VALUES[:, [0, 0, 0]], "x_after": np.ones((20, 3))},
    "zeros_kept": {
        "x_measured": np.repeat(np.eye(2), 20, axis=0),
        "x_expected": np.repeat(np.eye(2), 20, axis=0),
        "labels_true": np.repeat(["T", "B"], 20),
    },
}


@OVER_METRICS
def test_takes_the_arrays_that_it_says_it_needs(metric):
    positional = [p.name for p in inspect.signature(metric.function).parameters.values() if p.default is p.empty]
    assert tuple(positional) == metric.needs


@pytest.mark.parametrize("name", [name for name in METRICS if name not in UNBIASED])
def test_perfect_arrays_reach_the_better_bound(name):
    metric = METRICS[name]
    best = metric.bounds[1] if metric.better == "higher" else metric.bounds[0]
    arrays = PERFECT_FOR.get(name) or {needed: PERFECT[needed] for needed in metric.needs}
    assert metric.function(**arrays) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("seed", range(5))
def test_stays_within_its_bounds(name, seed):
    low, high = METRICS[name].bounds
    arrays = arrays_for(METRICS[name], n_obs=MORE_THAN_FEW.get(name, FEW), seed=seed)
    assert low <= METRICS[name].function(**arrays) <= high


@pytest.mark.parametrize("name", REFERENCE)
def test_equals_a_reference_implementation(name):
    arrays = arrays_for(METRICS[name])
    assert METRICS[name].function(**arrays) == pytest.approx(REFERENCE[name](*arrays.values()), abs=1e-9)


@OVER_METRICS
def test_ignores_the_order_of_cells(metric):
    arrays = arrays_for(metric)
    order = np.random.default_rng(1).permutation(N_OBS)
    shuffled = {name: array[order] for name, array in arrays.items()}
    assert metric.function(**shuffled) == pytest.approx(metric.function(**arrays), abs=1e-12)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if GROUPS & set(metric.needs)])
def test_ignores_the_names_of_labels_and_clusters(name):
    arrays = arrays_for(METRICS[name])
    renamed = {
        key: np.unique(array, return_inverse=True)[1] * -7 if key in GROUPS else array for key, array in arrays.items()
    }
    assert METRICS[name].function(**renamed) == pytest.approx(METRICS[name].function(**arrays), abs=1e-12)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if "labels_true" in metric.needs])
def test_leaves_out_cells_without_a_label(name):
    arrays = arrays_for(METRICS[name])
    known = arrays["labels_true"] != "NK"
    missing = arrays | {"labels_true": np.where(known, arrays["labels_true"], None)}
    without = {key: array[known] for key, array in arrays.items()}
    assert METRICS[name].function(**missing) == METRICS[name].function(**without)


@OVER_METRICS
@pytest.mark.parametrize("case", ["single group", "one cell", "no cell"])
def test_a_degenerate_input_gives_a_value_within_the_bounds_or_a_sentence(metric, case):
    arrays = arrays_for(metric)
    if case == "single group":
        arrays |= {name: np.full(N_OBS, "T") for name in GROUPS & set(arrays)}
    else:
        arrays = {name: array[: case == "one cell"] for name, array in arrays.items()}
    found = outcome(metric, arrays)
    assert found.endswith(".") if isinstance(found, str) else metric.bounds[0] <= found <= metric.bounds[1]


def outcome(metric: Metric, arrays: dict[str, np.ndarray]) -> float | str:
    try:
        return metric.function(**arrays)
    except DataError as error:
        return str(error)


@OVER_METRICS
def test_values_per_label_are_named_by_the_labels_and_lie_within_the_bounds(metric):
    arrays = arrays_for(metric)
    labels = arrays.pop("labels_true", np.repeat(["T", "B", "NK"], N_OBS // 3))
    by_label = metric.per_label(labels, **arrays)
    assert set(by_label) == (set() if metric.by_label is None else {"T", "B", "NK"})
    assert all(metric.bounds[0] <= value <= metric.bounds[1] for value in by_label.values())


def test_every_metric_that_a_file_defines_is_in_the_table():
    modules = [
        importlib.import_module(f"cellwright.metrics.{module.name}")
        for module in pkgutil.iter_modules(cellwright.metrics.__path__)
    ]
    defined = {id(value) for module in modules for value in vars(module).values() if isinstance(value, Metric)}
    assert defined == {id(metric) for metric in METRICS.values()}


def test_the_name_in_the_table_is_the_name_of_the_function():
    assert {name: metric.function.__name__ for name, metric in METRICS.items()} == {name: name for name in METRICS}
