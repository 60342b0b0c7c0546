"""Samples of donors at times become a row per donor: every value at its place, NaN where there is none."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.series import series
from cellwright.errors import DataError, MissingKey

OBS = pd.DataFrame(
    {
        "donor": ["b", "a", "a", "b", "a", "a", None],
        "hour": [0.0, 6.0, 0.0, 24.0, 6.0, np.nan, 0.0],
        "outcome": ["ill", "well", "well", "ill", "well", "well", "ill"],
    },
    index=[f"sample{i}" for i in range(7)],
)
VALUES = np.array([[1, 2], [3, 4], [5, 6], [7, np.nan], [5, np.nan], [9, 9], [9, 9]], dtype=np.float32)


@pytest.fixture
def samples():
    return AnnData(VALUES.copy(), obs=OBS.copy(), var=pd.DataFrame(index=["IL6", "TNF"]))


def test_every_value_is_at_its_donor_time_and_quantity(samples):
    out = series(samples, time="hour", by="donor")
    assert out.obs_names.tolist() == ["a", "b"]
    assert out.var["step"].tolist() == [0, 0, 6, 6, 24, 24]
    assert out.var["quantity"].tolist() == ["IL6", "TNF"] * 3
    expected = [[5, 6, 4, 4, np.nan, np.nan], [1, 2, np.nan, np.nan, 7, np.nan]]
    np.testing.assert_array_equal(out.X, expected)
    assert out.layers["n_samples"].tolist() == [[1, 1, 2, 1, 0, 0], [1, 1, 0, 0, 1, 0]]


def test_what_is_constant_in_a_donor_stays(samples):
    obs = series(samples, time="hour", by="donor").obs
    assert obs["outcome"].tolist() == ["well", "ill"]
    assert obs["n_samples"].tolist() == [3, 2]
    assert "hour" not in obs


def test_it_opens_as_sequences_of_several_quantities(samples):
    source = open_data(
        series(samples, time="hour", by="donor"), step_key="step", quantity_key="quantity", label_key="outcome"
    )
    assert set(source.schema.steps.quantities) == {"IL6", "TNF"}
    assert source.schema.label.values == ("ill", "well")


def test_the_order_of_samples_means_nothing(samples):
    shuffled = samples[np.random.default_rng(0).permutation(7)].copy()
    np.testing.assert_array_equal(
        series(shuffled, time="hour", by="donor").X, series(samples, time="hour", by="donor").X
    )


def test_columns_of_a_representation_are_the_quantities(samples):
    samples.obsm["X_pca"] = VALUES[:, :1] * 2
    out = series(samples, time="hour", by="donor", use_rep="X_pca")
    assert out.var["quantity"].unique().tolist() == ["X_pca_0"]
    assert out.X[0].tolist()[:2] == [10, 8]


def test_a_single_time_gives_sequences_of_length_one(samples):
    samples.obs["hour"] = 0.0
    assert series(samples, time="hour", by="donor").n_vars == 2


def test_columns_that_are_not_there_not_numbers_or_empty_are_refused(samples):
    with pytest.raises(MissingKey, match=r"obs has no 'hours' \(time\).*Did you mean 'hour'"):
        series(samples, time="hours", by="donor")
    with pytest.raises(MissingKey, match=r"obs has no 'patient' \(by\)"):
        series(samples, time="hour", by="patient")
    with pytest.raises(DataError, match=r"obs\['outcome'\] \(time\) must hold numbers"):
        series(samples, time="outcome", by="donor")
    samples.obs["hour"] = np.nan
    with pytest.raises(DataError, match="of 7 none has both"):
        series(samples, time="hour", by="donor")


def test_quantities_keep_the_order_of_their_columns(samples):
    samples.obsm["X_pca"] = np.arange(7 * 12, dtype=np.float32).reshape(7, 12)
    data = open_data(
        series(samples, time="hour", by="donor", use_rep="X_pca"), step_key="step", quantity_key="quantity"
    )
    assert data.schema.steps.quantities == tuple(f"X_pca_{i}" for i in range(12))
