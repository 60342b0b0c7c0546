"""History: the mean of every loss term per epoch and split; what `history.csv` holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

Row = tuple[int, str, str, float]


@dataclass
class History:
    """Rows of (epoch, split, term, value); values are means over cells, in the unit of the loss (an ELBO: nats)."""

    rows: list[Row] = field(default_factory=list)
    best_epoch: int | None = None  # the epoch whose weights were kept; None without validation
    # how each stage ended: "patience" (nothing left to gain), "cap" (the largest number of epochs came first), or
    # "budget" (nothing is watched: it trains for all its epochs)
    endings: list[str] = field(default_factory=list)

    def add(self, epoch: int, split: str, terms: Mapping[str, float]) -> None:
        """Note the terms of one epoch on one split."""
        self.rows += [(epoch, split, term, float(value)) for term, value in terms.items()]

    @property
    def table(self) -> pd.DataFrame:
        """Columns epoch, split, term, value."""
        return pd.DataFrame(self.rows, columns=["epoch", "split", "term", "value"])

    @property
    def n_epochs(self) -> int:
        """How many epochs there were."""
        return 1 + max((row[0] for row in self.rows), default=-1)


@dataclass
class Sums:
    """Sums over the cells of an epoch, from which the means come."""

    total: dict[str, float] = field(default_factory=dict)
    weight_of: dict[str, float] = field(default_factory=dict)  # a term may be there in some steps only
    weight: float = 0.0

    def add(self, terms: Mapping[str, float], weight: float) -> None:
        """Add the means of one minibatch, whose cells weigh `weight` together."""
        for name, value in terms.items():
            self.total[name] = self.total.get(name, 0.0) + value * weight
            self.weight_of[name] = self.weight_of.get(name, 0.0) + weight
        self.weight += weight

    @property
    def means(self) -> dict[str, float]:
        """The mean of each term."""
        return {name: value / self.weight_of[name] for name, value in self.total.items()}
