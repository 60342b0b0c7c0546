"""Checkpoint: all that a killed fit needs to go on as if nothing had happened. One file, replaced in one step.

    weights, best weights, optimisers (tensors) + where it stands (JSON in the header) <-> checkpoint/state.safetensors

Never a pickle: tensors in safetensors, everything else in its JSON header.
"""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from cellwright.run import Run, replacing
from cellwright.train.adam import Adam


@dataclass
class Place:
    """Where training stands: the next minibatch, and what was seen on the way."""

    stage: int = 0
    first_epoch: int = 0  # of this stage, counted over all stages
    block_rows: int = 1  # of the shuffle
    epoch: int = 0
    index: int = 0  # of the next minibatch in this epoch
    sums: dict[str, Any] = field(default_factory=dict)  # of this epoch so far
    stopping: dict[str, Any] = field(default_factory=dict)
    rows: list[list[Any]] = field(default_factory=list)  # history
    endings: list[str] = field(default_factory=list)  # of the stages before
    wall_seconds: float = 0.0  # spent so far
    cpu_seconds: float = 0.0


@dataclass
class Checkpoint:
    """Written at most every `seconds`; `folder=None` holds nothing. Of several processes one `writes`, all read."""

    folder: Path | None
    seconds: float
    writes: bool = True
    _last: float = field(default_factory=time.monotonic)

    @classmethod
    def within(cls, run: Run, seconds: float = 0.0, *, writes: bool = True) -> "Checkpoint":
        """The checkpoint of a run folder."""
        return cls(run.path / "checkpoint", seconds, writes)

    @property
    def due(self) -> bool:
        """Whether it is time to write again."""
        return self.folder is not None and self.writes and time.monotonic() - self._last >= self.seconds

    def save(self, place: Place, model: nn.Module, best: dict[str, Tensor], optimisers: Sequence[Adam]) -> None:
        """Replace the checkpoint."""
        if self.folder is None or not self.writes:
            return
        tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in best.items()}
        for number, optimiser in enumerate(optimisers):
            tensors |= {f"optimiser/{number}/{name}": value for name, value in optimiser.state().items()}
        self.folder.mkdir(exist_ok=True)
        with replacing(self.folder / "state.safetensors") as path:
            copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
            path.write_bytes(save(copies, metadata={"place": json.dumps(vars(place))}))
        self._last = time.monotonic()

    def load(self) -> "Saved | None":
        """The saved state, or None where there is none."""
        path = None if self.folder is None else self.folder / "state.safetensors"
        if path is None or not path.exists():
            return None
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            header = file.metadata()
        return Saved(Place(**json.loads(header["place"])), tensors)

    def remove(self) -> None:
        """Training is done: nothing to resume."""
        if self.folder is not None and self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Saved:
    """What a checkpoint held."""

    place: Place
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix (`model`, `best`, `optimiser/0`)."""
        return {n.removeprefix(f"{prefix}/"): v for n, v in self.tensors.items() if n.startswith(f"{prefix}/")}
