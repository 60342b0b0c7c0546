"""Plans: which rows, in which order, cut where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellwright.data.disk import MAX_BLOCK_ROWS
from cellwright.data.plan import (
    BLOCKS_PER_BUFFER,
    BUFFER_ROWS,
    MAX_BUFFER_ROWS,
    ClassBalanced,
    Cycled,
    Plan,
    Sequential,
    Shuffled,
    Weighted,
    minibatch_bounds,
)
from cellwright.errors import DataError

PLANS = {"sequential": Sequential(), "exact shuffle": Shuffled(), "blocks of 64": Shuffled(block_rows=64)}


def visited(plan: Plan, rows: np.ndarray, batch_size: int, seed: int = 0) -> list[np.ndarray]:
    requests = plan.requests(rows, batch_size, np.random.default_rng(seed))
    return [request.rows[positions] for request in requests for positions in request.minibatches]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@given(n=st.integers(0, 700), batch_size=st.integers(1, 128), seed=st.integers(0, 2**32 - 1))
def test_a_pass_visits_every_given_row_once(plan, n, batch_size, seed):
    rows = np.arange(n) * 3 + 5
    minibatches = visited(plan, rows, batch_size, seed)
    assert sorted(np.concatenate([np.zeros(0, int), *minibatches])) == list(rows)


def test_sequential_keeps_the_given_order():
    rows = np.array([7, 3, 3, 9, 1])
    assert [list(part) for part in visited(Sequential(), rows, 2)] == [[7, 3], [3, 9], [1]]


@pytest.mark.parametrize("block_rows", [1, 64])
@given(n=st.integers(2, 300), batch_size=st.integers(2, 128))
def test_no_minibatch_for_training_has_one_cell(block_rows, n, batch_size):
    sizes = [len(part) for part in visited(Shuffled(block_rows), np.arange(n), batch_size)]
    assert min(sizes) >= 2
    assert max(sizes) <= batch_size + 1


@given(n=st.integers(0, 5000), batch_size=st.integers(1, 300), smallest=st.integers(1, 8))
def test_bounds_rise_from_zero_to_n(n, batch_size, smallest):
    bounds = minibatch_bounds(n, batch_size, smallest=smallest)
    assert (bounds[0], bounds[-1]) == (0, n)
    assert (np.diff(bounds) > 0).all()


@pytest.mark.parametrize("batch_size", [100, 128, 5000], ids=str)
def test_requests_are_ascending_unique_and_no_larger_than_the_buffer_or_one_minibatch(batch_size):
    requests = list(Shuffled().requests(np.arange(50_000), batch_size, np.random.default_rng(0)))
    assert all((np.diff(request.rows) > 0).all() for request in requests)
    assert max(len(request.rows) for request in requests) <= max(BUFFER_ROWS, batch_size)


@pytest.mark.parametrize("batch_size", [100, 128, 1000], ids=str)
def test_a_request_of_blocks_reads_whole_blocks_but_for_its_two_ends(batch_size):
    for request in Shuffled(block_rows=64).requests(np.arange(64_000), batch_size, np.random.default_rng(0)):
        _, found = np.unique(request.rows // 64, return_counts=True)
        assert (found < 64).sum() <= 2


def test_the_same_generator_gives_the_same_order_and_another_a_different_one():
    first, again, other = (np.concatenate(visited(Shuffled(64), np.arange(1000), 32, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def mean_label_entropy(plan: Plan, labels: np.ndarray) -> float:
    def entropy(rows: np.ndarray) -> float:
        share = np.bincount(labels[rows]) / len(rows)
        return -float(np.sum(share * np.log(share, where=share > 0, out=np.zeros_like(share))))

    return float(np.mean([entropy(rows) for rows in visited(plan, np.arange(len(labels)), 128)]))


def test_blocks_of_a_label_sorted_file_mix_almost_as_an_exact_shuffle_does():
    labels = np.repeat(np.arange(8), 2 * 64 * BLOCKS_PER_BUFFER // 8)
    # A buffer draws m = BLOCKS_PER_BUFFER blocks. Its class shares differ from the file's by a multinomial error, which
    # costs (classes - 1) / (2 m) nats of entropy on average; twice that is the bound.
    bound = (8 - 1) / BLOCKS_PER_BUFFER
    loss = mean_label_entropy(Shuffled(), labels) - mean_label_entropy(Shuffled(block_rows=64), labels)
    assert loss < bound
    assert mean_label_entropy(Sequential(), labels) == 0


def mean_chi_square(plan: Plan, labels: np.ndarray, batch_size: int, n_seeds: int) -> tuple[float, float]:
    """How far label counts of minibatches are from the file's shares: mean over passes, and its standard error."""
    share = np.bincount(labels) / len(labels)
    means = []
    for seed in range(n_seeds):
        parts = visited(plan, np.arange(len(labels)), batch_size, seed)
        counts = np.stack([np.bincount(labels[rows], minlength=len(share)) for rows in parts])
        means.append(((counts - batch_size * share) ** 2 / (batch_size * share)).sum(axis=1).mean())
    return float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(n_seeds))


