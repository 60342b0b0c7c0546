"""Writes `scib_metrics.json`: small arrays and what scib-metrics makes of them, which `test_scib_reference.py` compares.

    python -m venv /somewhere/peer && /somewhere/peer/bin/pip install scib-metrics==0.5.10
    /somewhere/peer/bin/python tests/metrics/reference/make_scib_reference.py

scib-metrics is no dependency: it is asked here, once. Neighbours are given to it without the cell itself, as ours are;
where its code counts a cell among its own (UMAP's graph), it is put in front. It computes in
float32, which is good for five digits.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scib_metrics as peer
from scib_metrics.nearest_neighbors import NeighborsResults
from sklearn.neighbors import NearestNeighbors

SIZES = {"T": 110, "B": 80, "NK": 60, "rare": 20}
N_BATCH = 3


def arrays() -> dict[str, list]:
    """Four labels around four places, three batches that are shifted against each other; `rare` is in two of them."""
    rng = np.random.default_rng(0)
    labels = np.repeat(list(SIZES), list(SIZES.values()))
    codes = np.repeat(np.arange(len(SIZES)), list(SIZES.values()))
    batches = rng.integers(0, np.where(labels == "rare", N_BATCH - 1, N_BATCH))
    places, shifts = 2.5 * rng.normal(size=(len(SIZES), 4)), rng.normal(size=(N_BATCH, 4))
    noise = rng.normal(size=(len(labels), 4))
    latent = places[codes] + 0.4 * shifts[batches] + noise
    before = places[codes] + 1.5 * shifts[batches] + noise
    names = np.array(["donor a", "donor b", "donor c"])[batches]
    return {
        "latent": np.round(latent, 3).tolist(),
        "latent_before": np.round(before, 3).tolist(),
        "labels_true": labels.tolist(),
        "batches": names.tolist(),
    }


def neighbours(latent: np.ndarray, n_neighbors: int, *, itself: bool = False) -> NeighborsResults:
    distances, indices = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(latent).kneighbors()
    if itself:
        indices = np.column_stack([np.arange(len(latent)), indices])
        distances = np.column_stack([np.zeros(len(latent)), distances])
    return NeighborsResults(indices=indices, distances=distances.astype(np.float32))


def values(latent: np.ndarray, before: np.ndarray, labels: np.ndarray, batches: np.ndarray) -> dict[str, object]:
    near = neighbours(latent, 90)
    graph = neighbours(latent, 50, itself=True)
    kbet, kbet_of = peer.kbet_per_label(graph, batches, labels, return_df=True)
    leiden = peer.nmi_ari_cluster_labels_leiden(neighbours(latent, 15, itself=True), labels)
    memberships = graph.knn_graph_connectivities.tocsr()
    return {
        "silhouette": peer.silhouette_label(latent, labels),
        "isolated_labels": peer.isolated_labels(latent, labels, batches),
        "batch_asw": peer.silhouette_batch(latent, labels, batches),
        "bras": peer.bras(latent, labels, batches),
        "ilisi": peer.ilisi_knn(near, batches),
        "clisi": peer.clisi_knn(near, labels),
        "lisi_of_batches": peer.lisi_knn(near, batches).tolist(),
        "graph_connectivity": peer.graph_connectivity(neighbours(latent, 15), labels),
        "pc_regression": peer.pcr_comparison(before, latent, batches, categorical=True),
        "share_before": peer.utils.principal_component_regression(before, batches, categorical=True),
        "kbet_of_lists": peer.kbet(neighbours(latent, 20), batches)[0],
        "kbet": kbet,
        "kbet_by_label": dict(zip(kbet_of["cluster"].astype(str), kbet_of["kBET"], strict=True)),
        "connectivities_of_first": memberships[0].toarray()[0].tolist(),
        "leiden_nmi": leiden["nmi"],
        "leiden_ari": leiden["ari"],
    }


def main() -> None:
    given = arrays()
    found = values(*(np.array(given[name]) for name in ("latent", "latent_before", "labels_true", "batches")))
    versions = {name: version(name) for name in ("scib-metrics", "jax", "umap-learn", "numpy")}
    plain = {name: value if isinstance(value, dict | list) else float(value) for name, value in found.items()}
    path = Path(__file__).with_name("scib_metrics.json")
    path.write_text(json.dumps({"versions": versions, "arrays": given, "values": plain}, default=float) + "\n")
    print({name: value for name, value in plain.items() if not isinstance(value, list)})


if __name__ == "__main__":
    main()
