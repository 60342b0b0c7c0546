"""The report: one self-contained page about a run or a study. Reads folders only; no torch, no network, no science."""

from cellwright.report.page import report
from cellwright.report.sections import SECTIONS

__all__ = ["SECTIONS", "report"]
