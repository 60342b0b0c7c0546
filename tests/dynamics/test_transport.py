"""Transport: the entropic plan against one in logarithms, and the walk between time points that it becomes."""

import numpy as np
import pytest
from scipy import special
from scipy.spatial import distance

from cellwright.dynamics import transport as room
from cellwright.dynamics.transport import plan, transport


def in_logarithms(cost, epsilon, n_steps=3000):
    """Sinkhorn's algorithm on potentials, which neither overflows nor vanishes."""
    n, m = cost.shape
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(n_steps):
        f = -epsilon * special.logsumexp((g - cost) / epsilon, axis=1) - epsilon * np.log(n)
        g = -epsilon * special.logsumexp((f[:, None] - cost) / epsilon, axis=0) - epsilon * np.log(m)
    return np.exp((f[:, None] + g - cost) / epsilon)


@pytest.fixture(scope="module")
def cost():
    rng = np.random.default_rng(0)
    found = distance.cdist(rng.normal(size=(14, 3)), rng.normal(size=(9, 3)), "sqeuclidean")
    return found / np.median(found)


def test_the_plan_is_that_of_sinkhorn_in_logarithms(cost, monkeypatch):
    """To the end: the package stops where the sums are right to a ten thousandth."""
    monkeypatch.setattr(room, "TOLERANCE", 1e-12)
    monkeypatch.setattr(room, "ITERATIONS", 3000)
    np.testing.assert_allclose(plan(cost), in_logarithms(cost, room.EPSILON), atol=1e-10)


def test_the_plan_has_its_sums(cost):
    found = plan(cost)
    np.testing.assert_allclose(found.sum(axis=0), 1 / 9)
    np.testing.assert_allclose(found.sum(axis=1), 1 / 14, rtol=room.TOLERANCE)


def test_a_cell_that_is_far_from_all_is_in_the_plan(cost):
    far = cost.copy()
    far[3] += 1e4
    np.testing.assert_allclose(plan(far).sum(axis=1), 1 / 14, rtol=room.TOLERANCE)


