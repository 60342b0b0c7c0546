"""`cellwright list WHAT`: what there is. All tables are derived, none is written by hand.

Each table of the code is imported where it is shown: models bring torch along, metrics scikit-learn, tasks nothing.
"""

from collections.abc import Callable
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.table import Table

from cellwright.cli.show import show, table_of
from cellwright.tasks import TASKS

app = App(name="list", help="What there is: models, likelihoods, metrics, tasks, data.")
What = Literal["models", "likelihoods", "metrics", "tasks", "data"]


@app.default
def run(what: Annotated[What, Parameter(help="which table")] = "models") -> None:
    """Print a table."""
    show(TABLES[what]())


def models() -> Table:
    """Models by the tasks that they can do, and what they need of the data beside values."""
    from cellwright.models import MODELS

    asked = {name: task.ability for name, task in TASKS.items() if task.ability}
    rows = []
    for name, entry in MODELS.items():
        able = ["yes" if ability in entry.abilities else "-" for ability in asked.values()]
        needs = ",".join(sorted(entry.model.needs)) or "-"
        rows.append([name, *able, "yes" if entry.model.is_baseline else "-", needs, entry.summary])
    return table_of(["model", *asked, "baseline", "needs", "what it is"], rows)


def likelihoods() -> Table:
    """Likelihoods and the values that they are defined on."""
    from cellwright.likelihoods import LIKELIHOODS

    return table_of(
        ["likelihood", "values"], [(name, kind(name=name).support.name) for name, kind in LIKELIHOODS.items()]
    )


def metrics() -> Table:
    """Metrics with task and direction."""
    from cellwright.metrics import METRICS

    return table_of(["metric", "task", "better", "title"], [(n, m.task, m.better, m.title) for n, m in METRICS.items()])


def tasks() -> Table:
    """Tasks, the ability that they ask for, and the keys that they write."""
    return table_of(
        ["task", "needs", "writes", "what it does"],
        [(name, task.ability or "-", ", ".join(task.writes) or "-", task.summary) for name, task in TASKS.items()],
    )


def data() -> Table:
    """The data sets of the catalogue."""
    from cellwright.data.catalogue import CATALOGUE

    rows = [
        (name, f"{d.n_obs:,}", f"{d.n_vars:,}", d.values.name, d.label_key or "-", d.batch_key or "-")
        for name, d in CATALOGUE.items()
    ]
    columns = ["data", "cells", "features", "values", "label key", "batch key"]
    return table_of(columns, rows, right=["cells", "features"])


TABLES: dict[str, Callable[[], Table]] = {
    "models": models,
    "likelihoods": likelihoods,
    "metrics": metrics,
    "tasks": tasks,
    "data": data,
}
