"""Every AnnData key that the package reads or writes: slot, name, dtype, shape, who writes it.

`{model}` is a name in MODELS, `{use_rep}` an `obsm` key, `{key_added}` what the caller chose.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """One AnnData key."""

    slot: str
    name: str
    dtype: str
    shape: str
    written_by: str
    meaning: str


KEYS: tuple[Key, ...] = (
    Key("obsm", "X_{model}", "float32", "(n_obs, n_latent)", "reduce", "latent of each cell"),
    Key("obsm", "{use_rep}_umap", "float32", "(n_obs, 2)", "embed", "UMAP of a latent, for looking only"),
    Key("obs", "{key_added} = cluster", "category of str", "(n_obs,)", "cluster", "cluster of each cell; -1 is noise"),
    Key("obs", "{key_added} = predicted", "category of str", "(n_obs,)", "classify", "label of each cell, or unsure"),
    Key("obs", "{key_added}_probability", "float32", "(n_obs,)", "classify", "probability of that label"),
    Key(
        "obsm",
        "{key_added}_probabilities",
        "float32",
        "(n_obs, n_labels)",
        "classify",
        "probability of each label, in the order of the categories of obs[key_added]",
    ),
    Key("obs", "{label_key}", "category of str", "(n_obs,)", "generate", "label that each cell was made with"),
    Key("obs", "{batch_key}", "category of str", "(n_obs,)", "generate", "batch that each cell was made with"),
    Key("obs", "{condition_key}", "category of str", "(n_obs,)", "generate", "condition that each cell was made with"),
    Key("obs", "generated", "category of str", "(n_obs,)", "generate", "the model that made each cell"),
    Key("obs", "{condition_key}", "category of str", "(n_obs,)", "perturb", "condition that is predicted"),
    Key("obs", "predicted_from", "category of str", "(n_obs,)", "perturb", "condition that each cell had"),
    Key(
        "layers",
        "{key_added} = imputed",
        "float32",
        "(n_obs, n_vars)",
        "impute",
        "what is expected of each value in a second measurement; CSR with a threshold",
    ),
    Key(
        "layers",
        "{key_added}_sd",
        "float32",
        "(n_obs, n_vars)",
        "impute",
        "standard deviation of what could be expected",
    ),
    Key("uns", "{key_added} = imputed", "dict", "", "impute", "which values, on which scale, threshold, draws, seed"),
    Key(
        "obs",
        "translated_from",
        "category of str",
        "(n_obs,)",
        "translate",
        "modalities that a cell was translated from, joined by +; `nothing` where it has no other",
    ),
    Key("layers", "sd", "float32", "(n_obs, n_columns)", "forecast", "standard deviation of draws of each step ahead"),
    *(
        Key("layers", f"q{percent:02d}", "float32", "(n_obs, n_columns)", "forecast", f"{percent} % quantile of them")
        for percent in (5, 25, 75, 95)
    ),
    Key(
        "obs", "split", "category of str", "(n_obs,)", "reduce", "train, validation or test, where the run has a split"
    ),
    Key(
        "uns",
        "{key_added} = cluster",
        "dict",
        "",
        "cluster",
        "options, what was chosen, the silhouette of each candidate",
    ),
    Key("uns", "markers", "DataFrame", "(n_clusters * n_top, 11)", "markers", "marker features per cluster"),
    Key("uns", "{key_added} = enrichment", "DataFrame", "(n_pairs, 8)", "enrichment", "edges per pair of labels, null"),
    Key("obs", "domain", "category of str", "(n_obs,)", "spatial", "domain of each cell in the tissue"),
    Key("obs", "domain_refined", "category of str", "(n_obs,)", "spatial", "the same, as most of its neighbours say"),
    Key("uns", "domain", "dict", "", "spatial", "how the domains were clustered, as `cluster` writes it"),
    Key("obs", "pseudotime", "float64", "(n_obs,)", "trajectory", "0 at the root to 1; infinite where no path leads"),
    Key("obs", "branch", "category of str", "(n_obs,)", "trajectory", "segment of the lineage tree"),
    Key("obs", "terminal", "category of str", "(n_obs,)", "trajectory", "terminal state; missing for other cells"),
    Key("obsm", "fates", "float32", "(n_obs, n_terminal)", "trajectory", "probability of each terminal state"),
    Key("obsp", "transitions", "float32 CSR", "(n_obs, n_obs)", "trajectory", "a step of the walk; rows sum to one"),
    Key("uns", "trajectory", "dict", "", "trajectory", "options, roots, names of the fates, the lineage tree"),
    Key("uns", "changes", "DataFrame", "(n_lineages * n_top, 10)", "changes", "features that follow each lineage"),
    Key("uns", "changes_curves", "float32", "(n_rows, n_points)", "changes", "the curve of each row of changes"),
    Key("uns", "interactions", "DataFrame", "(n_pairs, 10)", "interactions", "attention per pair of labels, its null"),
    Key("uns", "composition", "DataFrame", "long form", "composition", "clusters by label and batch"),
    Key(
        "uns",
        "cellwright",
        "dict",
        "",
        "reduce",
        "model, options and version that made the latents, and the features that were filled with zeros",
    ),
)


def latent_key(model: str) -> str:
    """The `obsm` key of a model's latent."""
    return f"X_{model}"


def cluster_key(columns: Iterable[str]) -> str:
    """Where to write clusters beside the `obs` columns of the input: `cluster`, unless the input has such a column."""
    return "cellwright_cluster" if "cluster" in set(columns) else "cluster"


def predicted_key(columns: Iterable[str]) -> str:
    """Where to write predicted labels beside the `obs` columns of the input: `predicted`, unless the input has it."""
    return "cellwright_predicted" if {"predicted", "predicted_probability"} & set(columns) else "predicted"


def umap_key(use_rep: str) -> str:
    """The `obsm` key of the UMAP of a latent."""
    return f"{use_rep}_umap"
