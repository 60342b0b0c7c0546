"""Augmentation: what a folder of `cellwright augment` holds, as its sections ask for it.

Contents -> whether it is such a folder, its verdict in sentences, the tests of what was added
"""

import pandas as pd

from cellwright.report.contents import Contents

STUDY = "augment"  # its table in study.toml
HEADLINE = "macro_f1"
NONE = "none"
TEXT = ["data", "model", "setting", "remedy", "against", "metric", "better", "group"]
NUMBERS = ["n_cells", "n_seeds", "reference", "with_remedy", "difference", "ci_low", "ci_high", "p_t", "p_t_holm"]


def is_of_augmentation(contents: Contents) -> bool:
    """Whether the folder is that of a study of augmentation."""
    return STUDY in contents.plan


def verdict_of(contents: Contents) -> list[str]:
    """The sentences of `verdict.txt`, which the study wrote; none where it is not there or unreadable."""
    path = contents.folder / "verdict.txt"
    try:
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, UnicodeDecodeError) as error:
        contents.problems.append(f"verdict.txt could not be read: {type(error).__name__}.")
        return []


def effects_of(contents: Contents) -> pd.DataFrame:
    """`augment.csv`: every remedy against none and against the simpler ones, paired over seeds."""
    return contents.table("augment.csv", TEXT, NUMBERS)
