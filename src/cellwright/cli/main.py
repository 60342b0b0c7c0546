"""Main: the verbs, and how errors become exit codes.

    tokens -> verb (its file is imported when it is used) -> exit code

0 done, 2 wrong input, 3 diverged, 130 / 143 interrupted, 1 a failure of ours. Results go to standard output; progress,
warnings and errors to standard error.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError, UnknownCommandError

from cellwright import __version__
from cellwright.errors import CellwrightError, did_you_mean

VERBS = {
    "demo": "compare several models on real cells, and make one page to look at",
    "compare": "compare models and baselines on your cells",
    "fit": "train one model; every model has its own options",
    "reduce": "place new cells in the latent space of a saved run",
    "classify": "say which label new cells have, with a saved run",
    "integrate": "which model takes the batches off and leaves the cell types",
    "impute": "fill in what the measurement missed, as a new layer",
    "translate": "say what a modality that was not measured on cells would be",
    "forecast": "say how sequences go on, with a saved run",
    "recover": "which imputation gives hidden molecules back, and what harm it does",
    "spatial": "find the domains of a tissue, and which cell types lie side by side",
    "perturb": "predict how cell types respond to a treatment that they did not have",
    "generate": "make new cells with a saved run, of given labels",
    "augment": "find out whether generated cells of rare classes help a classifier",
    "cluster": "cluster the cells of a run, with markers and composition",
    "score": "score a run against labels",
    "convert": "join files in one store that is fast to train from",
    "report": "make the page of a run or a study",
    "list": "what there is: models, likelihoods, metrics, tasks, data",
    "describe": "one model in detail: abilities, options, papers",
}

app = App(
    name="cellwright",
    help="Neural networks for single-cell omics, with the honest comparison built in.",
    version=__version__,
    help_on_error=False,
    suppress_keyboard_interrupt=False,
)
for verb, summary in VERBS.items():
    app.command(f"cellwright.cli.{verb}:app", name=verb, help=summary)


class Terminated(BaseException):
    """SIGTERM where no training is running; like KeyboardInterrupt it is not an error that someone may catch."""


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    # before torch is loaded: threads that spin while they wait took 58 ms of CPU per step of a small network, and 39 ms
    # of time, on two busy cores; threads that sleep took 19 ms of both
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    _show_only_our_warnings()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        _end(_sentence(error), 2)
    except CellwrightError as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:
        _end_unread()
    except Exception as error:  # noqa: BLE001  nobody foresaw it, and no run folder could take the traceback
        traceback.print_exc()
        _end(f"a failure of cellwright: {type(error).__name__}: {error}. Please report it with the lines above.", 1)
    except KeyboardInterrupt:
        _end("interrupted.", 130)
    except Terminated:
        _end("terminated.", 143)
    sys.exit(0)


def _sentence(error: CycloptsError) -> str:
    """The error in one line. An unknown verb is answered here: cyclopts would import every verb to name it."""
    chain = " ".join(["cellwright", *(error.command_chain or ())])
    if isinstance(error, UnknownCommandError) and error.unused_tokens and not error.command_chain:
        name = error.unused_tokens[0]
        return f"there is no command {name!r}; there are {', '.join(VERBS)}.{did_you_mean(name, VERBS)}"
    return f"{error} See `{chain} --help`."


def _end(message: str, code: int) -> NoReturn:
    print(f"cellwright: {' '.join(message.split())}", file=sys.stderr)  # noqa: T201  what a user is told
    sys.exit(code)


def _end_unread() -> NoReturn:
    """Whoever read our output has stopped (`| head`); what is still buffered goes nowhere, and that is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _show_only_our_warnings() -> None:
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", category=UserWarning, module=r"cellwright(\.|$)")
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    # ours are plain UserWarnings; what libraries say about our calls of them has classes of their own
    if category is UserWarning:
        print(f"cellwright: warning: {' '.join(str(message).split())}", file=sys.stderr)  # noqa: T201
