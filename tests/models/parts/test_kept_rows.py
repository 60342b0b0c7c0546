"""Kept rows come back as they were, from a saved state too."""

import numpy as np
from scipy import sparse

from cellwright.models.parts.kept_rows import KeptRows


def test_rows_come_back_and_are_loaded_into_a_part_without_any():
    rows = sparse.random(7, 5, density=0.4, format="csr", dtype=np.float32, random_state=0)
    kept, other = KeptRows(5), KeptRows(5)
    assert kept.csr.shape == (0, 5)
    kept.set(rows)
    other.load_state_dict(kept.state_dict())
    for found in (kept.csr, other.csr):
        np.testing.assert_array_equal(found.toarray(), rows.toarray())
    kept.set(rows[:2])
    assert kept.csr.shape == (2, 5)
