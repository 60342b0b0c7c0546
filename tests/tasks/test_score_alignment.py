"""Scores of an alignment on latents whose scores are known."""

import numpy as np
import pytest

from cellwright.errors import DataError
from cellwright.run import SCORE_COLUMNS
from cellwright.tasks.score_alignment import score_alignment

MODALITY = np.array(["rna"] * 40 + ["protein"] * 40)
LABELS = np.array((["T"] * 20 + ["B"] * 20) * 2, dtype=object)
PAIRS = np.stack([np.arange(40), np.arange(40, 80)], axis=1)


def latent(*, turned=False):
    z = np.random.default_rng(0).normal(0, 0.1, (40, 3)) + np.repeat([[5, 0, 0], [-5, 0, 0]], 20, axis=0)
    return np.concatenate([z, z * (-1 if turned else 1)])


def values(z, **known):
    table = score_alignment(z, MODALITY, **known)
    return dict(zip(zip(table["metric"], table["group"], strict=True), table["value"], strict=True))


def test_an_alignment_of_every_cell_with_itself_has_every_best_score():
    found = values(latent(), labels=LABELS, pairs=PAIRS)
    assert found == {
        ("transfer_f1", "rna to protein"): 1, ("transfer_accuracy", "rna to protein"): 1,
        ("transfer_f1", "protein to rna"): 1, ("transfer_accuracy", "protein to rna"): 1, ("foscttm", ""): 0,
    }  # fmt: skip


def test_a_latent_that_is_turned_around_gives_every_cell_the_wrong_label():
    found = values(latent(turned=True), labels=LABELS, pairs=PAIRS)
    assert found["transfer_accuracy", "rna to protein"] == 0
    assert found["foscttm", ""] > 0.5


def test_the_directions_are_not_the_same():
    z = latent()
    z[40:60] = [-5, 0, 0]  # T cells by their proteins lie among B cells
    found = values(z, labels=LABELS)
    assert found["transfer_accuracy", "rna to protein"] == 0.5
    assert found["transfer_f1", "rna to protein"] != found["transfer_f1", "protein to rna"]


def test_rows_are_those_of_scores():
    table = score_alignment(latent(), MODALITY, pairs=PAIRS, seed=3)
    assert list(table.columns) == SCORE_COLUMNS
    assert table["better"].tolist() == ["lower"]
    assert table["seed"].tolist() == [3]


def test_a_single_modality_and_nothing_to_score_by_are_refused():
    with pytest.raises(DataError, match="needs cells of two modalities; all are of 'rna'"):
        score_alignment(latent()[:40], MODALITY[:40], labels=LABELS[:40])
    with pytest.raises(DataError, match="needs labels, or pairs"):
        score_alignment(latent(), MODALITY)
