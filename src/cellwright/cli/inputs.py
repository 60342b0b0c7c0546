"""Inputs: the cells that a user names on the command line, and where failures of ours are logged."""

import errno
import re
import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anndata import AnnData

from cellwright.data.catalogue import CATALOGUE, find, load
from cellwright.data.open import open_data
from cellwright.data.prepare import OpenOptions
from cellwright.data.source import StoredSource
from cellwright.errors import CellwrightError, DataFileError, RunError, did_you_mean
from cellwright.models.model import Model
from cellwright.run import Run, why_not_written

# a disk, or a limit on files, that is full
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# a modality and its file: what begins so and is no file itself
_PART = re.compile(r"[\w.-]+=[^=]")


class OurFailure(CellwrightError):
    """A failure of ours, not of the input."""

    exit_code = 1


def command_line() -> str:
    """The command as it was given, for the run's record."""
    return shlex.join(["cellwright", *sys.argv[1:]])


def data_named(text: str) -> AnnData | Path | dict[str, AnnData | Path]:
    """A path, what the catalogue has under that name, or one of these per modality: `rna=a.h5ad,protein=b.h5ad`.

    Raises `DataFileError` where it is none of them.
    """
    path = Path(text).expanduser()
    if path.exists():
        return path
    if _PART.match(text):
        return {name: _one_named(part) for name, part in _parts(text)}
    return _one_named(text)


def _parts(text: str) -> list[tuple[str, str]]:
    """Name and file of each modality. Raises `DataFileError` for a name that is given twice, or a file without one."""
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    if not all(equals for _, equals, _ in pairs) or len(set(names)) < len(names):
        raise DataFileError(
            f"modalities must be given as name=file, each name once, separated by commas; they are {text!r}. Write "
            "e.g. rna=a.h5ad,protein=b.h5ad."
        )
    return [(name.strip(), file.strip()) for name, _, file in pairs]


def _one_named(text: str) -> AnnData | Path:
    path = Path(text).expanduser()
    if path.exists():
        return path
    if text in CATALOGUE:
        # a data set that a package carries in another form is read, everything else stays a path that can be streamed
        return load(text) if CATALOGUE[text].package else find(text)
    beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataFileError(
        f"there is no file {text!r}, and no data set of that name in the catalogue (see `cellwright list data`)."
        f"{did_you_mean(path.name, [*beside, *CATALOGUE])}"
    )


def study_name_of(text: str) -> str | None:
    """What tables call the cells that `data_named` reads: None, for the names of files, where it is files."""
    return None if Path(text).expanduser().exists() or _PART.match(text) else text


def new_cells_for(run: Run, model: Model, data: str, out: Path, keys: OpenOptions) -> StoredSource:
    """New cells with the features of a run's model; keys and layer that are not given are the run's.

    Raises `RunError` where `out`, which is to be written, is the file of the cells.
    """
    cells = data_named(data)
    for part in cells.values() if isinstance(cells, dict) else (cells,):
        if isinstance(part, Path) and out.exists() and out.samefile(part):
            raise RunError(f"--out must be another file than --data, which stays as it is; both are {out}.")
    if keys.layer is None:
        keys = keys.model_copy(update={"layer": run.record.notes.get("open", {}).get("layer")})
    return open_data(cells, schema=model.schema, **dict(keys))


def filled_features(source: StoredSource) -> str:
    """What to say of the features that new cells lack; empty where they have all."""
    if not (missing := len(source.filled_features)):
        return ""
    taken = "zero" if source.schema.steps is None else "not measured"
    return f", {missing:,} of {source.schema.n_vars:,} features missing and taken as {taken}"


@contextmanager
def logging_failures(folder: Path) -> Iterator[None]:
    """Say in one sentence what nobody foresaw; the traceback goes into the log of the run or the study in `folder`.

    A folder that is neither gets no log: then the error goes on as it is. A full disk is no failure of ours.
    """
    try:
        yield
    except CellwrightError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise RunError(why_not_written(folder, error)) from error
        if not any((folder / name).is_file() for name in ("run.json", "study.toml")):
            raise
        what = f"{type(error).__name__}: {error}"
        with suppress(OSError, CellwrightError):
            run = Run(folder)
            run.log("".join(traceback.format_exception(error)))
            if run.exists() and run.record.status == "running":
                run.fail(what)
        raise OurFailure(
            f"a failure of cellwright: {what}; the traceback is in {folder / 'log.txt'}. Please report it."
        ) from error