def hypergeometric_variance(population: int, sample: int) -> float:
    """Of the count of a class in a sample without replacement, in units of p (1 - p)."""
    return sample * (population - sample) / (population - 1)


@pytest.mark.parametrize("batch_size", [128, 1024])
def test_minibatches_of_a_sorted_file_are_as_mixed_as_two_draws_without_replacement(batch_size):
    """First blocks are drawn for a buffer, then cells from the buffer; the variances of the two add up.

    The chi-square of a minibatch over k classes then is k - 1 for an exact shuffle of many cells. With 256 blocks of
    one class each in a buffer, it is 1.4 times that for minibatches of 128 cells, 4.4 times for 1,024.
    """
    n_classes, n_blocks = 8, 2048
    labels = np.repeat(np.arange(n_classes), 64 * n_blocks // n_classes)
    of_blocks = hypergeometric_variance(n_blocks, BLOCKS_PER_BUFFER) / BLOCKS_PER_BUFFER**2
    of_cells = hypergeometric_variance(64 * BLOCKS_PER_BUFFER, batch_size) * (1 - of_blocks)
    expected = (n_classes - 1) * (of_cells + batch_size**2 * of_blocks) / batch_size
    found, error = mean_chi_square(Shuffled(block_rows=64), labels, batch_size, n_seeds=12)
    assert abs(found - expected) < 5 * error
    expected = (n_classes - 1) * hypergeometric_variance(len(labels), batch_size) / batch_size
    found, error = mean_chi_square(Shuffled(), labels, batch_size, n_seeds=12)
    assert abs(found - expected) < 5 * error


@pytest.mark.parametrize("block_rows", [64, 300])
@pytest.mark.parametrize("kind", [Shuffled, lambda block_rows: ClassBalanced(np.zeros(200_000, int), block_rows)])
def test_a_buffer_mixes_enough_blocks_whatever_their_size(kind, block_rows):
    first = next(kind(block_rows).requests(np.arange(200_000), 128, np.random.default_rng(0)))
    assert len(first.minibatches) * 128 >= BLOCKS_PER_BUFFER * block_rows - 128


@pytest.mark.parametrize(
    ("block_rows", "expected"), [(1, BUFFER_ROWS), (1024, 1024 * BLOCKS_PER_BUFFER), (10_000, MAX_BUFFER_ROWS)]
)
@pytest.mark.parametrize("kind", [Shuffled, lambda rows: ClassBalanced(np.zeros(1, int), rows)])
def test_a_buffer_is_bounded_whatever_the_blocks(kind, block_rows, expected):
    assert kind(block_rows).buffer_rows == expected


def test_blocks_that_a_store_asks_for_are_never_fewer_in_a_buffer():
    assert MAX_BLOCK_ROWS * BLOCKS_PER_BUFFER <= MAX_BUFFER_ROWS


def within_five_deviations(count: int, n: int, share: float) -> bool:
    """Five standard deviations of a binomial number: a correct sampler fails once in a million."""
    return abs(count - n * share) < 5 * np.sqrt(n * share * (1 - share))


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), n_rows=st.integers(1, 200), block_rows=st.integers(1, 9))
def test_a_cycle_visits_every_row_equally_often_give_or_take_once(seed, n, n_rows, block_rows):
    rows = np.random.default_rng(seed).permutation(300)[:n]
    drawn = np.concatenate(visited(Cycled(n_rows, block_rows), rows, 32, seed))
    assert len(drawn) == n_rows
    times = np.bincount(drawn, minlength=300)
    assert set(np.flatnonzero(times)) <= set(rows)
    assert times[rows].max() - times[rows].min() <= 1


