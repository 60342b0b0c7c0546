"""Relearning is a full fit without its training: the same buffers, the same predictions, the same run folder."""

import json

import numpy as np
import pytest
import torch
from anndata import AnnData

from cellwright.data.balance import Over
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.source import in_order
from cellwright.data.split import held_out_combination_split, random_split
from cellwright.errors import DataError, SchemaMismatch, UnsuitableValues
from cellwright.models import build
from cellwright.run import Run
from cellwright.train.fit import fit
from cellwright.train.options import FitOptions
from cellwright.train.relearn import relearn
from cellwright.train.saved import load_run

KEYS = {"label_key": "label", "condition_key": "condition", "control": "control"}
SHORT = FitOptions(max_epochs=3, batch_size=32, seed=4)
SMALL = {"n_latent": 4, "n_hidden": 16}
VARIANTS = {
    "raw, oversampled": {"shift": "raw", "shift_balance": {"name": "over", "by": "label"}},
    "balanced, published": {"shift": "balanced", "decoding": "published"},
    "similar": {"shift": "similar"},
    "linear": {"shift": "linear"},
    "regression": {"shift": "regression"},
    "transport": {"shift": "transport"},
}


@pytest.fixture(scope="module")
def cells():
    options = SimulateOptions(n_obs=200, n_vars=20, n_latent=3, treated_share=0.5, label_shares=(0.5, 0.3, 0.2))
    return simulate(options, seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, **KEYS)


@pytest.fixture(scope="module")
def split(data):
    return held_out_combination_split(data.annotation.label, data.annotation.condition, label=2, condition=1, seed=0)


def made(data, **options):
    return build("scgen", data.schema, **{**SMALL, **options})


def fitted(data, split, fit_options=SHORT, **options):
    model = made(data, **options)
    fit(model, data, fit_options, split=split, progress=False)
    return model


@pytest.fixture(scope="module", params=["shared", "transport", "regression"])
def trained(request, data, split):
    return fitted(data, split, shift=request.param)


@torch.no_grad()
def predicted(model, data):
    minibatch = next(iter(in_order(data, np.arange(data.n_obs), data.n_obs)))
    return model.eval().perturb(minibatch, torch.ones_like(minibatch.condition), torch.Generator())


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_it_gives_the_buffers_and_predictions_of_a_full_fit_bit_by_bit(data, split, trained, variant, tmp_path):
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    again, anew = made(data, **VARIANTS[variant]), fitted(data, split, **VARIANTS[variant])
    relearn(again, trained, data, SHORT, split=split, run=tmp_path / "run")
    assert again.state_dict().keys() == anew.state_dict().keys()
    for name, value in anew.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert torch.equal(predicted(again, data), predicted(anew, data))
    loaded = load_run(tmp_path / "run")
    assert loaded.options == anew.options
    assert torch.equal(predicted(loaded, data), predicted(anew, data))
    for name, value in trained.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_run_folder_is_that_of_a_fit_whose_training_cost_nothing(data, split, tmp_path):
    trained = made(data)
    options = SHORT.model_copy(update={"balance": Over()})
    fit(trained, data, options, split=split, run=tmp_path / "fit", progress=False)
    relearn(made(data, shift="raw"), trained, data, options, split=split, run=tmp_path / "again", command="how")
    first, again = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("fit", "again"))
    for same in ("model", "fit_options", "seed", "data", "citations", "versions", "status"):
        assert first[same] == again[same], same
    assert again["status"] == "done"
    assert again["command"] == "how"
    assert (first["n_epochs"], again["n_epochs"]) == (3, 0)
    files = [{path.name for path in (tmp_path / name).iterdir()} for name in ("fit", "again")]
    assert files[0] == files[1]
    assert (tmp_path / "fit" / "split.csv").read_text() == (tmp_path / "again" / "split.csv").read_text()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_hidden": 8}, "n_hidden"),
        ({"beta": 1.0, "dropout": 0.1}, "dropout, beta"),
        ({"transform": "none"}, "transform"),
    ],
    ids=["width", "two options", "transform"],
)
def test_another_training_is_refused_by_the_options_that_differ(data, split, options, named, tmp_path):
    trained = fitted(data, split)
    with pytest.raises(SchemaMismatch, match=f"scgen differs in {named}. Fit it instead"):
        relearn(made(data, **options), trained, data, SHORT, split=split, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_not_fitted_of_another_class_or_of_other_data_is_refused(cells, data, split, tmp_path):
    other = open_data(cells[:, :10].copy(), **KEYS)
    of_other_data = fitted(other, split)
    another = build("pca_shift", data.schema, n_latent=4)
    fit(another, data, split=split, progress=False)
    for trained in (made(data), of_other_data, another):
        with pytest.raises(SchemaMismatch, match="can take the training of a fitted model"):
            relearn(made(data), trained, data, SHORT, split=split, run=tmp_path / "run")


def test_values_that_the_new_options_cannot_use_are_refused_before_a_folder_is_made(cells, tmp_path):
    """The training with published decoding took values below zero; the residual one clips there."""
    data = open_data(AnnData(cells.X.toarray() - 3, obs=cells.obs), **KEYS)
    split = random_split(data.n_obs, validation=0)
    trained = fitted(data, split, transform="none", decoding="published")
    with pytest.raises(UnsuitableValues, match="ScGen needs numbers that are not negative"):
        relearn(made(data, transform="none"), trained, data, SHORT, split=split, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_remedy_that_the_cells_do_not_allow_fails_with_its_sentence_in_the_record(data, split, tmp_path):
    few = made(data, shift="raw", shift_balance={"name": "smote", "n_neighbours": 150})
    with pytest.raises(DataError, match="150"):
        relearn(few, fitted(data, split), data, SHORT, split=split, run=tmp_path / "run")
    record = Run(tmp_path / "run").record
    assert record.status == "failed"
    assert "150" in record.reason
