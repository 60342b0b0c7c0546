"""The peer's side of `integration_metrics.py`: scib-metrics' Benchmarker with Leiden, in an environment of its own.

python scib_integration.py '{"data": ...}' RESULT  ->  seconds, CPU-seconds, memory, values (JSON)

Its neighbours are by pynndescent, as by default. It is asked for what cellwright computes: Leiden instead of k-means,
and the batch silhouette beside BRAS.
"""

import json
import logging
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scib_metrics
from scib_metrics.benchmark import BatchCorrection, Benchmarker, BioConservation

sys.path.append(str(Path(__file__).parents[1]))
from memory import peak_bytes

NAMES = {
    "Leiden NMI": "leiden_nmi",
    "Leiden ARI": "leiden_ari",
    "Silhouette label": "silhouette",
    "Isolated labels": "isolated_labels",
    "cLISI": "clisi",
    "BRAS": "bras",
    "iLISI": "ilisi",
    "KBET": "kbet",
    "Graph connectivity": "graph_connectivity",
    "PCR comparison": "pc_regression",
    "Bio conservation": "bio_total",
    "Batch correction": "batch_total",
    "Total": "integration_total",
}

BIO = BioConservation(nmi_ari_cluster_labels_leiden=True, nmi_ari_cluster_labels_kmeans=False)


def score(job):
    given = np.load(job["data"])
    obs = pd.DataFrame({"label": given["labels"], "batch": given["batches"]}, dtype="category")
    obs.index = obs.index.astype(str)
    cells = anndata.AnnData(obs=obs, obsm={"latent": given["latent"], "before": given["latent_before"]})
    wall, cpu = time.perf_counter(), time.process_time()
    benchmark = Benchmarker(
        cells,
        batch_key="batch",
        label_key="label",
        embedding_obsm_keys=["latent"],
        bio_conservation_metrics=BioConservation(
            nmi_ari_cluster_labels_leiden=True, nmi_ari_cluster_labels_kmeans=False
        ),
        batch_correction_metrics=BatchCorrection(),
        pre_integrated_embedding_obsm_key="before",
        progress_bar=False,
    )
    benchmark.prepare()
    benchmark.benchmark()
    found = benchmark.get_results(min_max_scale=False, clean_names=True).loc["latent"]
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    values = {NAMES[name]: float(value) for name, value in found.items() if name in NAMES}
    values["batch_asw"] = float(scib_metrics.silhouette_batch(given["latent"], given["labels"], given["batches"]))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_bytes": peak_bytes(),
        "values": values,
        "versions": {name: version(name) for name in ("scib-metrics", "jax")},
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    Path(sys.argv[2]).write_text(json.dumps(score(json.loads(sys.argv[1]))))
