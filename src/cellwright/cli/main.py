"""Main: the verbs, and how errors become exit codes.

tokens -> verb (its file is imported when it is used) -> 0 done, 2 wrong input, 3 diverged, 130 / 143 interrupted, 1 our failure
"""

import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from cyclopts import App, CycloptsError

from cellwright import __version__
from cellwright.errors import CellwrightError

VERBS = {
    "demo": "compare several models on real cells, and make one page to look at",
    "compare": "compare models and baselines on your cells",
    "fit": "train one model; every model has its own options",
    "reduce": "place new cells in the latent space of a saved run",
    "cluster": "cluster the cells of a run, with markers and composition",
    "score": "score a run against labels",
    "report": "make the page of a run or a study",
    "list": "what there is: models, likelihoods, metrics, tasks, data",
    "describe": "one model in detail: abilities, options, papers",
}

app = App(
    name="cellwright",
    help="Neural networks for single-cell omics, with the honest comparison built in.",
    version=__version__,
    help_on_error=False,
)
for verb, summary in VERBS.items():
    app.command(f"cellwright.cli.{verb}:app", name=verb, help=summary)


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit."""
    _show_only_our_warnings()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _end(str(error).strip(), 2)
    except CellwrightError as error:
        _end(str(error), error.exit_code)
    except KeyboardInterrupt:
        _end("interrupted.", 130)
    except BrokenPipeError:
        # whoever read our output has stopped (`| head`); nothing is left to flush
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)


def _end(message: str, code: int) -> NoReturn:
    print(f"cellwright: {message}", file=sys.stderr)  # noqa: T201  what a user is told
    sys.exit(code)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    _end("terminated.", 128 + number)


def _show_only_our_warnings() -> None:
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module=r"cellwright(\.|$)")
    warnings.showwarning = lambda message, *_, **__: print(f"cellwright: warning: {message}", file=sys.stderr)  # noqa: T201
