"""What holds for every entry of `BALANCES`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cellwright.data.balance
from cellwright.data.balance import BALANCES, Balance
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.models import build
from cellwright.models.model import Model
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

# a value for every option of a remedy, other than its default, with which it does something else to the cells below
CHANGED = {
    "by": "batch",
    "target": 20,
    "n_neighbours": 2,
    "space": "components",
    "n_bins": 3,
    "smoothing": 1.0,
    "over_dimensions": "mean",
}
every_remedy = pytest.mark.parametrize("name", BALANCES)
other_remedies = pytest.mark.parametrize("name", [name for name in BALANCES if name != "none"])
options_of_all = [
    (name, option) for name, remedy in BALANCES.items() for option in remedy.model_fields if option != "name"
]


@pytest.fixture(scope="module")
def data():
    options = SimulateOptions(n_obs=150, n_vars=60, n_latent=3, n_batch=2, library_mean=300.0)
    adata = simulate(options, seed=0).adata
    adata.obs["batch"] = np.where(np.arange(150) < 40, "1", "2")
    return open_data(adata, label_key="label", batch_key="batch")


def trained(data, balance: Balance, seed: int = 0, run: Path | None = None) -> Model:
    model = build("vae", data.schema, n_latent=3, n_hidden=8)
    fit(model, data, FitOptions(max_epochs=2, batch_size=32, balance=balance, seed=seed), run=run, progress=False)
    return model


def same(first: Model, second: Model) -> bool:
    return all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


@pytest.fixture(scope="module")
def plain(data):
    return trained(data, BALANCES["none"]())


def test_every_remedy_of_the_file_is_in_the_table_under_its_name():
    found = [kind for kind in vars(cellwright.data.balance).values() if isinstance(kind, type)]
    concrete = {kind for kind in found if issubclass(kind, Balance) and not kind.__abstractmethods__}
    assert {kind for kind in concrete if "name" in kind.model_fields and kind.model_fields["name"].default} == {
        *BALANCES.values()
    }
    assert all(remedy().name == name for name, remedy in BALANCES.items())


@every_remedy
def test_options_to_json_and_back_are_equal(name):
    remedy = BALANCES[name]
    given = {option: CHANGED[option] for option in remedy.model_fields if option != "name"}
    for options in (FitOptions(balance=remedy()), FitOptions(balance=remedy(**given))):
        assert FitOptions(**json.loads(options.model_dump_json())) == options
    text = ":".join([name, *(f"{option}={value}" for option, value in given.items())])
    assert FitOptions(balance=text).balance == remedy(**given)


@other_remedies
def test_it_changes_what_a_model_learns(data, plain, name):
    assert not same(trained(data, BALANCES[name]()), plain)


@every_remedy
def test_the_same_seed_trains_to_the_same_weights_and_another_does_not(data, name):
    first = trained(data, BALANCES[name]())
    assert same(first, trained(data, BALANCES[name]()))
    assert not same(first, trained(data, BALANCES[name](), seed=1))


@pytest.mark.parametrize(
    ("name", "option"), options_of_all, ids=[f"{name}, {option}" for name, option in options_of_all]
)
def test_each_option_changes_what_a_model_learns(data, name, option):
    remedy = BALANCES[name]
    assert not same(trained(data, remedy()), trained(data, remedy(**{option: CHANGED[option]})))


@every_remedy
def test_a_run_says_which_remedy_it_had_and_is_loaded_without_it(data, tmp_path, name):
    model = trained(data, BALANCES[name](), run=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["fit_options"]["balance"] == json.loads(BALANCES[name]().model_dump_json())
    assert same(load_run(tmp_path / "run"), model)


@every_remedy
def test_points_are_drawn_the_same_under_a_seed_and_stand_for_points_of_their_class(name):
    codes = np.repeat([0, 1, 2, -1], [30, 20, 10, 5])
    points = np.random.default_rng(0).normal(size=(65, 4))
    first, second = (BALANCES[name]().resample(points, codes, np.random.default_rng(3)) for _ in range(2))
    for field in ("points", "of", "weight"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    assert first.of.dtype == np.int64
    assert len(first.points) == len(first.of) == len(first.weight)
    real = (first.points == points[first.of]).all(axis=1)
    assert real.all() or name == "smote"
    assert set(first.of[~real]) <= set(np.flatnonzero(codes > 0))
