"""Recurrent networks beside logistic regression and nearest neighbours: the phase of a gene from its time profile.

    python benchmarks/sequences.py            # what is not in results/sequences.csv yet, then the tables

799 cell-cycle genes of `yeast_cellcycle` (six experiments, missing values) and 386 of `cho_yeast_timecourse`; five
stratified folds of genes. Of each fold's training genes an eighth is held out for early stopping of the networks; the
baselines, which need none, train on these genes too and choose their strength (C, or the number of neighbours) by
five-fold cross-validation among the training genes. Means for missing values and scales come from training genes only.
`permuted`: the times within each experiment are shuffled, the same way for all genes. About half an hour on one core.
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
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cellwright as cw
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.train.infer import over_cells

RESULTS = Path(__file__).parent / "results" / "sequences.csv"
DATA = {
    "yeast_cellcycle": {"label_key": "phase", "step_key": "time", "sequence_key": "experiment"},
    "cho_yeast_timecourse": {"label_key": "label", "step_key": "time_index"},
}
N_FOLDS = 5
NETWORKS = {
    f"{cell}{suffix}": (cell, {"class_weight": weight})
    for suffix, weight in {"": "none", "_balanced": "balanced"}.items()
    for cell in ("rnn", "gru", "lstm")
}
C, N_NEIGHBORS = [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10], [1, 3, 5, 10, 20, 40]
BASELINES = {
    "logistic": (LogisticRegression(max_iter=5000), {"logisticregression__C": C}),
    "logistic_balanced": (
        LogisticRegression(max_iter=5000, class_weight="balanced"),
        {"logisticregression__C": C},
    ),
    "knn": (KNeighborsClassifier(), {"kneighborsclassifier__n_neighbors": N_NEIGHBORS}),
}
# smaller minibatches than by default, for there are hundreds of rows and not thousands; chosen on validation genes
FIT = {"batch_size": 32, "max_epochs": 400}
METRICS = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
COLUMNS = ("data", "order", "model", "seed", "fold", *METRICS, "n_epochs", "cpu_seconds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds of folds and weights")
    arguments = parser.parse_args()
    done = set() if not RESULTS.exists() else {tuple(row[:5]) for row in csv.reader(RESULTS.open())}
    if not done:
        write(COLUMNS)
    for case in cases(arguments.seeds):
        if tuple(map(str, case)) not in done:
            write((*case, *(f"{value:.4g}" for value in run(*case))))
    print(tables(pd.read_csv(RESULTS)))


def cases(n_seeds: int) -> Iterator[tuple[str, str, str, int, int]]:
    """Every fit, the quick ones first."""
    for seed in range(n_seeds):
        for data in reversed(DATA):
            for model in (*BASELINES, *NETWORKS):
                yield from ((data, "measured", model, seed, fold) for fold in range(N_FOLDS))
            for model in ("rnn", "gru", "lstm"):
                yield from ((data, "permuted", model, seed, fold) for fold in range(N_FOLDS))


def write(row: tuple) -> None:
    with RESULTS.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
    print(*row, flush=True)


def run(data: str, order: str, model: str, seed: int, fold: int) -> tuple[float, ...]:
    """The metrics on the test genes, epochs and CPU seconds."""
    genes = labelled_genes(data)
    if order == "permuted":
        genes.var = permuted(genes.var, DATA[data], seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*count as replicates")  # the two measurements of clb2 are such
        source = cw.open_data(genes, **DATA[data])
    labels = source.annotation.label
    train, test = folds_of(labels, N_FOLDS, seed)[fold]
    started = time.process_time()
    if model in BASELINES:
        predicted, n_epochs = by_baseline(model, np.asarray(genes.X), labels, train, test), 0
    else:
        predicted, n_epochs = by_network(model, source, train, test, seed)
    return (*scores(labels[test], predicted), n_epochs, time.process_time() - started)


def labelled_genes(data: str) -> AnnData:
    """All genes with a phase."""
    genes, key = cw.load(data), DATA[data]["label_key"]
    genes = genes[(genes.obs[key].astype(str) != "none").to_numpy()].copy()
    genes.obs[key] = genes.obs[key].astype(str)
    return genes


def permuted(var: pd.DataFrame, keys: dict[str, str], seed: int) -> pd.DataFrame:
    """The times shuffled within each experiment; what was measured stays where it is."""
    rng = np.random.default_rng(seed + 1)
    groups = var[keys["sequence_key"]] if "sequence_key" in keys else pd.Series("", index=var.index)
    shuffled = var.groupby(groups, observed=True)[keys["step_key"]].transform(lambda times: rng.permutation(times))
    return var.assign(**{keys["step_key"]: shuffled})


def folds_of(labels: np.ndarray, n: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(StratifiedKFold(n, shuffle=True, random_state=seed).split(labels, labels))


def by_baseline(name: str, values: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    estimator, grid = BASELINES[name]
    pipeline = make_pipeline(SimpleImputer(), StandardScaler(), estimator)
    scoring = "balanced_accuracy" if name.endswith("balanced") else "accuracy"
    search = GridSearchCV(pipeline, grid, cv=StratifiedKFold(5, shuffle=True, random_state=0), scoring=scoring)
    return search.fit(values[train], labels[train]).predict(values[test])


def by_network(
    name: str, source: StoredSource, train: np.ndarray, test: np.ndarray, seed: int
) -> tuple[np.ndarray, int]:
    cell, options = NETWORKS[name]
    fitted, stopped_on = folds_of(source.annotation.label[train], 8, seed)[0]
    model = cw.build(cell, source.schema, **options)
    split = Split(train[fitted], train[stopped_on], test)
    history = cw.fit(model, source, cw.FitOptions(seed=seed, **FIT), split=split, progress=False)
    return over_cells(model.classify, source, test).argmax(axis=1), history.n_epochs


def scores(true: np.ndarray, predicted: np.ndarray) -> tuple[float, ...]:
    """In the order of `METRICS`; balanced accuracy is the mean recall of the classes, so the two are equal."""
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average="macro", zero_division=0)
    return accuracy_score(true, predicted), recall, precision, recall, f1


def tables(results: pd.DataFrame) -> str:
    """Mean and standard deviation over folds and seeds, a Markdown table per data set."""
    text = []
    for data, of_data in results.groupby("data", sort=False):
        text += [f"\n{data}\n", "| model | " + " | ".join(METRICS) + " | epochs | CPU s |", "|---" * 8 + "|"]
        for (order, model), of_model in of_data.groupby(["order", "model"], sort=False):
            cells = [f"{of_model[metric].mean():.3f} ± {of_model[metric].std():.3f}" for metric in METRICS]
            title = model if order == "measured" else f"{model}, {order} times"
            cost = f"{of_model['n_epochs'].mean():.0f} | {of_model['cpu_seconds'].mean():.1f}"
            text.append(f"| {title} | {' | '.join(cells)} | {cost} |")
    return "\n".join(text)


if __name__ == "__main__":
    main()
