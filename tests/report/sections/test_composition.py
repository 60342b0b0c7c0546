import plotly.graph_objects as go
import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.composition import context


@pytest.fixture
def views(study):
    return context(read_contents(study))["blocks"][0]["figure"].views


def test_there_is_a_view_per_column(views):
    assert list(views) == ["by cell_type", "by donor"]


def test_the_bars_of_a_cluster_fill_it(views):
    for view in views.values():
        total = {}
        for trace in view["data"]:
            for cluster, share in zip(trace["y"], trace["x"], strict=True):
                total[cluster] = total.get(cluster, 0.0) + share
        assert list(total.values()) == pytest.approx([1.0] * 8, abs=8 * 5e-5)  # each share is rounded to 1e-4


def test_counts_are_those_of_the_cells(study, views):
    obs = read_contents(study).shown("pbmc")["vae"].cells.obs
    for trace in views["by donor"]["data"]:
        for cluster, n in zip(trace["y"], trace["customdata"], strict=True):
            assert n == ((obs["cluster"] == str(cluster)) & (obs["donor"] == trace["name"])).sum()


def test_figures_are_plotlys(views):
    for view in views.values():
        go.Figure(view)
