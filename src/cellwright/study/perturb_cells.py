"""Perturb cells: what each group of a perturbation study is trained and scored on.

source, group -> without small labels (of a screen: and without targets that two labels cannot tell of), without cells
of the held-out labels that may be treated or not -> treated cells of the held-out labels are the test cells, a share
of the others validates -> genes chosen from the training cells -> Prepared
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cellwright.core.support import Support
from cellwright.data.check import check_values
from cellwright.data.prepare import OpenOptions, Prepared, preprocessed, rows_of
from cellwright.data.preprocess import PreprocessOptions
from cellwright.data.source import StoredSource
from cellwright.data.split import Split, held_out_combination_split, random_split
from cellwright.errors import DataError, OptionError, UnsuitableValues, did_you_mean
from cellwright.study.perturb_plan import USUAL_MODELS, Group, PerturbOptions
from cellwright.tasks.perturb import LEAST_SCORED, control_rows
from cellwright.tasks.score_screen import LEAST_CELLS, LEAST_TARGETS, scored_targets

N_TOP_GENES = 7000
LEAST_CONTROLS = 10  # of a held-out label in training; where chance would leave fewer, none of them validates
LEAST_SHARED = 2  # labels that tell of the response: with one, whatever is particular to it would be taken for it


@dataclass(frozen=True)
class CellOptions:
    """How the cells of every group are made of those of the study."""

    keys: OpenOptions
    preprocessing: PreprocessOptions | None
    treated: str | None  # None: every condition beside the control, a screen
    min_cells: int
    validation: float

    @property
    def is_screen(self) -> bool:
        """Whether every condition beside the control is predicted."""
        return self.treated is None


def usual_preprocessing(source: StoredSource) -> PreprocessOptions | None:
    """The 7,000 most variable genes, chosen as published for scGen; nothing where there are no more, or no counts."""
    if source.schema.n_vars <= N_TOP_GENES or not within(source, Support.counts):
        return None
    return PreprocessOptions(n_top_genes=N_TOP_GENES, hvg_flavor="seurat")


def with_usable_models(options: PerturbOptions, source: StoredSource) -> PerturbOptions:
    """Without response_vae, where no model was named and the values are not counts, which it needs."""
    if options.models != USUAL_MODELS or within(source, Support.counts):
        return options
    return options.model_copy(update={"models": USUAL_MODELS[1:]})


def within(source: StoredSource, support: Support) -> bool:
    """Whether all values are such."""
    try:
        check_values(source, support, wanted_by="this")
    except UnsuitableValues:
        return False
    return True


def cells_of(source: StoredSource, group: Group, options: CellOptions) -> Prepared:
    """The cells of one group. Their treated cells of the held-out labels, if there are any, are the test cells."""
    small = [_label_values(source).index(label) for label in small_labels(source, group, options)]
    unknown = [_condition_values(source).index(target) for target in unlearnable_targets(source, group, options)]
    cells = source.annotation
    kept = ~np.isin(cells.label, small) & ~np.isin(cells.condition, unknown) & ~_may_be_treated(source, group)
    if not kept.all():
        source = rows_of(source, np.flatnonzero(kept), options.keys)
    return preprocessed(source, _split(source, group, options), options.keys, options.preprocessing)


def small_labels(source: StoredSource, group: Group, options: CellOptions) -> list[str]:
    """The labels with cells on both sides, but so few that they are left out: all but those that are held out."""
    return [
        label
        for label in _label_values(source)
        if label not in group.held_out
        and min(sizes := _sizes(source, label, options.treated)) > 0
        and sum(sizes) < options.min_cells
    ]


def unlearnable_targets(source: StoredSource, group: Group, options: CellOptions) -> list[str]:
    """Of a screen the conditions of which fewer than two labels that are not held out can tell: left out altogether."""
    if not options.is_screen:
        return []
    without = (*group.held_out, *small_labels(source, group, options))
    labels = [label for label in _label_values(source) if label not in without]
    control = source.schema.control
    targets = [name for name in _condition_values(source) if name != control]
    return [
        target for target in targets if sum(min(_sizes(source, label, target)) > 0 for label in labels) < LEAST_SHARED
    ]


def unscored_targets(source: StoredSource, group: Group) -> list[str]:
    """Of a screen the conditions of which a held-out label has cells, but too few for a score: target (label)."""
    return [f"{target} ({label})" for label in group.held_out for target in scored_targets(source, label)[1]]


def n_without_condition(source: StoredSource, group: Group) -> int:
    """How many cells of the held-out labels are left out because nobody knows whether they are treated."""
    return int(_may_be_treated(source, group).sum())


def other_treatments(source: StoredSource, group: Group, options: CellOptions) -> dict[str, int]:
    """The other treatments under which there are cells of the held-out labels in training: how many cells of each.

    Of a treatment like the one that is predicted they may tell a lot about the response.
    """
    cells, predicted = source.annotation, _treated_codes(source, options.treated)
    of_group = np.isin(cells.label, _held_out_codes(source, group))
    n = {
        name: int((of_group & (cells.condition == code)).sum())
        for code, name in enumerate(_condition_values(source))
        if code not in predicted and name != source.schema.control
    }
    return {name: size for name, size in n.items() if size}


def scored_labels(source: StoredSource, group: Group, treated: str | None) -> list[str]:
    """The held-out labels of which there are treated cells to score a prediction by."""
    return [label for label in group.held_out if min(_sizes(source, label, treated)) >= LEAST_SCORED]


def refuse_unsuitable(source: StoredSource, group: Group, options: CellOptions) -> None:
    """Refuse held-out labels that do not exist or have no control cells, and too few labels to learn a response from.

    Raises `OptionError` and `DataError`.
    """
    labels = _label_values(source)
    for label in group.held_out:
        if label not in labels:
            raise OptionError(
                f"held-out labels must be values of {options.keys.label_key!r}: {', '.join(labels)}; {label!r} is none."
                f"{did_you_mean(label, labels)}{_how_to_quote(labels)}"
            )
    if len(set(group.held_out)) < len(group.held_out):
        raise OptionError(f"held-out labels must be different; one of {group.name} is there twice. Name each once.")
    for label in group.held_out:
        control_rows(source, source.schema, [label])
    small = small_labels(source, group, options)
    shared = [
        label
        for label in labels
        if label not in (*group.held_out, *small) and min(_sizes(source, label, options.treated)) > 0
    ]
    if len(shared) < LEAST_SHARED:
        raise DataError(
            f"a response must be learnt from {LEAST_SHARED} labels or more with both {source.schema.control!r} and "
            f"{'treated' if options.is_screen else repr(options.treated)} cells; with {group.name} held out there "
            f"{'is only ' + shared[0] if shared else 'is none'}"
            f"{' (left out as too small: ' + ', '.join(small) + ')' if small else ''}. "
            "Hold out fewer labels, lower min_cells, or give cells of more labels."
        )
    if options.is_screen:
        _refuse_unsuitable_screen(source, group, options)


def _how_to_quote(labels: Sequence[str]) -> str:
    with_comma = next((label for label in labels if "," in label), None)
    return "" if with_comma is None else f""" On the command line a label with a comma is quoted: '"{with_comma}"'."""


def _refuse_unsuitable_screen(source: StoredSource, group: Group, options: CellOptions) -> None:
    unlearnable = unlearnable_targets(source, group, options)
    for label in group.held_out:
        n_control = _sizes(source, label, None)[0]
        n_targets = len([target for target in scored_targets(source, label)[0] if target not in unlearnable])
        if n_control < LEAST_CELLS or n_targets < LEAST_TARGETS:
            raise DataError(
                f"a screen is scored by {LEAST_TARGETS} conditions or more with {LEAST_CELLS} cells of the held-out "
                f"label each and cells of {LEAST_SHARED} other labels, and by {LEAST_CELLS} control cells; {label!r} "
                f"has {n_targets} such and {n_control} control cells. Hold out another label, or name one condition."
            )


def _split(source: StoredSource, group: Group, options: CellOptions) -> Split:
    scored = [label for label in group.held_out if _sizes(source, label, options.treated)[1]]
    if not scored:
        split = random_split(source.n_obs, validation=options.validation, seed=group.seed)
        return _with_controls(split, source, group)
    split = held_out_combination_split(
        source.annotation.label,
        source.annotation.condition,
        label=[_label_values(source).index(label) for label in scored],
        condition=_treated_codes(source, options.treated),
        validation=options.validation,
        seed=group.seed,
    )
    return _with_controls(split, source, group)


def _with_controls(split: Split, source: StoredSource, group: Group) -> Split:
    """Few control cells of a held-out label all train: a prediction starts from their mean."""
    cells = source.annotation
    for code in _held_out_codes(source, group):
        controls = np.flatnonzero((cells.label == code) & (cells.condition == source.schema.control_code))
        if np.isin(controls, split.train).sum() < LEAST_CONTROLS:
            validation = np.setdiff1d(split.validation, controls)
            moved = np.intersect1d(split.validation, controls)
            split = Split(np.concatenate([split.train, moved]), validation, split.test)
    return split


def _may_be_treated(source: StoredSource, group: Group) -> np.ndarray:
    """Which cells are of a held-out label and of no known condition, (n_obs,) of bool."""
    cells = source.annotation
    return np.isin(cells.label, _held_out_codes(source, group)) & (cells.condition < 0)


def _held_out_codes(source: StoredSource, group: Group) -> list[int]:
    return [_label_values(source).index(label) for label in group.held_out]


def _sizes(source: StoredSource, label: str, treated: str | None) -> tuple[int, int]:
    """How many control and how many treated cells a label has."""
    of_label = source.annotation.label == _label_values(source).index(label)
    condition = source.annotation.condition[of_label]
    is_treated = np.isin(condition, _treated_codes(source, treated))
    return int((condition == source.schema.control_code).sum()), int(is_treated.sum())


def _label_values(source: StoredSource) -> tuple[str, ...]:
    assert source.schema.label is not None, "the study refuses data without labels"
    return source.schema.label.values


def _condition_values(source: StoredSource) -> tuple[str, ...]:
    assert source.schema.condition is not None, "the study refuses data without conditions"
    return source.schema.condition.values


def _treated_codes(source: StoredSource, treated: str | None) -> list[int]:
    """The code of the condition that is predicted; in a screen those of all but the control."""
    values = _condition_values(source)
    return [
        code
        for code, name in enumerate(values)
        if name == treated or (treated is None and name != source.schema.control)
    ]
