"""One device is used without Fabric; a device that is not there is refused."""

import pytest
import torch
from torch import nn

from cellwright.errors import OptionError
from cellwright.train.devices import OneDevice, devices_for
from cellwright.train.options import FitOptions


@pytest.mark.parametrize(
    ("precision", "dtype"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)], ids=["32-true", "bf16-mixed"]
)
def test_products_are_in_the_chosen_precision_and_gradients_in_float32(precision, dtype):
    layer = nn.Linear(3, 2)
    devices = devices_for(FitOptions(device="cpu", precision=precision))
    assert isinstance(devices, OneDevice)
    out = devices.setup_module(layer)(torch.ones(4, 3))
    assert out.dtype == dtype
    devices.backward(out.float().sum())
    assert layer.weight.grad.dtype == torch.float32
    assert torch.equal(layer.weight.grad, torch.full((2, 3), 4.0))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(monkeypatch, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(OptionError, match=f"^device of FitOptions is '{device}', but torch sees no"):
        devices_for(FitOptions(device=device))
