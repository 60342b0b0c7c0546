"""What the exit code says, that a mistake is one sentence, and what is printed where."""

import signal
import subprocess
import sys
import warnings

import pytest

from cellwright.cli.main import VERBS

PROGRAM = "from cellwright.cli.main import main; main()"

MISTAKES = {
    "verb": (["fitt"], ["there is no command 'fitt'", "Did you mean 'fit'?"]),
    "model to fit": (["fit", "vaee", "x", "--out", "y"], ['"vaee"', 'Did you mean "vae"?']),
    "model to describe": (["describe", "vaee"], ["there is no model 'vaee'", "Did you mean 'vae'?"]),
    "table": (["list", "modelz"], ['"modelz"', 'Did you mean "models"?']),
    "option": (
        ["fit", "vae", "x", "--out", "y", "--n-latnt", "3"],
        ["--n-latnt", "Did you mean --n-latent?", "`cellwright fit vae --help`"],
    ),
    "choice": (
        ["fit", "vae", "x", "--out", "y", "--likelihood", "poison"],
        ["'poison'", "Did you mean 'poisson'?"],
    ),
    "text for a number": (["fit", "vae", "x", "--out", "y", "--n-latent", "ten"], ["--n-latent", '"ten"', "int"]),
    "value below its bound": (
        ["fit", "vae", "x", "--out", "y", "--n-latent", "0"],
        ["n_latent of VAEOptions should be greater than or equal to 1; it is 0."],
    ),
    "value above its bound": (
        ["fit", "vae", "x", "--out", "y", "--validation", "1"],
        ["validation of FitOptions should be less than 1; it is 1.0."],
    ),
    "required option": (["fit", "vae", "x"], ["--out", "`cellwright fit vae --help`"]),
    "model to compare": (["compare", __file__, "--out", "y", "--models", "vaee"], ["Did you mean 'vae'?"]),
    "option of a model to compare": (
        ["compare", __file__, "--out", "y", "--models", "vae:n_latnt=3"],
        ["VAEOptions has no option 'n_latnt'", "Did you mean 'n_latent'?"],
    ),
    "run folder": (["cluster", "nowhere"], ["nowhere must be a run folder", "Make one with `cellwright fit`."]),
    "folder to report on": (["report", "nowhere"], ["nowhere must be a run folder or a study folder"]),
}


@pytest.mark.parametrize(("tokens", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_ends_with_2_and_one_sentence(cellwright, tokens, said):
    ended = cellwright(*tokens)
    assert (ended.code, ended.out) == (2, "")
    assert [part for part in said if part not in ended.sentence] == []


@pytest.mark.parametrize("tokens", [["--help"], ["--version"], ["list"], ["fit", "vae", "--help"]], ids=" ".join)
def test_what_was_asked_for_is_on_standard_output_and_nothing_on_standard_error(cellwright, tokens):
    ended = cellwright(*tokens)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(cellwright, verb):
    ended = cellwright(verb, "--help")
    assert ended.code == 0
    assert ended.out.startswith(f"Usage: cellwright {verb}")


def test_a_failure_that_no_run_can_log_ends_with_1_and_its_traceback(cellwright, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("cellwright.cli.list.table_of", fail)
    ended = cellwright("list")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Traceback (most recent call last)")
    assert ended.err.splitlines()[-1].startswith("cellwright: a failure of cellwright: ZeroDivisionError: planted.")


@pytest.mark.parametrize(
    ("category", "module", "shown"),
    [
        pytest.param(UserWarning, "cellwright.data.match", True, id="ours"),
        pytest.param(UserWarning, "scanpy.tools", False, id="of a library"),
        pytest.param(FutureWarning, "cellwright.tasks.embed", False, id="of a library about our call"),
    ],
)
def test_only_our_own_warnings_are_shown_and_each_is_one_line(cellwright, monkeypatch, category, module, shown):
    def warn(*_):
        warnings.warn_explicit("planted\nin two lines", category, "file.py", 1, module=module, registry={})

    monkeypatch.setattr("cellwright.cli.list.table_of", warn)
    assert cellwright("list").err == ("cellwright: warning: planted in two lines\n" if shown else "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"])
def test_a_signal_where_nothing_is_trained_ends_at_once_with_its_code(cellwright, monkeypatch, number, code):
    # a process that was started in the background is born deaf to Ctrl-C
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("cellwright.cli.list.table_of", lambda *_: signal.raise_signal(number))
    ended = cellwright("list")
    signal.signal(signal.SIGINT, before)
    assert (ended.code, ended.sentence) == (code, {130: "interrupted.", 143: "terminated."}[code])


def test_a_reader_that_stops_early_is_no_error():
    listing = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "list", "data"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    listing.stdout.close()
    assert listing.stderr.read() == ""
    listing.stderr.close()
    assert listing.wait() == 0


# commands of one process, by the libraries that they do without; each costs seconds of CPU to import
WITHOUT = {
    "what is listed from the code alone": (
        [["--help"], ["--version"], ["fitt"], ["list", "tasks"]],
        {"torch", "anndata", "pandas", "sklearn", "scanpy", "plotly"},
    ),
    "metrics and data": ([["list", "metrics"], ["list", "data"]], {"torch", "sklearn", "scanpy", "plotly"}),
    "what has no network to train": (
        [
            ["list", "models"],
            ["describe", "vae"],
            ["fit", "vae", "--help"],
            ["fit", "pca", "cells.h5ad", "--out", "run", "--n-latent", "3"],
            ["reduce", "run", "--data", "cells.h5ad", "--out", "reduced.h5ad"],
        ],
        {"torch._dynamo", "lightning_fabric", "sklearn", "scanpy", "umap", "matplotlib", "plotly"},
    ),
    "a network": (
        [["fit", "vae", "cells.h5ad", "--out", "run", "--max-epochs", "1"]],
        {"torch._dynamo", "lightning_fabric", "sklearn", "scanpy", "umap", "matplotlib", "plotly"},
    ),
}


@pytest.mark.parametrize(("commands", "libraries"), WITHOUT.values(), ids=WITHOUT.keys())
def test_a_command_loads_no_heavy_library_that_it_can_do_without(cells, tmp_path, commands, libraries):
    program = f"""
import sys
from cellwright.cli.main import main
codes = []
for tokens in {commands}:
    try:
        main(tokens)
    except SystemExit as ended:
        codes.append(ended.code)
print("ended with", codes, "loaded", sorted({libraries} & set(sys.modules)))
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    codes = [2 if tokens == ["fitt"] else 0 for tokens in commands]
    assert ended.stdout.splitlines()[-1] == f"ended with {codes} loaded []", ended.stderr