@pytest.mark.parametrize("block_rows", [1, 16])
def test_a_cycle_as_long_as_there_are_rows_is_a_shuffle(block_rows):
    rows = np.arange(0, 900, 3)
    mine, shuffled = visited(Cycled(300, block_rows), rows, 32), visited(Shuffled(block_rows), rows, 32)
    assert all(np.array_equal(*pair) for pair in zip(mine, shuffled, strict=True))


def test_a_row_that_is_given_twice_is_visited_twice():
    drawn = np.concatenate(visited(Cycled(6, 2), np.array([4, 4, 7]), 2))
    assert np.bincount(drawn).tolist() == [0, 0, 0, 0, 4, 0, 0, 2]


def test_a_cycle_of_no_rows_is_refused():
    with pytest.raises(DataError, match="needs a row to visit; it was given none"):
        visited(Cycled(3), np.arange(0), 2)


def test_class_balance_draws_every_class_equally_often():
    codes = np.repeat([0, 1, 2, -1], [9000, 900, 100, 2000])
    drawn = codes[np.concatenate(visited(ClassBalanced(codes), np.arange(len(codes)), 128))]
    assert len(drawn) == 12_000
    assert all(within_five_deviations((drawn == code).sum(), 12_000, 1 / 3) for code in range(3))
    assert -1 not in drawn


SORTED = np.repeat([0, 1, 2, -1], [90_000, 9_000, 1_000, 20_000])


@pytest.mark.parametrize("codes", [SORTED, np.random.default_rng(0).permutation(SORTED)], ids=["sorted", "mixed"])
def test_class_balance_in_blocks_draws_every_class_equally_often(codes):
    drawn = codes[np.concatenate(visited(ClassBalanced(codes, block_rows=64), np.arange(len(codes)), 128))]
    assert len(drawn) == 120_000
    assert -1 not in drawn
    # 64 cells come from one block, so that the share of a class varies as that of so many blocks at most
    assert all(within_five_deviations((drawn == code).sum() / 64, 120_000 // 64, 1 / 3) for code in range(3))


def test_class_balance_in_blocks_reads_contiguous_pieces_of_a_file():
    plan = ClassBalanced(SORTED, block_rows=64)
    for request in plan.requests(np.arange(len(SORTED)), 128, np.random.default_rng(0)):
        assert len(np.unique(request.rows // 64)) <= BLOCKS_PER_BUFFER + 1


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 300), block_rows=st.integers(2, 80))
def test_a_row_without_weight_is_never_drawn_in_blocks(seed, n, block_rows):
    weights = np.random.default_rng(seed).integers(0, 2, 900)
    weights[3 * (n - 1)] = 1
    rows = np.random.default_rng(seed).permutation(np.arange(n) * 3)
    drawn = np.concatenate(visited(Weighted(weights, block_rows), rows, 32, seed))
    assert len(drawn) == n
    assert set(drawn) <= set(rows[weights[rows] > 0])


def test_every_row_is_drawn_in_blocks_as_often_as_its_weight_says():
    weights = np.random.default_rng(0).random(500)
    drawn = np.concatenate([np.concatenate(visited(Weighted(weights, 16), np.arange(500), 64, s)) for s in range(400)])
    expected = len(drawn) * weights / weights.sum()
    # a block of 16 is drawn as a whole, which multiplies the variance of a row's count by less than 16
    assert (np.abs(np.bincount(drawn, minlength=500) - expected) < 5 * np.sqrt(16 * expected)).all()


def test_weights_of_the_whole_source_set_how_often_a_row_is_drawn():
    weights = np.arange(10.0)
    drawn = np.concatenate(visited(Weighted(weights), np.repeat([2, 5, 9], 3000), 128))
    assert set(drawn) == {2, 5, 9}
    assert all(within_five_deviations((drawn == row).sum(), 9000, row / 16) for row in (2, 5, 9))


@pytest.mark.parametrize("weights", [[0, 0], [-1, 2], [np.nan, 1]], ids=["all zero", "negative", "nan"])
def test_weights_that_are_no_distribution_are_refused(weights):
    with pytest.raises(DataError, match="weights must be finite and not negative"):
        visited(Weighted(np.array(weights)), np.arange(2), 2)


def test_class_balance_without_a_labelled_cell_is_refused():
    with pytest.raises(DataError, match="none of the given is"):
        visited(ClassBalanced(np.full(5, -1)), np.arange(5), 2)
