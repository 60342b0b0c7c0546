"""Spatial coherence: are neighbouring spots of a tissue of the same domain.

neighbours of the coordinates, clusters -> share of a spot's neighbours that are of its own domain -> mean over spots
"""

import numpy as np

from cellwright.errors import DataError
from cellwright.metrics.labels import Labels, codes_of
from cellwright.metrics.metric import Metric
from cellwright.metrics.neighbours import Neighbours, codes_beside


def spatial_coherence(neighbours: Neighbours, clusters: Labels) -> float:
    """The mean share of a spot's spatial neighbours that are of its domain.

    It asks nothing of the truth: few and large domains score high whatever they are, and domains drawn at random with
    shares p score the sum of p squared. Read it beside the adjusted Rand index, and compare like numbers of domains.
    `neighbours` are of the coordinates, found within each section. Raises `DataError` for a single domain, of which
    nothing is asked, and for a spot without one.
    """
    return float(_same(neighbours, clusters).mean())


def coherence_by_label(labels_true: Labels, neighbours: Neighbours, clusters: Labels) -> dict[str, float]:
    """The mean over the spots of each label, by its name."""
    codes, names = codes_of(labels_true, "labels_true")
    same = _same(neighbours, clusters)
    return {name: float(same[codes == code].mean()) for code, name in enumerate(names)}


def _same(neighbours: Neighbours, clusters: Labels) -> np.ndarray:
    """The share of each spot's neighbours `(n_obs,)` that are of its domain."""
    codes, names = codes_beside(neighbours, clusters, "clusters")
    if len(names) < 2:
        raise DataError(f"spatial_coherence needs at least two domains; all spots are {names[0]!r}. Ask for more.")
    return (codes[neighbours.indices] == codes[:, None]).mean(axis=1)


SPATIAL_COHERENCE = Metric(
    function=spatial_coherence,
    title="Neighbouring spots of the same domain",
    task="cluster",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("neighbours", "clusters"),
    citation="Shang22",
    by_label=coherence_by_label,
)
