"""Buffers whose size the data decide: what a model keeps of its training cells (a graph, a population, a vocabulary).

set(name, tensor) -> saved with the weights -> loaded into a model that was built with none of them
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class FromData(nn.Module):
    """Named tensors, empty until `set`; read as attributes. Subclassed by nothing: a model holds one."""

    def __init__(self, empty: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in empty.items():
            self.register_buffer(name, tensor)

    def __getattr__(self, name: str) -> Tensor:
        # nn.Module's own says "Tensor | Module", which type checkers carry into every use
        value = super().__getattr__(name)
        assert isinstance(value, Tensor)
        return value

    def set(self, **tensors: Tensor) -> None:
        """Take these tensors in the place of those of the same names, whatever their sizes."""
        for name, tensor in tensors.items():
            there = getattr(self, name)
            setattr(self, name, tensor.detach().to(device=there.device, dtype=there.dtype).contiguous())

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, there in self.named_buffers():
            stored = state_dict.get(prefix + name)
            if stored is not None and stored.shape != there.shape:
                setattr(self, name, there.new_empty(stored.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)
