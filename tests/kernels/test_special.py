"""The oracle is SciPy."""

import numpy as np
from scipy import special

from cellwright.kernels.special import digamma


def test_digamma_equals_scipys_from_the_smallest_theta_to_the_largest_count():
    z = np.concatenate([np.geomspace(1e-10, 1e10, 2_000), np.linspace(0.5, 20, 500)])
    # relative to the terms it is made of, for it is zero at 1.46
    size = np.maximum(1, np.abs(special.digamma(z)))
    # the first term that the series leaves out, 691 / 32760 z^-12, is 3e-13 at z = 8
    assert (np.abs([digamma(x) for x in z] - special.digamma(z)) / size).max() < 1e-12
