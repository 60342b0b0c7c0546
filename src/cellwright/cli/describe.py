"""`cellwright describe MODEL`: one model in detail."""

from typing import Annotated

from cyclopts import App, Parameter

from cellwright.cli.show import console, table_of
from cellwright.models import entry_of

app = App(name="describe", help="One model in detail: abilities, options, papers.")


@app.default
def run(model: Annotated[str, Parameter(help="a name from `cellwright list models`")]) -> None:
    """Print what a model is, what it can do, its options with their bounds, and its references."""
    entry = entry_of(model)
    options = entry.options()
    module = __import__(entry.model.__module__, fromlist=["__doc__"]).__doc__ or ""
    console.print(f"[bold]{model}[/bold]: {entry.summary}\n", highlight=False)
    console.print(module.strip() + "\n", highlight=False, markup=False)
    console.print(f"abilities: {', '.join(entry.abilities)}; citations: {', '.join(entry.model.citations)}\n")
    rows = [
        ("--" + name.replace("_", "-"), _short(getattr(options, name)), field.description or "")
        for name, field in entry.options_type.model_fields.items()
    ]
    console.print(table_of(["option", "default", "meaning"], rows))


def _short(value: object) -> str:
    return str(getattr(value, "name", value))
