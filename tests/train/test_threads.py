"""A minibatch gets as many threads as it feeds, never more than there were, and afterwards all is as before."""

import pytest
import torch

from cellwright.train.threads import ENTRIES_PER_THREAD, enough_threads


@pytest.mark.parametrize(
    ("n_entries", "expected"), [(1, 1), (2 * ENTRIES_PER_THREAD, 2), (100 * ENTRIES_PER_THREAD, 3)]
)
def test_threads_follow_the_size_of_the_minibatch(n_entries, expected):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(KeyError), enough_threads(n_entries) as n_threads:
            assert n_threads == torch.get_num_threads() == expected
            raise KeyError  # also on the way out of an error
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
