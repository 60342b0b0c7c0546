"""Devices: where a fit runs and in which precision; one of them, or several through Lightning Fabric.

FitOptions -> devices_for -> setup_module (placed, in mixed precision, gradients averaged), backward
"""

import os
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from cellwright.errors import OptionError
from cellwright.train.options import FitOptions


class Devices(Protocol):
    """What the loop asks of one device or of several."""

    @property
    def device(self) -> torch.device:
        """Of this process."""

    @property
    def world_size(self) -> int:
        """How many processes train together."""

    @property
    def global_rank(self) -> int:
        """Which of them this is."""

    def setup_module(self, module: nn.Module) -> nn.Module:
        """The module on the device; called like it, in the chosen precision."""

    def backward(self, loss: Tensor) -> None:
        """The gradients, averaged over all processes."""


class OneDevice:
    """The usual case. Fabric could do it, but loads all of torch.compile: four seconds of CPU at every start."""

    world_size, global_rank = 1, 0

    def __init__(self, device: torch.device, *, mixed: bool) -> None:
        self.device, self.mixed = device, mixed

    def setup_module(self, module: nn.Module) -> nn.Module:
        module.to(self.device)
        return _Mixed(module, self.device) if self.mixed else module

    def backward(self, loss: Tensor) -> None:
        loss.backward()


class _Mixed(nn.Module):
    """Products in bfloat16, everything else in float32."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.module, self.device = module, device

    def forward(self, *arguments: object) -> object:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return self.module(*arguments)


def devices_for(options: FitOptions) -> Devices:
    """The chosen devices. With several, the processes are launched here, or found if torchrun launched them.

    Raises `OptionError` for a device that is not there.
    """
    # mps is not chosen by itself: NaN losses that the CPU does not have are reported for it
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device of FitOptions is 'cuda', but torch sees no CUDA device; use device='auto' or 'cpu'.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device of FitOptions is 'mps', but torch sees no Apple GPU; use device='auto' or 'cpu'.")
    if options.devices == 1:
        return OneDevice(torch.device(device), mixed=options.precision == "bf16-mixed")
    from lightning_fabric import Fabric  # see OneDevice

    fabric = Fabric(accelerator=device, devices=options.devices, strategy="ddp", precision=options.precision)
    fabric.launch()
    return cast(Devices, fabric)


def is_main_process() -> bool:
    """Whether this process writes the run folder: the only one, or rank 0 of several (as torchrun and Fabric say)."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0
