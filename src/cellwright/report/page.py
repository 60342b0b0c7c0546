"""Page: a run folder or a study folder becomes one self-contained HTML file.

    folder -read_contents-> Contents -each of SECTIONS-> HTML -page.html-> report.html

The page loads nothing and sends nothing: its content security policy forbids every connection and every script but
the two whose hashes it names, so that even a name that got past the escaping could not run. `unsafe-eval` is there
because the WebGL part of plotly.js compiles its drawing commands with `Function` (without it no scattergl is drawn),
and `blob:` because a figure is saved as a picture through one; neither reaches out of the page.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cellwright.report.contents import Contents, read_contents
from cellwright.report.section import Section
from cellwright.report.sections import SECTIONS
from cellwright.report.text import counted, duration, short, visible
from cellwright.report.theme import Figure
from cellwright.run import replacing

_TEMPLATES = Path(__file__).parent / "templates"


def report(folder: Path | str, *, out: Path | str | None = None) -> Path:
    """Write the report of a run folder or a study folder; return its path.

    Parameters
    ----------
    folder
        A run folder (`run.json`) or a study folder (`study.toml` or `leaderboard.csv`, and `runs/`).
    out
        The file to write; `report.html` in `folder` if None. It is replaced in one step.

    Raises
    ------
    RunError
        Neither a run nor a study (give the folder that `cellwright fit` or `cellwright compare` wrote), a table that
        cannot be read (make it again), or a place that cannot be written (give another `out`).
    """
    html = render(read_contents(Path(folder)))
    target = Path(out) if out is not None else Path(folder) / "report.html"
    with replacing(target) as path:
        path.write_text(html, encoding="utf-8", newline="\n")
    return target


def render(contents: Contents) -> str:
    """The page as a string."""
    environment = _environment()
    parts = []
    for name, section in SECTIONS.items():
        if (html := render_section(name, section, contents, environment)) is not None:
            parts.append({"id": name, "title": section.title, "html": html})
    scripts = [Markup(_script_text(text)) for text in (get_plotlyjs(), _asset("page.js"))]
    return environment.get_template("page.html").render(
        title=short(contents.title, 80),
        facts=_facts(contents),
        sections=parts,
        problems=[short(problem, 400) for problem in dict.fromkeys(contents.problems)],
        policy=_policy(scripts),
        style=Markup(_asset("page.css")),
        scripts=scripts,
    )


def render_section(name: str, section: Section, contents: Contents, environment: Environment) -> Markup | None:
    """One section as HTML; None where the folder has nothing for it."""
    context = section.context(contents)
    return None if context is None else Markup(environment.get_template(f"{name}.html").render(context))


def embed(value: object) -> Markup:
    """`value` as JSON for a `<script>` element: nothing in it can end the element; NaN becomes null."""
    text = json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    numbers = count(1)
    environment.globals.update(embed=embed, next_id=lambda: f"figure-{next(numbers)}", as_json=_figure_json)
    environment.filters.update(sort_value=_sort_value)
    return environment


def _finalize(value: object) -> object:
    # strings of data reach the page through here only; Markup is our own
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _figure_json(figure: Figure) -> Markup:
    return embed({"kind": figure.kind, "shared": figure.shared, "views": list(figure.views.values())})


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _sort_value(value: object) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value


@cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _script_text(text: str) -> str:
    # a browser reads CR LF as LF before it hashes
    return "\n" + text.replace("\r\n", "\n").strip() + "\n"


def _policy(scripts: list[Markup]) -> str:
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"


def _facts(contents: Contents) -> list[str]:
    return [fact for fact in _fact_sentences(contents) if fact]


def _fact_sentences(contents: Contents) -> Iterator[str]:
    records = [run.record for run in contents.runs]
    for data in list(dict.fromkeys(run.data for run in contents.runs))[:4]:
        shape = next((run.record.data.get("shape") for run in contents.runs if run.data == data), None)
        yield ": ".join(filter(None, [short(data, 40), _shape(shape)]))
    if contents.is_study:
        yield f"{counted(len({run.title for run in contents.runs}), 'model')}, {counted(len(records), 'run')}"
    elif records:
        yield f"{short(contents.runs[0].title)}, seed {records[0].seed}, {records[0].status}"
    total = sum(record.wall_seconds for record in records)
    yield f"{duration(total)} of computing" if total else ""
    started = sorted(record.started for record in records if record.started)
    yield f"started {short(started[0][:16].replace('T', ' '))} UTC" if started else ""


def _shape(shape: object) -> str:
    match shape:
        case [int(n_obs), int(n_vars)]:
            return f"{n_obs:,} cells × {n_vars:,} features"
    return ""
