"""What every model promises, run over the whole table: a new line in MODELS gets these tests for free.

Tests of an ability run over the models that have it.
"""

import runpy
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from mudata import MuData
from scipy import sparse

import cellwright
from cellwright.core.abilities import ABILITIES, Wanted
from cellwright.core.minibatch import SparseRows
from cellwright.core.noise import NoiseKey
from cellwright.core.objective import Step
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import random_split
from cellwright.errors import CellwrightError
from cellwright.models import MODELS, build, name_of
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run

ANSWERS = Path(__file__).parent / "answers.py"
_PROGRAM = runpy.run_path(str(ANSWERS))
answers, per_cell = _PROGRAM["answers"], _PROGRAM["per_cell"]

# of the options that a model has, so that the tests are fast
SMALL = {"n_latent": 4, "n_smooth": 4, "n_steps": 10, "links": str(Path(__file__).with_name("links.csv"))}
SHORT = FitOptions(max_epochs=3, validation=0.2, batch_size=64)
SHORTEST = SHORT.model_copy(update={"max_epochs": 1})  # enough for an option to change something
# for every option a value that is not its default; a new option without a line here fails the test below
OTHER_VALUES = {
    "activation": "gelu",
    "bandwidth": 0.2,
    "alignment": "sinkhorn",
    "alignment_warmup_epochs": 0,
    "batch_weight": 0.0,
    "beta": 3.0,
    "canonical": False,
    "cell": "tanh",
    "centre": "batch",
    "cells": "counts",
    "cell_weight": 0.0,
    "class_weight": "balanced",
    "contrast_weight": 0.0,
    "convolution": "gat",
    "corruption": "noise",
    "corruption_strength": 0.6,
    "critic_learning_rate": 0.02,
    "critic_steps": 3,
    "decoder_dropout": 0.5,
    "decoding": "published",
    "denoiser_weight_decay": 0.5,
    "dropout": 0.5,
    "edge_weight": 0.0,
    "fusion": "mixture",
    "encoder": "graph",
    "graph": "space",
    "guidance": 3.0,
    "kl_warmup_epochs": 2,
    "label_dropout": 0.9,
    "label_weight": 0.0,
    "learning_rate": 0.02,
    "likelihood": "poisson",
    "likelihoods": {"protein": "poisson"},
    "links_weight": 1.0,
    "max_references": 60,
    "masked_share": 0.8,
    "match_weight": 0.0,
    "max_cells": 50,
    "max_genes": 5,
    "max_value": 0.5,
    "mean_share": 0.5,
    "modality_dropout": 0.0,
    "modality_weights": {"protein": 0.1},
    "n_asked": 4,
    "n_components": 6,
    "n_decoder_layers": 0,
    "n_denoiser_hidden": 16,
    "n_denoiser_layers": 1,
    "n_heads": 1,
    "n_hidden": 16,
    "n_kinds": 3,
    "n_latent": 3,
    "n_layers": 2,
    "n_neighbors": 3,
    "n_noise": 3,
    "n_points": 2,
    "n_rounds": 1,
    "n_sampled": 1,
    "n_hops": 2,
    "n_smooth": 0,
    "n_states": 3,
    "n_steps": 4,
    "n_times": 1,
    "normalisation": "layer",
    "own_weight": 2.5,
    "output": "values",
    "panels": (),
    "penalty": 100.0,
    "prediction": "epsilon",
    "prior_weight": 0.0,
    "rank": 2,
    "real_valued": ("protein",),
    "ridge": 30.0,
    "response_penalty": 10.0,
    "scale": False,
    "share": 1.0,
    "shift": "raw",
    "sigma": 1.0,
    "shift_balance": "under",
    "temperature": 5.0,
    "theta": 0.0,
    "transform": "none",
    "tuned": True,
    "variational": True,
    "weight_decay": 0.5,
    "zeros": "preserve",
}
SEQUENTIAL = ("rnn", "gru", "lstm", "forecaster", "transformer_forecaster", "sequence_ae")
# where that value is the preset's
OTHER_VALUES_OF = {
    ("pca_unscaled", "scale"): True,
    ("pca_centred", "centre"): "all",
    ("spatial_gae", "centre"): "all",
    ("logistic_balanced", "class_weight"): "none",
    ("vgae", "variational"): False,
    ("gan", "n_layers"): 1,
    ("scgen", "n_layers"): 1,
    ("alra", "zeros"): "fill",
    ("linked_features", "canonical"): True,
    ("rnn", "cell"): "gru",
    ("gene_shift_raw", "shift"): "shared",
    ("response_vae", "cells"): "constant",
    ("response_vae", "n_layers"): 2,
    ("mlp_classifier", "normalisation"): "batch",
    ("mlp_classifier", "scale"): True,
    **{(name, "n_layers"): 1 for name in SEQUENTIAL},
}
# an option that needs more than a value; its test is there
TESTED_ELSEWHERE: dict[str, str] = {
    "pretrained": "tests/models/test_diffusion.py::test_a_pretrained_vae_is_copied_and_not_trained",
    "links": "tests/models/test_aligned_vae.py::test_linked_features_are_said_by_one_network_of_both_modalities",
}
# an option may say nothing where another one switches it off
NEEDS = {
    "max_value": {"scale": True},
    "n_latent": {"canonical": True},
    "mean_share": {"zeros": "fill"},
    "shift_balance": {"shift": "raw"},
    "beta": {"variational": True},
    "corruption_strength": {"corruption": "mask"},
    "activation": {"n_layers": 1},
    "normalisation": {"n_layers": 1},
    "n_hidden": {"n_layers": 1},
    "tuned": {"penalty": 1e6},  # none that is tried
    "dropout": {"n_layers": 1},
}


