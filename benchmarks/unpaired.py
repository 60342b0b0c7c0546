"""Unpaired modalities: one latent for cells of which no two are the same, and linked-features CCA, on two data sets.

    python benchmarks/unpaired.py --genes mm10_genes.csv       # 3 seeds of everything; about some six hours on one core
    python benchmarks/unpaired.py --data sln111 --seeds 1      # proteins need no table of genes
    CELLWRIGHT_DATA=FOLDER python benchmarks/unpaired.py       # where the catalogue looks first

`sln111`: RNA of one replicate and proteins of the other, mouse spleen and lymph node; scored by the transfer of 35 cell
types. `snareseq`: RNA and peaks of the same cells, whose pairing is hidden: the peaks' cells have other names and
another order; scored by FOSCTTM, and by the transfer of 15 types. Its links need places of genes: `--genes` is a CSV
with the columns gene, chrom, start, end, strand of mm10. Labels and pairs are for the scores alone. What is finished
(in `results/unpaired.csv`) is not run again.
"""

import argparse
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from machine import HERE, machine

import cellwright as cw
from cellwright.data.catalogue import find
from cellwright.data.links import link_proteins
from cellwright.data.peaks import PeakLinkOptions, link_peaks
from cellwright.models import build
from cellwright.study.statistics import interval
from cellwright.tasks.score_alignment import score_alignment

# of peaks within 100,000 base pairs of a gene's start, with the decay of ArchR's and MAESTRO's gene scores
PEAKS = PeakLinkOptions(upstream=2_000, reach=100_000, decay=10_000)
EPOCHS = {"sln111": 10, "snareseq": 5}  # about 650 and 400 steps of 256 cells
N_KINDS = 10  # on all data sets: how many types there are is known from labels alone
# title -> model, its options; whether it is told the links
ARMS = {
    "linked features": ("linked_features", {}, True),
    "linked CCA, as measured": ("linked_cca", {"n_smooth": 0}, True),
    "linked CCA": ("linked_cca", {}, True),
    "aligned VAE, adversarial": ("aligned_vae", {"alignment": "adversarial"}, True),
    "aligned VAE, Sinkhorn": ("aligned_vae", {"alignment": "sinkhorn"}, True),
    "aligned VAE, MMD": ("aligned_vae", {"alignment": "mmd"}, True),
    "aligned VAE, balanced": ("aligned_vae", {"alignment": "adversarial", "n_kinds": N_KINDS}, True),
    "aligned VAE, links alone": ("aligned_vae", {"alignment": "none"}, True),
    "aligned VAE, no links": ("aligned_vae", {"alignment": "adversarial"}, False),
}
RESULTS = HERE / "results" / "unpaired.csv"
KEYS = ["data", "model", "metric", "group"]


def sln111(_genes):
    """RNA and proteins of two replicates; no pairs."""
    cells = {
        name: ad.read_h5ad(find(f"sln111_{file}")) for name, file in (("rna", "d2_rna"), ("protein", "d1_protein"))
    }
    links = link_proteins(cells["protein"].var_names, cells["rna"].var_names)
    return cells, links


def snareseq(genes):
    """RNA and open peaks of the same cells under other names and in another order; pairs are known to the scores."""
    rna, atac = (ad.read_h5ad(find(f"snareseq_cortex_{name}")) for name in ("rna", "atac"))
    atac.X.data[:] = 1
    table = pd.read_csv(genes)
    links = link_peaks(atac.var, table[table["gene"].isin(rna.var_names)], PEAKS)
    atac.obs["cell"] = atac.obs_names
    atac = atac[np.random.default_rng(0).permutation(atac.n_obs)].copy()
    atac.obs_names = [f"peaks-{i}" for i in range(atac.n_obs)]
    return {"rna": rna, "atac": atac}, links


DATA = {"sln111": sln111, "snareseq": snareseq}


def scored(name, arm, seed, cells, links):
    """Rows of scores of one fit, with its seconds."""
    model_name, options, told = ARMS[arm]
    data = cw.open_data(cells, label_key="cell_type")
    model = build(model_name, data.schema, **options, **({"links": str(links)} if told else {}))
    began = time.perf_counter()
    cw.fit(
        model,
        data,
        cw.FitOptions(max_epochs=EPOCHS[name], batch_size=256, validation=0, seed=seed),
        progress=False,
    )
    adata = cw.reduce(model, data)
    seconds = time.perf_counter() - began
    first, second = data.schema.modalities
    modality = np.where(data.measured(first), first, second)
    categories = np.array([*data.schema.label.values, None], dtype=object)
    latent = next(iter(adata.obsm.values()))
    table = score_alignment(
        latent, modality, labels=categories[data.annotation.label], pairs=pairs_of(cells, adata.obs_names), seed=seed
    )
    return table.assign(data=name, model=arm, seconds=round(seconds, 1))


def pairs_of(cells, names):
    """Rows of the same cell; None where no cell was measured twice."""
    if "atac" not in cells:
        return None
    rows = pd.Index(names)
    return np.stack([rows.get_indexer(cells["atac"].obs["cell"]), rows.get_indexer(cells["atac"].obs_names)], axis=1)


def table_of(results):
    """Mean and 95 % interval over seeds, one row per arm and data set, as docs/unpaired.md has it."""
    rows = []
    for key, part in results.groupby(KEYS, sort=False, dropna=False):
        mean, sd, low, high = interval(part["value"].to_numpy())
        rows.append(
            dict(zip(KEYS, key, strict=True)) | {"mean": mean, "sd": sd, "low": low, "high": high, "n": len(part)}
        )
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    parser.add_argument("--models", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--genes", type=Path, help="CSV of gene, chrom, start, end, strand (mm10), for snareseq")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    print(machine())
    results = pd.read_csv(given.results, keep_default_na=False) if given.results.exists() else pd.DataFrame()
    for name in given.data:
        cells, links = DATA[name](given.genes)
        path = given.results.with_name(f"unpaired-links-{name}.csv")
        links.to_csv(path, index=False)
        print(f"{name}: {len(links)} links")
        for seed in range(given.seeds):
            for arm in given.models:
                done = (
                    len(results)
                    and ((results["data"] == name) & (results["model"] == arm) & (results["seed"] == seed)).any()
                )
                if not done:
                    results = pd.concat([results, scored(name, arm, seed, cells, path)])
                    results.to_csv(given.results, index=False)
        path.unlink()
    print(table_of(results).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
