"""Joint components are the PCA of each modality in equal widths; what a cell lacks is the least-squares prediction."""

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.source import in_order
from cellwright.errors import OptionError
from cellwright.models import build
from cellwright.models.parts.joint_components import JointComponents
from cellwright.train.infer import over_cells

N = 400


def planted(noise=0.0):
    """Two modalities that are linear in the same two factors; real values, the second a hundred times as wide."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(N, 2))
    first = factors @ rng.normal(size=(2, 6)) + noise * rng.normal(size=(N, 6))
    second = 100 * (factors @ rng.normal(size=(2, 4)) + noise * rng.normal(size=(N, 4)))
    names = [f"cell{i}" for i in range(N)]
    parts = {"a": AnnData(first.astype(np.float32)), "b": AnnData(second.astype(np.float32))}
    for part in parts.values():
        part.obs_names = names
    return parts


def learnt(parts, n_components=2):
    source = open_data(parts)
    joint = JointComponents(source.schema, n_components=n_components, real_valued=("a", "b"))
    joint.learn(source, np.arange(source.n_obs), np.random.default_rng(0))
    return joint, source


def test_each_block_is_the_pca_of_its_modality_with_a_first_component_of_unit_variance():
    parts = planted(noise=0.3)
    joint, source = learnt(parts)
    blocks, present = joint(next(in_order(source)))
    assert present.all()
    for name, block in zip("ab", blocks, strict=True):
        alone = open_data(parts[name])
        pca = build("pca", alone.schema, n_latent=2, transform="none")
        pca.learn(alone, np.arange(N), np.random.default_rng(0))
        latent = over_cells(pca.encode, alone)
        np.testing.assert_allclose(block, latent / latent[:, 0].std(), atol=1e-4)


def test_what_a_cell_lacks_is_predicted_exactly_where_it_is_linear():
    parts = planted()
    whole, source = learnt(parts)
    lacking = {"a": parts["a"], "b": parts["b"][: N - 50].copy()}
    joint, some = learnt(lacking)
    minibatch = next(in_order(some))
    (_, block), present = joint(minibatch)
    assert not present[N - 50 :, 1].any()
    values = joint.values(block, "b", minibatch.library)
    np.testing.assert_allclose(values[N - 50 :], parts["b"].X[N - 50 :], rtol=0.02, atol=2)  # ridge: 1 % of a variance
    assert torch.isfinite(whole(next(in_order(source)))[0][0]).all()


def test_a_cell_without_another_modality_is_at_the_mean_of_what_it_lacks():
    parts = planted()
    joint, source = learnt(parts)
    nothing = next(in_order(source)).without("a").without("b")
    for block in joint(nothing)[0]:
        assert not block.any()


def test_modalities_that_no_cell_has_together_tell_nothing_of_each_other():
    parts = planted()
    joint, source = learnt({"a": parts["a"][:200].copy(), "b": parts["b"][200:].copy()})
    (first, second), _ = joint(next(in_order(source)))
    assert not first[200:].any()
    assert not second[:200].any()


def test_a_real_valued_modality_that_there_is_not_is_refused():
    source = open_data(planted())
    with pytest.raises(OptionError, match=r"real_valued must be modalities of the data: a, b; one of them is 'c'"):
        JointComponents(source.schema, n_components=2, real_valued=("c",))
