"""Progress: a line per run, whatever came of it."""

from cellwright.cli.progress import line_of, runs_bar
from cellwright.run import Run
from cellwright.study.arm import Arm
from cellwright.study.folder import Outcome


def test_a_run_is_a_line_with_its_time_its_reason_or_that_it_was_found(tmp_path):
    arm, run = Arm("vae", {"beta": 2.0}), Run(tmp_path)
    assert line_of(Outcome(arm, 1, run, 2.04)) == "vae beta=2.0 seed 1: 2.0 s"
    assert line_of(Outcome(arm, 1, run, 2.0, found=True)) == "vae beta=2.0 seed 1: found finished"
    assert line_of(Outcome(arm, 0, run, reason="no", held_out="NK")) == "vae beta=2.0 without NK seed 0: failed: no"


def test_without_a_terminal_there_are_the_lines_alone(tmp_path, capsys):
    arm, run = Arm("vae", {}), Run(tmp_path)
    with runs_bar("training", 2) as watch:
        watch(Outcome(arm, 0, run, 1.0))
        watch(Outcome(arm, 1, run, reason="no"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "vae seed 0: 1.0 s\nvae seed 1: failed: no\n")
