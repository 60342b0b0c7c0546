"""Best Leiden ARI: the adjusted Rand index of Leiden at the resolution that the labels like best. An oracle.

    labels, clusters at each resolution -> highest adjusted Rand index

It says what a latent space allows, for comparison with published tables; cells of unknown types cannot be clustered so.
"""

from cellwright.metrics.ari import ari
from cellwright.metrics.labels import Labels
from cellwright.metrics.metric import Metric


def best_leiden_ari(labels_true: Labels, clusters: Labels) -> float:
    """The adjusted Rand index [Hubert85] of the clusters at one resolution; the task takes the highest."""
    return ari(labels_true, clusters)


BEST_LEIDEN_ARI = Metric(
    function=best_leiden_ari,
    title="Best Leiden ARI (oracle)",
    task="oracle",
    better="higher",
    bounds=(-0.5, 1.0),
    needs=("labels_true", "clusters"),
    citation="Traag19",
)
