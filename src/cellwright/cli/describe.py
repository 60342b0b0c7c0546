"""`cellwright describe MODEL`: one model in detail."""

import inspect
import sys
from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from cellwright.cli.flags import allowed, shown_default
from cellwright.cli.show import show, table_of
from cellwright.models import Entry, entry_of
from cellwright.report.bibliography import references

app = App(name="describe", help="One model in detail: abilities, options, papers.")


@app.default
def run(model: Annotated[str, Parameter(help="a name from `cellwright list models`")]) -> None:
    """Print what a model is, what it can do, its options with their bounds, and its references."""
    entry = entry_of(model)
    text = unfolded(inspect.getdoc(sys.modules[entry.model.__module__]) or "")
    show(Text.assemble((model, "bold"), f": {entry.summary}"), "", text, "")
    show(f"Abilities: {', '.join(entry.abilities)}.", "", options_table(entry), "")
    show(*[citation(key) for key in entry.model.citations])


def unfolded(text: str) -> str:
    """Each paragraph as one line, for the terminal to fold; what is indented stays as it is."""
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(p if p.startswith(" ") else " ".join(p.split()) for p in paragraphs)


def options_table(entry: Entry) -> Table:
    """The options of a model, with the defaults of its preset."""
    preset = entry.options()
    rows = [
        (
            "--" + name.replace("_", "-"),
            shown_default(getattr(preset, name)),
            allowed(field),
            field.description or "",
        )
        for name, field in entry.options_type.model_fields.items()
    ]
    return table_of(["option", "default", "allowed", "meaning"], rows)


def citation(key: str) -> str:
    """`[Lopez18] authors (year). title. venue. doi`; the key alone where the bibliography does not have it."""
    if (paper := references().get(key)) is None:
        return f"[{key}]"
    doi = f"https://doi.org/{paper.doi}" if paper.doi else ""
    parts = [f"{paper.authors} ({paper.year})", paper.title, paper.venue, doi]
    return f"[{key}] {'. '.join(part.rstrip('.') for part in parts if part)}"
