"""Errors are one tree with exit codes."""

import pytest

from cellwright.errors import CellwrightError, DataError, MissingKey, TrainingDiverged, did_you_mean


def test_a_missing_key_names_slot_role_contents_and_the_nearest_name():
    error = MissingKey.of("obs", "doner", "batch_key", ["donor", "sample"])
    assert str(error) == "obs has no 'doner' (batch_key); it has 'donor', 'sample'. Did you mean 'donor'?"


def test_nothing_is_suggested_where_nothing_is_close():
    assert did_you_mean("xyz", ["donor"]) == ""


def test_long_lists_are_cut():
    error = MissingKey.of("obs", "q", "label_key", [f"column{i}" for i in range(50)])
    assert "and 42 more" in str(error)


@pytest.mark.parametrize(("kind", "code"), [(DataError, 2), (MissingKey, 2), (TrainingDiverged, 3)])
def test_the_exit_code_belongs_to_the_kind(kind, code):
    assert issubclass(kind, CellwrightError)
    assert kind("x").exit_code == code
