"""Inputs: what a user names on the command line, a file or a data set of the catalogue; and where our own failures are logged."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellwright.data.catalogue import CATALOGUE, find, load
from cellwright.errors import CellwrightError, DataFileError, did_you_mean


class OurFailure(CellwrightError):
    """A failure of ours, not of the input."""

    exit_code = 1


def data_named(text: str) -> Any:
    """A path, or what the catalogue has under that name. Raises `DataFileError` where it is neither."""
    if Path(text).exists():
        return Path(text)
    if text in CATALOGUE:
        # a data set that a package carries in another form is read, everything else stays a path that can be streamed
        return load(text) if CATALOGUE[text].package else find(text)
    raise DataFileError(
        f"there is no file {text!r}, and no data set of that name in the catalogue (see `cellwright list data`)."
        f"{did_you_mean(text, CATALOGUE)}"
    )


@contextmanager
def logging_failures(folder: Path) -> Iterator[None]:
    """Write the traceback of an error that nobody foresaw into `folder/log.txt`, and say so in one sentence."""
    try:
        yield
    except CellwrightError:
        raise
    except Exception as error:
        where = "the folder could not be written"
        if folder.is_dir():
            with (folder / "log.txt").open("a") as log:
                log.write("".join(traceback.format_exception(error)))
            where = f"the traceback is in {folder / 'log.txt'}"
        raise OurFailure(
            f"a failure of cellwright: {type(error).__name__}: {error}; {where}. Please report it."
        ) from error
