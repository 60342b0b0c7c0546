import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from cellwright.data.open import open_data
from cellwright.models.parts.count_moments import USUAL, count_moments


def test_shares_and_theta_of_negative_binomial_counts_are_found():
    rng = np.random.default_rng(0)
    n_obs, theta = 2000, np.tile([0.5, 2.0, 8.0, 2.0], 50)
    label = rng.integers(0, 2, n_obs)
    share = rng.dirichlet(np.full(200, 5.0), 2)[label]  # labels differ, which must not count as variance
    mean = rng.lognormal(7, 0.5, (n_obs, 1)) * share
    counts = rng.poisson(rng.gamma(theta, mean / theta)).astype(np.float32)
    obs = pd.DataFrame({"label": label.astype(str), "condition": "c"}, index=[f"c{i}" for i in range(n_obs)])
    source = open_data(AnnData(sparse.csr_matrix(counts), obs=obs), label_key="label", condition_key="condition")
    found_share, found_theta = count_moments(source, np.arange(n_obs))
    np.testing.assert_allclose(found_share, counts.sum(axis=0) / counts.sum(), rtol=0.01)
    medians = [np.median(found_theta.numpy()[theta == one]) for one in (0.5, 2.0, 8.0)]
    np.testing.assert_allclose(medians, [0.5, 2.0, 8.0], rtol=0.15)


def test_a_feature_without_molecules_has_the_usual_theta():
    counts = np.zeros((20, 3), np.float32)
    counts[:, 0] = 5
    obs = pd.DataFrame({"label": "a"}, index=[f"c{i}" for i in range(20)])
    source = open_data(AnnData(counts, obs=obs), label_key="label")
    _, theta = count_moments(source, np.arange(20))
    np.testing.assert_allclose(theta[1:], 1 / USUAL)
