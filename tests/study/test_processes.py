"""Work that processes share: all is told, the first error ends it, a process that dies is missed."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cellwright.errors import OptionError, RunError
from cellwright.study.processes import in_processes
from cellwright.train.interrupt import Interrupted


def square(given, part, tell):
    for number in part:
        tell(given * number**2)


def refuse(given, part, tell):
    raise OptionError("no")


def interrupt(given, part, tell):
    raise Interrupted("training was interrupted", 2)


def fail(given, part, tell):
    raise ZeroDivisionError("by nobody's fault")


def die(given, part, tell):
    os._exit(7)


def outlive(path, part, tell):
    """Say through a pipe that the work has begun, and hold the pipe open for as long as the process is there."""
    pipe = os.open(path, os.O_WRONLY)
    os.write(pipe, b"begun")
    signal.pause()


def test_a_process_ends_when_the_first_one_is_killed(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = f"""
from test_processes import in_processes, outlive
if __name__ == "__main__":
    in_processes(outlive, {str(pipe)!r}, [[1]], print)
"""
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, tmp_path / "program.py"], env=environment) as first:
        end = os.open(pipe, os.O_RDONLY)  # waits for the other process
        try:
            assert os.read(end, 5) == b"begun"
            first.kill()
            first.wait()
            readable, _, _ = select.select([end], [], [], 60)
            assert readable, "the process is still there"
            assert os.read(end, 5) == b""  # nobody holds the other end
        finally:
            os.close(end)


def test_everything_that_processes_tell_is_heard_in_the_order_of_each():
    heard = []
    in_processes(square, 10, [[1, 2], [3]], heard.append)
    assert sorted(heard) == [10, 40, 90]
    assert heard.index(10) < heard.index(40)


@pytest.mark.parametrize(
    ("work", "error", "sentence"),
    [
        (refuse, OptionError, "^no$"),
        (interrupt, Interrupted, "was interrupted"),
        (fail, RuntimeError, "(?s)ZeroDivisionError: by nobody's fault.*Traceback"),
        (die, RunError, "ended by itself .code 7."),
    ],
)
def test_an_error_of_a_process_is_raised_here(work, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        in_processes(work, None, [[1]], lambda _: None)
    if error is Interrupted:
        assert raised.value.exit_code == 130
