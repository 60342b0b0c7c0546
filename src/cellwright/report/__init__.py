"""The report: one self-contained page from a run or a study folder. It reads files only; no science, no torch."""

import sys
from pathlib import Path
from types import ModuleType

from cellwright.report.page import report
from cellwright.report.sections import SECTIONS

__all__ = ["SECTIONS", "report"]


class _CallableFolder(ModuleType):
    """The verb and the folder have one name: once this folder is imported, `cellwright.report` is the folder."""

    def __call__(self, folder: Path | str, *, out: Path | str | None = None) -> Path:
        """What `report` does."""
        return report(folder, out=out)


sys.modules[__name__].__class__ = _CallableFolder
