"""Random state: torch draws weights and dropout from its global generator; here it is lent and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cellwright.models.model import Model


@contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Inside, torch's global generators start from `seed`; afterwards they are as they were."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def seed_device(device: torch.device, seed: int) -> None:
    """Seed what draws dropout on this device, and nothing else.

    `torch.manual_seed` also notes the whole stack for each device that is not there yet, at every call.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def draw_weights(model: Model) -> None:
    """Give an untrained model the initial weights that the generator's state implies, whenever it was constructed."""
    fresh = type(model)(model.schema, model.options)
    model.load_state_dict(fresh.state_dict())
