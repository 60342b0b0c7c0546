"""Weights of kinds: compositions become equal, and what one modality lacks has none."""

import numpy as np
import torch

from cellwright.core.schema import Schema
from cellwright.models.parts.kinds_in_common import KindsInCommon, group_of

SCHEMA = Schema(features={"rna": ("a", "b"), "protein": ("c",)})
CENTRES = torch.eye(3)


def learnt(kind, group):
    """Kinds that were learnt from these cells, and the cells' linked features."""
    linked = CENTRES[kind] + 1e-3 * torch.randn(len(kind), 3, generator=torch.Generator().manual_seed(0))
    kinds = KindsInCommon(SCHEMA, 3)
    kinds.learn_from(linked, group, np.random.default_rng(0))
    return kinds, linked


def test_with_the_weights_both_modalities_have_the_same_composition():
    kind = torch.tensor([0] * 30 + [1] * 10 + [2] * 10 + [0] * 10 + [1] * 20 + [2] * 20)
    group = torch.tensor([0] * 50 + [1] * 50)
    kinds, linked = learnt(kind, group)
    weight = kinds(linked, group)
    of = [[weight[(kind == k) & (group == g)].sum().item() for k in range(3)] for g in (0, 1)]
    np.testing.assert_allclose(np.divide(of[0], sum(of[0])), np.divide(of[1], sum(of[1])), rtol=1e-4)


def test_a_kind_that_the_other_modality_lacks_is_not_aligned():
    kind, group = torch.tensor([0] * 20 + [1] * 20 + [2] * 10 + [0] * 20), torch.tensor([0] * 50 + [1] * 20)
    kinds, linked = learnt(kind, group)
    weight = kinds(linked, group)
    assert not weight[20:50].any()
    assert (weight[:20] > 1).all()


def test_without_kinds_all_cells_weigh_the_same():
    assert KindsInCommon(SCHEMA, 0)(torch.randn(4, 3), torch.tensor([0, 1, 0, -1])).tolist() == [1, 1, 1, 1]


def test_the_group_is_the_first_modality_that_is_there():
    present = torch.tensor([[True, False], [False, True], [True, True], [False, False]])
    assert group_of(present).tolist() == [0, 1, 0, -1]
