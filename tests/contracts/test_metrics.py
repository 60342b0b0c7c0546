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
from cellwright.metrics.neighbours import Neighbours

OVER_METRICS = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
GROUPS = {"labels_true", "labels_predicted", "labels_reference", "clusters", "batches"}
LABELS = {"labels_true", "labels_reference"}
# what a caller seeks neighbours in
SOUGHT_IN = {"neighbours": "latent", "neighbours_before": "latent_before"}
N_OBS = 120
FEW = 12
# cells without which a metric has nothing to say
MORE_THAN_FEW = {"entry_pearson_gene": 30, "zeros_kept": N_OBS, "kbet": N_OBS, "bras": 40, "batch_asw": 40}

Arrays = dict[str, np.ndarray | Neighbours]


def arrays_for(
    metric: Metric, n_obs: int = N_OBS, seed: int = 0, rows: slice | np.ndarray = slice(None), **other: np.ndarray
) -> Arrays:
    """Arrays of imperfect agreement: three labels, clusters and a latent that know something of them, noisy values.

    Of some `rows`, with neighbours that are sought among these; `other` arrays take the place of those that are made.
    """
    every = {name: array[rows] for name, array in (made(n_obs, seed) | other).items()}
    sought = {name: neighbours_of(every[values]) for name, values in SOUGHT_IN.items() if name in metric.needs}
    return {name: sought[name] if name in sought else every[name] for name in metric.needs}


def neighbours_of(latent: np.ndarray) -> Neighbours:
    distances = distance.cdist(latent, latent) if len(latent) else np.empty((0, 0))
    np.fill_diagonal(distances, np.inf)
    indices = np.argsort(distances, axis=1)[:, : max(len(latent) - 1, 0)]
    return Neighbours(indices, np.take_along_axis(distances, indices, axis=1)).first(90)


