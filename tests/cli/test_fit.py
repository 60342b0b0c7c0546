"""`cellwright fit`: what it refuses and leaves alone, what it writes, and that a killed fit is resumed to the same."""

import itertools
import json
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from anndata import read_h5ad
from scipy import sparse

from cellwright.core.schema import Schema
from cellwright.run import Run
from cellwright.train.engine import Engine

QUICK = ["--n-latent", "3", "--n-hidden", "16", "--max-epochs", "2"]


def changed(adata, *, value=None, names=None, empty_cell=False):
    """A copy with one value, the feature names or the counts of the first cell changed."""
    out = adata.copy()
    if value is not None:
        out.X.data[5] = value
    if names is not None:
        out.var_names = names
    if empty_cell:
        out.X = sparse.csr_matrix(out.X.toarray() * (np.arange(out.n_obs) > 0)[:, None])
    return out


UNSUITABLE = {
    "negative": (lambda a: changed(a, value=-1), ["holds -1 (cell 'cell_1'", "VAE needs non-negative integers"]),
    "not integer": (lambda a: changed(a, value=0.5), ["holds 0.5 (cell 'cell_1'", "VAE needs non-negative integers"]),
    "NaN": (lambda a: changed(a, value=np.nan), ["holds nan (cell 'cell_1'", "VAE needs finite numbers"]),
    "repeated feature": (
        lambda a: changed(a, names=["x", "x", *a.var_names[2:]]),
        ["unique names; 1 are repeated (x)", "var_names_make_unique"],
    ),
    "cell without counts": (
        lambda a: changed(a, empty_cell=True),
        ["1 cells without a count (cell_1)", "VAE needs cells with a total above zero"],
    ),
}


@pytest.mark.parametrize(("make", "said"), UNSUITABLE.values(), ids=UNSUITABLE.keys())
def test_unsuitable_cells_end_with_2_and_leave_nothing(cellwright, simulated, tmp_path, make, said):
    make(simulated).write_h5ad(tmp_path / "bad.h5ad")
    ended = cellwright("fit", "vae", tmp_path / "bad.h5ad", "--out", tmp_path / "run", *QUICK)
    assert (ended.code, ended.out) == (2, "")
    assert [part for part in said if part not in ended.sentence] == []
    assert not (tmp_path / "run").exists()


