"""Section: what the page knows of a part of it. A part is a file in `sections/` and a template of the same name."""

from collections.abc import Callable
from dataclasses import dataclass

from cellwright.report.contents import Contents

Context = dict[str, object]


@dataclass(frozen=True)
class Section:
    """A title, and the function that says what its template is given: None where the folder has nothing to show."""

    title: str
    context: Callable[[Contents], Context | None]
