"""Differences are over the seeds that two models share."""

import numpy as np
import pandas as pd
import pytest

from cellwright.study.paired import by_model, difference
from cellwright.study.statistics import interval


@pytest.fixture
def values():
    rows = [("vae", seed, 0.5 + 0.1 * seed) for seed in range(3)] + [("pca", seed, 0.4) for seed in range(4)]
    return by_model(pd.DataFrame(rows, columns=["model", "seed", "value"]).assign(setting=""))


def test_it_is_the_mean_of_the_differences_with_its_interval(values):
    found = difference(values, ("vae", ""), ("pca", ""))
    mean, _, low, high = interval(np.array([0.1, 0.2, 0.3]))
    assert (found["difference"], found["ci_low"], found["ci_high"]) == pytest.approx((mean, low, high))


@pytest.mark.parametrize("other", [("vae", ""), None, ("ae", "")], ids=["itself", "none", "without-scores"])
def test_there_is_none_without_another(values, other):
    assert all(np.isnan(value) for value in difference(values, ("vae", ""), other).values())
