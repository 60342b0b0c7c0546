"""Buffers whose size the data decide are saved, and loaded into a model that was built without them."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cellwright.nn.from_data import FromData


def made():
    return FromData({"places": torch.zeros(0, 2), "label": torch.zeros(0, dtype=torch.int64)})


def test_what_is_set_is_there_in_the_type_that_was_declared():
    kept = made()
    kept.set(places=torch.arange(6.0, dtype=torch.float64).reshape(3, 2), label=torch.tensor([2.0, 1.0, 0.0]))
    assert kept.places.dtype == torch.float32
    assert kept.places.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert kept.label.dtype == torch.int64
    assert kept.label.tolist() == [2, 1, 0]


def test_a_size_can_change_with_every_set():
    kept = made()
    for n in (5, 0, 7):
        kept.set(places=torch.ones(n, 2))
        assert kept.places.shape == (n, 2)


def test_a_model_that_was_built_empty_loads_what_was_saved(tmp_path):
    model, fresh = nn.ModuleDict({"cells": made()}), nn.ModuleDict({"cells": made()})
    model["cells"].set(places=torch.rand(4, 2), label=torch.arange(4))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    fresh.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for name, value in model.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)


def test_loading_gives_a_smaller_size_back_too():
    kept = made()
    empty = {name: value.clone() for name, value in kept.state_dict().items()}
    kept.set(places=torch.rand(4, 2))
    kept.load_state_dict(empty)
    assert kept.places.shape == (0, 2)


def test_they_are_no_parameters_and_have_no_gradient():
    kept = made()
    kept.set(places=torch.rand(2, 2, requires_grad=True))
    assert not list(kept.parameters())
    assert not kept.places.requires_grad


def test_an_unknown_name_is_an_error():
    with pytest.raises(AttributeError):
        made().set(places_of_cells=torch.zeros(1))
