"""Places: which training cells lie beside a cell, in its own section.

    cells, references (features, place, section each) -> positions and distances of the nearest (n_obs, n_neighbors)

A cell is not its own neighbour. A training cell is known among the references by its place and its features, because
the same cell has other row numbers in another data set; other cells at its place are its neighbours.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cellwright.core.minibatch import Minibatch
from cellwright.core.schema import Schema
from cellwright.errors import DataError
from cellwright.nn.nearest import nearest

SAME_CELL = 1e-4  # of a cell's norm; two cells that differ by less in all components have the same counts
FAR = 10.0  # a cell that is so many times farther than references lie from each other is not in their tissue
SPARE = 9  # candidates beyond those asked for: room for the cell itself among others at its place


@dataclass(frozen=True, eq=False)
class Placed:
    """Cells with what tells them apart, and where they lie."""

    features: Float[Tensor, "n_obs n_features"]
    places: Float[Tensor, "n_obs n_coordinates"]
    section: Int[Tensor, " n_obs"]

    @classmethod
    def of(cls, features: Tensor, minibatch: Minibatch) -> "Placed":
        """The cells of a minibatch."""
        return cls(features, minibatch.coordinates, minibatch.batch)

    def take(self, rows: Tensor) -> "Placed":
        """Some of the cells."""
        return Placed(self.features[rows], self.places[rows], self.section[rows])


def beside(
    cells: Placed, references: Placed, n_neighbors: int
) -> tuple[Int[Tensor, "n_obs n_neighbors"], Float[Tensor, "n_obs n_neighbors"]]:
    """The nearest references of the same section, nearest first; -1 and infinity where there are no more."""
    index = torch.full((len(cells.section), n_neighbors), -1, dtype=torch.int64, device=cells.places.device)
    distance = torch.full(index.shape, torch.inf, device=cells.places.device)
    for section in cells.section.unique().tolist():
        here, there = (torch.nonzero(which.section == section)[:, 0] for which in (cells, references))
        found, distance[here] = _beside_in_section(cells.take(here), references.take(there), n_neighbors)
        index[here] = torch.where(found >= 0, there[found.clamp(min=0)], -1) if len(there) else found
    return index, distance


def spacing_of(references: Placed, n_batch: int) -> Float[Tensor, " n_batch"]:
    """The largest distance of a reference to the next, by section; infinity where there are fewer than two."""
    _, distance = beside(references, references, 1)
    spacing = torch.full((n_batch,), torch.inf, device=distance.device)
    for section in range(n_batch):
        of_section = distance[references.section == section, 0]
        if (of_section := of_section[of_section.isfinite()]).numel():
            spacing[section] = of_section.max()
    return spacing


def refuse_strangers(
    cells: Placed,
    references: Placed,
    distance: Float[Tensor, "n_obs n_neighbors"],
    spacing: Float[Tensor, " n_batch"],
    schema: Schema,
) -> None:
    """Raise `DataError` for cells of a section without references, and for cells far from the references of theirs."""
    for section in cells.section.unique().tolist():
        here = cells.section == section
        name = "their section" if schema.batch is None else f"{schema.batch.key} {schema.batch.values[section]!r}"
        if section < 0 or not (references.section == section).any():
            of = "an unknown section" if section < 0 else f"{name}, which has no training cell"
            raise DataError(
                f"{int(here.sum())} cells must lie in a section that was trained on, for a graph in space links cells "
                f"to training cells beside them; they are of {of}. Fit on all sections, or choose a model that looks "
                "at a cell alone."
            )
        if far := int(((distance[here, 0] > FAR * spacing[section]) & distance[here, 0].isfinite()).sum()):
            raise DataError(
                f"{far} cells must lie within the tissue of the training cells of {name}; they are more than {FAR:g} "
                "times farther from it than its cells are from each other. Give coordinates in the same unit and frame."
            )


def _beside_in_section(cells: Placed, references: Placed, n_neighbors: int) -> tuple[Tensor, Tensor]:
    """The nearest references without the cell itself, which takes a place among candidates at distance zero."""
    index, distance = nearest(cells.places, references.places, n_neighbors + SPARE + 1, same=None)
    if not len(references.section):
        return index[:, :n_neighbors], distance[:, :n_neighbors]
    apart = (references.features[index.clamp(min=0)] - cells.features[:, None]).norm(dim=2)
    itself = (distance == 0) & (apart <= SAME_CELL * cells.features.norm(dim=1, keepdim=True))
    # the same counts at the same place twice are two cells, of which one is the cell itself
    itself &= itself.cumsum(dim=1) == 1
    order = torch.where(itself, torch.inf, distance).sort(dim=1, stable=True)
    index = torch.where(order.values.isinf(), -1, index.gather(1, order.indices))
    return index[:, :n_neighbors], order.values[:, :n_neighbors]
