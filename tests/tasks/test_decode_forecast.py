"""A forecast of latents becomes one of genes by the model that made them."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import AbilityError, DataError
from cellwright.models import build
from cellwright.nn.transform import TARGET_SUM
from cellwright.tasks.decode_forecast import decode_forecast, in_order_of_latent
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def pca():
    cells = simulate(SimulateOptions(n_obs=80, n_vars=12, n_latent=3), seed=0).adata
    source = open_data(cells)
    model = build("pca", source.schema, n_latent=3, scale=False)
    fit(model, source, progress=False)
    return model


def said(n_quantities=3, n_steps=2):
    values = np.random.default_rng(0).normal(size=(5, n_steps * n_quantities)).astype(np.float32)
    values[1, :n_quantities] = np.nan
    var = pd.DataFrame(
        {
            "step": np.repeat(np.arange(n_steps) + 10.0, n_quantities),
            "ahead": np.repeat(np.arange(n_steps) + 1, n_quantities),
            "sequence": "",
            "quantity": [f"X_pca_{i}" for i in range(n_quantities)] * n_steps,
        }
    )
    return AnnData(values, var=var.set_axis([f"c{i}" for i in range(len(var))]))


def test_genes_of_every_step_are_those_that_the_components_span(pca):
    found = decode_forecast(said(), pca)
    assert found.shape == (5, 2 * 12)
    assert found.var["quantity"].tolist() == list(pca.schema.var_names) * 2
    assert found.var["step"].tolist() == [10] * 12 + [11] * 12
    z = said().X[:, 3:]
    logs = z @ pca.components.numpy().T + pca.centre.numpy() + pca.offset.numpy()
    # back to counts, which are not negative, and to logarithms again
    np.testing.assert_allclose(found.X[:, 12:], logs.clip(0), rtol=1e-3, atol=1e-3)
    assert np.isnan(found.X[1, :12]).all()
    assert TARGET_SUM == 1e4


def test_latents_are_in_the_order_of_their_numbers_whatever_the_file_has():
    assert in_order_of_latent(np.array(["z_0", "z_1", "z_10", "z_2"])).tolist() == [0, 1, 3, 2]
    assert in_order_of_latent(np.array(["b", "a"])).tolist() == [0, 1]


def test_a_latent_of_another_width_and_a_model_that_does_not_decode_are_refused(pca):
    with pytest.raises(DataError, match="3 numbers a step; it is of 2"):
        decode_forecast(said(n_quantities=2), pca)
    cells = simulate(SimulateOptions(n_obs=40, n_vars=12, n_latent=3), seed=0).adata
    with pytest.raises(AbilityError, match="decode_forecast"):
        decode_forecast(said(), build("gene_mean", open_data(cells).schema))
