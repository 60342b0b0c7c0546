"""Residual decoding keeps a cell's own deviation; published decoding is what the decoder says."""

import pytest
import torch

from cellwright.core.support import Support
from cellwright.models.parts.decoding import DECODINGS, support_of

GENERATOR = torch.Generator().manual_seed(0)
X, BEFORE, AFTER = (3 * torch.rand(20, 8, generator=GENERATOR) for _ in range(3))
X[X < 1] = 0


def test_published_is_the_decoder():
    assert torch.equal(DECODINGS["published"](X, BEFORE, AFTER), AFTER)


def test_residual_gives_an_unchanged_cell_back_bit_by_bit():
    assert torch.equal(DECODINGS["residual"](X, BEFORE, BEFORE), X)


def test_residual_keeps_what_tells_two_cells_apart_that_decode_alike():
    found = DECODINGS["residual"](X + 5, BEFORE[:1].expand(20, 8), AFTER[:1].expand(20, 8))
    torch.testing.assert_close(found - found[0], X - X[0])
    torch.testing.assert_close(found.mean(dim=0) - (X + 5).mean(dim=0), AFTER[0] - BEFORE[0])


def test_residual_is_zero_where_it_would_be_negative():
    found = DECODINGS["residual"](X, BEFORE, AFTER)
    below = X + AFTER - BEFORE < -1e-5
    assert below.any()
    assert (found >= 0).all()
    assert (found[below] == 0).all()


@pytest.mark.parametrize(
    ("decoding", "support"), [("published", Support.real), ("residual", Support.non_negative)], ids=lambda v: str(v)
)
def test_values_may_be_negative_unless_zero_is_where_it_clips(decoding, support):
    assert support_of(decoding) is support
