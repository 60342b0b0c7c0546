"""Spatial: domains of a tissue, and which of them and which labels lie beside which.

    model with `encodes`, cells with places -> latent (n_obs, n_latent)
    latent -smoothed over the place graph, boundaries kept (if asked)-> clusters -> obs["domain"]
    domain -majority of the neighbours-> obs["domain_refined"];  labels (or domains) -> uns["enrichment"]

Refinement is told from the clustering: it makes domains more coherent whether or not they are right, so both are
written and a study scores both.

References: [Hu21] majority of the neighbours; [Tomasi98] smoothing that keeps boundaries; [Palla22] enrichment.
"""

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from pydantic import Field
from scipy import sparse

from cellwright.core.abilities import Encodes
from cellwright.core.options import Options
from cellwright.data.place_graph import PlaceGraphOptions, place_graph
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.errors import DataError
from cellwright.keys import latent_key
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.tasks.ask import annotated, cells_for, needs
from cellwright.tasks.cluster import ClusterOptions, cluster
from cellwright.tasks.enrichment import EnrichmentOptions, enriched
from cellwright.train.infer import over_cells

DOMAIN, REFINED, ENRICHMENT = "domain", "domain_refined", "enrichment"


class SpatialOptions(Options):
    """How domains are found."""

    n_domains: int | None = Field(
        None, ge=2, description="how many; None takes as many as there are labels, or chooses 2 to 20 by silhouette"
    )
    smoothings: int = Field(
        0, ge=0, description="how often the latent is averaged over neighbours that resemble a cell, before clustering"
    )
    unlabelled: tuple[str, ...] = Field(
        ("unlabelled",), description="labels that say that there is none: they have no pairs, domains and scores"
    )
    refinements: int = Field(1, ge=1, description="how often a cell takes the domain of most of its neighbours")
    n_permutations: int = Field(1_000, ge=99, description="of the labels, for the enrichment of pairs")
    min_cells: int = Field(10, ge=1, description="pairs with a label of fewer cells are left out of the enrichment")


def spatial(
    model: Model,
    data: Any,
    options: SpatialOptions = SpatialOptions(),  # noqa: B008  frozen
    *,
    graph: PlaceGraphOptions = PlaceGraphOptions(),  # noqa: B008  frozen
    seed: int = 0,
    split: Split | None = None,
) -> AnnData:
    """Domains of the cells by k-means on their latent, and the enrichment of pairs. `data` is left alone.

    Returns an AnnData with the input's `obs` and places (`obsm[coordinates_key]`), and

    - `obsm["X_<model>"]` (n_obs, n_latent): the latent, before any smoothing
    - `obs["domain"]`, `uns["domain"]`: clusters, as `cluster` writes them
    - `obs["domain_refined"]`: the same after the majority vote of neighbours
    - `uns["enrichment"]`: pairs of labels among neighbours, or of domains without labels (see `enrichment`); it is not
      there for a tissue without two labels that have `min_cells` cells, or without an edge

    Raises `AbilityError` if the model does not encode, `DataError` for data without coordinates.
    """
    encoder = needs(model, Encodes, "spatial")
    source = cells_for(model, data, "spatial")
    adata = annotated(model, source, split)
    places, section = places_of(source)
    adata.obsm[source.schema.coordinates.key] = places  # type: ignore[union-attr]
    beside = place_graph(places, section, graph)
    use_rep = latent_key(name_of(model))
    adata.obsm[use_rep] = over_cells(encoder.encode, source)
    _add_domains(adata, use_rep, beside, options, source, seed)
    table = _enrichment(adata, beside, section, options, source, seed)
    if table is not None:
        adata.uns[ENRICHMENT] = table
    return adata


def places_of(source: StoredSource) -> tuple[np.ndarray, np.ndarray]:
    """Where the cells lie, (n_obs, n_coordinates), and the code of the section of each.

    Raises `DataError` for data without coordinates.
    """
    if source.schema.coordinates is None:
        raise DataError(
            "`spatial` must have the places of the cells; the data were opened without coordinates. Give "
            'coordinates_key (--coordinates-key), the key of obsm with the places ("spatial" in most files).'
        )
    return source.annotation.coordinates, source.annotation.batch


