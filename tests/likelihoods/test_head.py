import torch

from cellwright.likelihoods.head import log_mean_of


def test_log_mean_is_the_logarithm_of_library_times_softmax():
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    library = torch.tensor([[1.0], [10.0], [1e3], [1e6]], dtype=torch.float64)
    torch.testing.assert_close(log_mean_of(logits, library).exp(), library * torch.softmax(logits, dim=-1))


def test_log_mean_stays_finite_where_the_share_underflows():
    log_mean = log_mean_of(torch.tensor([[0.0, -500.0]]), torch.tensor([[1.0]]))
    torch.testing.assert_close(log_mean, torch.tensor([[0.0, -500.0]]))


def test_log_mean_of_a_cell_without_counts_is_minus_infinity():
    assert log_mean_of(torch.zeros(1, 2), torch.zeros(1, 1)).tolist() == [[-torch.inf, -torch.inf]]
