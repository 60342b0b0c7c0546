"""A study's folder: a run is done once, a failure is written down, and another plan is refused."""

import pytest

from cellwright.core.options import Options
from cellwright.errors import DataError, OptionError, RunError
from cellwright.run import Run, RunRecord
from cellwright.study.arm import Arm, refuse_repeated
from cellwright.study.folder import Outcome, attempted, data_name, run_at, with_unscored, write_plan
from cellwright.study.statistics import LEADERBOARD_COLUMNS, summarise
from cellwright.train.interrupt import Interrupted

RECORD = RunRecord("compare", "vae", {}, {}, seed=0, data={}, wall_seconds=2.5)


class Plan(Options):
    seeds: int = 3
    test: float = 0.1


@pytest.fixture
def outcome(tmp_path):
    return Outcome(Arm("vae"), 0, run_at(tmp_path, "cells", "vae", {"options": {}}, 0))


def complete(run):
    Run.start(run.path, RECORD)
    run.write_text("cells.h5ad", "cells")


def test_a_run_is_done_once_and_found_afterwards(outcome):
    assert attempted(outcome, complete).found is False
    again = attempted(outcome, lambda run: pytest.fail("it was done already"))
    assert (again.found, again.seconds, again.reason) == (True, 2.5, "")


def test_a_run_without_its_cells_is_not_complete(outcome):
    attempted(outcome, complete)
    (outcome.run.path / "cells.h5ad").unlink()
    done = []
    attempted(outcome, done.append)
    assert len(done) == 1


@pytest.mark.parametrize(
    ("error", "reason"), [(DataError("no label."), "no label."), (ZeroDivisionError("by 0"), "ZeroDivisionError: by 0")]
)
def test_a_failure_is_a_reason_in_the_run_and_in_the_outcome(outcome, error, reason):
    def fail(run):
        Run.start(run.path, RECORD)
        raise error

    assert attempted(outcome, fail).reason == reason
    assert (outcome.run.record.status, outcome.run.record.reason) == ("failed", reason)
    assert "Traceback" in (outcome.run.path / "log.txt").read_text()


@pytest.mark.parametrize("error", [Interrupted("interrupted", 2), RunError("the disk is full")])
def test_what_stops_every_run_is_raised(outcome, error):
    def stop(run):
        raise error

    with pytest.raises(type(error)):
        attempted(outcome, stop)


def test_a_folder_is_named_by_what_its_run_depends_on(tmp_path):
    one, same, other = (run_at(tmp_path, "d", "vae", what, 1).path.name for what in ({"a": 1}, {"a": 1}, {"a": 2}))
    assert one == same != other
    assert one.startswith("d-vae-")
    assert one.endswith("-s1")
    assert data_name("/somewhere/my cells.h5ad") == "my-cells"


def test_a_plan_may_change_in_what_is_free_only(tmp_path):
    free = {("compare", "seeds")}
    write_plan(tmp_path / "study", "cells", {"compare": Plan()}, free=free)
    write_plan(tmp_path / "study", "cells", {"compare": Plan(seeds=5)}, free=free)
    with pytest.raises(RunError, match=r"another test: 0\.1, now 0\.2"):
        write_plan(tmp_path / "study", "cells", {"compare": Plan(test=0.2)}, free=free)
    with pytest.raises(RunError, match="must be a study of 'others'; it is one of 'cells'"):
        write_plan(tmp_path / "study", "others", {"compare": Plan()}, free=free)
    with pytest.raises(RunError, match="another seeds"):
        write_plan(tmp_path / "study", "cells", {"perturb": Plan()}, free=set())


def test_what_has_no_score_is_a_row_and_the_same_reason_one(outcome):
    failed = [Outcome(outcome.arm, seed, outcome.run, reason="too few cells") for seed in range(3)]
    board = with_unscored(summarise_nothing(), "cells", failed)
    assert board.columns.tolist() == LEADERBOARD_COLUMNS
    assert board[["model", "status", "reason"]].to_numpy().tolist() == [["vae", "failed", "too few cells"]]


def summarise_nothing():
    import pandas as pd

    columns = ["data", "model", "setting", "task", "metric", "better", "group", "held_out", "is_baseline", "value"]
    return summarise(pd.DataFrame(columns=columns))


def test_the_same_model_with_the_same_options_is_there_twice():
    with pytest.raises(OptionError, match=r"models must be different; vae \(beta=2\) is there twice"):
        refuse_repeated([Arm("vae", {"beta": 1}), Arm("vae", {"beta": 2.0}), Arm("vae", {"beta": 2})], "models")