@pytest.fixture(autouse=True)
def _the_coming_mudata():
    """Which pulls no columns of its own; today's warns that it will."""
    with mudata.set_options(pull_on_update=False):
        yield


def plain_cells():
    options = SimulateOptions(
        n_obs=240, n_vars=40, n_latent=3, n_batch=2, label_shares=(0.6, 0.3, 0.1), treated_share=0.4
    )
    adata = simulate(options, seed=0).adata
    adata.obsm["spatial"] = np.random.default_rng(0).random((adata.n_obs, 2))
    return adata


def sequences():
    """Rows of two sequences with two quantities, a tenth of the values missing; the label is the shape."""
    rng = np.random.default_rng(0)
    label = rng.choice(3, 240, p=(0.5, 0.3, 0.2))
    var = pd.MultiIndex.from_product(
        [["a", "b"], [0, 1, 2, 4, 5], ["x", "y"]], names=["experiment", "time", "quantity"]
    )
    time, is_y = var.get_level_values("time").to_numpy(), var.get_level_values("quantity") == "y"
    values = np.stack([time / 2.5 - 1, np.sin(time), 1 - time / 2.5])[label] * np.where(is_y, -2, 1)
    values = (values + rng.normal(0, 0.2, values.shape)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    obs = {"label": np.array(["rises", "waves", "falls"])[label], "batch": rng.choice(["1", "2"], 240)}
    frame = var.to_frame(index=False).set_axis([f"{e}_{t}_{q}" for e, t, q in var])
    return AnnData(values, obs=pd.DataFrame(obs, index=[f"gene{i}" for i in range(240)]), var=frame)


def modalities():
    """RNA of all cells but some, and proteins of all cells but others: counts that the same latent made."""
    rna = plain_cells()
    del rna.obsm["spatial"]
    protein = AnnData(np.asarray(rna.X[:, :9].todense()) * 3 + 1, obs=rna.obs)
    protein.var_names = [f"p{i}" for i in range(9)]
    rna, protein = rna[np.arange(rna.n_obs) % 5 > 0].copy(), protein[np.arange(rna.n_obs) % 7 > 0].copy()
    return MuData({"rna": rna, "protein": protein})


# a kind of data: how it is made, and how it is opened
KINDS = {
    "cells": (
        plain_cells,
        {
            "batch_key": "batch",
            "label_key": "label",
            "condition_key": "condition",
            "control": "control",
            "coordinates_key": "spatial",
        },
    ),
    "modalities": (
        modalities,
        {"batch_key": "batch", "label_key": "label", "condition_key": "condition", "control": "control"},
    ),
    "sequences": (
        sequences,
        {
            "batch_key": "batch",
            "label_key": "label",
            "step_key": "time",
            "sequence_key": "experiment",
            "quantity_key": "quantity",
        },
    ),
}


def kind_of(name):
    """Which of the kinds of data a model takes."""
    if MODELS[name].model.reads_several:
        return "modalities"
    return "sequences" if "steps" in MODELS[name].model.needs else "cells"


@cache
def cells_of(kind):
    return KINDS[kind][0]()


@cache
def data_of(kind):
    return open_data(cells_of(kind), **KINDS[kind][1])


@pytest.fixture
def cells(name):
    return cells_of(kind_of(name))


@pytest.fixture
def data(name):
    return data_of(kind_of(name))


def small(name, **options):
    """Options that make a model small, as far as it has them, and `options` over them."""
    return {key: value for key, value in SMALL.items() if key in MODELS[name].options_type.model_fields} | options


def made(name, data, **options):
    return build(name, data.schema, **small(name, **options))


def fitted(name, data, fit_options=SHORT, **options):
    model = made(name, data, **options)
    history = fit(model, data, fit_options, progress=False)
    return model, history


@cache
def short_fit(name, fit_options=SHORT, **options):
    """A model after a short training, and whether that left the global generators alone."""
    data = data_of(kind_of(name))
    model = made(name, data, **options)
    before_torch, before_numpy = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(model, data, fit_options, progress=False)
    left_torch = torch.equal(before_torch, torch.random.get_rng_state())
    return model, left_torch and np.array_equal(before_numpy, np.random.get_state()[1])  # noqa: NPY002


def after_short(name, fit_options=SHORT, **options):
    """A model after a short training, which is done once; what a test does to it no other test sees."""
    return deepcopy(short_fit(name, fit_options, **options)[0])


@cache
def told(name, fit_options=SHORT, **options):
    """Weights and answers of a model after a short training: many tests compare with them."""
    model = after_short(name, fit_options, **options)
    return state_of(model), answers(model, data_of(kind_of(name)))


def state_of(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def objectives_of(model, data):
    """All objectives of a new model, each stage prepared as `fit` does it."""
    model.eval()
    for number, stage in enumerate(model.stages()):
        model.prepare(number, data, np.arange(data.n_obs), np.random.default_rng(0))
        yield from stage


def same(first, second):
    return first.keys() == second.keys() and all(
        value.shape == second[name].shape and np.array_equal(value, second[name], equal_nan=True)
        for name, value in first.items()
    )


def models_with(ability):
    names = [name for name, entry in MODELS.items() if ability in entry.abilities]
    return pytest.mark.parametrize("name", names)


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
    assert name_of(made(name, data)) == name
    of_its_class = MODELS[name].model(data.schema, MODELS[name].options(**small(name)))
    assert name_of(of_its_class) == name


@every_model
def test_every_model_has_an_ability_and_a_citation(name):
    assert set(MODELS[name].abilities) <= set(ABILITIES)
    assert MODELS[name].abilities
    assert MODELS[name].model.citations


@every_model
def test_loss_terms_are_finite_and_what_a_model_validates_on_falls(name, data):
    model, history = fitted(name, data, FitOptions(max_epochs=8, validation=0, batch_size=32))
    if not model.stages():
        assert history.rows == []
        return
    assert np.isfinite(history.table["value"]).all()
    if model.validates_on is None:
        return  # an adversary's loss says nothing of the progress
    losses = history.table.query("split == 'train' and term == @model.validates_on")["value"].to_numpy()
    for stage in np.split(losses, len(model.stages())):
        assert stage[-1] < stage[0]


@every_model
def test_every_objective_gives_one_finite_number_per_cell_and_term(name, data):
    minibatch = next(iter(in_order(data, np.arange(16))))
    for objective in objectives_of(made(name, data), data):
        loss = objective.loss(minibatch, Step(0, NoiseKey(0)))
        for term in loss.terms.values():
            assert term.shape == (16,)
            assert torch.isfinite(term).all()


@every_model
def test_a_loss_depends_on_the_fields_that_the_model_says_it_reads_and_on_no_other(name, data):
    model = made(name, data)
    minibatch = next(iter(in_order(data, np.arange(16))))
    others = {
        "label": minibatch.label + 1,
        "condition": minibatch.condition - 1,
        "time": minibatch.time * 0 + 3,
        "batch": (minibatch.batch + 1) % 2,
        "covariates": minibatch.covariates + 1,
        "coordinates": minibatch.coordinates + 1,
    }
    changed = replace(minibatch, **{field: value for field, value in others.items() if field not in model.reads})
    for objective in objectives_of(model, data):
        first, second = (objective.loss(cells, Step.evaluation(0)).per_cell for cells in (minibatch, changed))
        assert torch.equal(first, second)


@every_model
def test_evaluation_does_not_depend_on_the_order_of_cells(name, data):
    model = after_short(name)
    whole = per_cell(model, data, np.arange(64))
    for row in (5, 40):
        alone = per_cell(model, data, np.array([row]))
        for ability, values in alone.items():
            np.testing.assert_allclose(whole[ability][[row]], values, rtol=1e-5, atol=1e-5, err_msg=ability)


@every_model
def test_the_same_seed_repeats_and_another_differs(name, data):
    (_, first), again = told(name), answers(fitted(name, data)[0], data)
    other = answers(fitted(name, data, SHORT.model_copy(update={"seed": 1}))[0], data)
    assert same(first, again)
    assert not same(first, other) or name in {"no_change", "as_measured"}  # they learn nothing that could differ


@every_model
def test_fitting_leaves_the_global_generators_alone(name):
    _, left_alone = short_fit(name)
    assert left_alone


@every_model
def test_held_out_cells_change_nothing(name, cells):
    """The training of a model is the same when every value of the held-out cells is another."""

    split = random_split(cells.n_obs, validation=0.2, test=0.3, seed=0)
    changed = cells.copy()
    for table in changed.mod.values() if isinstance(changed, MuData) else (changed,):
        held_out = table.obs_names.isin(cells.obs_names[split.test])
        values = sparse.csr_matrix(table.X).toarray()
        values[held_out] = values[held_out][::-1] * 3 + 1
        table.X = type(table.X)(values) if sparse.issparse(table.X) else values
    states = []
    for adata in (cells, changed):
        source = open_data(adata, **KINDS[kind_of(name)][1])
        model = made(name, source)
        fit(model, source, SHORT, split=split, progress=False)
        states.append(model.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


@every_model
def test_a_saved_run_gives_the_same_answers_in_another_process(name, data, cells, tmp_path, started):
    model = made(name, data)
    fit(model, data, SHORT, run=tmp_path / "run", progress=False)
    path = tmp_path / ("cells.h5mu" if isinstance(cells, MuData) else "cells.h5ad")
    cells.write(path)
    process = started(ANSWERS, tmp_path / "run", path, tmp_path / "there.npz")
    process.join()
    assert process.exitcode == 0
    there = dict(np.load(tmp_path / "there.npz"))
    assert there
    assert same(answers(model, data), there)
    assert load_run(tmp_path / "run").options == model.options


@models_with("decodes")
def test_decoded_means_are_on_the_scale_of_the_data(name, data):
    """For the same latent, a cell with twice the counts has twice the mean: a mean on another scale has not."""
    model = after_short(name)
    minibatch = next(iter(in_order(data, np.arange(50))))
    doubled = replace(minibatch, views={"X": minibatch.x.map(lambda values: 2 * values)})
    with torch.no_grad():
        latent = model.encode(minibatch)
        once, twice = model.decode(latent, minibatch), model.decode(latent, doubled)
        log_prob = model.log_prob(latent, minibatch)
    assert once.shape == (50, data.schema.n_vars)
    assert (once >= 0).all()
    torch.testing.assert_close(twice, 2 * once)
    assert log_prob.shape == (50,)


@models_with("translates")
def test_a_translation_is_on_the_scale_of_the_data_and_does_not_look_at_what_is_asked_for(name, data):
    model = after_short(name)
    minibatch = next(iter(in_order(data, np.arange(50))))
    changed = replace(minibatch, views={n: v.map(lambda x: 5 * x + 1) for n, v in minibatch.views.items()})
    for modality, other in (("rna", "protein"), ("protein", "rna")):
        views = {modality: changed.views[modality], other: minibatch.views[other]}
        elsewhere = replace(minibatch, views={n: views[n] for n in minibatch.views})
        with torch.no_grad():
            found, again = (
                model.translate(m, modality, torch.Generator().manual_seed(0)) for m in (minibatch, elsewhere)
            )
        known = minibatch.of(other).present[:, 0]
        assert found.shape == (50, len(data.schema.features[modality]))
        assert torch.isfinite(found[known]).all()
        assert (found[known] >= 0).all()
        assert found[~known].isnan().all()
        assert torch.equal(found[known], again[known])
        measured = minibatch.views[modality].dense()[minibatch.present.all(dim=1)]
        # cells have about as many counts as were measured
        assert 0.5 < found[known].sum(dim=1).median() / measured.sum(dim=1).median() < 2


@models_with("forecasts")
def test_a_forecast_is_finite_where_there_is_a_past_and_does_not_look_at_what_is_hidden(name, data):
    model, _ = fitted(name, data)
    minibatch = next(iter(in_order(data, np.arange(50))))
    values = minibatch.x.dense()
    late = torch.tensor(data.schema.steps.time_of) >= 4  # the last two steps of either sequence
    other = replace(minibatch, views={"X": SparseRows.of(torch.where(late, 3 * values + 1, values).numpy())})
    gone = replace(minibatch, views={"X": SparseRows.of(torch.where(late, torch.nan, values).numpy())})
    with torch.no_grad():
        whole, *found = (model.forecast(m, 3, hidden=h) for m, h in ((minibatch, 0), (minibatch, 2), (other, 2)))
        drawn = [model.draw_forecast(m, 3, torch.Generator().manual_seed(0), 2) for m in (minibatch, other)]
        of_nothing = model.forecast(gone, 3, hidden=2)
    assert whole.shape == (50, 2, 3, 2)
    assert torch.isfinite(whole).all()
    assert torch.equal(found[0], found[1])
    assert torch.equal(drawn[0], drawn[1])
    torch.testing.assert_close(found[0], of_nothing, rtol=1e-5, atol=1e-5)
    assert not torch.equal(found[0], whole)


@models_with("forecasts")
def test_more_hidden_than_there_is_gives_no_forecast_and_no_step_at_all_is_refused(name, data):
    model, _ = fitted(name, data)
    minibatch = next(iter(in_order(data, np.arange(4))))
    with torch.no_grad():
        assert model.forecast(minibatch, 2, hidden=9).isnan().all()
        assert model.draw_forecast(minibatch, 2, torch.Generator().manual_seed(0), hidden=9).isnan().all()
        for wrong in ({"n_steps": 0}, {"n_steps": 1, "hidden": -1}):
            with pytest.raises(CellwrightError, match="must be"):
                model.forecast(minibatch, **wrong)


@models_with("draws_forecast")
def test_draws_of_the_next_step_scatter_around_the_forecast_and_repeat_row_by_row(name, data):
    model, _ = fitted(name, data)
    minibatch = next(iter(in_order(data, np.arange(20))))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([model.draw_forecast(minibatch, 1, generator) for _ in range(400)])
        expected = model.forecast(minibatch, 1)
        alone = next(iter(in_order(data, np.array([7]))))
        again = model.draw_forecast(alone, 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(again[0], drawn[0, 7], rtol=1e-5, atol=1e-5)
    assert (drawn.std(dim=0) > 0).all()
    assert ((drawn.mean(dim=0) - expected).abs() < 5 * drawn.std(dim=0) / 20).float().mean() > 0.99


@models_with("draws_modality")
def test_the_mean_of_drawn_modalities_is_the_translation(name, data):
    model = after_short(name)
    minibatch = next(iter(in_order(data, np.arange(20))))
    known = minibatch.of("rna").present[:, 0]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([model.draw_modality(minibatch, "protein", generator)[known] for _ in range(400)])
        expected = torch.stack([model.translate(minibatch, "protein", generator)[known] for _ in range(20)]).mean(dim=0)
        again = model.draw_modality(minibatch, "protein", torch.Generator().manual_seed(0))[known]
    assert torch.equal(drawn[0], again)
    assert torch.equal(drawn, drawn.round())  # measurements of counts
    assert (drawn.std(dim=0) > 0).any()
    error = (drawn.std(dim=0) / 20).clamp(min=expected.mean() / 100)  # of the mean of 400
    assert ((drawn.mean(dim=0) - expected).abs() < 5 * error).float().mean() > 0.99


@models_with("classifies")
def test_probabilities_of_labels_sum_to_one_and_find_planted_labels(name, data):
    model, _ = fitted(name, data, SHORT.model_copy(update={"max_epochs": 30}))
    found = answers(model, data)["classifies"]
    assert found.shape == (data.n_obs, data.schema.n_labels)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    share_of_largest = np.bincount(data.annotation.label).max() / data.n_obs
    assert (found.argmax(axis=1) == data.annotation.label).mean() > share_of_largest


@models_with("classifies")
def test_a_classifier_without_labels_in_the_data_is_refused(name, cells):
    keys = {key: value for key, value in KINDS[kind_of(name)][1].items() if key != "label_key"}
    with pytest.raises(CellwrightError, match="label_key"):
        made(name, open_data(cells, **keys))


@models_with("perturbs")
def test_a_perturbed_cell_is_finite_on_its_scale_and_repeats_under_its_generator(name, data):
    model = after_short(name)
    found = answers(model, data)["perturbs"]
    assert found.shape == (data.n_obs, data.schema.n_vars)
    assert np.isfinite(found).all()
    assert np.array_equal(found, answers(model, data)["perturbs"])
    assert model.takes_logarithms


@models_with("perturbs")
def test_a_condition_that_no_training_cell_had_is_refused(name, data):
    model = after_short(name)
    minibatch = next(iter(in_order(data, np.arange(4))))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad(), pytest.raises(CellwrightError, match="control cells"):
        model.perturb(replace(minibatch, label=minibatch.label * 0 - 1), minibatch.condition, generator)


LEARN_NO_RESPONSE = {"no_change", "treated_mean"}


@pytest.mark.parametrize("name", sorted({n for n in MODELS if "perturbs" in MODELS[n].abilities} - LEARN_NO_RESPONSE))
def test_a_single_label_with_both_sides_is_refused(name, cells):
    lone = cells[(cells.obs["label"] == cells.obs["label"].iloc[0]) | (cells.obs["condition"] == "control")]
    source = open_data(lone.copy(), **KINDS[kind_of(name)][1])
    with pytest.raises(CellwrightError, match="2 labels or more"):
        fit(made(name, source), source, SHORT, progress=False)


@pytest.mark.parametrize("name", sorted({n for n in MODELS if "perturbs" in MODELS[n].abilities} - LEARN_NO_RESPONSE))
def test_a_condition_of_a_single_label_is_refused_only_when_it_is_asked_for(name, cells):
    """No model fails because of cells that nobody asked about."""
    more = cells.copy()
    condition = more.obs["condition"].astype(str).to_numpy(copy=True)
    of_label = (more.obs["label"] == more.obs["label"].iloc[0]).to_numpy() & (condition == "treated")
    condition[np.flatnonzero(of_label)[:4]] = "rare"
    more.obs["condition"] = condition
    source = open_data(more, **KINDS[kind_of(name)][1])
    model = made(name, source)
    fit(model, source, SHORT, progress=False)
    control = np.flatnonzero(source.annotation.condition == source.schema.control_code)
    minibatch, generator = next(iter(in_order(source, control[:4]))), torch.Generator().manual_seed(0)
    rare, treated = (source.schema.condition.values.index(value) for value in ("rare", "treated"))
    with torch.no_grad():
        assert torch.isfinite(model.perturb(minibatch, torch.full((4,), treated), generator)).all()
        with pytest.raises(CellwrightError, match="2 labels or more with cells of both 'control' and 'rare'"):
            model.perturb(minibatch, torch.full((4,), rare), generator)


@models_with("imputes")
def test_what_is_expected_is_finite_on_the_scale_of_the_data(name, data):
    """A cell with ten times the counts is expected to have more of them, in total about ten times."""
    model = after_short(name)
    minibatch = next(iter(in_order(data, np.arange(50))))
    more = replace(minibatch, views={"X": minibatch.x.map(lambda values: 10 * values)})
    with torch.no_grad():
        once, tenfold = (model.impute(cells, torch.Generator().manual_seed(0)) for cells in (minibatch, more))
    assert once.shape == (50, data.schema.n_vars)
    for expected in (once, tenfold):
        assert torch.isfinite(expected).all()
        assert (expected >= 0).all()
    torch.testing.assert_close(tenfold.sum(dim=1), 10 * once.sum(dim=1), rtol=0.25, atol=0)


@models_with("imputes")
def test_a_cell_is_imputed_the_same_whatever_its_label(name, data):
    model = after_short(name)
    minibatch = next(iter(in_order(data, np.arange(16))))
    other = replace(minibatch, label=(minibatch.label + 1) % data.schema.n_labels)
    with torch.no_grad():
        first, second = (model.impute(cells, torch.Generator().manual_seed(0)) for cells in (minibatch, other))
    assert torch.equal(first, second)


@models_with("draws")
def test_the_mean_of_draws_is_what_is_expected_and_a_generator_repeats_them(name, data):
    # of a Gaussian of unit variance no rates vary
    of_counts = {"likelihood": "negative_binomial"} if name in {"ae", "dae", "linear_ae"} else {}
    model = after_short(name, **of_counts)
    if name == "diffusion":  # its draws are means of chains of noise, many of which take too long here
        n, tolerance = 30, 0.2
    else:
        n, tolerance = 300, 0.05
    minibatch = next(iter(in_order(data, np.arange(20))))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        drawn = torch.stack([model.draw(minibatch, generator) for _ in range(n)])
        expected = torch.stack([model.impute(minibatch, generator) for _ in range(3)]).mean(dim=0)
        again = model.draw(minibatch, torch.Generator().manual_seed(0))
        counts = model.draw_counts(minibatch, torch.Generator().manual_seed(0))
    assert torch.equal(counts, counts.round())
    assert torch.equal(again, drawn[0])
    assert (drawn >= 0).all()
    assert (drawn.std(dim=0) > 0).any()
    relative = (drawn.mean(dim=0) - expected).abs().sum() / expected.sum()
    assert relative < tolerance


@models_with("generates")
def test_generated_cells_are_what_data_could_be_and_repeat_under_their_generator(name, data):
    model = after_short(name)
    found = answers(model, data)["generates"]
    assert found.shape[1] == data.schema.n_vars
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert np.array_equal(found, found.round())  # it was trained on counts
    assert np.array_equal(found, answers(model, data)["generates"])
    assert not np.array_equal(found, answers(model, data, seed=1)["generates"])


@models_with("generates")
def test_labels_batches_and_conditions_can_be_asked_for(name, data):
    model = after_short(name)
    train = random_split(data.n_obs, validation=SHORT.validation, seed=SHORT.seed).train
    assert model.kind_counts.sum(dim=(1, 2))[:-1].tolist() == np.bincount(data.annotation.label[train]).tolist()
    for label in range(data.schema.n_labels):
        for batch, condition in ((-1, -1), (0, 0), (1, 1)):
            wanted = Wanted(*(torch.full((5,), code) for code in (label, batch, condition)))
            with torch.no_grad():
                made_cells = model.generate(wanted, torch.Generator().manual_seed(0))
            assert made_cells.shape == (5, data.schema.n_vars)


EVERY_OPTION = [
    (name, option)
    for name, entry in MODELS.items()
    for option in entry.options_type.model_fields
    if option not in TESTED_ELSEWHERE
]


@pytest.mark.parametrize(("name", "option"), EVERY_OPTION, ids=[f"{name} {option}" for name, option in EVERY_OPTION])
def test_every_option_changes_something(name, option, data):
    """Weights, or what is said of cells: some options say how a fitted model is used."""
    entry = MODELS[name]
    needed = {key: value for key, value in NEEDS.get(option, {}).items() if key in entry.options_type.model_fields}
    training = SHORT if option.endswith("_epochs") else SHORTEST
    state, said = told(name, training, **needed)
    other = OTHER_VALUES_OF.get((name, option), OTHER_VALUES[option])
    changed, _ = fitted(name, data, training, **{**needed, option: other})
    assert not (same(state, state_of(changed)) and same(said, answers(changed, data)))


def test_every_option_of_the_table_has_another_value_to_be_tried_with():
    known = {name for entry in MODELS.values() for name in entry.options_type.model_fields}
    assert known == set(OTHER_VALUES) | set(TESTED_ELSEWHERE)


def test_an_option_that_is_tested_elsewhere_is_tested_there():
    for option, place in TESTED_ELSEWHERE.items():
        file, test = place.split("::")
        assert f"def {test}" in (Path(__file__).parents[2] / file).read_text(), option
