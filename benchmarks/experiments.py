"""The phase of a gene from an experiment that no model was trained on: recurrent networks beside their baselines.

    python benchmarks/experiments.py               # what is not in results/experiments.csv yet, then the tables

The four time courses of `yeast_cellcycle` (alpha, cdc15, cdc28, elu), 799 genes in five stratified folds. Trained on
the profiles of the training genes in three experiments, asked for the test genes in the fourth: neither gene nor
experiment was seen with a label. Profiles are standardised, each by itself, and described in two ways:

- minutes: interpolated at 0, 10, ..., 110 minutes since the start, whatever the yeast does at that time;
- cycles: twelve phases of one cell cycle. The period of an experiment is the one at which sines explain most of its
  profiles, its start the rotation that brings them nearest to those of the same genes in alpha. Both come from the
  profiles of training genes, those in the fourth experiment included, and from no label.

`same experiment`: trained on training genes in the experiment that is asked for, the ceiling of what can be carried
over. The strength of the baselines is chosen among the training genes, all profiles of a gene in one fold.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cellwright as cw
from cellwright.data.split import Split
from cellwright.train.infer import over_cells

RESULTS = Path(__file__).parent / "results" / "experiments.csv"
EXPERIMENTS = ("alpha", "cdc15", "cdc28", "elu")
MINUTES, PHASES = np.arange(0, 111, 10.0), (np.arange(12) + 0.5) / 12
N_FOLDS = 5
C, N_NEIGHBORS = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], [1, 3, 5, 10, 20, 40]
BASELINES = {
    "logistic": (LogisticRegression(max_iter=5000), {"logisticregression__C": C}),
    "logistic_balanced": (LogisticRegression(max_iter=5000, class_weight="balanced"), {"logisticregression__C": C}),
    "knn": (KNeighborsClassifier(), {"kneighborsclassifier__n_neighbors": N_NEIGHBORS}),
}
NETWORKS = ("rnn", "gru", "lstm")
FIT = {"batch_size": 128, "max_epochs": 200}
METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
COLUMNS = ("trained_on", "description", "experiment", "model", "fold", *METRICS, "cpu_seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=[*BASELINES, *NETWORKS])
    arguments = parser.parse_args()
    done = set() if not RESULTS.exists() else {tuple(row[:5]) for row in csv.reader(RESULTS.open())}
    if not done:
        write(COLUMNS)
    genes = labelled_genes()
    for case in cases():
        if case[3] in arguments.models and tuple(map(str, case)) not in done:
            write((*case, *(f"{value:.4g}" for value in run(genes, *case))))
    print(tables(pd.read_csv(RESULTS)))


def cases() -> Iterator[tuple[str, str, str, str, int]]:
    """Every fit, the quick ones first."""
    for model in (*BASELINES, *NETWORKS):
        for description in ("cycles", "minutes"):
            for trained_on in ("other experiments", "same experiment"):
                if trained_on == "same experiment" and model in NETWORKS and description == "minutes":
                    continue
                for experiment in EXPERIMENTS:
                    for fold in range(N_FOLDS):
                        yield trained_on, description, experiment, model, fold


def write(row: tuple) -> None:
    with RESULTS.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
    print(*row, flush=True)


def labelled_genes() -> AnnData:
    genes = cw.load("yeast_cellcycle")
    genes = genes[(genes.obs["phase"].astype(str) != "none").to_numpy()].copy()
    genes.obs["phase"] = genes.obs["phase"].astype(str)
    return genes


def run(genes: AnnData, trained_on: str, description: str, experiment: str, model: str, fold: int) -> tuple[float, ...]:
    """The metrics on the test genes in the experiment, and CPU seconds."""
    codes = pd.factorize(genes.obs["phase"], sort=True)[0]
    train, test = list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(codes, codes))[fold]
    profiles = described(genes, train, description)
    learnt_from = [experiment] if trained_on == "same experiment" else [e for e in EXPERIMENTS if e != experiment]
    values = np.concatenate([profiles[e][train] for e in learnt_from])
    gene, labels = np.tile(train, len(learnt_from)), np.tile(codes[train], len(learnt_from))
    started = time.process_time()
    if model in BASELINES:
        predicted = by_baseline(model, values, labels, gene, profiles[experiment][test])
    else:
        predicted = by_network(model, values, labels, gene, profiles[experiment][test], fold)
    seconds = time.process_time() - started
    true = codes[test]
    f1 = f1_score(true, predicted, average="macro", zero_division=0)
    return accuracy_score(true, predicted), balanced_accuracy_score(true, predicted), f1, seconds


def described(genes: AnnData, train: np.ndarray, description: str) -> dict[str, np.ndarray]:
    """Of each experiment the profiles of all genes on one grid, (n_genes, 12); NaN where nothing was measured."""
    measured = {e: profiles_of(genes, e) for e in EXPERIMENTS}
    if description == "minutes":
        return {e: interpolated(times, values) for e, (times, values) in measured.items()}
    periods = {e: period_of(times, values[train]) for e, (times, values) in measured.items()}
    waves = {e: waves_of(times, values[train], periods[e]) for e, (times, values) in measured.items()}
    found = {}
    for e, (times, values) in measured.items():
        turn = np.angle(np.vdot(waves[EXPERIMENTS[0]], waves[e])) / (2 * np.pi)
        found[e] = by_phase((times / periods[e] - turn) % 1.0, values)
    return found


def profiles_of(genes: AnnData, experiment: str) -> tuple[np.ndarray, np.ndarray]:
    """Times, and the values of every gene minus their mean, in standard deviations."""
    columns = np.flatnonzero((genes.var["experiment"].astype(str) == experiment).to_numpy())
    columns = columns[np.argsort(genes.var["time"].to_numpy()[columns], kind="stable")]
    values = np.asarray(genes.X)[:, columns].astype(np.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice|Degrees of freedom")  # a gene that was never measured
        values = (values - np.nanmean(values, axis=1, keepdims=True)) / np.nanstd(values, axis=1, keepdims=True)
    return genes.var["time"].to_numpy(np.float64)[columns], values


def interpolated(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    rows = []
    for profile in values:
        known = np.isfinite(profile)
        rows.append(np.interp(MINUTES, times[known], profile[known]) if known.sum() > 1 else np.full(12, np.nan))
    return np.stack(rows)


def waves_of(times: np.ndarray, values: np.ndarray, period: float) -> np.ndarray:
    """The first Fourier coefficient of each profile at that period, (n_genes,) complex; a gap counts as the mean."""
    return np.nan_to_num(values) @ np.exp(2j * np.pi * times / period) / len(times)


def period_of(times: np.ndarray, values: np.ndarray) -> float:
    """The period at which a sine and a cosine explain most of the profiles, from a third of the course to 1.2 of it."""
    candidates = np.linspace(times.max() / 3, 1.2 * times.max(), 120)
    filled = np.nan_to_num(values)
    explained = []
    for period in candidates:
        angle = 2 * np.pi * times / period
        basis = np.linalg.qr(np.stack([np.ones_like(angle), np.cos(angle), np.sin(angle)], axis=1))[0]
        explained.append(((filled @ basis) ** 2).sum())
    return float(candidates[int(np.argmax(explained))])


def by_phase(phase: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Means over what was measured near each of twelve phases, nearer measurements counting more."""
    apart = np.abs((phase[:, None] - PHASES + 0.5) % 1.0 - 0.5)  # of measurement and phase
    weight = np.clip(1 - 12 * apart / 1.5, 0, None)
    known = np.isfinite(values).astype(np.float64)
    total = known @ weight
    return np.divide(np.nan_to_num(values) @ weight, total, out=np.full(total.shape, np.nan), where=total > 0)


