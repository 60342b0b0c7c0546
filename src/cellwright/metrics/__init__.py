"""Metrics: arrays in, one number out. One file per metric, one line each in `METRICS`; no torch, no AnnData."""

from cellwright.metrics.ari import ARI
from cellwright.metrics.balanced_ari import BALANCED_ARI
from cellwright.metrics.best_leiden_ari import BEST_LEIDEN_ARI
from cellwright.metrics.label_f1 import LABEL_F1
from cellwright.metrics.metric import Metric
from cellwright.metrics.nll import NLL
from cellwright.metrics.nmi import NMI
from cellwright.metrics.pearson import PEARSON
from cellwright.metrics.r2 import R2
from cellwright.metrics.rmse import RMSE
from cellwright.metrics.silhouette import SILHOUETTE_CLUSTER, SILHOUETTE_LABEL

METRICS: dict[str, Metric] = {
    "ari": ARI,
    "best_leiden_ari": BEST_LEIDEN_ARI,
    "nmi": NMI,
    "balanced_ari": BALANCED_ARI,
    "label_f1": LABEL_F1,
    "silhouette": SILHOUETTE_LABEL,
    "silhouette_cluster": SILHOUETTE_CLUSTER,
    "r2": R2,
    "rmse": RMSE,
    "nll": NLL,
    "pearson": PEARSON,
}

__all__ = ["METRICS", "Metric"]
