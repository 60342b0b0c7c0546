"""Exams of imputations, one file each, and the table of them."""

from cellwright.tasks.exams.entries import ENTRIES
from cellwright.tasks.exams.exam import Exam
from cellwright.tasks.exams.halves import HALVES
from cellwright.tasks.exams.molecules import MOLECULES
from cellwright.tasks.exams.permuted import PERMUTED
from cellwright.tasks.exams.protein import PROTEIN

# the first is what a run is fitted for: its model is the one that is saved
EXAMS: dict[str, Exam] = {
    "molecules": MOLECULES,
    "entries": ENTRIES,
    "permuted": PERMUTED,
    "halves": HALVES,
    "protein": PROTEIN,
}

__all__ = ["EXAMS", "Exam"]
