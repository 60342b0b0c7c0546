"""Several modalities: the joint latent against that of each modality alone, and each modality from the others.

    python benchmarks/multimodal.py --data cbmc_citeseq --seeds 3
    CELLWRIGHT_DATA=FOLDER python benchmarks/multimodal.py --data pbmc_mosaic     # where the catalogue looks first
    python benchmarks/multimodal.py --data snareseq_cortex --choose atac          # a weight, by validation cells

It is `cellwright compare` with a tenth of the cells held out for scoring and a tenth for early stopping: once of all
modalities together, and once of each alone (of the mosaic other cells are held out then). `transfer_accuracy` and
`transfer_f1` are of held-out cells that get the label of their nearest training cells in the latent (and in the mosaic
of all cells with proteins only from all with RNA only, which were trained on, without labels). What is finished is
found again. `--choose` fits the product with several weights of one modality, and scores the validation cells of the
first seed alone: the weight that is in `DATA` was chosen by them. The rows are written to `results/multimodal.csv`,
each in the place of an earlier one.
"""

import argparse
import json
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from anndata import read_h5ad
from machine import HERE, machine, write_csv
from rich.console import Console

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.prepare import OpenOptions, SplitOptions, prepare
from cellwright.keys import latent_key
from cellwright.metrics.label_transfer import transfer_accuracy, transfer_f1
from cellwright.models import build
from cellwright.run import Run
from cellwright.study.statistics import summarise
from cellwright.tasks.translate import score_translation


class Data(NamedTuple):
    """Files by modality; which of them are real-valued; keys; and how models of one modality read each."""

    files: Mapping[str, str]
    keys: Mapping[str, str]
    likelihoods: Mapping[str, Mapping[str, str]]  # of those that are not negative binomial
    real_valued: tuple[str, ...] = ()
    tuned: Mapping[str, Any] = {}  # options of a further arm, chosen by validation cells (see `--choose`)


DATA = {
    "cbmc_citeseq": Data(
        {"rna": "cbmc_citeseq_rna", "protein": "cbmc_citeseq_protein"},
        {"label_key": "cell_type"},
        {"protein": {"name": "gaussian", "variance": "feature"}},
        ("protein",),
    ),
    "snareseq_cortex": Data(
        {"rna": "snareseq_cortex_rna", "atac": "snareseq_cortex_atac"},
        {"label_key": "cell_type"},
        {"atac": {"name": "poisson"}},
        tuned={"modality_weights": {"atac": 0.1}, "modality_dropout": 0.1},
    ),
    "pbmc_mosaic": Data(
        {"rna": "pbmc_mosaic_rna", "protein": "pbmc_mosaic_protein"},
        {"label_key": "cell_type", "batch_key": "batch"},
        {},
    ),
}
COLUMNS = [
    "data", "part", "model", "setting", "task", "metric", "group", "held_out", "mean", "sd", "ci_low", "ci_high",
    "n_seeds", "seconds",
]  # fmt: skip
PLACE = ["data", "part", "model", "setting"]  # what is measured again takes the place of what was
ARMS = ("product", "mixture", "tuned")
WEIGHTS = (1.0, 0.3, 0.1, 0.03)
MEASURES = {"ari", "nmi", "balanced_ari", "transfer_accuracy", "transfer_f1", "feature_pearson"}


def arms(data: Data, part: str, wanted: Collection[str]) -> tuple[str, ...]:
    """The models of a part: all modalities together, or one alone."""
    if part != "joint":
        likelihood = json.dumps(data.likelihoods.get(part, {"name": "negative_binomial"}))
        transform = ":transform=none" if part in data.real_valued else ""
        return (f"vae:n_latent=20:likelihood={likelihood}{transform}",)
    plain = f"multimodal_vae:likelihoods={json.dumps(data.likelihoods)}"
    tuned = "".join(f":{option}={json.dumps(value)}" for option, value in data.tuned.items())
    made = {"product": plain, "mixture": f"{plain}:fusion=mixture", "tuned": plain + tuned}
    return tuple(dict.fromkeys(made[arm] for arm in wanted))


def choose(name: str, modality: str, console: Console) -> None:
    """What each weight of a modality gives validation cells of the first seed; test cells are not looked at."""
    data = DATA[name]
    files = {part: find(file) for part, file in data.files.items()}
    cells = prepare(files, OpenOptions(**data.keys), SplitOptions(validation=0.1, test=0.1, seed=0))
    split, labels = cells.split, cells.source.annotation.label
    for weight in WEIGHTS:
        model = build(
            "multimodal_vae", cells.source.schema, likelihoods=data.likelihoods, modality_weights={modality: weight}
        )
        cw.fit(model, cells.source, cw.FitOptions(seed=0), split=split, progress=False)
        latent = cw.reduce(model, cells.source).obsm[latent_key("multimodal_vae")]
        told = (latent[split.train], labels[split.train], latent[split.validation], labels[split.validation])
        table = score_translation(model, cells.source, split.validation, held_out=True)
        table = table[table["group"].isin(data.files)]
        translated = ", ".join(f"{row.group} {row.value:.3f}" for row in table.itertuples())
        console.print(f"{weight}: accuracy {transfer_accuracy(*told):.3f}, F1 {transfer_f1(*told):.3f}; {translated}")