BROKEN = {
    "missing": (None, "Did you mean 'cells.h5ad'?"),
    "foreign": (lambda whole: b"one\ttwo\n", "must be an HDF5 file; it begins with"),
    "truncated": (lambda whole: whole[: len(whole) // 2], "truncated file"),
    "empty": (lambda whole: b"", "it is empty (0 bytes)"),
}


@pytest.mark.parametrize(("content", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_ends_with_2_and_leaves_nothing(cellwright, cells, tmp_path, content, said):
    if content is not None:
        (tmp_path / "cell.h5ad").write_bytes(content(cells.read_bytes()))
    ended = cellwright("fit", "vae", tmp_path / "cell.h5ad", "--out", tmp_path / "run")
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.sentence
    assert not (tmp_path / "run").exists()


def test_a_misspelt_key_ends_with_2_and_says_which_was_meant(cellwright, cells, tmp_path):
    ended = cellwright("fit", "vae", cells, "--out", tmp_path / "run", "--label-key", "lable")
    assert ended.code == 2
    assert ended.sentence.endswith("it has 'label', 'batch'. Did you mean 'label'?")


def test_a_data_set_that_is_not_in_the_catalogue_is_asked_after(cellwright, tmp_path):
    ended = cellwright("fit", "vae", "pbmc68k_reducd", "--out", tmp_path / "run")
    assert ended.code == 2
    assert ended.sentence.endswith("Did you mean 'pbmc68k_reduced'?")


FOLDERS = {
    "with other files": (lambda folder: folder, "must be a new or an empty folder"),
    "that is a file": (lambda folder: folder / "notes.txt", "a file of that name is in the way"),
    "below a file": (lambda folder: folder / "notes.txt" / "run", "a part of the path is a file"),
}


@pytest.mark.parametrize(("place", "said"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_that_cannot_be_used_ends_with_2_and_stays_as_it_is(cellwright, cells, tmp_path, digest, place, said):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("precious")
    before = digest(tmp_path)
    ended = cellwright("fit", "vae", cells, "--out", place(folder), *QUICK)
    assert ended.code == 2
    assert said in ended.sentence
    assert digest(tmp_path) == before


def test_a_finished_run_is_refused_and_stays_as_it_is(cellwright, cells, finished, digest):
    before = digest(finished.parent)
    ended = cellwright("fit", "vae", cells, "--out", finished, *QUICK)
    assert ended.code == 2
    assert "already holds a finished run" in ended.sentence
    assert digest(finished.parent) == before


def test_a_fit_leaves_its_input_alone_and_seals_what_it_wrote(cellwright, cells, tmp_path, digest):
    before = digest(cells)
    ended = cellwright("fit", "vae", cells, "--out", tmp_path / "run", *QUICK)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("vae: 120 cells x 40 features in ")
    assert digest(cells) == before
    assert Run(tmp_path / "run").verify() == []
    assert Run(tmp_path / "run").record.status == "done"


def test_the_cells_of_the_run_are_those_of_the_input_in_its_order_with_their_split(finished, simulated):
    cells = read_h5ad(finished / "cells.h5ad")
    assert cells.obs_names.tolist() == simulated.obs_names.tolist()
    assert cells.obsm["X_vae"].shape == (120, 3)
    assert cells.obs["split"].tolist() == Run(finished).table("split.csv")["split"].tolist()


def test_flags_become_the_options_of_the_run(cellwright, cells, tmp_path):
    tokens = ["--likelihood", "poisson", "--no-gradient-clip", "--no-in-memory", "--seed", "3"]
    tokens += ["--covariate-keys", "label,batch"]
    assert cellwright("fit", "vae", cells, "--out", tmp_path / "run", *QUICK, *tokens).code == 0
    record = Run(tmp_path / "run").record
    assert record.options["likelihood"] == {"name": "poisson"}
    assert record.options["n_latent"] == 3
    assert record.fit_options["gradient_clip"] is None
    assert (record.fit_options["max_epochs"], record.seed) == (2, 3)
    schema = Schema.model_validate_json((tmp_path / "run" / "schema.json").read_text())
    assert [covariate.key for covariate in schema.covariates] == ["label", "batch"]


def test_a_remedy_is_given_with_its_settings_and_a_class_that_is_too_small_for_it_is_named(cellwright, cells, tmp_path):
    tokens = ["fit", "vae", cells, "--label-key", "label", "--batch-key", "batch", *QUICK, "--out"]
    ended = cellwright(*tokens, tmp_path / "run", "--balance", "smote:n_neighbours=3:by=batch:target=70")
    assert ended.code == 0, ended.err
    balance = Run(tmp_path / "run").record.fit_options["balance"]
    assert balance == {"name": "smote", "by": "batch", "target": 70, "n_neighbours": 3, "space": "expression"}
    ended = cellwright(*tokens, tmp_path / "none", "--balance", "smote:n_neighbours=100")
    assert ended.code == 2
    assert "smote with n_neighbours=100 needs 101 training cells in every class that it enlarges" in ended.sentence


def test_the_preset_of_a_name_holds_under_its_flags(cellwright, cells, tmp_path):
    assert cellwright("fit", "dae", cells, "--out", tmp_path / "run", *QUICK).code == 0
    assert Run(tmp_path / "run").record.model == "dae"
    assert Run(tmp_path / "run").record.options["corruption"] == "mask"


def test_without_a_preprocessing_flag_nothing_is_filtered(finished):
    record = Run(finished).record
    assert record.data["shape"] == [120, 40]
    assert record.notes["preprocessing"] is None


def test_preprocessing_flags_are_applied_and_reported(cellwright, cells, tmp_path):
    assert cellwright("fit", "vae", cells, "--out", tmp_path / "run", *QUICK, "--n-top-genes", "20").code == 0
    record = Run(tmp_path / "run").record
    assert record.data["shape"] == [120, 20]
    assert record.notes["preprocessing"]["options"]["n_top_genes"] == 20
    schema = Schema.model_validate_json((tmp_path / "run" / "schema.json").read_text())
    assert list(schema.var_names) == record.notes["preprocessing"]["features"]


def test_a_preprocessing_flag_at_its_default_still_removes_cells_without_counts(cellwright, simulated, tmp_path):
    changed(simulated, empty_cell=True).write_h5ad(tmp_path / "cells.h5ad")
    tokens = ["--min-genes-per-cell", "1", "--min-cells-per-gene", "0"]
    assert cellwright("fit", "vae", tmp_path / "cells.h5ad", "--out", tmp_path / "run", *QUICK, *tokens).code == 0
    assert Run(tmp_path / "run").record.data["shape"] == [119, 40]
    assert "cell_1" not in read_h5ad(tmp_path / "run" / "cells.h5ad").obs_names


def test_rare_and_missing_labels_and_a_batch_of_one_cell_are_no_error(cellwright, simulated, tmp_path):
    odd = simulated.copy()
    odd.obs["label"] = odd.obs["label"].astype(object)
    odd.obs.iloc[:3, odd.obs.columns.get_loc("label")] = ["alone", None, None]
    odd.obs["batch"] = ["alone", *["shared"] * 119]
    odd.write_h5ad(tmp_path / "odd.h5ad")
    keys = ["--label-key", "label", "--batch-key", "batch"]
    ended = cellwright("fit", "vae", tmp_path / "odd.h5ad", "--out", tmp_path / "run", *QUICK, *keys)
    assert (ended.code, ended.err) == (0, "")
    assert np.isfinite(read_h5ad(tmp_path / "run" / "cells.h5ad").obsm["X_vae"]).all()


def test_a_fit_that_diverges_ends_with_3_and_its_run_says_why(cellwright, cells, tmp_path):
    ended = cellwright(
        "fit", "vae", cells, "--out", tmp_path / "run", *QUICK, "--batch-size", "32", "--learning-rate", "1e30"
    )
    assert (ended.code, ended.out) == (3, "")
    for part in ("the loss term '", "epoch 0, step 1", "Try a smaller learning_rate"):
        assert part in ended.sentence
    record = Run(tmp_path / "run").record
    assert (record.status, record.reason) == ("failed", ended.sentence)


def test_a_failure_of_ours_ends_with_1_and_is_in_the_log_of_the_run(cellwright, cells, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("cellwright.train.engine.Engine.step", fail)
    ended = cellwright("fit", "vae", cells, "--out", tmp_path / "run", *QUICK)
    assert (ended.code, ended.out) == (1, "")
    assert ended.sentence.startswith("a failure of cellwright: ZeroDivisionError: planted; the traceback is in ")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log
    assert "ZeroDivisionError: planted" in log
    record = Run(tmp_path / "run").record
    assert (record.status, record.reason) == ("failed", "ZeroDivisionError: planted")


def test_a_fit_whose_cells_were_not_written_gets_them_without_training_again(cellwright, cells, tmp_path, monkeypatch):
    command = ["fit", "vae", cells, "--out", tmp_path / "run", *QUICK]
    with monkeypatch.context() as patch:
        patch.delattr("cellwright.cli.fit.write_cells_of")
        assert cellwright(*command).code == 1
    weights = (tmp_path / "run" / "model.safetensors").stat()
    assert cellwright(*command).code == 0
    assert (tmp_path / "run" / "model.safetensors").stat() == weights
    assert Run(tmp_path / "run").verify() == []
    assert read_h5ad(tmp_path / "run" / "cells.h5ad").n_obs == 120


@pytest.fixture
def files_of_at_most():
    """A function: bytes -> from now on no file grows beyond them, as on a disk that is full; Python ignores SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("model", "n_bytes", "file"),
    [
        pytest.param("vae", 8_000, "model.safetensors", id="weights"),
        pytest.param("pca", 8_000, "cells.h5ad", id="cells"),
        pytest.param("pca", 500, "run.json", id="record"),
    ],
)
def test_a_full_disk_ends_with_2_and_the_same_command_finishes_when_there_is_room(
    cellwright, cells, tmp_path, digest, files_of_at_most, model, n_bytes, file
):
    command = ["fit", model, cells, "--out", tmp_path / "run", "--n-latent", "2"]
    command += ["--max-epochs", "2"]
    before = digest(cells)
    cellwright("list", "models")  # what is imported late must not meet the limit
    files_of_at_most(n_bytes)
    ended = cellwright(*command)
    files_of_at_most(resource.RLIM_INFINITY)
    assert (ended.code, ended.out) == (2, "")
    assert ended.sentence.startswith(f"{tmp_path / 'run' / file} could not be written: the file would be larger")
    assert not list((tmp_path / "run").glob(".*"))
    assert digest(cells) == before
    assert cellwright(*command).code == 0
    assert Run(tmp_path / "run").verify() == []


LONG = ["--n-latent", "3", "--n-hidden", "16", "--max-epochs", "8", "--batch-size", "32", "--checkpoint-seconds", "1e6"]
SIGNALS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)


@pytest.fixture
def interrupted(cellwright, cells, tmp_path, monkeypatch):
    """A function: signal -> how a fit ended that got it in its tenth step, and the run folder."""

    def by(number):
        steps = itertools.count(1)

        def step(engine, *arguments):
            if next(steps) == 10:
                signal.raise_signal(number)
            return whole_step(engine, *arguments)

        whole_step = Engine.step
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "step", step)
            return cellwright("fit", "vae", cells, "--out", tmp_path / "run", *LONG), tmp_path / "run"

    return by


@SIGNALS
def test_a_signal_ends_a_fit_with_its_code_and_the_way_to_resume(interrupted, number, code):
    ended, run = interrupted(number)
    assert (ended.code, ended.out) == (code, "")
    assert ended.sentence == "training was interrupted; run the same command again to resume."
    assert Run(run).record.status == "running"
    assert (run / "checkpoint" / "state.safetensors").exists()


@SIGNALS
def test_an_interrupted_fit_resumes_to_the_weights_of_one_that_was_not(cellwright, cells, interrupted, number, code):
    _, run = interrupted(number)
    whole = run.with_name("whole")
    for folder in (run, whole):
        assert cellwright("fit", "vae", cells, "--out", folder, *LONG).code == 0
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert (run / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    assert not (run / "checkpoint").exists()


def test_an_unfinished_run_of_other_options_is_refused_and_stays_resumable(cellwright, cells, interrupted, digest):
    _, run = interrupted(signal.SIGTERM)
    before = digest(run)
    ended = cellwright("fit", "vae", cells, "--out", run, *LONG, "--beta", "2")
    assert ended.code == 2
    assert "holds an unfinished run with other options" in ended.sentence
    assert digest(run) == before


@pytest.mark.slow
def test_a_process_that_is_terminated_in_training_ends_with_143(cells, tmp_path):
    program = [sys.executable, "-c", "from cellwright.cli.main import main; main()", "fit", "vae", str(cells)]
    tokens = ["--out", str(tmp_path / "run"), "--max-epochs", "100000", "--patience", "100000"]
    child = subprocess.Popen([*program, *tokens, "--checkpoint-seconds", "0"], stderr=subprocess.PIPE, text=True)
    while child.poll() is None and not (tmp_path / "run" / "checkpoint" / "state.safetensors").exists():
        time.sleep(0.01)
    child.terminate()
    assert child.communicate()[1].startswith("cellwright: training was interrupted;")
    assert child.returncode == 143


def test_cells_that_the_catalogue_reads_are_known_by_its_name(cellwright, tmp_path):
    assert cellwright("fit", "pca", "pbmc68k_reduced", "--out", tmp_path / "run", "--n-latent", "2").code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["name"] == "pbmc68k_reduced"


@pytest.mark.parametrize(
    ("name", "tokens", "code"),
    [
        pytest.param("eccite_pbmc_protein", [], 0, id="protein counts"),
        pytest.param("forebrain_scatac", ["--likelihood", "bernoulli"], 0, id="peaks"),
        pytest.param("mouse_bladder", ["--likelihood", "poisson", "--label-key", "cell_type"], 0, id="RNA counts"),
        pytest.param("cbmc_citeseq_protein", [], 2, id="negative values"),
        pytest.param("human_pancreas_3study", [], 2, id="values that are no counts"),
    ],
)
def test_real_cells_fit_or_are_refused_for_their_values(cellwright, real_data, tmp_path, name, tokens, code):
    ended = cellwright("fit", "vae", real_data(name), "--out", tmp_path / "run", "--max-epochs", "1", *tokens)
    assert ended.code == code
    assert ended.err == "" if code == 0 else "VAE needs non-negative integers" in ended.sentence
