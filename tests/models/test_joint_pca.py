"""Joint PCA is the PCA of equally wide blocks; its translation is linear."""

import numpy as np
import torch
from anndata import AnnData
from sklearn.decomposition import PCA as Reference

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.models import build
from cellwright.train.fit import fit
from cellwright.train.infer import over_cells


def planted():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(300, 2))
    parts = {
        "a": AnnData((factors @ rng.normal(size=(2, 8)) + 0.2 * rng.normal(size=(300, 8))).astype(np.float32)),
        "b": AnnData((50 * (factors @ rng.normal(size=(2, 5)))).astype(np.float32)),
    }
    for part in parts.values():
        part.obs_names = [f"cell{i}" for i in range(300)]
    return parts


def fitted(source, **options):
    model = build("joint_pca", source.schema, real_valued=["a", "b"], **options)
    fit(model, source, split=random_split(source.n_obs, validation=0), progress=False)
    return model


def test_the_latent_is_the_pca_of_the_blocks_side_by_side():
    source = open_data(planted())
    model = fitted(source, n_components=3, n_latent=4)
    blocks = over_cells(lambda m: torch.cat(model.joint(m)[0], dim=1), source)
    expected = Reference(4).fit_transform(blocks)
    found = over_cells(model.encode, source)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)


def test_no_modality_counts_more_because_its_values_are_larger():
    """Both say the same two factors, so that the first two joint components hold nearly all there is."""
    source = open_data(planted())
    latent = over_cells(fitted(source, n_components=2, n_latent=4).encode, source)
    variance = latent.var(axis=0)
    assert variance[:2].sum() / variance.sum() > 0.97


def test_a_translation_of_what_is_linear_is_what_was_measured():
    parts = planted()
    source = open_data(parts)
    model = fitted(source, n_components=5)
    translated = model.translate(next(in_order(source)), "b", torch.Generator())
    correlations = [np.corrcoef(translated[:, j], parts["b"].X[:, j])[0, 1] for j in range(5)]
    assert min(correlations) > 0.97