def refuse_taken(obs: pd.DataFrame) -> None:
    """Raise `DataError` where the cells have a column under which `spatial` writes what it finds."""
    for name in (DOMAIN, REFINED):
        if name in obs:
            raise DataError(
                f"obs must not have {name!r}, under which `spatial` writes what it finds; the data have it. Give the "
                f"column another name: adata.obs = adata.obs.rename(columns={{{name!r}: 'annotated'}})."
            )


def labelled(source: StoredSource, options: SpatialOptions) -> np.ndarray:
    """The code of each cell's label, (n_obs,) int64; -1 for none, and for one that says that there is none."""
    label, known = source.annotation.label, source.schema.label
    silent = [code for code, name in enumerate(known.values if known else ()) if name in options.unlabelled]
    return np.where(np.isin(label, silent), -1, label)


def smoothed(latent: np.ndarray, graph: sparse.csr_array, n_times: int) -> np.ndarray:
    """The latent averaged over each cell and its neighbours, (n_obs, n_latent), those that differ counting less.

    A neighbour weighs exp(-d^2 / (2 b)), with d the distance in the latent at the step before and b the median of d^2
    over all edges at the first step [Tomasi98].
    """
    takers, givers = graph.nonzero()
    bandwidth = 0.0
    for step in range(n_times):
        apart = np.square(latent[takers] - latent[givers]).sum(axis=1)
        # of cells that are all alike the median is zero, and any bandwidth does
        bandwidth = bandwidth if step else max(float(np.median(apart)) if len(apart) else 1.0, 1e-12)
        weights = sparse.csr_array((np.exp(-apart / (2 * bandwidth)), (takers, givers)), shape=graph.shape)
        total = 1 + np.asarray(weights.sum(axis=1)).reshape(-1, 1)
        latent = (latent + weights @ latent) / total
    return latent


def refined(domain: np.ndarray, graph: sparse.csr_array, n_times: int) -> np.ndarray:
    """Each cell with the domain `(n_obs,)` that more than half of its neighbours have, else with its own [Hu21].

    A cell at a straight boundary keeps its domain; one that is surrounded by another takes that.
    """
    names, code = np.unique(domain, return_inverse=True)
    n_around = np.diff(graph.indptr)
    for _ in range(n_times):
        belongs = sparse.csr_array((np.ones(len(code)), (np.arange(len(code)), code)), shape=(len(code), len(names)))
        votes = ((graph > 0).astype(np.float64) @ belongs).toarray()
        code = np.where(votes.max(axis=1) > n_around / 2, votes.argmax(axis=1), code)
    return names[code]


def _add_domains(
    adata: AnnData, use_rep: str, beside: sparse.csr_array, options: SpatialOptions, source: StoredSource, seed: int
) -> None:
    refuse_taken(adata.obs)
    latent = adata.obsm[use_rep]
    n_labels = int((np.unique(labelled(source, options)) >= 0).sum())
    n_domains = options.n_domains or (max(2, n_labels) if n_labels else None)
    work = AnnData(obs=pd.DataFrame(index=adata.obs_names))
    work.obsm[use_rep] = smoothed(latent, beside, options.smoothings).astype(np.float32)
    cluster(work, ClusterOptions(n_clusters=n_domains, seed=seed), use_rep=use_rep, key_added=DOMAIN)
    adata.obs[DOMAIN], adata.uns[DOMAIN] = work.obs[DOMAIN], work.uns[DOMAIN]
    found = refined(adata.obs[DOMAIN].astype(str).to_numpy(), beside, options.refinements)
    adata.obs[REFINED] = pd.Categorical(found, categories=adata.obs[DOMAIN].cat.categories)


def _enrichment(
    adata: AnnData,
    beside: sparse.csr_array,
    section: np.ndarray,
    options: SpatialOptions,
    source: StoredSource,
    seed: int,
) -> pd.DataFrame | None:
    known = source.schema.label
    domain = adata.obs[DOMAIN].cat
    names = known.values if known else tuple(domain.categories)
    label = labelled(source, options) if known else domain.codes.to_numpy().astype(np.int64)
    asked = EnrichmentOptions(n_permutations=options.n_permutations, min_cells=options.min_cells, seed=seed)
    try:
        return enriched(beside, label, names, section, asked)
    except DataError:
        return None
