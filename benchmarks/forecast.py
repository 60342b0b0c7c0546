"""What comes after the last cells: forecasts of populations and of time courses, against baselines.

    python benchmarks/forecast.py --tune      # settings from the earlier cut of the worm, then all that is reported
    python benchmarks/forecast.py             # the same with the settings of the stored results/forecast_tuning.csv
    python benchmarks/forecast.py --tables    # the tables of docs/forecast.md from the stored results

worm_embryo_time: latent (PCA) and genes of the cells before 500 minutes; walks backwards from the cells of the last
window along the chain of these cells; forecast to 580-650 minutes. The settings come from the cells before 400 minutes
and those of 450-500. klein_mesc_timecourse: days 0, 2, 4, forecast to day 7. Yeast: the last steps of held-out genes.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

import cellwright as cw
from cellwright.core.options import name_and_settings
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.dynamics.cell_graph import CellGraph
from cellwright.dynamics.transitions import hard
from cellwright.metrics.change_pearson import change_pearson
from cellwright.metrics.e_distance import e_distance
from cellwright.metrics.mean_r2 import mean_r2
from cellwright.metrics.transitions import counted, normalised
from cellwright.models.model import Model
from cellwright.study.statistics import interval
from cellwright.tasks.forecast import score_forecast
from cellwright.tasks.state_transitions import COLUMNS as STATES
from cellwright.tasks.state_transitions import StepStates, labelled_states, score_transitions, state_transitions

RESULTS = Path(__file__).parent / "results" / "forecast.csv"
TUNING = RESULTS.with_name("forecast_tuning.csv")
COLUMNS = ["data", "cut", "model", "said", "seed", "metric", "group", "value", "cpu_seconds"]
KLEIN_AND_YEAST = ("persistence", "linear_extrapolation:n_points=2", "linear_extrapolation", "markov_chain")
YEAST_NETWORKS = ("forecaster", "transformer_forecaster")
# of each kind what was tried on the earlier cut of the worm: the least E-distance of drawn cells in genes is chosen
CANDIDATES = {
    "persistence": ("persistence",),
    "linear": ("linear_extrapolation:n_points=2", "linear_extrapolation", "linear_extrapolation:n_points=4"),
    "markov": ("markov_chain:n_states=5", "markov_chain", "markov_chain:n_states=20"),
    "tanh": ("forecaster:cell=tanh",),
    "gru": ("forecaster", "forecaster:n_hidden=32", "forecaster:n_layers=1", "forecaster:weight_decay=0.1",
            "forecaster:dropout=0.5"),
    "lstm": ("forecaster:cell=lstm",),
    "transformer": ("transformer_forecaster", "transformer_forecaster:n_layers=1",
                    "transformer_forecaster:dropout=0.5"),
}  # fmt: skip
LATENTS = (10, 20, 50)
FIT = {"max_epochs": 100, "batch_size": 64, "validation": 0.1}
N_GENES, N_PATHS = 1000, 1000
ALL = "all"


@dataclass(frozen=True)
class Cut:
    """Cells before `until` train; those between `start` and `end` are forecast, `n_ahead` windows after the last."""

    name: str
    until: float
    start: float
    end: float
    n_windows: int
    n_ahead: int


# windows of 48 minutes: the middle of the forecast one is within 5 minutes of the middle of the cells to be met
CUTS = {
    "tuning": Cut("tuning", 400, 450, 500, n_windows=4, n_ahead=2),
    "reported": Cut("reported", 500, 580, 650, n_windows=6, n_ahead=3),
}


@dataclass(frozen=True, eq=False)
class Worm:
    """The cells of a cut: log-normalised genes, and the latent that the training cells made."""

    cells: AnnData  # genes chosen on the training cells; layers["log"], obsm["X_pca"]
    is_train: np.ndarray
    is_future: np.ndarray
    decoder: Model


def worm_of(cut: Cut, seed: int, n_latent: int) -> Worm:
    cells = cw.load("worm_embryo_time")
    time_of = cells.obs["embryo_time"].to_numpy(float)
    is_train, is_future = time_of < cut.until, (time_of >= cut.start) & (time_of <= cut.end)
    cells = cells[is_train | is_future].copy()
    is_train, is_future = is_train[is_train | is_future], is_future[is_train | is_future]
    log = np.asarray(np.log1p(cells.X.multiply(1e4 / np.asarray(cells.X.sum(axis=1)).ravel()[:, None]).todense()))
    genes = np.sort(np.argsort(-dispersion(log[is_train]))[:N_GENES])
    cells = cells[:, genes].copy()
    cells.X = log[:, genes].astype(np.float32)
    source = cw.open_data(cells)
    decoder = cw.build("pca", source.schema, n_latent=n_latent, transform="none", scale=False)
    nothing = np.array([], dtype=np.int64)
    split = cw.Split(np.flatnonzero(is_train), nothing, np.flatnonzero(is_future))
    cw.fit(decoder, source, cw.FitOptions(seed=seed), split=split, progress=False)
    cells.obsm["X_pca"] = cw.reduce(decoder, source).obsm["X_pca"]
    return Worm(cells, is_train, is_future, decoder)


def dispersion(log: np.ndarray) -> np.ndarray:
    """Variance over a running median of genes of like mean: which vary more than others that are as high."""
    mean, variance = log.mean(axis=0), log.var(axis=0)
    order = np.argsort(mean)
    usual = pd.Series(variance[order]).rolling(201, center=True, min_periods=1).median().to_numpy()
    out = np.empty(len(mean))
    out[order] = variance[order] / np.maximum(usual, 1e-6)
    return np.where(mean > 0.02, out, 0.0)


def chain_of(cells: AnnData) -> None:
    """The directed chain of the training cells, by time and latent, as obsp["transitions"]."""
    latent = cells.obsm["X_pca"]
    distances, indices = NearestNeighbors(n_neighbors=31).fit(latent).kneighbors(latent)
    graph = CellGraph(indices[:, 1:], distances[:, 1:])
    cells.obsp["transitions"] = hard(graph, cells.obs["embryo_time"].to_numpy(float))


def decoded_change(worm: Worm, last: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Genes of forecast states: those of the last cell, and what the decoder says has changed since."""
    before = decode(worm.decoder, worm.cells.obsm["X_pca"][last])
    return np.maximum(worm.cells.X[last] + decode(worm.decoder, z) - before, 0)


