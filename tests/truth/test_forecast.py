"""Known answers of forecasts: a process whose best forecast and whose uncertainty are known; slow."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from cellwright.data.open import open_data
from cellwright.data.split import Split
from cellwright.metrics.coverage_error import coverage
from cellwright.models import build
from cellwright.tasks.forecast import Future, score_forecast
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions

pytestmark = pytest.mark.slow

N, N_STEPS, HIDDEN = 900, 16, 3
SPLIT = Split(np.arange(600), np.arange(600, 700), np.arange(700, N))
# x[t] = 1.6 x[t-1] - 0.8 x[t-2] + noise: a noisy oscillation of its own phase and size
PHI, NOISE = (1.6, -0.8), 0.5
# of the error 1, 2 and 3 steps ahead, from the weights 1, 1.6 and 1.6^2 - 0.8 of the noise
ERROR = NOISE * np.sqrt(np.cumsum(np.square([1.0, 1.6, 1.76])))
NETWORKS = ["forecaster", "transformer_forecaster"]


@pytest.fixture(scope="module")
def source():
    rng = np.random.default_rng(0)
    x = np.zeros((N, N_STEPS + 30))
    for t in range(2, x.shape[1]):
        x[:, t] = PHI[0] * x[:, t - 1] + PHI[1] * x[:, t - 2] + rng.normal(0, NOISE, N)
    var = pd.DataFrame({"t": range(N_STEPS)}, index=[f"t{i}" for i in range(N_STEPS)])
    return open_data(AnnData(x[:, -N_STEPS:].astype(np.float32), var=var), step_key="t")


@pytest.fixture(scope="module", params=NETWORKS)
def network(request, source):
    model = build(request.param, source.schema, n_hidden=32, learning_rate=3e-3, dropout=0.0)
    fit(model, source, FitOptions(max_epochs=120, batch_size=64), split=SPLIT, progress=False)
    return model


def test_a_network_is_nearly_as_right_as_can_be_at_each_step(network, source):
    table = score_forecast(network, source, SPLIT.test, held_out=True, n_hidden=HIDDEN)
    for ahead, best in enumerate(ERROR, start=1):
        of = table[(table["group"] == f"{ahead} ahead") & (table["metric"] == "forecast_rmse")]["value"].item()
        # 200 rows: the standard error of a root mean square is 5 %
        assert of < 1.2 * best, ahead


def test_its_draws_cover_nine_in_ten_at_each_step(network, source):
    future = Future.of(network, source, SPLIT.test, HIDDEN, seed=0)
    for ahead in range(HIDDEN):
        # of 200 rows the standard error is 2 points
        assert coverage(future.came[:, [ahead]], future.draws[:, [ahead]]) == pytest.approx(0.9, abs=0.07)


@pytest.mark.parametrize("name", ["persistence", "linear_extrapolation", "markov_chain"])
def test_a_baseline_is_worse(name, source):
    model = build(name, source.schema)
    fit(model, source, split=SPLIT, progress=False)
    table = score_forecast(model, source, SPLIT.test, held_out=True, n_hidden=HIDDEN)
    error = table[(table["group"] == "") & (table["metric"] == "forecast_rmse")]["value"].item()
    assert error > 1.2 * np.sqrt((ERROR**2).mean())


@pytest.mark.parametrize("name", ["persistence", "linear_extrapolation"])
def test_draws_from_errors_on_training_rows_cover_nine_in_ten(name, source):
    """Those of a Markov chain come from its states instead; where more than the last step counts they cover less."""
    model = build(name, source.schema)
    fit(model, source, split=SPLIT, progress=False)
    future = Future.of(model, source, SPLIT.test, HIDDEN, seed=0)
    assert coverage(future.came, future.draws) == pytest.approx(0.9, abs=0.05)
