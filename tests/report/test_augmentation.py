"""What a folder of `cellwright augment` holds is read, and one without is not taken for it."""

import shutil
from pathlib import Path

from cellwright.report.augmentation import effects_of, is_of_augmentation, verdict_of
from cellwright.report.contents import read_contents


def test_only_a_study_of_augmentation_is_one(augmentation, study, responses):
    assert [is_of_augmentation(read_contents(folder)) for folder in (augmentation, study, responses)] == [
        True,
        False,
        False,
    ]


def test_the_verdict_is_its_lines(augmentation, study):
    assert verdict_of(read_contents(augmentation))[0] == "Generated cells help: knn (vae)."
    assert verdict_of(read_contents(study)) == []


def test_a_verdict_that_is_no_text_is_a_problem_and_no_error(augmentation, tmp_path):
    folder = Path(shutil.copytree(augmentation, tmp_path / "study"))
    (folder / "verdict.txt").write_bytes(b"\xff\xfe\xff")
    contents = read_contents(folder)
    assert verdict_of(contents) == []
    assert contents.problems == ["verdict.txt could not be read: UnicodeDecodeError."]


def test_effects_are_numbers_and_empty_groups_are_all_classes(augmentation):
    effects = effects_of(read_contents(augmentation))
    assert effects["difference"].dtype == float
    assert set(effects["group"]) == {"", "plasma", "rare B", "T cells"}
