"""Ask: what a task is given has the model's features and values that it can use, however it was opened."""

import anndata
import pytest

from cellwright.data import check
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.errors import SchemaMismatch, UnsuitableValues
from cellwright.models.pca import PCA, PCAOptions
from cellwright.tasks.ask import cells_for
from cellwright.train.fit import fit


@pytest.fixture(scope="module")
def source():
    return open_data(simulate(SimulateOptions(n_obs=60, n_vars=20), seed=0).adata)


@pytest.fixture(scope="module")
def model(source):
    made = PCA(source.schema, PCAOptions(n_latent=2))
    fit(made, source, progress=False)
    return made


def negative() -> anndata.AnnData:
    adata = simulate(SimulateOptions(n_obs=60, n_vars=20), seed=0).adata
    adata.X[3, 4] = -1
    return adata


@pytest.mark.parametrize("opened", [False, True], ids=["anndata", "source"])
def test_values_that_the_model_cannot_use_are_refused(model, opened):
    data = negative()
    with pytest.raises(UnsuitableValues, match="pca needs numbers that are not negative"):
        cells_for(model, open_data(data, schema=model.schema) if opened else data, "reduce")


def test_other_features_are_refused(model, source):
    other = open_data(simulate(SimulateOptions(n_obs=60, n_vars=21), seed=0).adata)
    with pytest.raises(SchemaMismatch, match="`reduce` needs the 20 features"):
        cells_for(model, other, "reduce")


def test_the_source_of_the_fit_is_not_looked_through_again(model, source, monkeypatch):
    monkeypatch.setattr(check, "_refuse_values", lambda *_: pytest.fail("looked through again"))
    assert cells_for(model, source, "reduce") is source