@torch.no_grad()
def decode(decoder: Model, z: np.ndarray) -> np.ndarray:
    var = pd.DataFrame(index=list(decoder.schema.var_names))
    cells = cw.open_data(AnnData(np.zeros((len(z), len(var)), np.float32), var=var), schema=decoder.schema)
    return decoder.decode(
        torch.from_numpy(np.asarray(z, np.float32)), next(iter(in_order(cells, None, len(z))))
    ).numpy()


def worm(cut: Cut, models: tuple[str, ...], seed: int, n_latent: int) -> Iterator[tuple]:
    data = worm_of(cut, seed, n_latent)
    train = data.cells[data.is_train].copy()
    chain_of(train)
    options = cw.PathOptions(n_windows=cut.n_windows, n_paths=N_PATHS, seed=seed)
    sequences = cw.walks(train, time="embryo_time", use_rep="X_pca", backwards=True, options=options)
    # positions among all cells: the training cells come in the same order
    last = np.flatnonzero(data.is_train)[sequences.obsm["cell"][:, -1]]
    source = cw.open_data(sequences, step_key="step", quantity_key="quantity")
    future = np.flatnonzero(data.is_future)
    half, other = np.array_split(np.random.default_rng(seed).permutation(future), 2)
    yield from scored(data, other, last, ("ceiling", "half of the real cells"), population(data, half))
    yield from scored(data, future, last, ("last_population", "expected"), population(data, np.unique(last)))
    for text in models:
        started = time.process_time()
        model = fitted(text, source, seed)
        for said, z in forecasts(model, source, cut.n_ahead, seed).items():
            predicted = (z, decoded_change(data, last, z), data.cells.obs["cell_type"].to_numpy()[last])
            yield from scored(data, future, last, (text, said), predicted, time.process_time() - started)