def made(n_obs: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, n_obs)
    x_true = rng.normal(size=(n_obs, 4)) + codes[:, None]
    return {
        "labels_true": np.array(["T", "B", "NK"])[codes],
        "clusters": np.where(rng.random(n_obs) < 0.8, codes, rng.integers(0, 4, n_obs)),
        "labels_predicted": np.array(["T", "B", "NK"])[np.where(np.arange(n_obs) % 4, codes, (codes + 1) % 3)],
        "codes_true": codes,
        "probabilities": _made_probabilities(codes),
        # every second cell: also where there is one only
        "answered": np.arange(n_obs) % 2 == 0,
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
        "x_future": x_true,
        "x_forecast": x_true + rng.normal(size=x_true.shape),
        "x_draws": x_true[:, :, None] + rng.normal(size=(*x_true.shape, 7)),
        "transitions_true": rng.dirichlet(np.ones(4), n_obs),
        "transitions_learned": rng.dirichlet(np.ones(4), n_obs),
        "terminal_true": np.arange(n_obs) % 3 == 0,
        "terminal_learned": np.arange(n_obs) % 2 == 0,
        # a marker of each label that the others lack
        "x_measured": 10.0 * (codes[:, None] == np.arange(4)),
        "batches": rng.choice(["first", "second"], n_obs),
        "latent_before": x_true + np.repeat([[0.0], [1.0]], [n_obs // 2, n_obs - n_obs // 2], axis=0),
        "latent_first": x_true,
        "latent_second": x_true + rng.normal(size=x_true.shape),
        "latent_reference": rng.normal(size=(n_obs, 3)) + 2 * codes[:, None],
        "labels_reference": np.array(["T", "B", "NK"])[codes],
    }


def _made_probabilities(codes: np.ndarray) -> np.ndarray:
    drawn = np.random.default_rng(len(codes)).gamma(1.0, size=(len(codes), 3)) + np.eye(3)[codes]
    return drawn / drawn.sum(axis=1, keepdims=True)


# scikit-learn's name for each metric; those without one have a slow closed form in their own test file
REFERENCE = {
    "ari": lambda labels_true, clusters: reference.adjusted_rand_score(labels_true, clusters),
    "best_leiden_ari": lambda labels_true, clusters: reference.adjusted_rand_score(labels_true, clusters),
    "leiden_ari": lambda labels_true, clusters: reference.adjusted_rand_score(labels_true, clusters),
    "leiden_nmi": lambda labels_true, clusters: reference.normalized_mutual_info_score(labels_true, clusters),
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
    "brier": lambda codes, p: np.mean([reference.brier_score_loss(codes == k, p[:, k]) for k in range(3)]) * 3,
    "log_loss": lambda codes, p: reference.log_loss(codes, p),
    "coverage": lambda labels, answered: np.average(answered),
    "answered_accuracy": lambda true, predicted, answered: reference.accuracy_score(
        true[answered], predicted[answered]
    ),
    "mean_r2": lambda treated, predicted: stats.linregress(predicted.mean(0), treated.mean(0)).rvalue ** 2,
    "mean_fit": lambda treated, predicted: reference.r2_score(treated.mean(0), predicted.mean(0)),
    "mean_mae": lambda treated, predicted: reference.mean_absolute_error(treated.mean(0), predicted.mean(0)),
    "change_pearson": lambda control, treated, predicted: (
        stats.pearsonr(treated.mean(0) - control.mean(0), predicted.mean(0) - control.mean(0)).statistic
    ),
    "forecast_rmse": lambda future, said: reference.root_mean_squared_error(future.ravel(), said.ravel()),
    "forecast_r2": lambda future, said: reference.r2_score(future, said, multioutput="variance_weighted"),
    "transition_l1": lambda true, learned: np.mean(
        [distance.cityblock(p, q) / 2 for p, q in zip(true, learned, strict=True)]
    ),
    "transition_kl": lambda true, learned: np.mean(
        stats.entropy(*(0.999 * rows.T + 0.00025 for rows in (true, learned)))
    ),
    "terminal_recall": reference.recall_score,
    "e_distance": lambda treated, predicted: (
        2 * distance.cdist(treated, predicted).mean()
        - distance.pdist(treated).mean()
        - distance.pdist(predicted).mean()
    ),
}
# unbiased estimates lie on both sides of the bound of what they estimate, and have tests of their own for that
UNBIASED = {"e_distance", "crps", "energy_score"}

_LABELS, _VALUES = np.repeat(["T", "B"], 10), np.random.default_rng(0).normal(size=(20, 3))
_FAR_APART = np.repeat([[0.0], [1e12]], 10, axis=0) + np.tile([[0.0], [1.0]], (10, 1))
_PLACES = np.arange(20)
_NEXT = _PLACES - _PLACES % 10 + np.stack([(_PLACES + 1) % 10, (_PLACES + 2) % 10])
_RINGS = Neighbours(_NEXT.T, np.ones((20, 2)))
PERFECT = {
    "labels_true": _LABELS,
    "labels_predicted": _LABELS,
    "clusters": np.repeat([7, 3], 10),
    "codes_true": np.repeat([1, 0], 10),
    "probabilities": np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0),
    "answered": np.full(20, fill_value=True),
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
    "x_future": _VALUES,
    "x_forecast": _VALUES,
    "transitions_true": np.eye(3),
    "transitions_learned": np.eye(3),
    "terminal_true": np.array([True, False]),
    "terminal_learned": np.array([True, False]),
    # each cell has a neighbour of either batch, both of its label
    "batches": np.arange(20) % 2,
    "neighbours": _RINGS,
    "neighbours_before": _RINGS,
    "latent_first": _VALUES,
    "latent_second": _VALUES,
    "latent_reference": _FAR_APART,
    "labels_reference": _LABELS,
}
# where the same name means other values to other metrics
_NO_BATCH = {"labels_true": _LABELS, "batches": _PLACES % 2, "latent": np.repeat(np.eye(2), 10, axis=0)}
PERFECT_FOR = {
    "batch_asw": _NO_BATCH,
    "bras": _NO_BATCH,
    "pc_regression": {
        "latent_before": _PLACES[:, None] % 2.0,
        "latent": np.repeat(_VALUES[:10], 2, axis=0),
        "batches": _PLACES % 2,
    },
    # one value in ten is outside all of its draws
    "coverage_error": {
        "x_future": _VALUES,
        "x_draws": np.repeat((_VALUES + (np.arange(60) % 10 == 0).reshape(20, 3))[:, :, None], 3, axis=2),
    },
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
    order = np.random.default_rng(1).permutation(N_OBS)
    shuffled = metric.function(**arrays_for(metric, rows=order))
    assert shuffled == pytest.approx(metric.function(**arrays_for(metric)), abs=1e-12)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if GROUPS & set(metric.needs)])