def by_baseline(name: str, values: np.ndarray, labels: np.ndarray, gene: np.ndarray, asked: np.ndarray) -> np.ndarray:
    estimator, grid = BASELINES[name]
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator)
    scoring = "balanced_accuracy" if name.endswith("balanced") else "accuracy"
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(values, labels, gene))
    return GridSearchCV(pipeline, grid, cv=folds, scoring=scoring).fit(values, labels).predict(asked)


def by_network(
    name: str, values: np.ndarray, labels: np.ndarray, gene: np.ndarray, asked: np.ndarray, seed: int
) -> np.ndarray:
    """Fitted with an eighth of the training genes, with all their profiles, for early stopping."""
    names = np.array([f"class {code}" for code in labels], dtype=object)
    rows = np.concatenate([values, asked]).astype(np.float32)
    # the labels of what is asked for are not even in the data
    obs = pd.DataFrame({"phase": [*names, *[None] * len(asked)]}, index=[f"profile{i}" for i in range(len(rows))])
    adata = AnnData(rows, obs=obs, var=pd.DataFrame({"step": np.arange(12)}, index=[f"step{i}" for i in range(12)]))
    source = cw.open_data(adata, label_key="phase", step_key="step")
    fitted, stopped_on = next(StratifiedGroupKFold(8, shuffle=True, random_state=seed).split(values, labels, gene))
    model = cw.build(name, source.schema)
    split = Split(fitted, stopped_on, np.arange(len(values), len(rows)))
    cw.fit(model, source, cw.FitOptions(seed=seed, **FIT), split=split, progress=False)
    codes = over_cells(model.classify, source, split.test).argmax(axis=1)
    return np.array([int(source.schema.label.values[code].split()[1]) for code in codes])


def tables(results: pd.DataFrame) -> str:
    """Markdown: mean over experiments, and standard deviation over the folds of that mean; then each experiment."""
    parts = []
    keys = ["trained_on", "description", "model"]
    of_folds = results.groupby([*keys, "fold"], sort=False)[[*METRICS, "cpu_seconds"]].mean()
    for key, part in of_folds.groupby(keys, sort=False):
        cell = " | ".join(f"{part[m].mean():.3f} ± {part[m].std():.3f}" for m in METRICS)
        parts.append(f"| {' | '.join(key)} | {cell} | {part['cpu_seconds'].mean():.1f} |")
    wide = results.pivot_table(index=keys, columns="experiment", values="accuracy", sort=False).round(3)
    return "\n".join([*parts, "", wide.to_string()])


if __name__ == "__main__":
    main()