def transitions(cut: Cut, models: tuple[str, ...], seed: int, n_latent: int) -> Iterator[tuple]:
    """Which cell type follows which from window to window, as learnt from walks, against the chain over cells."""
    data = worm_of(cut, seed, n_latent)
    train = data.cells[data.is_train].copy()
    chain_of(train)
    chain, times = train.obsp["transitions"], train.obs["embryo_time"].to_numpy(float)
    types = train.obs["cell_type"].astype(str).to_numpy()
    options = cw.PathOptions(n_windows=cut.n_windows, n_paths=N_PATHS, seed=seed)
    # the first window has cells of one lineage only
    sequences = cw.walks(train, time="embryo_time", use_rep="X_pca", anywhere=True, options=options)
    cell = sequences.obsm["cell"]
    labels = np.where(cell >= 0, types[cell].astype(object), None)
    source = cw.open_data(sequences, step_key="step", quantity_key="quantity")
    states = labelled_states(source, np.arange(N_PATHS), labels)
    edges = np.linspace(times.min(), times.max(), cut.n_windows + 1)
    graph = into_next_window(chain, np.digitize(times, edges[1:-1]), types, states)
    rows = np.arange(300)
    followed = counted(states.codes[:, :-1].ravel(), states.codes[:, 1:].ravel(), len(states.names))
    table = state_table(states.names, followed, graph)
    yield from scored_transitions("walks themselves", table, 0.0)
    for text in models:
        started = time.process_time()
        model = fitted(text, source, seed)
        table = state_transitions(model, source, states, rows, reference=graph, seed=seed)
        yield from scored_transitions(text, table, time.process_time() - started)


def into_next_window(chain, window: np.ndarray, types: np.ndarray, states: StepStates) -> np.ndarray:
    """Where the chain comes into the next window, by type of the cell that it started from: exact, without walks.

    Windows count as often as walks were there in that state.
    """
    dense, counts = chain.toarray(), np.zeros((len(states.names), len(states.names)))
    member = (types[:, None] == np.array(states.names)) * 1.0
    for w in range(window.max()):
        until, start, into = window <= w, window == w, window == w + 1
        inside = np.eye(until.sum()) - dense[np.ix_(until, until)]
        # cells that never leave make it singular; what stays does not count
        reached = np.linalg.lstsq(inside, dense[np.ix_(until, into)] @ member[into], rcond=None)[0][start[until]]
        of_state = member[start].T @ reached
        n = np.bincount(states.codes[states.codes[:, w] >= 0, w], minlength=len(states.names))
        counts += n[:, None] * np.nan_to_num(normalised(of_state))
    return normalised(counts)


def state_table(names: tuple[str, ...], learned: np.ndarray, reference: np.ndarray) -> pd.DataFrame:
    pairs = [(a, b) for a in range(len(names)) for b in range(len(names))]
    return pd.DataFrame([(names[a], names[b], learned[a, b], reference[a, b], 1) for a, b in pairs], columns=STATES)


def scored_transitions(model: str, table: pd.DataFrame, seconds: float) -> Iterator[tuple]:
    for row in score_transitions(table, held_out=False).itertuples():
        yield model, "against the chain over cells", row.metric, ALL, row.value, seconds


def fitted(text: str, source, seed: int) -> Model:
    name, changes = name_and_settings(text)
    model = cw.build(name, source.schema, **changes)
    everything = cw.Split(np.arange(source.n_obs), *(np.array([], dtype=np.int64),) * 2)
    split = random_split(source.n_obs, validation=0.1, seed=seed) if model.stages() else everything
    cw.fit(model, source, cw.FitOptions(seed=seed, **FIT), split=split, progress=False)
    return model


@torch.no_grad()
def forecasts(model: Model, source, n_ahead: int, seed: int) -> dict[str, np.ndarray]:
    minibatch = next(iter(in_order(source, None, source.n_obs)))
    generator = torch.Generator().manual_seed(seed)
    expected = model.forecast(minibatch, n_ahead)[:, 0, -1].numpy()
    return {"expected": expected, "drawn": model.draw_forecast(minibatch, n_ahead, generator)[:, 0, -1].numpy()}


Predicted = tuple[np.ndarray, np.ndarray, np.ndarray]  # latents, genes, cell types


def population(data: Worm, rows: np.ndarray) -> Predicted:
    return data.cells.obsm["X_pca"][rows], data.cells.X[rows], data.cells.obs["cell_type"].to_numpy()[rows]