def test_ignores_the_names_of_labels_and_clusters(name):
    arrays = arrays_for(METRICS[name])
    renamed = {
        key: np.unique(array, return_inverse=True)[1] * -7 if key in GROUPS else array for key, array in arrays.items()
    }
    assert METRICS[name].function(**renamed) == pytest.approx(METRICS[name].function(**arrays), abs=1e-12)


TAKE_LABELS = [name for name, metric in METRICS.items() if "labels_true" in metric.needs]


@pytest.mark.parametrize("name", [name for name in TAKE_LABELS if "neighbours" not in METRICS[name].needs])
def test_leaves_out_cells_without_a_label(name):
    labels = made(N_OBS, seed=0)["labels_true"]
    known = labels != "NK"
    missing = dict.fromkeys(LABELS, np.where(known, labels, None))
    assert METRICS[name].function(**arrays_for(METRICS[name], **missing)) == METRICS[name].function(
        **arrays_for(METRICS[name], rows=known)
    )


@pytest.mark.parametrize("name", [name for name in TAKE_LABELS if "neighbours" in METRICS[name].needs])
def test_refuses_cells_without_a_label_as_neighbours(name):
    labels = made(N_OBS, seed=0)["labels_true"]
    missing = np.where(labels != "NK", labels, None)
    with pytest.raises(DataError, match="Leave these cells out before neighbours are sought"):
        METRICS[name].function(**arrays_for(METRICS[name], labels_true=missing))


@OVER_METRICS
@pytest.mark.parametrize("case", ["single group", "one cell", "no cell"])
def test_a_degenerate_input_gives_a_value_within_the_bounds_or_a_sentence(metric, case):
    if case == "single group":
        arrays = arrays_for(metric, **dict.fromkeys(GROUPS, np.full(N_OBS, "T")))
    else:
        arrays = arrays_for(metric, rows=slice(case == "one cell"))
    found = outcome(metric, arrays)
    assert found.endswith(".") if isinstance(found, str) else metric.bounds[0] <= found <= metric.bounds[1]


def outcome(metric: Metric, arrays: Arrays) -> float | str:
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


@OVER_METRICS
def test_over_all_cells_and_per_label_are_the_function_and_by_label(metric):
    arrays = arrays_for(metric)
    labels = made(N_OBS, seed=0)["labels_true"]
    overall, groups = metric.overall_and_per_label(labels, **arrays)
    assert overall == pytest.approx(metric.function(**arrays), abs=1e-12)
    assert groups == metric.per_label(
        labels, **{name: array for name, array in arrays.items() if name != "labels_true"}
    )


def test_every_metric_that_a_file_defines_is_in_the_table():
    modules = [
        importlib.import_module(f"cellwright.metrics.{module.name}")
        for module in pkgutil.iter_modules(cellwright.metrics.__path__)
    ]
    defined = {id(value) for module in modules for value in vars(module).values() if isinstance(value, Metric)}
    assert defined == {id(metric) for metric in METRICS.values()}


def test_the_name_in_the_table_is_the_name_of_the_function():
    assert {name: metric.function.__name__ for name, metric in METRICS.items()} == {name: name for name in METRICS}
