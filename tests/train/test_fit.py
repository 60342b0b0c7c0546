"""The loop resumes exactly, restores the best weights, refuses what cannot be trained, and writes its run folder."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy import sparse

from cellwright.core.objective import Loss, Objective
from cellwright.data.balance import BALANCES
from cellwright.data.open import open_data
from cellwright.data.simulate import SimulateOptions, simulate
from cellwright.data.split import random_split
from cellwright.errors import DataError, RunError, SchemaMismatch, TrainingDiverged, UnsuitableValues
from cellwright.models.autoencoder import Autoencoder, AutoencoderOptions
from cellwright.models.transformer import TransformerClassifier, TransformerClassifierOptions
from cellwright.models.vae import VAE, VAEOptions
from cellwright.run import Run
from cellwright.train.fit import fit
from cellwright.train.interrupt import Interrupted
from cellwright.train.options import FitOptions
from cellwright.train.saved import load_run, save_run

SMALL = VAEOptions(n_latent=3, n_hidden=16)
SHORT = FitOptions(max_epochs=4, batch_size=32, validation=0.2, checkpoint_seconds=0)


@pytest.fixture(scope="module")
def cells():
    return simulate(SimulateOptions(n_obs=200, n_vars=30, n_latent=3, n_batch=2), seed=0).adata


@pytest.fixture(scope="module")
def data(cells):
    return open_data(cells, batch_key="batch", label_key="label")


class Halted(Exception):
    """Stands for the power cut."""


def halting_after(model, n_steps):
    """The model, whose loss raises at that step of training as if the process had died there."""
    calls = 0
    real = model.negative_elbo

    def loss(minibatch, step):
        nonlocal calls
        calls += model.training
        if calls > n_steps:
            raise Halted
        return real(minibatch, step)

    model.stages = lambda: [[Objective("elbo", loss, trains=model)]]
    return model


@pytest.mark.parametrize("n_steps", [1, 3, 5, 11, 14], ids="halted after step {}".format)
def test_a_fit_that_died_resumes_to_the_same_weights_and_history(data, tmp_path, n_steps):
    whole = VAE(data.schema, SMALL)
    history = fit(whole, data, SHORT, run=tmp_path / "whole", progress=False)
    with pytest.raises(Halted):
        fit(halting_after(VAE(data.schema, SMALL), n_steps), data, SHORT, run=tmp_path / "halved", progress=False)
    assert Run(tmp_path / "halved").record.status == "running"
    resumed = VAE(data.schema, SMALL)
    again = fit(resumed, data, SHORT, run=tmp_path / "halved", progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert history.rows == again.rows
    assert history.best_epoch == again.best_epoch
    assert not (tmp_path / "halved" / "checkpoint").exists()


SCRIPT = """
import sys, anndata, torch, cellwright as cw
torch.set_num_threads(1)
data = cw.open_data(sys.argv[1])
options = cw.FitOptions(max_epochs=40, batch_size=32, checkpoint_seconds=0)
cw.fit(cw.VAE(data.schema, cw.VAEOptions(n_latent=3, n_hidden=16)), data, options, run=sys.argv[2], progress=False)
"""


def started(cells_path, run_path):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(cells_path), str(run_path)])


@pytest.mark.parametrize("seed", [0, 1], ids="moment {}".format)
def test_a_fit_killed_with_sigkill_at_a_random_moment_resumes_to_the_same_weights(cells, tmp_path, seed):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert started(tmp_path / "cells.h5ad", tmp_path / "whole").wait() == 0
    process = started(tmp_path / "cells.h5ad", tmp_path / "killed")
    checkpoint = tmp_path / "killed" / "checkpoint" / "state.safetensors"
    while not checkpoint.exists() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(np.random.default_rng(seed).uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert started(tmp_path / "cells.h5ad", tmp_path / "killed").wait() == 0
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())


def test_a_signal_ends_training_after_the_step_with_a_checkpoint(data, tmp_path):
    model = VAE(data.schema, SMALL)
    real = model.negative_elbo
    calls = 0

    def loss(minibatch, step):
        nonlocal calls
        calls += model.training
        if calls == 6 and model.training:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(minibatch, step)

    model.stages = lambda: [[Objective("elbo", loss, trains=model)]]
    patient = SHORT.model_copy(update={"checkpoint_seconds": 3600.0})
    with pytest.raises(Interrupted) as caught:
        fit(model, data, patient, run=tmp_path / "run", progress=False)
    assert caught.value.exit_code == 143
    assert calls == 6
    resumed, whole = VAE(data.schema, SMALL), VAE(data.schema, SMALL)
    fit(resumed, data, patient, run=tmp_path / "run", progress=False)
    fit(whole, data, patient, progress=False)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_the_weights_of_the_best_validation_epoch_are_kept(data):
    model = VAE(data.schema, SMALL)
    seen = {}
    real = model.negative_elbo

    def worse_and_worse(minibatch, step):
        """The validation loss is best in the second epoch, whatever the weights are."""
        loss = real(minibatch, step)
        if model.training:
            epoch = step.epoch
            seen.setdefault("epoch", []).append(epoch)
            return loss
        epoch = seen["epoch"][-1]
        seen[epoch] = {name: value.clone() for name, value in model.state_dict().items()}
        planted = torch.full_like(loss.per_cell, [5.0, 1.0, 2.0, 3.0][epoch])
        return Loss({"planted": planted})

    model.stages = lambda: [[Objective("elbo", worse_and_worse, trains=model)]]
    model.learn = lambda *_: None  # what is estimated after the training is no weight of an epoch
    history = fit(model, data, SHORT, progress=False)
    assert history.best_epoch == 1
    for name, value in seen[1].items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_training_stops_when_patience_is_used_up(data):
    model = VAE(data.schema, SMALL)
    real = model.negative_elbo
    planted = iter([3.0, 1.0, *[2.0] * 100])

    def loss(minibatch, step):
        terms = real(minibatch, step)
        return terms if model.training else Loss({"planted": torch.full_like(terms.per_cell, next(planted))})

    model.stages = lambda: [[Objective("elbo", loss, trains=model)]]
    history = fit(model, data, FitOptions(max_epochs=50, patience=3, validation=0.2), progress=False)
    assert (history.best_epoch, history.n_epochs) == (1, 5)


def test_a_loss_that_is_not_finite_stops_with_step_term_and_remedy(data, tmp_path):
    model = VAE(data.schema, SMALL.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(
        TrainingDiverged, match=r"loss term '\w+' must be finite; it is (nan|inf).*step \d+.*learning_rate"
    ):
        fit(model, data, SHORT, run=tmp_path / "run", progress=False)
    record = Run(tmp_path / "run").record
    assert record.status == "failed"
    assert "must be finite" in record.reason


def test_values_that_the_model_cannot_use_are_refused_before_a_folder_is_made(cells, tmp_path):
    spoilt = cells.copy()
    spoilt.X = spoilt.X * 0.5
    with pytest.raises(UnsuitableValues):
        fit(VAE(open_data(spoilt).schema), open_data(spoilt), SHORT, run=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_the_run_folder_holds_what_it_promises(data, tmp_path):
    split = random_split(data.n_obs, validation=0.2, test=0.1, seed=3)
    model = VAE(data.schema, SMALL)
    history = fit(model, data, SHORT, split=split, run=tmp_path / "run", command="test", progress=False)
    run = Run(tmp_path / "run")
    record = run.record
    assert (record.status, record.command, record.model, record.seed) == ("done", "test", "vae", 0)
    assert record.options == json.loads(SMALL.model_dump_json())
    assert record.data["shape"] == [200, 30]
    assert record.wall_seconds > 0
    assert record.cpu_seconds > 0
    assert record.peak_bytes > 0
    assert record.versions["torch"] == torch.__version__
    assert run.verify() == []
    pd.testing.assert_frame_equal(run.table("history.csv"), history.table)
    names = pd.read_csv(run.path / "split.csv", dtype=str)
    assert names["split"].tolist() == split.names().tolist()
    assert names["obs"].tolist() == data.annotation.obs.index.tolist()


def test_history_has_both_splits_and_every_term(data):
    history = fit(VAE(data.schema, SMALL), data, SHORT, progress=False)
    counts = history.table.groupby(["split", "term"]).size()
    assert set(counts.index) == {(s, t) for s in ("train", "validation") for t in ("reconstruction", "kl", "loss")}
    assert (counts == 4).all()


def test_the_loss_in_the_history_is_the_weighted_sum_of_its_terms(data):
    options = SMALL.model_copy(update={"beta": 2.0, "kl_warmup_epochs": 4})
    table = fit(VAE(data.schema, options), data, SHORT, progress=False).table
    wide = table.pivot(index=["split", "epoch"], columns="term", values="value")
    for (split, epoch), row in wide.iterrows():
        weight = 2.0 * (epoch / 4 if split == "train" else 1.0)
        assert row["loss"] == pytest.approx(row["reconstruction"] + weight * row["kl"], rel=1e-5)


def test_an_unfinished_run_of_other_options_is_refused(data, tmp_path):
    with pytest.raises(Halted):
        fit(halting_after(VAE(data.schema, SMALL), 2), data, SHORT, run=tmp_path / "run", progress=False)
    other = VAE(data.schema, SMALL.model_copy(update={"n_hidden": 8}))
    with pytest.raises(RunError, match="unfinished run with other options"):
        fit(other, data, SHORT, run=tmp_path / "run", progress=False)


def test_memory_and_disk_train_to_the_same_weights(cells, tmp_path):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    options = SHORT.model_copy(update={"shuffle_block_rows": 8})
    states = []
    for source in (open_data(cells), open_data(tmp_path / "cells.h5ad", in_memory=False)):
        model = VAE(source.schema, SMALL)
        fit(model, source, options, progress=False)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def losses(history, split):
    return history.table.query("split == @split and term == 'loss'")["value"].to_numpy()


def test_a_second_fit_goes_on_from_the_weights(data):
    model = VAE(data.schema, SMALL)
    first = losses(fit(model, data, SHORT, progress=False), "validation").min()
    start = losses(fit(model, data, SHORT, progress=False), "train")[0]
    fresh = losses(fit(VAE(data.schema, SMALL), data, SHORT, progress=False), "train")[0]
    # below where the first fit ended, because theta was brought to its maximum after it
    assert start < first < fresh


def test_a_remedy_without_its_annotation_is_refused_before_a_folder_is_made(cells, tmp_path):
    for text, key in {"sampling": "label_key", "over:by=batch": "batch_key"}.items():
        model, options = VAE(open_data(cells).schema, SMALL), FitOptions(balance=text)
        with pytest.raises(DataError, match=rf"balance='\w+' by \w+ must have classes.*Give {key}"):
            fit(model, open_data(cells), options, run=tmp_path / "run", progress=False)
        assert not (tmp_path / "run").exists()


REMEDIES = [name for name in BALANCES if name != "none"]


def balanced(name, **settings):
    return SHORT.model_copy(update={"balance": BALANCES[name](), **settings})


@pytest.mark.parametrize("name", REMEDIES)
def test_a_balanced_fit_that_died_resumes_to_the_same_weights(data, tmp_path, name):
    whole, resumed = VAE(data.schema, SMALL), VAE(data.schema, SMALL)
    fit(whole, data, balanced(name), run=tmp_path / "whole", progress=False)
    with pytest.raises(Halted):
        model = halting_after(VAE(data.schema, SMALL), 8)
        fit(model, data, balanced(name), run=tmp_path / "halved", progress=False)
    fit(resumed, data, balanced(name), run=tmp_path / "halved", progress=False)
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())
    assert Run(tmp_path / "whole").record.fit_options["balance"] == BALANCES[name]().model_dump(mode="json")
    assert {*BALANCES[name].citations} <= {*Run(tmp_path / "whole").record.citations}


@pytest.mark.parametrize("name", REMEDIES)
def test_a_balanced_fit_from_disk_has_the_weights_of_one_from_memory(cells, tmp_path, name):
    cells.write_h5ad(tmp_path / "cells.h5ad")
    states = []
    for flag in (True, False):
        source = open_data(tmp_path / "cells.h5ad", label_key="label", in_memory=flag)
        model = VAE(source.schema, SMALL)
        fit(model, source, balanced(name, shuffle_block_rows=8), progress=False)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize("name", REMEDIES)
def test_held_out_cells_change_nothing_in_a_balanced_fit(cells, name):
    """Every value of every test cell is changed; so is what they are."""
    split = random_split(cells.n_obs, validation=0.2, test=0.3, seed=0)
    spoilt = cells.copy()
    dense = spoilt.X.toarray()
    dense[split.test] = np.random.default_rng(1).poisson(40, (len(split.test), cells.n_vars))
    spoilt.X = sparse.csr_matrix(dense)
    spoilt.obs["label"] = spoilt.obs["label"].copy()
    spoilt.obs.iloc[split.test, spoilt.obs.columns.get_loc("label")] = cells.obs["label"].iloc[split.test[::-1]].values
    states = []
    for adata in (cells, spoilt):
        source = open_data(adata, label_key="label")
        model = VAE(source.schema, SMALL)
        fit(model, source, balanced(name), split=split, progress=False)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_class_weights_give_the_weighted_loss(data):
    """That of the epoch, computed here from the terms of each cell."""
    model = VAE(data.schema, SMALL.model_copy(update={"dropout": 0.0}))
    split = random_split(data.n_obs, validation=0.2, seed=0)
    label = data.annotation.label[split.train]
    by_label = torch.from_numpy(len(label) / (3 * np.bincount(label))).float()
    real, seen = model.negative_elbo, {}

    def loss(minibatch, step):
        terms = real(minibatch, step)
        if model.training:
            weight = by_label[minibatch.label]
            seen["sum"] = seen.get("sum", 0.0) + float((terms.per_cell.detach() * weight).sum())
            seen["weight"] = seen.get("weight", 0.0) + float(weight.sum())
        return terms

    model.stages = lambda: [[Objective("elbo", loss, trains=model)]]
    history = fit(model, data, balanced("weights", max_epochs=1), split=split, progress=False)
    assert losses(history, "train")[0] == pytest.approx(seen["sum"] / seen["weight"], rel=1e-5)
    assert seen["weight"] == pytest.approx(len(split.train), rel=1e-5)


def test_what_is_estimated_beside_training_is_from_the_real_training_cells(data):
    seen = {}
    model = VAE(data.schema, SMALL)
    model.prepare = lambda stage, source, rows, rng: seen.update(prepare=(source, rows))
    model.learn = lambda source, rows, rng: seen.update(learn=(source, rows))
    split = random_split(data.n_obs, validation=0.2, seed=0)
    fit(model, data, balanced("smote"), split=split, progress=False)
    for source, rows in (seen["prepare"], seen["learn"]):
        assert source is data
        np.testing.assert_array_equal(rows, split.train)


@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_classifier_is_not_trained_or_stopped_by_cells_without_a_label(cells, tmp_path, part):
    """Their loss is zero in every epoch, so that the weights of the first would be kept as the best."""
    split, adata = random_split(cells.n_obs, validation=0.2, seed=0), cells.copy()
    rows = split.train if part == "training" else split.validation
    adata.obs["kind"] = np.resize(["a", "b"], cells.n_obs).astype(object)
    adata.obs.iloc[rows, adata.obs.columns.get_loc("kind")] = None
    source = open_data(adata, label_key="kind")
    model = TransformerClassifier(source.schema, TransformerClassifierOptions(n_hidden=8))
    with pytest.raises(DataError, match=rf"must have {part} cells with a label; none of {len(rows)} has one.*Give"):
        fit(model, source, SHORT, split=split, run=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("batch_size", [3, 53, 159], ids="batch_size {}".format)
def test_no_training_minibatch_has_one_cell(data, batch_size):
    """160 training cells and batch normalisation, which fails on a single cell."""
    options = FitOptions(max_epochs=1, batch_size=batch_size, validation=0.2)
    history = fit(VAE(data.schema, SMALL), data, options, progress=False)
    assert np.isfinite(history.table["value"]).all()


def test_a_model_from_memory_is_saved_and_loaded(data, tmp_path):
    model = Autoencoder(data.schema, AutoencoderOptions(n_latent=3, corruption="mask"))
    fit(model, data, SHORT, progress=False)
    save_run(model, data, tmp_path / "run")
    loaded = load_run(tmp_path / "run")
    assert loaded.options == model.options
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_folder_without_a_finished_fit_is_refused(data, tmp_path):
    with pytest.raises(Halted):
        fit(halting_after(VAE(data.schema, SMALL), 2), data, SHORT, run=tmp_path / "run", progress=False)
    with pytest.raises(RunError, match=r"must hold a finished fit.*status running"):
        load_run(tmp_path / "run")


def test_a_validation_loss_that_is_not_finite_stops_too(data):
    model = VAE(data.schema, SMALL)
    real = model.negative_elbo

    def loss(minibatch, step):
        terms = real(minibatch, step)
        return terms if model.training else Loss({"planted": torch.full_like(terms.per_cell, float("nan"))})

    model.stages = lambda: [[Objective("elbo", loss, trains=model)]]
    with pytest.raises(TrainingDiverged, match="it is nan on the validation cells"):
        fit(model, data, SHORT, progress=False)


def test_a_full_disk_at_the_end_keeps_the_checkpoint(data, tmp_path, monkeypatch):
    def full(*_, **__):
        raise RunError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("cellwright.train.fit.finish_run", full)
        with pytest.raises(RunError, match="the disk is full"):
            fit(VAE(data.schema, SMALL), data, SHORT, run=tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "checkpoint" / "state.safetensors").exists()
    whole, resumed = VAE(data.schema, SMALL), VAE(data.schema, SMALL)
    fit(whole, data, SHORT, progress=False)
    fit(resumed, data, SHORT, run=tmp_path / "run", progress=False)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def halted_run(data, folder, split, n_steps=6):
    with pytest.raises(Halted):
        fit(halting_after(VAE(data.schema, SMALL), n_steps), data, SHORT, split=split, run=folder, progress=False)


def test_a_run_is_not_resumed_with_another_split(data, tmp_path):
    """Otherwise cells that are held out now would have been trained on before."""
    halted_run(data, tmp_path / "run", random_split(data.n_obs, validation=0.2, test=0.2, seed=0))
    other = random_split(data.n_obs, validation=0.2, test=0.2, seed=1)
    with pytest.raises(RunError, match="unfinished run with other split"):
        fit(VAE(data.schema, SMALL), data, SHORT, split=other, run=tmp_path / "run", progress=False)


def test_a_run_that_left_no_checkpoint_can_be_tried_again_with_other_options(data, tmp_path):
    wrong = VAE(data.schema, SMALL.model_copy(update={"learning_rate": 1e30}))
    patient = SHORT.model_copy(update={"checkpoint_seconds": 3600.0})
    with pytest.raises(TrainingDiverged):
        fit(wrong, data, patient, run=tmp_path / "run", progress=False)
    fit(VAE(data.schema, SMALL), data, patient, run=tmp_path / "run", progress=False)
    assert Run(tmp_path / "run").record.status == "done"


def test_a_run_begun_in_memory_resumes_from_disk_to_the_same_weights(cells, tmp_path):
    """What memory is free decides where data are read from; the order of cells must not depend on it."""
    cells.write_h5ad(tmp_path / "cells.h5ad")
    memory, disk = (open_data(tmp_path / "cells.h5ad", in_memory=flag) for flag in (True, False))
    split = random_split(memory.n_obs, validation=0.2, seed=0)
    whole, resumed = VAE(memory.schema, SMALL), VAE(memory.schema, SMALL)
    fit(whole, memory, SHORT, split=split, progress=False)
    halted_run(memory, tmp_path / "run", split)
    fit(resumed, disk, SHORT, split=split, run=tmp_path / "run", progress=False)
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_the_cost_of_a_resumed_run_includes_the_part_before(data, tmp_path):
    model = halting_after(VAE(data.schema, SMALL), 6)
    real = model.stages()[0][0].loss

    def slow(minibatch, step):
        time.sleep(0.1)
        return real(minibatch, step)

    model.stages = lambda: [[Objective("elbo", slow, trains=model)]]
    split = random_split(data.n_obs, validation=0.2, seed=0)
    with pytest.raises(Halted):
        fit(model, data, SHORT, split=split, run=tmp_path / "run", progress=False)
    fit(VAE(data.schema, SMALL), data, SHORT, split=split, run=tmp_path / "run", progress=False)
    assert Run(tmp_path / "run").record.wall_seconds > 0.6


def test_a_signal_during_validation_is_heard(data, tmp_path):
    model = VAE(data.schema, SMALL)
    real = model.negative_elbo

    def loss(minibatch, step):
        if not model.training:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(minibatch, step)

    model.stages = lambda: [[Objective("elbo", loss, trains=model)]]
    with pytest.raises(Interrupted):
        fit(model, data, SHORT.model_copy(update={"max_epochs": 1}), run=tmp_path / "run", progress=False)


def test_data_that_the_model_was_not_built_for_are_refused(cells, data):
    permuted = open_data(cells[:, ::-1].copy(), batch_key="batch", label_key="label")
    with pytest.raises(SchemaMismatch, match="must have the features that the model was built with"):
        fit(VAE(data.schema, SMALL), permuted, SHORT, progress=False)
    with pytest.raises(SchemaMismatch, match="must have the batch"):
        fit(VAE(data.schema, SMALL), open_data(cells), SHORT, progress=False)


def test_an_anndata_is_opened_with_the_models_schema(cells, data):
    split = random_split(data.n_obs, validation=0.2, seed=0)
    by_source, by_anndata = VAE(data.schema, SMALL), VAE(data.schema, SMALL)
    fit(by_source, data, SHORT, split=split, progress=False)
    fit(by_anndata, cells[:, ::-1].copy(), SHORT, split=split, progress=False)
    assert all(torch.equal(value, by_anndata.state_dict()[name]) for name, value in by_source.state_dict().items())


def test_two_objectives_and_two_stages_train_their_own_parts_and_are_told_apart_in_the_history(data):
    model = Autoencoder(data.schema, AutoencoderOptions(n_latent=3, n_hidden=8))
    encoder = Objective("first", model.reconstruction, trains=model.encoder)
    decoder = Objective("second", model.reconstruction, trains=model.decoder, every=2)
    model.stages = lambda: [[encoder, decoder], [decoder]]
    fixed = {name: value.clone() for name, value in model.encoder.state_dict().items() if "running" not in name}
    history = fit(model, data, SHORT.model_copy(update={"max_epochs": 2}), progress=False)
    table = history.table.query("split == 'train'")
    assert set(table.query("epoch < 2")["term"]) == {
        "loss", "first/loss", "first/reconstruction", "second/loss", "second/reconstruction",
    }  # fmt: skip
    assert set(table.query("epoch >= 2")["term"]) == {"loss", "reconstruction"}
    assert history.n_epochs == 4
    assert any(not torch.equal(value, model.encoder.state_dict()[name]) for name, value in fixed.items())


def test_a_model_without_a_validation_quantity_trains_for_all_epochs(data, monkeypatch):
    monkeypatch.setattr(VAE, "validates_on", None)
    history = fit(VAE(data.schema, SMALL), data, SHORT.model_copy(update={"patience": 1}), progress=False)
    assert (history.n_epochs, history.best_epoch) == (4, None)


def test_bf16_follows_the_loss_of_full_precision(data):
    curves = []
    for precision in ("32-true", "bf16-mixed"):
        options = FitOptions(max_epochs=10, batch_size=32, validation=0.2, precision=precision)
        curves.append(losses(fit(VAE(data.schema, SMALL), data, options, progress=False), "train"))
    # bf16 keeps 8 bits of a number: 0.4 % per product
    np.testing.assert_allclose(curves[0], curves[1], rtol=0.01)


def test_plain_torch_and_compiled_kernels_give_the_same_curve_and_the_record_says_which(data, tmp_path, monkeypatch):
    curves = {}
    for kernels in ("numba", "torch"):
        monkeypatch.setenv("CELLWRIGHT_KERNELS", kernels)
        model = VAE(data.schema, SMALL.model_copy(update={"dropout": 0.0}))  # dropout draws other masks
        history = fit(model, data, SHORT, run=tmp_path / kernels, progress=False)
        curves[kernels] = np.array([value for *_, value in history.rows])
        assert Run(tmp_path / kernels).record.kernels == kernels
    np.testing.assert_allclose(curves["numba"], curves["torch"], rtol=1e-4)
