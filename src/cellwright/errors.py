"""What can go wrong, as a tree. Every message is one sentence: what, of whom; what it must be; what it got; what to do.

    CellwrightError
    ├── DataError (ValueError)         the cells cannot be used as asked            exit code 2
    │   ├── MissingKey                 a key that is not in obs, obsm, layers, ...
    │   ├── UnsuitableValues           NaN, negative, not integer: not what a likelihood needs
    │   ├── SchemaMismatch             new cells do not fit a trained model
    │   └── DataFileError              truncated, foreign, unsafe or empty file
    ├── OptionError (ValueError)       an option that does not exist or is out of bounds  2
    ├── AbilityError (TypeError)       a task asked a model for what it cannot do   2
    ├── RunError                       a run folder that cannot be read or written  2
    └── TrainingDiverged               a loss that is not finite                    3

Anything else that escapes is a failure of ours: exit code 1.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class CellwrightError(Exception):
    """The root of all errors that the package raises on purpose; `exit_code` is what the command line ends with."""

    exit_code = 2


class DataError(CellwrightError, ValueError):
    """The cells cannot be used as asked."""


class MissingKey(DataError):
    """A key that is not there."""

    @classmethod
    def of(cls, slot: str, key: str, role: str, available: Iterable[str]) -> "MissingKey":
        """The sentence for `key`, wanted as `role`, in `slot` (`obs`, `layers`, ...), which holds `available`."""
        names = [str(name) for name in available]
        return cls(f"{slot} has no {key!r} ({role}); it {_holds(names)}.{did_you_mean(key, names)}")


class UnsuitableValues(DataError):
    """Values that the chosen model cannot use."""


class SchemaMismatch(DataError):
    """New cells do not fit what a model was trained on."""


class DataFileError(DataError):
    """A file that cannot be read as what its name says."""


class OptionError(CellwrightError, ValueError):
    """An option that does not exist, or a value out of its bounds."""


class AbilityError(CellwrightError, TypeError):
    """A task asked a model for an ability that it does not have."""


class RunError(CellwrightError):
    """A run folder that cannot be read or written."""


class TrainingDiverged(CellwrightError):
    """A loss term that is not finite."""

    exit_code = 3


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """` Did you mean 'donor'?`, or an empty string where nothing is close."""
    close = get_close_matches(name, list(available), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def _holds(names: list[str], at_most: int = 8) -> str:
    if not names:
        return "is empty"
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return "has " + ", ".join(repr(name) for name in names[:at_most]) + more
