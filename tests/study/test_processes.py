"""Work that processes share: all is told, the first error ends it, a process that dies is missed."""

import os

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
