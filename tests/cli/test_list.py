"""`cellwright list`: every table is derived from the table in the code."""

import pytest

from cellwright.cli.list import TABLES
from cellwright.data.catalogue import CATALOGUE
from cellwright.likelihoods import LIKELIHOODS
from cellwright.metrics import METRICS
from cellwright.models import MODELS
from cellwright.tasks import TASKS

OF = {"models": MODELS, "likelihoods": LIKELIHOODS, "metrics": METRICS, "tasks": TASKS, "data": CATALOGUE}


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
