import pytest

from cellwright.report.contents import read_contents
from cellwright.report.sections.response_targets import context


@pytest.fixture
def screen(responses_builder, tmp_path):
    return responses_builder["write_responses"](tmp_path / "study", responses_builder["Story"](is_screen=True))


def test_the_best_and_the_worst_targets_are_shown_of_each_model_that_predicts_a_change(screen):
    tables = context(read_contents(screen))["tables"]
    assert [table["title"] for table in tables] == ["scgen", "gene_shift"]
    for table in tables:
        assert [row["target"] for row in table["rows"]] == [f"g{k}" for k in (*range(10), *range(15, 25))]
        assert [row["n_before"] for row in table["rows"]] == [0] * 10 + [5] + [0] * 9


def test_a_target_has_the_mean_over_held_out_labels(screen):
    for stored, correlation in zip(scgen_runs(screen), (0.9, 0.8), strict=True):
        table = stored.run.path / "targets.csv"
        table.write_text(table.read_text().replace(",0.9,", f",{correlation},"))
    second = context(read_contents(screen))["tables"][0]["rows"][1]
    assert second["target"] == "g0"
    assert second["cells"][0] == ("0.850", pytest.approx(0.85))
    assert second["cells"][-1] == ("2", 2.0)


def test_what_is_no_screen_has_no_such_section(responses):
    assert context(read_contents(responses)) is None


def scgen_runs(folder):
    return [run for run in read_contents(folder).runs if run.record.model == "scgen"]
