"""The report: one self-contained page from a run or a study folder. It reads files only; no science, no torch."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["SECTIONS", "report"]

# imported when they are first used: `cellwright describe` wants the bibliography only, and the page takes seconds
_WHERE = {"SECTIONS": "cellwright.report.sections", "report": "cellwright.report.page"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cellwright.report' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


class _CallableFolder(ModuleType):
    """The verb and the folder have one name: once this folder is imported, `cellwright.report` is the folder."""

    def __call__(self, folder: Path | str, *, out: Path | str | None = None) -> Path:
        """What `report` does."""
        path: Path = __getattr__("report")(folder, out=out)
        return path


sys.modules[__name__].__class__ = _CallableFolder
