"""`cellwright list WHAT`: what there is. All tables are derived, none is written by hand.

Each table of the code is imported where it is shown: models bring torch along, metrics scikit-learn, tasks nothing.
"""

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from rich.table import Table

from cellwright.cli.show import show, table_of
from cellwright.errors import OptionError
from cellwright.tasks import TASKS

if TYPE_CHECKING:
    from cellwright.core.support import Support
    from cellwright.models import Entry

app = App(name="list", help="What there is: models, likelihoods, balances, metrics, tasks, data.")
What = Literal["models", "likelihoods", "balances", "metrics", "tasks", "data"]


# what a model needs of the data beside values, in words
NEEDS = {"label": "labels", "coordinates": "places", "condition": "conditions", "control": "a control"}
# flags with which models that are made for counts take any real number
WAYS_TO_TAKE_ANY: tuple[dict[str, str | list[str]], ...] = (
    {"transform": "none"},
    {"transform": "none", "likelihood": "gaussian"},
    {"transform": "none", "output": "values"},
    {"transform": "none", "decoding": "published"},
    # of the modality of that name
    {"likelihoods": "X=gaussian"},
    {"real_valued": ["X"]},
)


@app.default
def run(
    what: Annotated[What, Parameter(help="which table")] = "models",
    *,
    markdown: Annotated[bool, Parameter(help="models by data, values and tasks, as it stands in the README")] = False,
) -> None:
    """Print a table."""
    if markdown and what != "models":
        raise OptionError(f"--markdown is a form of the table of models; it was asked for {what}. Leave it out.")
    show(what_works_on_what() if markdown else TABLES[what]())


def models() -> Table:
    """Models by the tasks that they can do, and what they need of the data beside values."""
    from cellwright.models import MODELS

    asked = asked_abilities()
    rows = []
    for name, entry in MODELS.items():
        able = ["yes" if ability in entry.abilities else "-" for ability in asked.values()]
        needs = ",".join(sorted(entry.model.needs)) or "-"
        rows.append([name, *able, "yes" if entry.model.is_baseline else "-", needs, entry.summary])
    return table_of(["model", *asked, "baseline", "needs", "what it is"], rows)


def asked_abilities() -> dict[str, str]:
    """Task -> the ability that it asks for; an ability that no task asks for yet stands for itself."""
    from cellwright.core.abilities import ABILITIES

    by_task = {name: task.ability for name, task in TASKS.items() if task.ability}
    return by_task | {ability: ability for ability in ABILITIES if ability not in by_task.values()}


def what_works_on_what() -> str:
    """Models by data, values and tasks in Markdown; models that agree in all of it share a row."""
    from cellwright.models import MODELS

    asked = asked_abilities()
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, entry in MODELS.items():
        able = ["yes" if ability in entry.abilities else "" for ability in asked.values()]
        row = (data_of(entry), values_of(name), *able, "yes" if entry.model.is_baseline else "")
        rows.setdefault(row, []).append(f"`{name}`")
    head = ["model", "data", "values", *asked, "baseline"]
    lines = [head, ["---"] * len(head), *([", ".join(names), *row] for row, names in rows.items())]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def data_of(entry: "Entry") -> str:
    """What data a model is built for: rows that are cells or sequences, and what must be known of them."""
    several = "cells, several modalities" if entry.model.reads_several else "cells"
    rows = "sequences" if "steps" in entry.model.needs else several
    needs = [words for need, words in NEEDS.items() if need in entry.model.needs]
    return " with ".join([rows, ", ".join(needs)] if needs else [rows])


def values_of(name: str) -> str:
    """Which values a model takes by default, and with which flags it takes any."""
    from cellwright.core.support import Support
    from cellwright.models import entry_of

    words = {Support.missing: "any, with gaps", Support.real: "any", Support.non_negative: "not negative"}
    default = support_of(name)
    said = words.get(default, default.name)
    if default <= Support.real:
        return said
    fields = set(entry_of(name).options_type.model_fields)
    for way in WAYS_TO_TAKE_ANY:
        if set(way) <= fields and support_of(name, **way) <= Support.real:
            return f"{said}; any: `{' '.join(_as_flag(name, value) for name, value in way.items())}`"
    return said


def _as_flag(name: str, value: str | list[str]) -> str:
    return f"--{name.replace('_', '-')} {value if isinstance(value, str) else ','.join(value)}"


def support_of(name: str, **options: str | list[str]) -> "Support":
    """Which values a model of that name takes with these options, built for a schema that has all that it may need."""
    from cellwright.core.schema import Categories, Coordinates, Schema, Steps
    from cellwright.models import build, entry_of

    steps = Steps(
        keys={"step": "time"}, sequences=("",), quantities=("",), sequence_of=(0, 0), time_of=(0, 1), quantity_of=(0, 0)
    )
    names = ("X", "Y") if entry_of(name).model.reads_several else ("X",)
    schema = Schema(
        features=dict.fromkeys(names, ("a", "b")),
        label=Categories(key="label", values=("a", "b")),
        condition=Categories(key="condition", values=("a", "b")),
        control="a",
        coordinates=Coordinates(key="spatial", n=2),
        steps=steps if "steps" in entry_of(name).model.needs else None,
    )
    return build(name, schema, **options).support


def likelihoods() -> Table:
    """Likelihoods and the values that they are defined on."""
    from cellwright.likelihoods import LIKELIHOODS

    return table_of(
        ["likelihood", "values"], [(name, kind(name=name).support.name) for name, kind in LIKELIHOODS.items()]
    )


def balances() -> Table:
    """Remedies for classes of unequal size, with their settings and the defaults of these."""
    from cellwright.data.balance import BALANCES

    rows = []
    for name, kind in BALANCES.items():
        settings = [f"{option}={_as_written(value)}" for option, value in kind(name=name) if option != "name"]
        rows.append((name, ":".join(settings) or "-", (inspect.getdoc(kind) or "").splitlines()[0]))
    return table_of(["balance", "settings", "what it does"], rows)


def _as_written(value: object) -> str:
    """A setting as it is given: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


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
    "balances": balances,
    "metrics": metrics,
    "tasks": tasks,
    "data": data,
}
