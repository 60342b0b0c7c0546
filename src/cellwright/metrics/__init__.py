"""Metrics: arrays in, one number out. One file per metric, one line each in `METRICS`; no torch, no AnnData."""

from cellwright.metrics.accuracy import ACCURACY
from cellwright.metrics.answered_accuracy import ANSWERED_ACCURACY
from cellwright.metrics.ari import ARI
from cellwright.metrics.balanced_accuracy import BALANCED_ACCURACY
from cellwright.metrics.balanced_ari import BALANCED_ARI
from cellwright.metrics.balanced_nmi import BALANCED_NMI
from cellwright.metrics.batch_asw import BATCH_ASW
from cellwright.metrics.best_leiden_ari import BEST_LEIDEN_ARI
from cellwright.metrics.branch_f1 import BRANCH_F1
from cellwright.metrics.bras import BRAS
from cellwright.metrics.brier import BRIER
from cellwright.metrics.c2st import C2ST
from cellwright.metrics.change_pearson import CHANGE_PEARSON
from cellwright.metrics.changed_genes_found import CHANGED_GENES_FOUND
from cellwright.metrics.correlation_error import CORRELATION_ERROR
from cellwright.metrics.coverage import COVERAGE
from cellwright.metrics.coverage_error import COVERAGE_ERROR
from cellwright.metrics.crps import CRPS
from cellwright.metrics.e_distance import E_DISTANCE
from cellwright.metrics.ece import ECE
from cellwright.metrics.energy_score import ENERGY_SCORE
from cellwright.metrics.entry_pearson_cell import ENTRY_PEARSON_CELL
from cellwright.metrics.entry_pearson_gene import ENTRY_PEARSON_GENE
from cellwright.metrics.entry_rmse import ENTRY_RMSE
from cellwright.metrics.false_correlation import FALSE_CORRELATION
from cellwright.metrics.false_markers import FALSE_MARKERS
from cellwright.metrics.feature_pearson import FEATURE_PEARSON
from cellwright.metrics.forecast_r2 import FORECAST_R2
from cellwright.metrics.forecast_rmse import FORECAST_RMSE
from cellwright.metrics.foscttm import FOSCTTM
from cellwright.metrics.graph_connectivity import GRAPH_CONNECTIVITY
from cellwright.metrics.isolated_labels import ISOLATED_LABELS
from cellwright.metrics.kbet import KBET
from cellwright.metrics.label_f1 import LABEL_F1
from cellwright.metrics.label_transfer import TRANSFER_ACCURACY, TRANSFER_F1
from cellwright.metrics.leiden_agreement import LEIDEN_ARI, LEIDEN_NMI
from cellwright.metrics.lisi import CLISI, ILISI
from cellwright.metrics.log_loss import LOG_LOSS
from cellwright.metrics.log_mse import LOG_MSE
from cellwright.metrics.macro_f1 import MACRO_F1
from cellwright.metrics.macro_precision import MACRO_PRECISION
from cellwright.metrics.macro_recall import MACRO_RECALL
from cellwright.metrics.mean_fit import MEAN_FIT
from cellwright.metrics.mean_mae import MEAN_MAE
from cellwright.metrics.mean_r2 import MEAN_R2
from cellwright.metrics.metric import Metric
from cellwright.metrics.mmd import MMD
from cellwright.metrics.neighbours_kept import NEIGHBOURS_KEPT
from cellwright.metrics.nll import NLL
from cellwright.metrics.nmi import NMI
from cellwright.metrics.pc_regression import PC_REGRESSION
from cellwright.metrics.pds import PDS
from cellwright.metrics.pearson import PEARSON
from cellwright.metrics.poisson_deviance import POISSON_DEVIANCE
from cellwright.metrics.protein_spearman import PROTEIN_SPEARMAN
from cellwright.metrics.r2 import R2
from cellwright.metrics.rmse import RMSE
from cellwright.metrics.silhouette import SILHOUETTE_CLUSTER, SILHOUETTE_LABEL
from cellwright.metrics.spatial_coherence import SPATIAL_COHERENCE
from cellwright.metrics.terminal_recall import TERMINAL_RECALL
from cellwright.metrics.time_order import TIME_ORDER
from cellwright.metrics.transition_kl import TRANSITION_KL
from cellwright.metrics.transition_l1 import TRANSITION_L1
from cellwright.metrics.variance_error import VARIANCE_ERROR
from cellwright.metrics.zeros_kept import ZEROS_KEPT

