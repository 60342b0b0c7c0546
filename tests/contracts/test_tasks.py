"""Tasks say which ability they need and which keys they write; the tables agree with each other."""

from pathlib import Path

import pytest

import cellwright
from cellwright.core.abilities import ABILITIES
from cellwright.keys import KEYS, cluster_key, latent_key, umap_key
from cellwright.tasks import TASKS


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_has_a_file_an_ability_that_exists_and_keys_that_are_listed(name):
    assert (Path(cellwright.__file__).parent / "tasks" / f"{name}.py").is_file()
    assert TASKS[name].ability is None or TASKS[name].ability in ABILITIES
    listed = {f"{key.slot}/{key.name.split(' = ')[-1]}" for key in KEYS}
    assert set(TASKS[name].writes) <= listed


def test_every_file_of_the_room_is_a_task_or_serves_several():
    files = {path.stem for path in (Path(cellwright.__file__).parent / "tasks").glob("*.py")}
    scorers = {"score_alignment", "score_integration", "score_response", "score_screen"}
    parts = {"confidence", "fans", "neighbours", "permuted", "diffusion_pseudotime", "lineage_ends"}
    assert files == {"__init__", "ask", *parts, *scorers, *TASKS}


def test_every_key_names_the_task_that_writes_it():
    assert {key.written_by for key in KEYS} <= set(TASKS)


def test_names_of_keys():
    assert (latent_key("vae"), umap_key("X_vae")) == ("X_vae", "X_vae_umap")
    assert cluster_key(["label"]) == "cluster"
    assert cluster_key(["label", "cluster"]) == "cellwright_cluster"
