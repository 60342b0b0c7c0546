"""`cellwright list`: every table is derived from the table in the code."""

from pathlib import Path

import pytest

from cellwright.cli.list import TABLES, values_of
from cellwright.data.balance import BALANCES
from cellwright.data.catalogue import CATALOGUE
from cellwright.likelihoods import LIKELIHOODS
from cellwright.metrics import METRICS
from cellwright.models import MODELS
from cellwright.tasks import TASKS

OF = {
    "models": MODELS,
    "likelihoods": LIKELIHOODS,
    "balances": BALANCES,
    "metrics": METRICS,
    "tasks": TASKS,
    "data": CATALOGUE,
}


@pytest.mark.parametrize("what", TABLES)
def test_every_entry_has_a_line_of_its_own(cellwright, what):
    ended = cellwright("list", what)
    assert [line.split()[0] for line in ended.out.splitlines()[1:]] == list(OF[what])


def test_a_model_can_do_a_task_exactly_if_it_has_the_ability_that_the_task_needs(cellwright):
    head, *lines = [line.split() for line in cellwright("list", "models").out.splitlines()]
    for line in lines:
        said = dict(zip(head, line, strict=False))
        for task in ("reduce", "reconstruct"):
            assert (said[task] == "yes") == (TASKS[task].ability in MODELS[line[0]].abilities)
        assert (said["baseline"] == "yes") == MODELS[line[0]].model.is_baseline
        assert {*said["needs"].split(",")} - {"-"} == MODELS[line[0]].model.needs


def test_models_is_what_is_listed_without_a_word(cellwright):
    assert cellwright("list").out == cellwright("list", "models").out


def test_the_readme_has_the_table_as_it_is_derived(cellwright):
    """After a change: `cellwright list models --markdown`, and put it into README.md."""
    ended = cellwright("list", "models", "--markdown")
    assert ended.code == 0
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert ended.out.strip() in readme


def test_the_values_of_a_model_are_those_of_its_support():
    assert values_of("vae") == "counts; any: `--transform none --likelihood gaussian`"
    assert values_of("pca") == "not negative; any: `--transform none`"
    assert values_of("lstm") == "any, with gaps"
    assert values_of("nb_by_label") == "counts"


def test_every_model_is_in_one_row_of_the_table(cellwright):
    rows = cellwright("list", "models", "--markdown").out.splitlines()[2:]
    names = [name.strip("` ") for row in rows for name in row.split("|")[1].split(",")]
    assert sorted(names) == sorted(MODELS)