def scored(
    data: Worm, future: np.ndarray, last: np.ndarray, who: tuple[str, str], predicted: Predicted, seconds: float = 0.0
) -> Iterator[tuple]:
    """`future` are the cells to be met, `last` those of the last window."""
    z, x, types = predicted
    true_z, true_x, true_types = population(data, future)
    control = data.cells.X[np.unique(last)]
    for group in (ALL, *sorted(set(true_types))):
        here, there = (np.ones(len(t), bool) if group == ALL else t == group for t in (types, true_types))
        if min(here.sum(), there.sum()) < 10:
            continue
        values = {
            "e_distance_latent": e_distance(true_z[there], z[here]),
            "e_distance_genes": e_distance(true_x[there], x[here]),
            "mean_r2": mean_r2(true_x[there], x[here]),
        }
        if group == ALL and not np.array_equal(x, control):
            values["change_pearson"] = change_pearson(control, true_x, x)
        for metric, value in values.items():
            yield *who, metric, group, value, seconds


def yeast(seed: int, models: tuple[str, ...]) -> Iterator[tuple]:
    for name, keys in {
        "yeast_cellcycle": {"step_key": "time", "sequence_key": "experiment"},
        "cho_yeast_timecourse": {"step_key": "time_index"},
    }.items():
        genes = cw.load(name)
        if name == "yeast_cellcycle":
            long = ~genes.var["experiment"].isin(["cln3", "clb2"])  # of two steps each
            genes = genes[genes.obs["is_cell_cycle"].astype(bool).to_numpy(), long.to_numpy()].copy()
        source = cw.open_data(genes, **keys)
        split = random_split(source.n_obs, validation=0.1, test=0.2, seed=seed)
        for text in models:
            started = time.process_time()
            model_name, changes = name_and_settings(text)
            model = cw.build(model_name, source.schema, **changes)
            cw.fit(model, source, cw.FitOptions(seed=seed, **FIT), split=split, progress=False)
            seconds = time.process_time() - started
            for n_hidden in (1, 4):
                found = score_forecast(model, source, split.test, held_out=True, n_hidden=n_hidden, seed=seed)
                for row in found[found["group"] == ""].itertuples():
                    yield name, text, f"last {n_hidden}", row.metric, ALL, row.value, seconds


def klein(seed: int, models: tuple[str, ...]) -> Iterator[tuple]:
    """Days 0, 2, 4 of cells that nothing joins: paths draw each day by itself; day 7 is a step without values."""
    cells = cw.load("klein_mesc_timecourse")
    log = np.asarray(np.log1p(cells.X.multiply(1e3 / np.asarray(cells.X.sum(axis=1)).ravel()[:, None]).todense()))
    cells.X = log.astype(np.float32)
    day = cells.obs["day"].to_numpy(float)
    rng = np.random.default_rng(seed)
    drawn = {d: rng.choice(np.flatnonzero(day == d), N_PATHS) for d in (0.0, 2.0, 4.0)}
    steps = np.concatenate([log[drawn[0]], log[drawn[2]], log[drawn[4]], np.full_like(log[drawn[4]], np.nan)], axis=1)
    names = [f"{gene}_{d}" for d in (0, 2, 4, 7) for gene in cells.var_names]
    var = pd.DataFrame(
        {"step": np.repeat([0, 2, 4, 7], cells.n_vars), "quantity": list(cells.var_names) * 4}, index=names
    )
    source = cw.open_data(AnnData(steps.astype(np.float32), var=var), step_key="step", quantity_key="quantity")
    true, last = log[day == 7], log[day == 4]
    half = np.random.default_rng(seed).permutation(len(true))
    yield from klein_scores("ceiling", "half of the real cells", true[half[::2]], true[half[1::2]], last, 0.0)
    yield from klein_scores("last_population", "expected", true, last, last, 0.0)
    for text in models:
        started = time.process_time()
        model = fitted(text, source, seed)
        minibatch = next(iter(in_order(source, None, source.n_obs)))
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            order = [source.schema.steps.quantities.index(gene) for gene in cells.var_names]
            expected = model.forecast(minibatch, 1, 1)[:, 0, 0].numpy()[:, order]
            one = model.draw_forecast(minibatch, 1, generator, 1)[:, 0, 0].numpy()[:, order]
        for said, x in (("expected", expected), ("drawn", one)):
            yield from klein_scores(text, said, true, np.maximum(x, 0), last, time.process_time() - started)


