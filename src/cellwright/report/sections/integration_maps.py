"""Integration maps: the cells before and after, side by side, coloured by batch and, below, by label.

cells.h5ad of the uncorrected and of each corrected model -> a figure by batch and one by label, a button per model
"""

from cellwright.report.contents import Contents
from cellwright.report.integrations import UNCORRECTED, is_of_integration, is_true, recommendation_of, title_of
from cellwright.report.section import Context, Section
from cellwright.report.sections.latent import Panel, colour_scale, drawn, legend_of, map_layout, panel_of
from cellwright.report.standing import best_first
from cellwright.report.text import in_figure, short
from cellwright.report.theme import Figure, legend

HEIGHT = 400  # of a map, in pixels


def context(contents: Contents) -> Context | None:
    """None where there is no map of uncorrected cells, or none beside it."""
    if not is_of_integration(contents):
        return None
    blocks = [block for data in contents.data_names if (block := _block(contents, data)) is not None]
    return {"blocks": blocks, "name_data": len(blocks) > 1} if blocks else None


SECTION = Section("Before and after", context)


def _block(contents: Contents, data: str) -> Context | None:
    panels = {run.title: panel for run in best_first(contents, data) if (panel := panel_of(run)) is not None}
    before = panels.pop(UNCORRECTED, None)
    if before is None or not panels:
        return None
    after = _recommended_first(contents, list(panels.values()))
    roles = [role for role in ("batch", "label") if role in before.columns]
    return {"data": short(data), "figures": [_figure(before, after, role) for role in roles]}


def _recommended_first(contents: Contents, panels: list[Panel]) -> list[Panel]:
    rows = recommendation_of(contents).to_dict("records")
    chosen = {title_of(row) for row in rows if is_true(row["is_recommended"])}
    return sorted(panels, key=lambda panel: short(panel.title) not in chosen)


def _figure(before: Panel, after: list[Panel], role: str) -> Figure:
    """A view per corrected model, its map beside that of the uncorrected cells."""
    # of all roles, for a point under the pointer says all that is known of its cell
    scales = {name: colour_scale(panel.columns[name] for panel in (before, *after)) for name in before.columns}
    panels = [drawn(before, 0, scales), *(drawn(panel, 1, scales) for panel in after)]
    views = {}
    for place, panel in enumerate(after, start=1):
        titles = [
            f"before, by {role}: {in_figure(before.title, 24)}",
            f"after, by {role}: {in_figure(panel.title, 24)}",
        ]
        look = map_layout(titles, 2, len(scales[role]))
        views[short(panel.title, 32)] = {"key": role, "panels": [0, place], "layout": look}
    shared = {"panels": panels, "keys": {name: legend_of(scale) for name, scale in scales.items()}}
    height = HEIGHT + 38 + legend(len(scales[role]))[1]
    return Figure(views, height, f"Maps of the cells before and after, by {role}", kind="cells", shared=shared)
