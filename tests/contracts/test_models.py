"""What every model promises, run over the whole table: a new line in MODELS gets these tests for free."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

import cellwright
from cellwright.core.abilities import ABILITIES, Decodes, Encodes
from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.models import MODELS, build, name_of
from cellwright.tasks.reduce import reduce
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

SMALL = {"n_latent": 4}
SHORT = FitOptions(max_epochs=3, validation=0.2, batch_size=64)
# for every option a value that is not its default; a new option without a line here fails the test below
OTHER_VALUES = {
    "activation": "gelu",
    "beta": 3.0,
    "corruption": "noise",
    "corruption_strength": 0.6,
    "dropout": 0.5,
    "kl_warmup_epochs": 2,
    "learning_rate": 0.02,
    "likelihood": "poisson",
    "max_value": 0.5,
    "n_hidden": 16,
    "n_decoder_layers": 0,
    "n_latent": 3,
    "n_layers": 2,
    "normalisation": "layer",
    "scale": False,
    "transform": "none",
    "weight_decay": 0.5,
}
# where that value is the preset's
OTHER_VALUES_OF = {("pca_unscaled", "scale"): True}
# an option may say nothing where another one switches it off
NEEDS = {
    "max_value": {"scale": True},
    "corruption_strength": {"corruption": "mask"},
    "activation": {"n_layers": 1},
    "normalisation": {"n_layers": 1},
    "n_hidden": {"n_layers": 1},
    "dropout": {"n_layers": 1},
}


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=240, n_vars=40, n_latent=3, n_batch=2, label_shares=(0.6, 0.3, 0.1))
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, batch_key="batch", label_key="label")


def fitted(name, data, fit_options=SHORT, **options):
    model = build(name, data.schema, **{**SMALL, **options})
    history = fit(model, data, fit_options, progress=False)
    return model, history


def latent(model, data):
    adata = reduce(model, data)
    return adata.obsm[f"X_{name_of(model)}"]


every_model = pytest.mark.parametrize("name", list(MODELS))


def test_every_file_of_the_room_is_in_the_table():
    room = Path(cellwright.__file__).parent / "models"
    files = {path.stem for path in room.glob("*.py")} - {"__init__", "model"}
    assert files == {entry.model.__module__.rsplit(".", 1)[1] for entry in MODELS.values()}


@every_model
def test_options_survive_json(name):
    options = MODELS[name].options()
    assert MODELS[name].options_type(**options.model_dump(mode="json")) == options


@every_model
def test_a_model_is_found_in_the_table_by_its_options(name, data):
    assert name_of(build(name, data.schema, **SMALL)) == name
    made = MODELS[name].model(data.schema, MODELS[name].options(**SMALL))
    assert name_of(made) == name


@every_model
def test_every_model_has_an_ability_and_a_citation(name):
    assert set(MODELS[name].abilities) <= set(ABILITIES)
    assert MODELS[name].abilities
    assert MODELS[name].model.citations


@every_model
def test_loss_terms_are_finite_and_the_loss_falls(name, data):
    model, history = fitted(name, data, FitOptions(max_epochs=8, validation=0, batch_size=32))
    if not model.stages():
        assert history.rows == []
        return
    losses = history.table.query("split == 'train' and term == 'loss'")["value"].to_numpy()
    assert np.isfinite(history.table["value"]).all()
    assert losses[-1] < losses[0]


@every_model
def test_every_objective_gives_one_finite_number_per_cell_and_term(name, data):
    model = build(name, data.schema, **SMALL)
    minibatch = next(iter(in_order(data, np.arange(16))))
    for stage in model.stages():
        for objective in stage:
            loss = objective.loss(minibatch, Step(0, NoiseKey(0)))
            for term in loss.terms.values():
                assert term.shape == (16,)
                assert torch.isfinite(term).all()


@every_model
def test_a_loss_depends_on_the_fields_that_the_model_says_it_reads_and_on_no_other(name, data):
    model = build(name, data.schema, **SMALL).eval()
    minibatch = next(iter(in_order(data, np.arange(16))))
    others = {
        "label": minibatch.label + 1,
        "condition": minibatch.condition - 1,
        "time": minibatch.time * 0 + 3,
        "batch": (minibatch.batch + 1) % 2,
        "covariates": minibatch.covariates,
    }
    changed = replace(minibatch, **{field: value for field, value in others.items() if field not in model.reads})
    for objective in (objective for stage in model.stages() for objective in stage):
        first, second = (objective.loss(cells, Step.evaluation(0)).per_cell for cells in (minibatch, changed))
        assert torch.equal(first, second)


@every_model
def test_evaluation_does_not_depend_on_the_order_of_cells(name, data):
    model, _ = fitted(name, data)
    assert isinstance(model, Encodes)
    rows = np.arange(64)
    forward = next(iter(in_order(data, rows)))
    alone = [next(iter(in_order(data, rows[i : i + 1]))) for i in (5, 40)]
    with torch.no_grad():
        whole = model.encode(forward)
        single = torch.cat([model.encode(minibatch) for minibatch in alone])
    torch.testing.assert_close(whole[[5, 40]], single, rtol=1e-5, atol=1e-5)


@every_model
def test_the_same_seed_repeats_and_another_differs(name, data):
    first, again = latent(fitted(name, data)[0], data), latent(fitted(name, data)[0], data)
    other = latent(fitted(name, data, SHORT.model_copy(update={"seed": 1}))[0], data)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@every_model
def test_fitting_leaves_the_global_generators_alone(name, data):
    model = build(name, data.schema, **SMALL)
    before_torch, before_numpy = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(model, data, SHORT, progress=False)
    assert torch.equal(before_torch, torch.random.get_rng_state())
    assert np.array_equal(before_numpy, np.random.get_state()[1])  # noqa: NPY002


@every_model
def test_held_out_cells_change_nothing(name, cells):
    """The training of a model is the same when every value of the held-out cells is another."""
    from cellwright.data.split import random_split

    split = random_split(cells.n_obs, validation=0.2, test=0.3, seed=0)
    changed = cells.copy()
    values = cells.X.toarray()
    values[split.test] = values[split.test][::-1] * 3 + 1
    changed.X = sparse.csr_matrix(values)
    keys = {"batch_key": "batch", "label_key": "label"}
    states = []
    for adata in (cells, changed):
        source = open_data(adata, **keys)
        model = build(name, source.schema, **SMALL)
        fit(model, source, SHORT, split=split, progress=False)
        states.append(model.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


@every_model
def test_a_saved_run_gives_the_same_latents_in_another_process(name, data, cells, tmp_path):
    model = build(name, data.schema, **SMALL)
    fit(model, data, SHORT, run=tmp_path / "run", progress=False)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    here = latent(model, data)
    code = (
        "import sys, numpy as np, cellwright as cw\n"
        "model = cw.load_run(sys.argv[1])\n"
        f"np.save(sys.argv[3], cw.reduce(model, sys.argv[2]).obsm['X_{name}'])"
    )
    files = [str(tmp_path / name) for name in ("run", "cells.h5ad", "there.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    assert np.array_equal(here, np.load(tmp_path / "there.npy"))
    assert load_run(tmp_path / "run").options == model.options


@every_model
def test_decoded_means_are_on_the_scale_of_the_data(name, data):
    """For the same latent, a cell with twice the counts has twice the mean: a mean on another scale has not."""
    model, _ = fitted(name, data)
    assert isinstance(model, Decodes)
    minibatch = next(iter(in_order(data, np.arange(50))))
    doubled = replace(minibatch, views={"X": minibatch.x.map(lambda values: 2 * values)})
    with torch.no_grad():
        latent = model.encode(minibatch)
        once, twice = model.decode(latent, minibatch), model.decode(latent, doubled)
        log_prob = model.log_prob(latent, minibatch)
    assert once.shape == (50, 40)
    assert (once >= 0).all()
    torch.testing.assert_close(twice, 2 * once)
    assert log_prob.shape == (50,)


EVERY_OPTION = [(name, option) for name, entry in MODELS.items() for option in entry.options_type.model_fields]


@pytest.mark.parametrize(("name", "option"), EVERY_OPTION, ids=[f"{name} {option}" for name, option in EVERY_OPTION])
def test_every_option_changes_something(name, option, data):
    entry = MODELS[name]
    needed = {key: value for key, value in NEEDS.get(option, {}).items() if key in entry.options_type.model_fields}
    base, _ = fitted(name, data, **needed)
    other = OTHER_VALUES_OF.get((name, option), OTHER_VALUES[option])
    changed, _ = fitted(name, data, **{**needed, option: other})
    states = base.state_dict(), changed.state_dict()
    same_shapes = {k: v.shape for k, v in states[0].items()} == {k: v.shape for k, v in states[1].items()}
    same_values = same_shapes and all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not same_values


def test_every_option_of_the_table_has_another_value_to_be_tried_with():
    assert {name for entry in MODELS.values() for name in entry.options_type.model_fields} == set(OTHER_VALUES)
