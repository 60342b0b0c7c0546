"""`cellwright classify RUN --data NEW --out FILE`: the labels that a saved run gives to new cells."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from cellwright.cli.cells import cells_of, write_cells
from cellwright.cli.flags import Flags, with_flags
from cellwright.cli.inputs import filled_features, logging_failures, new_cells_for
from cellwright.cli.show import show
from cellwright.core.abilities import Classifies
from cellwright.core.schema import Categories
from cellwright.data.annotate import codes_of
from cellwright.data.prepare import OpenOptions
from cellwright.data.split import Split
from cellwright.errors import DataError, OptionError
from cellwright.keys import predicted_key
from cellwright.run import Run
from cellwright.tasks.ask import needs
from cellwright.tasks.classify import classify
from cellwright.tasks.confidence import Confidence, chosen_on, scaled
from cellwright.train.saved import load_run

app = App(name="classify", help="Say which label new cells have, with a saved run.")


def run(
    run: Annotated[Path, Parameter(help="the run folder of a model that classifies")],
    *,
    data: Annotated[str, Parameter(help="new cells, features matched by name; missing ones are zero or unmeasured")],
    out: Annotated[Path, Parameter(help="the .h5ad to write: obs and probabilities, without values")],
    threshold: Annotated[
        float,
        Parameter(help="a cell whose best label has a lower probability is answered 'unsure'; 0 for none"),
    ] = 0.0,
    min_accuracy: Annotated[
        float | None,
        Parameter(help="choose the threshold: the lowest at which the run's own validation cells are right this often"),
    ] = None,
    calibrate: Annotated[
        bool, Parameter(help="scale the probabilities by a temperature, fitted on the run's own validation cells")
    ] = False,
    keys: OpenOptions,
) -> None:
    """Write `obs["predicted"]` and `obsm["predicted_probabilities"]`; keys and layer that are not given are the run's.

    Where the cells have such a column it is `cellwright_predicted`.
    """
    if threshold and min_accuracy is not None:
        raise OptionError(
            f"--threshold must be left out where --min-accuracy chooses it; it is {threshold}. Give one of the two."
        )
    with logging_failures(run):
        model = load_run(run)
        needs(model, Classifies, "classify")  # before the cells are read
        source = new_cells_for(Run(run), model, data, out, keys)
        key = predicted_key(source.annotation.obs.columns)
        confidence = Confidence(threshold=threshold)
        if calibrate or min_accuracy is not None:
            answers = _validation_answers(Run(run), model.schema.label)
            confidence = chosen_on(*answers, accuracy=min_accuracy, calibrate=calibrate)
            confidence = replace(confidence, threshold=confidence.threshold or threshold)
        adata = classify(model, source, key_added=key, **asdict(confidence))
        write_cells(adata, out)
    counts = adata.obs[key].value_counts()
    found = ", ".join(f"{label} {n:,}" for label, n in counts[counts > 0].items())
    show(f"{Run(run).record.model}: {adata.n_obs:,} cells{filled_features(source)} -> obs[{key!r}] of {out}", found)
    if confidence != Confidence():
        show(f"temperature {confidence.temperature:.3g}, unsure below a probability of {confidence.threshold:.3g}")


def _validation_answers(run: Run, labels: Categories | None) -> tuple[np.ndarray, np.ndarray]:
    """What the run said of its labelled validation cells: probabilities, unscaled, and the columns of the labels."""
    cells, notes = cells_of(run), run.record.notes
    rows = Split.read(run.path / "split.csv", cells.obs_names).validation
    assert labels is not None, "a classifier is refused where there are no labels"
    codes = codes_of(cells.obs[labels.key].iloc[rows], labels.values)
    if not (codes >= 0).any():
        raise DataError(
            f"--min-accuracy and --calibrate must have labelled validation cells in {run.path}; there is none. Fit "
            "with --validation, or give a --threshold."
        )
    probabilities = scaled(cells.obsm[f"{notes['predicted_key']}_probabilities"], 1 / notes.get("temperature", 1.0))
    return probabilities[rows][codes >= 0], codes[codes >= 0]


app.default(with_flags(run, keys=Flags(OpenOptions, group="Data")))
