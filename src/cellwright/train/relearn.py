"""Relearn: a model with the trained weights of another, and what is estimated without gradients learnt anew.

trained model, the same with other options of `learnt_after` -> weights copied -> model.learn() -> run folder

Twenty ways to learn a shift in the latent of one autoencoder cost one training.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from cellwright.data.check import check_values
from cellwright.data.source import StoredSource
from cellwright.data.split import Split
from cellwright.errors import CellwrightError, SchemaMismatch
from cellwright.models import name_of
from cellwright.models.model import Model
from cellwright.run import Run
from cellwright.train.cost import measured
from cellwright.train.history import History
from cellwright.train.options import FitOptions
from cellwright.train.saved import begin_run, finish_run


def relearn(
    model: Model,
    trained: Model,
    source: StoredSource,
    options: FitOptions,
    *,
    split: Split,
    run: Path | str,
    command: str = "",
) -> None:
    """Fit `model` as `fit` with these options would, but take the training from `trained`, which had the same.

    The cost in the run folder is that of the learning alone. Raises `SchemaMismatch` where the two differ in more than
    the model's `learnt_after`, `UnsuitableValues` for values that these options cannot use, and whatever `model.learn`
    raises.
    """
    _refuse_another_training(model, trained)
    for modality in source.schema.modalities:  # it may ask for more than the trained one
        check_values(source, model.support_in(modality), wanted_by=type(model).__name__, modality=modality)
    folder = Run(run)
    begin_run(folder, model, source, split, options, command)
    own = model.state_dict()
    taken = {name: value for name, value in trained.state_dict().items() if name in own}
    try:
        with measured() as cost:
            model.load_state_dict(taken, strict=False)
            model.eval()
            # the random numbers that `fit` gives to `learn`
            model.learn(source, split.train, np.random.default_rng([options.seed, len(model.stages()), 0]))
            model.fitted = True
    except CellwrightError as error:
        folder.fail(str(error), **asdict(cost))
        raise
    finish_run(folder, model, History(), asdict(cost))


def _refuse_another_training(model: Model, trained: Model) -> None:
    """What was trained must be the same, or the weights mean something else."""
    ours, theirs = (dict(one.options) for one in (model, trained))
    differing = [name for name in ours if name not in model.learnt_after and ours[name] != theirs.get(name)]
    if type(model) is not type(trained) or model.schema != trained.schema or differing or not trained.fitted:
        raise SchemaMismatch(
            f"{name_of(model)} can take the training of a fitted model with the same schema and options; the "
            f"{name_of(trained)} differs in {', '.join(differing) or 'its class, its schema or in not being fitted'}. "
            "Fit it instead."
        )
