"""Leiden agreement: NMI and ARI of Leiden at the resolution that fits the labels best. An oracle, as in scIB.

    labels, clusters of that resolution -> NMI, ARI

It says what a latent space allows; cells of unknown types cannot be clustered so. The task seeks the resolution.
"""

from cellwright.metrics.ari import ari
from cellwright.metrics.labels import Labels
from cellwright.metrics.metric import Metric
from cellwright.metrics.nmi import nmi


def leiden_nmi(labels_true: Labels, clusters: Labels) -> float:
    """The normalised mutual information [Vinh10] of the clusters at one resolution; the task takes the highest."""
    return nmi(labels_true, clusters)


def leiden_ari(labels_true: Labels, clusters: Labels) -> float:
    """The adjusted Rand index [Hubert85] of the same clusters, those of the highest NMI, not of the highest ARI."""
    return ari(labels_true, clusters)


LEIDEN_NMI = Metric(
    function=leiden_nmi,
    title="NMI of Leiden (best resolution by labels)",
    task="integrate",
    better="higher",
    bounds=(0.0, 1.0),
    needs=("labels_true", "clusters"),
    citation="Luecken22",
)

LEIDEN_ARI = Metric(
    function=leiden_ari,
    title="ARI of Leiden (best resolution by labels)",
    task="integrate",
    better="higher",
    bounds=(-0.5, 1.0),
    needs=("labels_true", "clusters"),
    citation="Luecken22",
)
