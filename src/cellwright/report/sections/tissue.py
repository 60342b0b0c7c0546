"""Tissue: the cells where they lie, labels beside domains, each section in a row of its own.

cells.h5ad of the first finished seed of each model -> a view per model: labels, domains, domains refined by neighbours

A domain has the colour of the label that it shares most cells with, one domain per label, so that panels compare.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from cellwright.report.contents import Contents, Map, StoredRun
from cellwright.report.section import Context, Section
from cellwright.report.sections.latent import Panel, drawn, legend_of
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, natural, short
from cellwright.report.theme import (
    PALETTE,
    Figure,
    Json,
    axis,
    axis_name,
    grid,
    layout,
    layout_axis,
    legend,
    panel_title,
)

MOST_SECTIONS = 6
DOMAIN, REFINED = "domain", "domain_refined"
ROLES = {"label": "labels", "domain": "domains", "refined": "refined domains"}
WIDTH, HIGHEST, LOWEST = 310, 460, 150  # of a panel, in pixels
GAP = 34  # between rows, for titles


@dataclass(frozen=True)
class Tissue:
    """The cells of one model in their places, with the columns that colour them."""

    title: str
    names: pd.Index
    places: np.ndarray
    section: pd.Series
    columns: dict[str, pd.Series]


def context(contents: Contents) -> Context | None:
    """None where no run has places and domains."""
    blocks = []
    for data in contents.data_names:
        found = [tissue for run in best_first(contents, data) if (tissue := _tissue(run)) is not None]
        if found:
            blocks.append({"data": short(data), "figure": _figure(found), "caption": _caption(found[0])})
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Domains in the tissue", context)


def matched(labels: pd.Series, domains: pd.Series) -> dict[str, str]:
    """Domain -> label, at most one each, so that the cells that agree are as many as can be."""
    table = pd.crosstab(domains, labels)
    rows, columns = linear_sum_assignment(-table.to_numpy())
    return {str(table.index[row]): str(table.columns[column]) for row, column in zip(rows, columns, strict=True)}


def _tissue(run: StoredRun) -> Tissue | None:
    cells = run.cells
    if cells is None or cells.places is None or DOMAIN not in cells.obs:
        return None
    silent = run.record.notes.get("unlabelled") or []
    found = {"label": run.column(run.label_key), "domain": cells.obs[DOMAIN], "refined": run.column(REFINED)}
    columns = {role: column.astype(object) for role, column in found.items() if column is not None}
    if "label" in columns:
        columns["label"] = columns["label"].mask(columns["label"].astype(str).isin(silent))
    section = run.column(run.batch_key)
    section = pd.Series("", index=cells.obs.index) if section is None else section.astype(str)
    return Tissue(run.title, cells.obs.index, cells.places, section, columns)


def _figure(tissues: list[Tissue]) -> Figure:
    first = tissues[0]
    sections = sorted(set(first.section), key=natural)[:MOST_SECTIONS]
    roles = [role for role in ROLES if role in first.columns]
    categories = _categories(tissues)
    heights = [_height(first, section) for section in sections]
    panels: list[Json] = []
    views: dict[str, Json] = {}
    places = list(enumerate((section, role) for section in sections for role in roles))
    for tissue in tissues:
        own = [_panel(tissue, section, role, i, categories) for i, (section, role) in places]
        look = _layout(sections, roles, heights, len(categories))
        numbers = list(range(len(panels), len(panels) + len(own)))
        views[short(tissue.title, 32)] = {"key": roles[0], "panels": numbers, "layout": look}
        panels += own
    keys = {role: _legend(categories, role, has_labels="label" in roles) for role in roles}
    height = round(sum(heights)) + GAP * (len(heights) + 2) + legend(len(categories))[1]
    shared = {"panels": panels, "keys": keys}
    return Figure(views, height, "Domains in the tissue beside labels, by model", kind="cells", shared=shared)


def _categories(tissues: list[Tissue]) -> list[str]:
    """The labels, and as many more as the most domains are; without labels the names of the domains."""
    n_domains = max(tissue.columns["domain"].nunique() for tissue in tissues)
    labels = tissues[0].columns.get("label")
    if labels is None:
        return sorted({str(name) for tissue in tissues for name in tissue.columns["domain"].dropna()}, key=natural)
    names = sorted(labels.dropna().astype(str).unique(), key=natural)
    return [*names, *(f"no label {i + 1}" for i in range(n_domains - len(names)))]


def _legend(categories: list[str], role: str, *, has_labels: bool) -> Json:
    scale = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(categories)}
    shown = legend_of(scale)
    if has_labels and role != "label":
        shown["categories"] = [f"most like {name}" for name in shown["categories"]]
    return shown


def _panel(tissue: Tissue, section: str, role: str, place: int, categories: list[str]) -> Json:
    rows = np.flatnonzero((tissue.section == section).to_numpy())
    columns = {name: column.iloc[rows] for name, column in _as_categories(tissue, categories).items()}
    map_ = Map(tissue.places[rows], is_umap=False)
    scales = dict.fromkeys(columns, dict.fromkeys(categories, ""))
    shown = drawn(Panel(section, tissue.names[rows], map_, columns), place, scales)
    return {**shown, "key": role, "size": _size(len(shown["x"]))}


def _as_categories(tissue: Tissue, categories: list[str]) -> dict[str, pd.Series]:
    """Every column in the names of the scale: a domain in that of the label it is matched to."""
    labels, domains = tissue.columns.get("label"), tissue.columns["domain"].astype(str)
    if labels is None:
        return tissue.columns
    known = matched(labels, domains)
    left = [name for name in categories if name not in known.values()]
    rest = [name for name in sorted(domains.unique(), key=natural) if name not in known]
    known |= dict(zip(rest, left, strict=False))
    return {role: c if role == "label" else c.astype(str).map(known) for role, c in tissue.columns.items()}


def _size(n_obs: int) -> float:
    """Pixels across a cell: cells of a full panel touch, and hardly overlap."""
    return round(float(np.clip(0.75 * WIDTH / np.sqrt(max(n_obs, 1)), 2.5, 11)), 1)


def _height(tissue: Tissue, section: str) -> float:
    """Of a panel in which a unit across is as long as a unit down."""
    places = tissue.places[(tissue.section == section).to_numpy()]
    across, down = np.ptp(places, axis=0) if len(places) else (1.0, 1.0)
    return float(np.clip(WIDTH * down / max(across, 1e-12), LOWEST, HIGHEST))


def _layout(sections: list[str], roles: list[str], heights: list[float], n_legend: int) -> Json:
    total = sum(heights) + GAP * (len(heights) - 1)
    bare = {"showgrid": False, "showticklabels": False, "ticks": "", "showline": False}
    axes: Json = {}
    titles = []
    top = 1.0
    for row, (section, height) in enumerate(zip(sections, heights, strict=True)):
        for column, role in enumerate(roles):
            i = row * len(roles) + column
            across = grid(len(roles), len(roles), gap_x=0.03, gap_y=0)[column][0]
            up = [max(0.0, top - height / total), top]
            equal = {"scaleanchor": axis_name("x", i), "scaleratio": 1, "autorange": "reversed", "constrain": "domain"}
            axes[layout_axis("x", i)] = axis(domain=across, anchor=axis_name("y", i), constrain="domain", **bare)
            axes[layout_axis("y", i)] = axis(domain=up, anchor=axis_name("x", i), **equal, **bare)
            name = f"{in_figure(section, 20)}: {ROLES[role]}" if section else ROLES[role]
            titles.append(panel_title(name, across[0], up[1]))
        top -= (height + GAP) / total
    names, room = legend(n_legend)
    margin = {"l": 4, "r": 4, "t": 2 * GAP, "b": 8 + room}
    return layout(annotations=titles, legend=names, margin=margin, hovermode="closest", dragmode="pan", **axes)


def _caption(tissue: Tissue) -> str:
    said = ["Each point is a cell in its place (first finished seed)."]
    if "label" in tissue.columns:
        said.append(
            "A domain has the colour of the label that it shares most cells with, one domain per label; cells without "
            "a label are grey on the left."
        )
    if "refined" in tissue.columns:
        said.append("Refined: a cell takes the domain of more than half of its neighbours, which is no proof of it.")
    n_sections = tissue.section.nunique()
    if n_sections > MOST_SECTIONS:
        said.append(f"The first {MOST_SECTIONS} of {n_sections} sections are drawn.")
    return " ".join(said)
