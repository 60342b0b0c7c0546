"""What a model of space must find in a tissue, and what it must leave alone; slow."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.metrics.ari import ari
from cellwright.models import build
from cellwright.tasks.spatial import SpatialOptions, spatial
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow
SIDE = 40


def tissue(width, depth, types=0.0, seed=0):
    """Stripes of that width in turn of three domains, with so many molecules per spot.

    In each domain lie cells of two types, which differ by `types` in their log rates.
    """
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
    domain = (places[:, 0] // width % 3).astype(int)
    kind = rng.choice(2, len(places))
    log_rate = rng.normal(0, 1, 80) + rng.normal(0, 0.35, (3, 80))[domain] + rng.normal(0, types, (2, 80))[kind]
    share = np.exp(log_rate) / np.exp(log_rate).sum(axis=1, keepdims=True)
    obs = pd.DataFrame({"stripe": domain.astype(str)}, index=[f"s{i}" for i in range(len(places))])
    counts = sparse.csr_matrix(rng.poisson(depth * share).astype(np.float32))
    return AnnData(counts, obs=obs, obsm={"spatial": places})


def found(name, adata, **options):
    """ARI of three domains with the planted ones."""
    data = open_data(adata, coordinates_key="spatial")
    model = build(name, data.schema, **options)
    fit(model, data, FitOptions(seed=0), progress=False)
    cells = spatial(model, data, SpatialOptions(n_domains=3, n_permutations=99))
    return ari(adata.obs["stripe"], cells.obs["domain"])


def test_wide_domains_of_few_molecules_are_found_where_cells_by_themselves_say_little():
    adata = tissue(width=13, depth=150, types=0.5)
    alone, smoothed, network = (found(name, adata, n_latent=10) for name in ("pca", "pca_smoothed", "spatial_gae"))
    assert alone < 0.5
    assert min(smoothed, network) > 0.8


def test_thin_domains_that_differ_by_far_more_than_their_noise_are_kept_where_averaging_mixes_them():
    adata = tissue(width=1, depth=50_000)
    smoothed, network = (found(name, adata, n_latent=10) for name in ("pca_smoothed", "spatial_gae"))
    assert smoothed < 0.2
    assert network > smoothed + 0.2
