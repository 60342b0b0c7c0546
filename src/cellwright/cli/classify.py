"""`cellwright classify RUN --data NEW --out FILE`: the labels that a saved run gives to new cells."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.cells import write_cells
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import filled_features, logging_failures, new_cells_for
from cellwright.cli.show import show
from cellwright.core.abilities import Classifies
from cellwright.data.prepare import OpenOptions
from cellwright.keys import predicted_key
from cellwright.run import Run
from cellwright.tasks.ask import needs
from cellwright.tasks.classify import classify
from cellwright.train.saved import load_run

app = App(name="classify", help="Say which label new cells have, with a saved run.")


def run(
    run: Annotated[Path, Parameter(help="the run folder of a model that classifies")],
    *,
    data: Annotated[str, Parameter(help="new cells, features matched by name; missing ones are zero or unmeasured")],
    out: Annotated[Path, Parameter(help="the .h5ad to write: obs and probabilities, without values")],
    keys: OpenOptions,
) -> None:
    """Write `obs["predicted"]` and `obsm["predicted_probabilities"]`; keys and layer that are not given are the run's.

    Where the cells have such a column it is `cellwright_predicted`.
    """
    with logging_failures(run):
        model = load_run(run)
        needs(model, Classifies, "classify")  # before the cells are read
        source = new_cells_for(Run(run), model, data, out, keys)
        key = predicted_key(source.annotation.obs.columns)
        adata = classify(model, source, key_added=key)
        write_cells(adata, out)
    counts = adata.obs[key].value_counts()
    found = ", ".join(f"{label} {n:,}" for label, n in counts[counts > 0].items())
    show(f"{Run(run).record.model}: {adata.n_obs:,} cells{filled_features(source)} -> obs[{key!r}] of {out}", found)


app.default(with_flags(run, keys=Flags(OpenOptions, group="Data")))
