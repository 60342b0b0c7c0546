"""`cellwright report FOLDER`: the page of a run or a study."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.show import show
from cellwright.report.page import report

app = App(name="report", help="Make the page of a run or a study.")


@app.default
def run(
    folder: Annotated[Path, Parameter(help="a run folder or a study folder")],
    *,
    out: Annotated[Path | None, Parameter(help="where to write it; None is report.html in the folder")] = None,
) -> None:
    """Write one self-contained HTML page; it needs no network to be read."""
    show(f"{report(folder, out=out)}")
