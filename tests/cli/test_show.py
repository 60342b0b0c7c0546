"""What a terminal, a file and a pipe get to see."""

import io
import sys

import pandas as pd
import pytest
from rich.console import Console

from cellwright.cli.show import leaderboard, show, show_leaderboard, table_of
from cellwright.study.statistics import summarise

MEASURES = {
    ("cluster", "ari", False): "k-means ARI",
    ("reconstruct", "r2", True): "R2 held out",
    ("cluster", "nmi", False): "NMI",
}


def board_of(values, *, seeds=(0, 1)):
    """The leaderboard of models whose every measure is `values[model]`, one higher with each seed."""
    rows = [
        {"data": "cells", "model": model, "setting": setting, "task": task, "metric": metric, "better": "higher"}
        | {"group": "", "held_out": held_out, "value": value + seed, "is_baseline": model == "pca"}
        | {"seconds": 1.25, "peak_bytes": 3 * 2**20}
        for (model, setting), value in values.items()
        for task, metric, held_out in MEASURES
        for seed in seeds
    ]
    return summarise(pd.DataFrame(rows))


THREE = board_of({("ae", ""): 0.1, ("vae", "n_latent=20, beta=2"): 0.3, ("pca", ""): 0.2})


def printed(table, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue().splitlines()


def test_models_stand_best_first_with_their_setting_and_what_they_cost(capsys):
    show_leaderboard(THREE)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "k-means", "ARI", "R2", "held", "out", "NMI", "seconds", "memory"]
    assert [line.split("  ")[0] for line in lines[:3]] == ["vae n_latent=20, beta=2", "pca (baseline)", "ae"]
    assert lines[0].split()[-3:] == ["1.2", "3", "MB"]


def test_a_cell_is_the_mean_and_half_of_the_interval(capsys):
    show_leaderboard(board_of({("ae", ""): 0.1}))
    row = THREE.query("model == 'ae'").iloc[0]
    assert f"{row['mean']:.3f} ± {(row['ci_high'] - row['ci_low']) / 2:.3f}" in capsys.readouterr().out


def test_one_seed_has_no_interval_and_says_so(capsys):
    show_leaderboard(board_of({("ae", ""): 0.1}, seeds=(0,)))
    out = capsys.readouterr().out
    assert "±" not in out
    assert "one seed, so no interval" in out


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_terminal_gets_the_measures_that_fit_and_the_names_of_the_others(width):
    table, left_out = leaderboard(THREE, MEASURES, width)
    lines = printed(table, width)
    assert len(lines) == 4
    assert lines[1].startswith("vae n_latent=20, beta=2 ")
    assert [title for title in MEASURES.values() if title not in lines[0]] == left_out
    assert (left_out == []) == (width == 200)


def test_a_model_without_the_first_measure_stands_last():
    lacking = THREE[~((THREE["model"] == "vae") & (THREE["metric"] == "ari"))]
    table, _ = leaderboard(lacking, MEASURES, 200)
    lines = printed(table, 200)
    assert lines[-1].split()[:4] == ["vae", "n_latent=20,", "beta=2", "-"]


def test_tasks_of_another_ability_are_another_table_with_their_own_models(capsys):
    """Lower is better in one of them."""
    rows = [
        {"data": "cells", "model": model, "setting": "", "task": task, "metric": metric, "better": better, "group": ""}
        | {"held_out": True, "value": value, "is_baseline": model == "knn", "seconds": 1.0, "peak_bytes": 2**20}
        for model, task, metric, better, value in [
            ("knn", "classify", "balanced_accuracy", "higher", 0.7),
            ("lstm", "classify", "balanced_accuracy", "higher", 0.9),
            ("gan", "generate", "mmd", "lower", 0.3),
            ("diffusion", "generate", "mmd", "lower", 0.1),
        ]
    ]
    show_leaderboard(pd.concat([THREE, summarise(pd.DataFrame(rows))], ignore_index=True))
    lines = capsys.readouterr().out.splitlines()
    order = [line.split()[0] for line in lines if line and line[0].isalpha()]
    assert order[:5] == ["Embedding:", "model", "vae", "pca", "ae"]
    assert order[5:13] == ["Classification:", "model", "lstm", "knn", "Generation:", "model", "diffusion", "gan"]


def test_what_failed_stands_below_with_its_reason(capsys):
    failed = {"data": "cells", "model": "vae", "setting": "", "is_baseline": False, "status": "failed"}
    show_leaderboard(pd.concat([THREE, pd.DataFrame([failed | {"reason": "loss [kl] is nan"}])], ignore_index=True))
    assert capsys.readouterr().out.splitlines()[-1] == "vae failed: loss [kl] is nan"


def test_a_pipe_gets_long_rows_whole(capsys):
    show(table_of(["name", "text"], [("a", "word " * 100)]))
    _, row = capsys.readouterr().out.splitlines()
    assert row.split() == ["a", *["word"] * 100]


def test_a_terminal_never_folds_the_first_column():
    lines = printed(table_of(["name", "text"], [("a name of five words", "word " * 20)]), 40)
    assert lines[1].startswith("a name of five words  word")
    assert all(line.startswith(" " * 20) for line in lines[2:])


def test_brackets_and_colons_of_a_users_names_stay_as_they_are(capsys):
    show("[bold]cells[/bold] :smile: [/tmp]", table_of(["name"], [("[red]x",)]))
    assert capsys.readouterr().out.split() == ["[bold]cells[/bold]", ":smile:", "[/tmp]", "name", "[red]x"]


def test_a_reader_that_has_gone_is_reported_to_the_caller(monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        show("anything")
