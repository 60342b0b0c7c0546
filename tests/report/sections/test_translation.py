"""What is told of each modality is said with its interval; no network is called better than the spread allows."""

import runpy
from pathlib import Path

import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.translation import BASELINE, NETWORK, context

ROWS = runpy.run_path(str(Path(__file__).parents[1] / "translation_rows.py"))


def view_of(study_builder, folder, **options):
    study = ROWS["with_translations"](study_builder["write_study"](folder / "study"), **options)
    return context(read_contents(study))


@pytest.fixture
def view(study_builder, tmp_path):
    return view_of(study_builder, tmp_path)


def test_a_lead_within_the_interval_is_not_reliable(view):
    rna, protein = view["sentences"]
    assert (
        rna == "rna is told best by vae (0.360 ± 0.020), ahead of the best baseline, knn_translation (0.300 ± 0.020)."
    )
    assert protein.startswith("protein is told best by vae (0.805 ± 0.020), not reliably ahead of the best baseline, ")


def test_one_seed_has_no_spread(study_builder, tmp_path):
    view = view_of(study_builder, tmp_path, n_seeds=1)
    assert not view["several_seeds"]
    assert "before (one seed, so the spread is unknown) the best baseline" in view["sentences"][0]


def test_a_modality_is_a_view_with_networks_and_baselines_in_their_colours(view):
    assert list(view["figure"].views) == ["rna", "protein"]
    labels, baselines, networks = view["figure"].views["rna"]["data"]
    assert (baselines["marker"]["color"], networks["marker"]["color"]) == (BASELINE, NETWORK)
    assert (baselines["x"], networks["x"]) == ([0.3], [0.36])
    assert networks["error_x"]["array"] == [0.02]
    assert labels["x"] == [0.075, 0.09]
    assert labels["text"][0].startswith("B cell: ")
    assert view["figure"].views["rna"]["layout"]["yaxis"]["ticktext"] == ["knn_translation", "vae"]


def test_a_study_of_one_modality_has_no_such_section(study):
    assert context(read_contents(study)) is None