def days(n_each=40, seed=0, dtype=np.float64):
    """Two kinds of cells that each move by one along the first axis from day to day, ten apart on the second."""
    rng = np.random.default_rng(seed)
    day, kind = np.repeat([0.0, 1, 2], n_each), np.tile([0, 1], 3 * n_each // 2)
    latent = np.column_stack([day, 10.0 * kind]) + 0.1 * rng.normal(size=(3 * n_each, 2))
    return latent.astype(dtype), day, kind


def walk(latent, time, graph_of, seed=0):
    return transport(latent, time, graph_of(latent.astype(float), 5), np.random.default_rng(seed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cells_go_to_the_next_day_and_to_their_kind(graph_of, dtype):
    latent, day, kind = days(dtype=dtype)
    found = walk(latent, day, graph_of)
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)
    steps = found.tocoo()
    later = day[steps.col] - day[steps.row]
    assert set(later) <= {0.0, 1.0}
    assert (kind[steps.row] == kind[steps.col])[steps.data > 1e-9].all()
    to_next = np.bincount(steps.row, steps.data * (later == 1))
    # the graph's share of the step may lead to the next day as well
    assert (to_next[day < 2] >= 1 - room.ALONG_GRAPH - 1e-9).all()
    assert (to_next[day == 2] == 0).all()


def test_a_block_is_the_plan_of_its_cells(graph_of):
    """With all cells in one block, and fewer than are kept, a row is the plan's divided by its sum."""
    latent, day, _ = days(n_each=20)
    found = walk(latent, day, graph_of).toarray()[:20, 20:40]
    apart = distance.cdist(latent[:20], latent[20:40], "sqeuclidean")
    known = in_logarithms(apart / np.median(apart), room.EPSILON)
    along_graph = stochastic_within(latent, day, graph_of)[:20, 20:40]
    expected = 0.8 * known / known.sum(axis=1, keepdims=True) + 0.2 * along_graph
    np.testing.assert_allclose(found, expected, atol=1e-4)


def stochastic_within(latent, day, graph_of):
    graph = graph_of(latent, 5)
    weight = np.where(day[None] >= day[:, None], graph.affinities.toarray(), 0)
    weight *= graph.outgoing.toarray() > 0
    return weight / weight.sum(axis=1, keepdims=True)


def test_blocks_hold_every_cell_of_both_days_once(graph_of, monkeypatch):
    monkeypatch.setattr(room, "BLOCK_CELLS", 7)
    latent, day, _ = days()
    found = walk(latent, day, graph_of)
    assert (np.asarray(found[day < 2][:, day > 0].sum(axis=1)) > 0).all()
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)


@pytest.mark.parametrize("n_early", [1, 6])
def test_a_small_day_goes_to_all_of_a_large_one_by_kind(graph_of, monkeypatch, n_early):
    """In blocks by the cells of the larger day, each early cell met whatever kinds were in its own."""
    monkeypatch.setattr(room, "BLOCK_CELLS", 30)
    monkeypatch.setattr(room, "KEPT", 2)
    latent, day, kind = days(n_each=120)
    keep = np.flatnonzero((day == 1) | ((day == 0) & (np.arange(360) < n_early)))
    latent, day, kind = latent[keep], day[keep], kind[keep]
    found = walk(latent, day, graph_of)[:n_early, n_early:].toarray()
    to_kind = np.array([np.bincount(kind[n_early:], row, minlength=2) for row in found])
    if n_early > 1:
        assert (to_kind[np.arange(n_early), 1 - kind[:n_early]] < 0.01).all()
    assert (found.max(axis=0) > 0).mean() > 0.9  # nearly every late cell comes from somewhere


def test_a_day_with_one_cell_is_passed_through(graph_of):
    latent, day, _ = days()
    keep = np.flatnonzero((day != 1) | (np.cumsum(day == 1) == 1))
    found = walk(latent[keep], day[keep], graph_of)
    assert found[: (day == 0).sum(), (day == 0).sum()].sum() > 0
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)


def test_cells_without_a_time_walk_along_the_graph(graph_of):
    latent, day, _ = days()
    day[::7] = np.nan
    found = walk(latent, day, graph_of)
    graph = graph_of(latent, 5)
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)
    for row in np.flatnonzero(np.isnan(day)):
        assert set(found[row].nonzero()[1]) <= set(graph.indices[row])


def test_where_the_origin_is_and_how_far_one_cell_lies_do_not_matter(graph_of):
    """Both lost all digits, or became NaN, in float32."""
    latent, day, _ = days()
    known = walk(latent, day, graph_of).toarray()
    moved = walk((latent + 1e3).astype(np.float32), day, graph_of).toarray()
    np.testing.assert_allclose(moved[:40, 40:80], known[:40, 40:80], atol=0.02)
    far = latent.astype(np.float32)
    far[0] = 1e4
    found = walk(far, day, graph_of)
    assert np.isfinite(found.data).all()
    np.testing.assert_allclose(np.asarray(found.sum(axis=1)).ravel(), 1)


def test_the_same_seed_gives_the_same_blocks(graph_of, monkeypatch):
    monkeypatch.setattr(room, "BLOCK_CELLS", 7)
    latent, day, _ = days()
    first, again, other = (walk(latent, day, graph_of, seed) for seed in (0, 0, 1))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0


def test_identical_cells_go_anywhere_alike(graph_of):
    day = np.repeat([0.0, 1], 10)
    found = transport(np.ones((20, 2)), day, graph_of(np.ones((20, 2)), 3), np.random.default_rng(0)).toarray()
    # eight tenths to each of the ten alike, and the graph's share wherever it goes
    assert (found[:10, 10:] >= 0.08 - 1e-9).all()
