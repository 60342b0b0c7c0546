"""Classifiers of plain profiles: samples of tissues, and cells with an answer "unsure"; each beside its baselines.

    python benchmarks/classification.py            # what is not in results/classification.csv yet, then the tables
    python benchmarks/classification.py --data khan_microarray

Five stratified folds; of `tcga_brca_mrna` the given split with three seeds. An eighth of the training rows are for
validation: early stopping, temperature and threshold come from these; no model trains on them, baselines included.
`held out`: one cell type has no training or validation cell; of its cells an "unsure" is the only right answer.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import cellwright as cw
from cellwright.data.prepare import SplitOptions, split_of
from cellwright.data.source import StoredSource
from cellwright.data.split import Split, fold_split
from cellwright.tasks.classify import score_classification
from cellwright.tasks.confidence import Confidence, confidence_of

RESULTS = Path(__file__).parent / "results" / "classification.csv"
VALIDATION = 1 / 8
N_FOLDS = 5
TARGET = 0.95  # accuracy that the answered validation cells are to have


@dataclass(frozen=True)
class Data:
    """Where the label is, whether values are logarithms already, and what is compared on it."""

    label_key: str
    models: tuple[str, ...]
    is_log: bool = False
    split_key: str | None = None
    n_repeats: int = N_FOLDS


PROFILES = ("logistic", "logistic_balanced", "knn", "mlp_classifier", "mlp_classifier_balanced")
DATA = {
    "golub_microarray": Data("class", PROFILES, is_log=True),
    "khan_microarray": Data("class", PROFILES, is_log=True),
    "tcga_brca_mrna": Data("subtype", PROFILES, is_log=True, split_key="split", n_repeats=3),
    "mouse_bladder": Data("cell_type", (*PROFILES, "transformer_classifier")),
    "sln111_d2_rna": Data("cell_type", PROFILES, n_repeats=3),
}
# types that are held out of the training, by size: frequent, middling and rare ones
HELD_OUT = {
    "mouse_bladder": ("type_1", "type_4", "type_8", "type_12"),
    "sln111_d2_rna": ("CD4 T cells", "Neutrophils", "GD T cells", "Migratory DCs"),
}
OF_HELD_OUT = ("logistic", "knn", "mlp_classifier")
OPTIONS = {
    "logistic": ("logistic", {"tuned": True, "n_latent": 200}),
    "logistic_balanced": ("logistic_balanced", {"tuned": True, "n_latent": 200}),
    "knn": ("knn", {}),
    "mlp_classifier": ("mlp_classifier", {}),
    "mlp_classifier_balanced": ("mlp_classifier", {"class_weight": "balanced"}),
    "transformer_classifier": ("transformer_classifier", {}),
}
COLUMNS = ("data", "study", "model", "repeat", "metric", "value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", default=list(DATA))
    parser.add_argument("--models", nargs="*", default=list(OPTIONS))
    arguments = parser.parse_args()
    done = set() if not RESULTS.exists() else {tuple(row[:4]) for row in csv.reader(RESULTS.open())}
    if not done:
        write([COLUMNS])
    for case in cases():
        if case[0] in arguments.data and case[2] in arguments.models and tuple(map(str, case)) not in done:
            write([(*case, metric, f"{value:.4g}") for metric, value in run(*case).items()])
    print(tables(pd.read_csv(RESULTS)))


def cases() -> Iterator[tuple[str, str, str, int]]:
    """Every fit, the quick ones first."""
    for data, described in DATA.items():
        for model in described.models:
            yield from ((data, "all types", model, repeat) for repeat in range(described.n_repeats))
    for data, types in HELD_OUT.items():
        for model in OF_HELD_OUT:
            yield from ((data, f"without {name}", model, 0) for name in types)


def write(rows: list[tuple]) -> None:
    with RESULTS.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    print(*rows[0][:4], flush=True)


def run(data: str, study: str, model: str, repeat: int) -> dict[str, float]:
    described, cells = DATA[data], values_of(data)
    without = study.removeprefix("without ") if study.startswith("without ") else None
    novel = None
    if without is not None:
        is_novel = (cells.obs[described.label_key].astype(str) == without).to_numpy()
        novel, cells = cells[is_novel].copy(), cells[~is_novel].copy()
        cells.obs[described.label_key] = cells.obs[described.label_key].astype(str)
    source = cw.open_data(cells, label_key=described.label_key)
    split = split_for(source, described, repeat)
    started = time.process_time()
    fitted = fit(model, source, split, repeat, is_log=described.is_log)
    seconds = time.process_time() - started
    found = {"cpu_seconds": seconds, **scores(fitted, source, split)}
    if novel is not None:
        chosen = confidence_of(fitted, source, split, accuracy=TARGET, calibrate=True)
        said = cw.classify(fitted, novel, threshold=chosen.threshold, temperature=chosen.temperature)
        found |= {"unsure_of_held_out": float((said.obs["predicted"] == "unsure").mean()), "n_held_out": len(novel)}
    return found


def values_of(data: str) -> AnnData:
    cells = cw.load(data)
    if data == "golub_microarray":
        # floor and ceiling of the intensities, then logarithms, as in [Dudoit02]; nothing is learnt from the data
        cells.X = np.log2(np.clip(np.asarray(cells.X), 100, 16_000)).astype(np.float32)
    return cells


def split_for(source: StoredSource, described: Data, repeat: int) -> Split:
    if described.split_key is not None:
        return split_of(source, SplitOptions(split_key=described.split_key, validation=VALIDATION, seed=repeat))
    return fold_split(source.annotation.label, N_FOLDS, repeat=repeat, validation=VALIDATION)


def fit(model: str, source: StoredSource, split: Split, seed: int, *, is_log: bool):
    name, options = OPTIONS[model]
    transform = {"transform": "none"} if is_log else {}
    built = cw.build(name, source.schema, **options, **transform)
    # a minibatch of 128 would be all samples of a small study
    batch_size = 16 if source.n_obs < 500 else 128
    cw.fit(built, source, cw.FitOptions(seed=seed, batch_size=batch_size), split=split, progress=False)
    return built


def scores(model, source: StoredSource, split: Split) -> dict[str, float]:
    """Of held-out rows: as given out; probabilities after a temperature; answers with a threshold."""
    scaled = confidence_of(model, source, split, calibrate=True)
    chosen = confidence_of(model, source, split, calibrate=True, accuracy=TARGET)
    found = {}
    for suffix, confidence in {"": Confidence(), "_scaled": scaled, "_answered": chosen}.items():
        table = score_classification(model, source, split.test, held_out=True, confidence=confidence)
        overall = table[table["group"] == ""].set_index("metric")["value"].to_dict()
        kept = {
            "": overall,
            "_scaled": {f"{name}_scaled": overall[name] for name in ("ece", "brier", "log_loss")},
            "_answered": {name: overall[name] for name in ("coverage", "answered_accuracy") if name in overall},
        }
        found |= kept[suffix]
    return {**found, "temperature": chosen.temperature, "threshold": chosen.threshold}


def tables(results: pd.DataFrame) -> str:
    """Markdown: mean and standard deviation over the folds or seeds."""
    parts = []
    metrics = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "ece_scaled", "brier", "log_loss", "log_loss_scaled")
    metrics = (*metrics, "coverage", "answered_accuracy", "cpu_seconds")
    every = results[results["study"] == "all types"]
    for data in dict.fromkeys(every["data"]):
        of_data = every[every["data"] == data]
        parts += [f"\n{data}\n", f"| model | {' | '.join(metrics)} |", f"|{'---|' * (len(metrics) + 1)}"]
        for model in dict.fromkeys(of_data["model"]):
            values = of_data[of_data["model"] == model].groupby("metric")["value"]
            cell = [f"{values.mean().get(m, np.nan):.3f} ± {values.std().get(m, np.nan):.3f}" for m in metrics]
            parts.append(f"| {model} | {' | '.join(cell)} |")
    novel = results[results["metric"].isin(["unsure_of_held_out", "coverage", "answered_accuracy"])]
    novel = novel[novel["study"] != "all types"]
    if len(novel):
        wide = novel.pivot_table(index=["data", "study", "model"], columns="metric", values="value")
        parts += ["", wide.round(3).to_string()]
    return "\n".join(parts)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "The least populated class")
    main()
