"""`cellwright generate RUN --n 1000 --label K --out FILE`: new cells of a saved run."""

import re
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells
from cellwright.cli.inputs import logging_failures
from cellwright.cli.show import show
from cellwright.errors import OptionError
from cellwright.run import Run
from cellwright.tasks.generate import generate
from cellwright.train.saved import load_run

# a name may hold commas, a count ends with one or with the text
_COUNTED = re.compile(r"(.+?)=(\d+)(?:,|$)")

app = App(name="generate", help="Make new cells with a saved run of a model that generates.")


@app.default
def run(
    run: Annotated[Path, Parameter(help="a run folder")],
    *,
    out: Annotated[Path, Parameter(help="the .h5ad to write: counts, with label, batch and condition in obs")],
    n: Annotated[int | None, Parameter(help="how many cells; not needed with --labels")] = None,
    label: Annotated[str | None, Parameter(help="one label for all; without it, the training proportions")] = None,
    labels: Annotated[str | None, Parameter(help="how many cells of each label: a=100,b=50")] = None,
    batch: Annotated[str | None, Parameter(help="one batch for all; without it, the training proportions")] = None,
    condition: Annotated[
        str | None, Parameter(help="one condition for all; without it, the training proportions")
    ] = None,
    seed: Annotated[int, Parameter(help="of all that is drawn; the same seed gives the same cells")] = 0,
) -> None:
    """Write `X`, `obs` of label, batch and condition, `obs["generated"]` and `uns["cellwright"]`."""
    name = Run(run).record.model
    if label is not None and labels is not None:
        raise OptionError("--label and --labels must not both be given; both were. Give one label, or counts by label.")
    with logging_failures(run):
        wanted = label if labels is None else _counts(labels)
        adata = generate(load_run(run), n, labels=wanted, batches=batch, conditions=condition, seed=seed)
        write_cells(adata, out)
    show(f"{name}: {adata.n_obs:,} new cells -> {out}")


def _counts(text: str) -> dict[str, int]:
    """`a=100,b=50` as a mapping. Raises `OptionError` for what is not."""
    counts: dict[str, int] = {}
    end = 0
    for match in _COUNTED.finditer(text):
        name = match[1].strip()
        if match.start() == end and name not in counts:
            counts[name], end = int(match[2]), match.end()
    if not counts or end < len(text):
        raise OptionError(
            f"--labels must be name=count, each once, separated by commas; it is {text!r}. Write e.g. a=100,b=50."
        )
    return counts