def klein_scores(
    model: str, said: str, true: np.ndarray, x: np.ndarray, last: np.ndarray, seconds: float
) -> Iterator[tuple]:
    yield model, said, "e_distance_genes", ALL, e_distance(true, x), seconds
    yield model, said, "mean_r2", ALL, mean_r2(true, x), seconds
    if not np.array_equal(x, last):
        yield model, said, "change_pearson", ALL, change_pearson(last, true, x), seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--only", choices=["worm", "transitions", "klein", "yeast"])
    parser.add_argument("--tables", action="store_true")
    arguments = parser.parse_args()
    if arguments.tune:
        tune()
    if not arguments.tables:
        for seed in range(arguments.from_seed, arguments.seeds):
            run(seed, arguments.only)
    print(tables(pd.read_csv(RESULTS)))


def tune() -> None:
    every = tuple(text for texts in CANDIDATES.values() for text in texts)
    for n_latent in LATENTS:
        for row in worm(CUTS["tuning"], every, 0, n_latent):
            write(TUNING, ("worm_embryo_time", f"tuning, {n_latent} components", *row[:2], 0, *row[2:]))


def chosen() -> tuple[int, tuple[str, ...]]:
    """Components and one setting of each kind of model, by the earlier cut; ties and no other knowledge aside."""
    tried = pd.read_csv(TUNING)
    tried = tried[(tried["metric"] == "e_distance_genes") & (tried["group"] == ALL) & (tried["said"] == "drawn")]
    value = tried.set_index(["cut", "model"])["value"]
    by_latent = {n: value[f"tuning, {n} components"] for n in LATENTS}
    networks = [text for kind in ("tanh", "gru", "lstm", "transformer") for text in CANDIDATES[kind]]
    n_latent = min(LATENTS, key=lambda n: by_latent[n][networks].min())
    return n_latent, tuple(min(texts, key=by_latent[n_latent].get) for texts in CANDIDATES.values())


def run(seed: int, only: str | None) -> None:
    n_latent, models = chosen()
    reported = CUTS["reported"]
    parts = {
        "worm": ("worm_embryo_time", "580-650 minutes", lambda: worm(reported, models, seed, n_latent)),
        "transitions": (
            "worm_embryo_time", "cell types before 500", lambda: transitions(reported, models, seed, n_latent),
        ),
        "klein": ("klein_mesc_timecourse", "day 7", lambda: klein(seed, (*KLEIN_AND_YEAST, *YEAST_NETWORKS))),
    }  # fmt: skip
    for name, (data, cut, rows) in parts.items():
        if only in (None, name):
            for row in rows():
                write(RESULTS, (data, cut, *row[:2], seed, *row[2:]))
    if only in (None, "yeast"):
        for data, model, cut, *rest in yeast(seed, (*KLEIN_AND_YEAST, *YEAST_NETWORKS)):
            write(RESULTS, (data, cut, model, "", seed, *rest))


def tables(results: pd.DataFrame) -> str:
    """Mean and 95 % interval over seeds of all cells or rows, a Markdown table per data set and cut."""
    text = []
    whole = results[results["group"] == ALL].fillna({"said": ""})
    for (data, cut), part in whole.groupby(["data", "cut"], sort=False):
        metrics = list(dict.fromkeys(part["metric"]))
        text += [f"\n{data}, {cut}\n", "| model | | " + " | ".join(metrics) + " |", "|---" * (2 + len(metrics)) + "|"]
        for (model, said), of_model in part.groupby(["model", "said"], sort=False):
            values = {metric: of_model[of_model["metric"] == metric]["value"].to_numpy() for metric in metrics}
            text.append(f"| {model} | {said} | " + " | ".join(_with_interval(v) for v in values.values()) + " |")
    return "\n".join(text)


def _with_interval(values: np.ndarray) -> str:
    if not len(values):
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    mean, _, low, high = interval(values)
    return f"{mean:.3f} ± {(high - low) / 2:.3f}"


def write(path: Path, row: tuple) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, row] if is_new else [row])


if __name__ == "__main__":
    main()