METRICS: dict[str, Metric] = {
    "ari": ARI,
    "best_leiden_ari": BEST_LEIDEN_ARI,
    "nmi": NMI,
    "balanced_ari": BALANCED_ARI,
    "balanced_nmi": BALANCED_NMI,
    "label_f1": LABEL_F1,
    "silhouette": SILHOUETTE_LABEL,
    "silhouette_cluster": SILHOUETTE_CLUSTER,
    "r2": R2,
    "rmse": RMSE,
    "nll": NLL,
    "pearson": PEARSON,
    "feature_pearson": FEATURE_PEARSON,
    "balanced_accuracy": BALANCED_ACCURACY,
    "accuracy": ACCURACY,
    "macro_f1": MACRO_F1,
    "macro_precision": MACRO_PRECISION,
    "macro_recall": MACRO_RECALL,
    "ece": ECE,
    "brier": BRIER,
    "log_loss": LOG_LOSS,
    "coverage": COVERAGE,
    "answered_accuracy": ANSWERED_ACCURACY,
    "c2st": C2ST,
    "mmd": MMD,
    "variance_error": VARIANCE_ERROR,
    "correlation_error": CORRELATION_ERROR,
    "mean_r2": MEAN_R2,
    "mean_fit": MEAN_FIT,
    "mean_mae": MEAN_MAE,
    "change_pearson": CHANGE_PEARSON,
    "changed_genes_found": CHANGED_GENES_FOUND,
    "e_distance": E_DISTANCE,
    "pds": PDS,
    "poisson_deviance": POISSON_DEVIANCE,
    "log_mse": LOG_MSE,
    "entry_rmse": ENTRY_RMSE,
    "entry_pearson_cell": ENTRY_PEARSON_CELL,
    "entry_pearson_gene": ENTRY_PEARSON_GENE,
    "protein_spearman": PROTEIN_SPEARMAN,
    "zeros_kept": ZEROS_KEPT,
    "false_correlation": FALSE_CORRELATION,
    "false_markers": FALSE_MARKERS,
    "leiden_nmi": LEIDEN_NMI,
    "leiden_ari": LEIDEN_ARI,
    "isolated_labels": ISOLATED_LABELS,
    "clisi": CLISI,
    "bras": BRAS,
    "batch_asw": BATCH_ASW,
    "ilisi": ILISI,
    "kbet": KBET,
    "graph_connectivity": GRAPH_CONNECTIVITY,
    "pc_regression": PC_REGRESSION,
    "neighbours_kept": NEIGHBOURS_KEPT,
    "foscttm": FOSCTTM,
    "transfer_accuracy": TRANSFER_ACCURACY,
    "transfer_f1": TRANSFER_F1,
    "spatial_coherence": SPATIAL_COHERENCE,
    "time_order": TIME_ORDER,
    "branch_f1": BRANCH_F1,
    "forecast_rmse": FORECAST_RMSE,
    "forecast_r2": FORECAST_R2,
    "crps": CRPS,
    "energy_score": ENERGY_SCORE,
    "coverage_error": COVERAGE_ERROR,
    "transition_l1": TRANSITION_L1,
    "transition_kl": TRANSITION_KL,
    "terminal_recall": TERMINAL_RECALL,
}

__all__ = ["METRICS", "Metric"]
