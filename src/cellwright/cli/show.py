"""Show: tables on the terminal."""

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Table

# widths beyond a terminal's are wanted when the output goes to a file
console = Console(soft_wrap=False)
SHOWN_MEASURES = {
    ("cluster", "ari", False): "k-means ARI",
    ("cluster", "ari", True): "ARI held out",
    ("cluster", "nmi", False): "NMI",
    ("cluster", "balanced_ari", False): "balanced ARI",
    ("reduce", "silhouette", False): "silhouette",
    ("cluster", "silhouette_cluster", False): "silhouette",
    ("oracle", "best_leiden_ari", False): "Leiden ARI (oracle)",
    ("reconstruct", "r2", True): "R2 held out",
}


def leaderboard(board: pd.DataFrame) -> Table:
    """Models by measures, mean and half-width of the 95 % interval, best first by the first measure; failures below."""
    overall = board[(board["group"].fillna("") == "") & (board["status"] == "done")]
    measures = {key: title for key, title in SHOWN_MEASURES.items() if len(_of(overall, key))}
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("model")
    for title in [*measures.values(), "seconds", "memory"]:
        table.add_column(title, justify="right")
    for (model, setting), rows in _best_first(overall, measures):
        first = rows.iloc[0]
        cells = [_cell(_of(rows, key)) for key in measures]
        name = f"{model}{' ' + setting if setting else ''}{' (baseline)' if first['is_baseline'] else ''}"
        table.add_row(name, *cells, f"{first['seconds']:.1f}", f"{first['peak_bytes'] / 2**20:,.0f} MB")
    for _, row in board[board["status"] == "failed"].iterrows():
        table.add_row(f"{row['model']} {row['setting']} failed: {row['reason']}", style="red")
    return table


def table_of(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table."""
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    return table


def _of(rows: pd.DataFrame, key: tuple[str, str, bool]) -> pd.DataFrame:
    task, metric, held_out = key
    return rows[(rows["task"] == task) & (rows["metric"] == metric) & (rows["held_out"].astype(bool) == held_out)]


def _best_first(
    overall: pd.DataFrame, measures: dict[tuple[str, str, bool], str]
) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    groups = [(key, rows) for key, rows in overall.fillna({"setting": ""}).groupby(["model", "setting"], sort=False)]
    main = next(iter(measures), None)
    if main is None:
        return groups
    return sorted(groups, key=lambda item: -_of(item[1], main)["mean"].max() if len(_of(item[1], main)) else 1e9)


def _cell(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "-"
    mean, half = rows.iloc[0]["mean"], (rows.iloc[0]["ci_high"] - rows.iloc[0]["ci_low"]) / 2
    return f"{mean:.3f} ± {half:.3f}" if half == half else f"{mean:.3f}"