def studies(given: argparse.Namespace, console: Console) -> Iterator[pd.DataFrame]:
    """The leaderboard of each part, with the column `part`."""
    name, folder, max_epochs, data = given.data, given.folder, given.max_epochs, DATA[given.data]
    files = {modality: find(file) for modality, file in data.files.items()}
    for part in given.parts or ("joint", *files):
        source: Any = files if part == "joint" else files[part]
        options = {} if max_epochs is None else {"max_epochs": max_epochs}
        board = cw.compare(
            source,
            cw.CompareOptions(models=arms(data, part, given.arms), seeds=given.seeds, test=0.1),
            out=folder / name / part,
            keys=OpenOptions(**data.keys),
            fit_options=cw.FitOptions(**options),
            name=name,
            command="benchmarks/multimodal.py",
            watch=lambda outcome: console.print(f"{outcome.arm.model} seed {outcome.seed}"),
        )
        failed = board[board["status"] == "failed"]
        for row in failed.itertuples():
            console.print(f"[red]{row.model}: {row.reason}")
        yield board.assign(part=part)
        transferred = pd.DataFrame(_transferred(folder / name / part, data))
        if len(transferred):
            yield summarise(transferred).assign(part=part)


def _transferred(study: Path, data: Data) -> Iterator[dict[str, Any]]:
    """Scores of labels that held-out cells get from training cells, run by run."""
    for path in sorted((study / "runs").iterdir()):
        run = Run(path)
        if run.record.status != "done" or not (path / "cells.h5ad").exists():
            continue
        cells = read_h5ad(path / "cells.h5ad")
        keys = [key for key in cells.obsm if key.startswith("X_") and not key.endswith("_umap")]
        if not keys:
            continue
        latent, labels = cells.obsm[keys[0]], cells.obs[data.keys["label_key"]].astype(object).to_numpy()
        split = cells.obs["split"].to_numpy()
        asked = {"": (split == "train", split == "test")}
        lacks = [cells.obs[f"{name}:batch"].isna().to_numpy() for name in data.files if f"{name}:batch" in cells.obs]
        if len(lacks) == 2 and all(one.any() for one in lacks):  # RNA, and proteins
            asked["protein only, from RNA only"] = (lacks[1], lacks[0])
        for group, (reference, query) in asked.items():
            for name, metric in (("transfer_accuracy", transfer_accuracy), ("transfer_f1", transfer_f1)):
                value = metric(latent[reference], labels[reference], latent[query], labels[query])
                yield {
                    "data": run.record.data["name"], "model": run.record.model, "task": "score", "metric": name,
                    "setting": run.record.notes.get("setting", ""), "better": "higher", "group": group,
                    "held_out": group == "", "is_baseline": False, "value": value, "seed": run.record.seed,
                    "seconds": run.record.wall_seconds, "peak_bytes": run.record.peak_bytes or 0,
                }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA, default="pbmc_mosaic")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-epochs", type=int)
    parser.add_argument("--choose", metavar="MODALITY", help="only: which weight of it validation cells like best")
    parser.add_argument("--parts", nargs="+", help="joint, or modalities alone; all of them where none is named")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS, help="of all modalities together")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/multimodal"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "multimodal.csv")
    given = parser.parse_args()
    console = Console()
    if given.choose:
        choose(given.data, given.choose, console)
        return
    boards = list(studies(given, console))
    board = pd.concat(boards, ignore_index=True).assign(data=given.data)
    told = board["metric"].isin(MEASURES) & ~board["group"].str.contains(":", regex=False, na=False)
    rows = board[told][COLUMNS].fillna("")
    console.print(rows[rows["metric"].isin({"ari", "transfer_accuracy", "feature_pearson"})].to_string())
    about = {**machine(), "cellwright": version("cellwright"), "torch": version("torch")}
    before = pd.read_csv(given.out, keep_default_na=False).to_dict("records") if given.out.exists() else []
    new = {tuple(row[name] for name in PLACE) for row in rows.to_dict("records")}
    kept = [{name: row[name] for name in COLUMNS} for row in before if tuple(row[n] for n in PLACE) not in new]
    write_csv(given.out, [*kept, *rows.to_dict("records")], about)


if __name__ == "__main__":
    main()
