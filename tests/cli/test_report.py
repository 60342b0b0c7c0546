"""`cellwright report`: the page of a run, where it was asked for."""

import pytest


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in the run", "elsewhere"])
def test_the_page_is_where_the_line_printed_says(cellwright, finished, tmp_path, elsewhere):
    page = tmp_path / "page.html" if elsewhere else finished / "report.html"
    ended = cellwright("report", finished, *(["--out", page] if elsewhere else []))
    assert (ended.code, ended.out, ended.err) == (0, f"{page}\n", "")
    assert "vae" in page.read_text()
