"""Pseudotime follows a planted path from its early end, whatever the order of the cells."""

import numpy as np
import pytest

from cellwright.dynamics.roots import earliest, most_central
from cellwright.errors import DataError
from cellwright.metrics.time_order import time_order
from cellwright.tasks.diffusion_pseudotime import diffusion_pseudotime


def root_of(latent, time):
    return int(most_central(latent, earliest(time))[0])


def pseudotime(latent, time, seed):
    return diffusion_pseudotime(latent, root_of(latent, time), seed)


@pytest.fixture(scope="module")
def path():
    """An arc in three dimensions; the time is how far along it a cell is."""
    rng = np.random.default_rng(0)
    time = rng.random(200)
    arc = np.stack([np.cos(3 * time), np.sin(3 * time), time], axis=1)
    return arc + 0.03 * rng.normal(size=arc.shape), time


def test_a_planted_path_is_found_in_its_order(path):
    latent, time = path
    assert time_order(pseudotime(latent, time, 0), time) > 0.98


def test_it_starts_where_time_does_and_not_where_the_cells_do(path):
    latent, time = path
    assert time_order(pseudotime(latent, -time, 0), -time) > 0.98


def test_only_the_start_is_told():
    """Of a latent without any order nothing comes back, though the times are given."""
    rng = np.random.default_rng(0)
    assert abs(time_order(pseudotime(rng.normal(size=(200, 5)), np.arange(200.0), 0), np.arange(200.0))) < 0.4


def test_the_root_is_among_the_earliest_and_in_their_middle(path):
    latent, time = path
    root = root_of(latent, time)
    assert time[root] <= np.quantile(time, 0.05)
    with_stray = np.vstack([latent, [[50.0, 50, 50]]])
    assert root_of(with_stray, np.append(time, -1.0)) != 200
    assert root_of(latent, np.where(np.arange(200) == root, np.nan, time)) != root


def test_fewer_cells_than_the_map_has_components_are_refused(path):
    """Scanpy's own sentence is about an argument that nobody gave."""
    with pytest.raises(DataError, match=r"needs 11 cells at least; there are 10\. Give more cells, or pseudotime 'geo"):
        diffusion_pseudotime(path[0][:10], 0, 0)
