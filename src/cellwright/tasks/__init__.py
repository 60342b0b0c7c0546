"""Tasks: one biological question per file, and the table of them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """What a task asks of a model (`ability`, or None for a task on what others wrote) and which keys it writes."""

    ability: str | None
    writes: tuple[str, ...]
    summary: str


TASKS: dict[str, Task] = {
    "reduce": Task("encodes", ("obsm/X_{model}",), "place cells in a latent space"),
    "embed": Task(None, ("obsm/{use_rep}_umap",), "UMAP of a latent, for looking"),
    "cluster": Task(None, ("obs/cluster", "uns/cluster"), "group cells: k-means, DBSCAN or Leiden"),
    "markers": Task(None, ("uns/markers",), "features that tell a cluster from the others"),
    "composition": Task(None, ("uns/composition",), "what the clusters consist of, by label and batch"),
    "classify": Task(
        "classifies",
        ("obs/predicted", "obs/{key_added}_probability", "obsm/{key_added}_probabilities"),
        "say which label each cell has",
    ),
    "generate": Task(
        "generates",
        ("obs/{label_key}", "obs/{batch_key}", "obs/generated", "uns/cellwright"),
        "make new cells, of given labels and batches",
    ),
    "perturb": Task(
        "perturbs",
        ("obs/{condition_key}", "obs/predicted_from", "uns/cellwright"),
        "how control cells would look under a treatment",
    ),
    "impute": Task(
        "imputes",
        ("layers/imputed", "layers/{key_added}_sd", "uns/imputed", "uns/cellwright"),
        "fill in what the measurement missed",
    ),
    "translate": Task(
        "translates",
        ("obs/translated_from", "uns/cellwright"),
        "what a modality that was not measured on cells would be",
    ),
    "forecast": Task(
        "forecasts",
        ("layers/sd", "layers/q05", "layers/q25", "layers/q75", "layers/q95", "uns/cellwright"),
        "how sequences go on, and how sure that is",
    ),
    "decode_forecast": Task("decodes", (), "the genes of a forecast of latents"),
    "state_transitions": Task("forecasts", (), "which state a model says follows which"),
    "interactions": Task("attends", ("uns/interactions",), "which cell types attend to which, against permuted labels"),
    "enrichment": Task(None, ("uns/enrichment",), "which cell types lie side by side, against permuted labels"),
    "spatial": Task(
        "encodes",
        ("obsm/X_{model}", "obs/domain", "obs/domain_refined", "uns/domain", "uns/enrichment"),
        "domains of a tissue, and what lies beside what",
    ),
    "reconstruct": Task("decodes", (), "how well held-out cells are given back from their latent"),
    "score": Task(None, (), "metrics, overall and per cell type"),
}
