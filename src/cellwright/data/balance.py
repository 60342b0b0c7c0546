"""Balance: remedies for classes of unequal size, for training and for points (latents), by the same arithmetic.

    sizes of the classes -> cells seen how often (a multiset, chances) | weights in the loss | synthetic cells
    .training(source, rows, rng) -> Balanced -> minibatches          .resample(points, codes, rng) -> Drawn

To add one: its class, its line in `BALANCES`. An epoch shows as many cells as there are training cells, whatever the
remedy. Validation and test cells, and what a model estimates beside its training (`prepare`, `learn`), are left alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field, SerializeAsAny

from cellwright.core.minibatch import Minibatch
from cellwright.core.options import Options, chosen_from
from cellwright.data.plan import ClassBalanced, Cycled, Plan, Weighted
from cellwright.data.source import Source, StoredSource
from cellwright.data.synthetic import Enlarged, Space, components, refuse_small_class, smote, with_synthetic
from cellwright.errors import DataError

By = Annotated[
    Literal["label", "condition", "batch", "label_condition"],
    Field(description="the annotation whose classes are balanced; label_condition is every pair of the two"),
]


@dataclass(frozen=True, eq=False)
class Balanced:
    """What one fit trains on: rows of a source (a row may stand there several times), their order, their weights."""

    source: Source
    rows: np.ndarray  # (n_rows,) int64; those from n_obs of the data's own source are synthetic
    plan: Callable[[int], Plan]  # from the rows that stay together in the shuffle
    weight: np.ndarray | None = None  # (source.n_obs,) of each cell in the loss; None: 1

    def minibatches(
        self, batch_size: int, block_rows: int, rng: np.random.Generator, rank: int = 0, world: int = 1
    ) -> Iterator[Minibatch]:
        """One epoch; the arguments are those of `Source.minibatches`."""
        for minibatch in self.source.minibatches(self.rows, batch_size, self.plan(block_rows), rng, rank, world):
            if self.weight is None:
                yield minibatch
            else:
                yield replace(minibatch, weight=torch.from_numpy(self.weight[minibatch.rows.numpy()]))


@dataclass(frozen=True, eq=False)
class Drawn:
    """Points after a remedy: `of (m,)` int64 is the point that each is, or for a synthetic one a point of its class."""

    points: np.ndarray  # (m, d)
    of: np.ndarray
    weight: np.ndarray  # (m,) float64, how much each counts


class Balance(Options, ABC):
    """Options of a remedy. Cells without a class (code -1) are kept once each, unless it says otherwise."""

    name: str  # the key in BALANCES, narrowed to a Literal by each remedy
    citations: ClassVar[tuple[str, ...]] = ()  # keys in docs/references.bib

    @abstractmethod
    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        """What a fit on the training `rows` (ascending) sees; drawn once, whatever is drawn before the first epoch.

        Raises `DataError` where the source has not what the classes are made of, or no cell of `rows` has a class.
        """

    @abstractmethod
    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        """The remedy on `points (n, d)` of the classes `codes (n,)`, -1 for none.

        Raises `DataError` where no point has a class.
        """


class NoBalance(Balance):
    """Every cell once, as it was measured."""

    name: Literal["none"] = "none"

    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        return _unweighted(source, rows, rows)

    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        return _taken(points, np.arange(len(points)))


class ByClass(Balance, ABC):
    """Remedies that know classes."""

    by: By = "label"


class Resized(ByClass, ABC):
    """Remedies that give every class a size: some cells of a larger class, further copies in a smaller one."""

    @abstractmethod
    def resized(self, sizes: np.ndarray) -> np.ndarray:
        """The size of each class afterwards, from those of all classes that have a cell, (n_classes,)."""

    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        codes = _classes(self, source, rows).codes
        return _unweighted(source, rows, rows[_multiset(codes[rows], self.resized, rng)])

    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        return _taken(points, _multiset(codes, self.resized, rng))


class Under(Resized):
    """Random undersampling: of a class that is too large, some cells are drawn and the others left out."""

    name: Literal["under"] = "under"
    target: int | None = Field(None, ge=1, description="cells of a class at most; None is the size of the smallest")

    def resized(self, sizes: np.ndarray) -> np.ndarray:
        return np.minimum(sizes, self.target or sizes.min())


class Over(Resized):
    """Random oversampling: of a class that is too small, cells are drawn again, with replacement."""

    name: Literal["over"] = "over"
    target: int | None = Field(None, ge=1, description="cells of a class at least; None is the size of the largest")

    def resized(self, sizes: np.ndarray) -> np.ndarray:
        return np.maximum(sizes, self.target or sizes.max())


class Mixed(Resized):
    """Large classes undersampled and small ones oversampled, to one size between."""

    name: Literal["mixed"] = "mixed"
    target: int | None = Field(None, ge=1, description="cells of every class; None is the geometric mean of the sizes")

    def resized(self, sizes: np.ndarray) -> np.ndarray:
        # the middle of ratios: what the classes are enlarged by, multiplied, is what they are cut by
        return np.full_like(sizes, self.target or round(float(np.exp(np.log(sizes).mean()))))


class Smote(ByClass):
    """Small classes get synthetic cells between a cell and one of its nearest of the same class [Chawla02, Lemaitre17].

    How they are made, each between two of one label, condition and batch, and come back to counts: see `synthetic`. The
    real cells are kept, once each. Of points that have 20 dimensions or fewer, the two spaces are one; of points only
    the class is known, so `resample` joins any two of a class.
    """

    citations: ClassVar[tuple[str, ...]] = ("Chawla02", "Lemaitre17")

    name: Literal["smote"] = "smote"
    target: int | None = Field(None, ge=1, description="cells of a class at least; None is the size of the largest")
    n_neighbours: int = Field(5, ge=1, description="nearest cells of the class, one of which is the other end")
    space: Space = Field("expression", description="where they are near: all log-normalised features, or 20 components")

    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        classes = _classes(self, source, rows)
        positions = _positions(classes.codes[rows])
        n_new = self._n_new([len(at) for at in positions.values()])
        enlarged = [
            Enlarged(classes.name(code), rows[at], n, self.n_neighbours)
            for (code, at), n in zip(positions.items(), n_new, strict=True)
            if n
        ]
        wider = with_synthetic(source, enlarged, self.space, rng)
        return _unweighted(wider, rows, np.concatenate([rows, np.arange(source.n_obs, wider.n_obs)]))

    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        positions = _positions(codes)
        made, of = [points], [np.arange(len(points))]
        for (code, at), n in zip(positions.items(), self._n_new([len(at) for at in positions.values()]), strict=True):
            if n:
                refuse_small_class(f"class {code}", len(at), self.n_neighbours)
                made.append(smote(points[at], n, self.n_neighbours, self.space, rng))
                of.append(rng.choice(at, n))
        every = np.concatenate(of)
        return Drawn(np.concatenate(made), every, np.ones(len(every)))

    def _n_new(self, sizes: list[int]) -> list[int]:
        return [max(0, (self.target or max(sizes)) - size) for size in sizes]


class ClassWeights(ByClass):
    """Every class counts the same in the loss: n / (n_classes x cells of the class) [King01]; nothing is drawn."""

    citations: ClassVar[tuple[str, ...]] = ("King01",)

    name: Literal["weights"] = "weights"

    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        weight = np.ones(source.n_obs, dtype=np.float32)
        weight[rows] = _class_weights(_classes(self, source, rows).codes[rows])
        return replace(_unweighted(source, rows, rows), weight=weight)

    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        return replace(_taken(points, np.arange(len(points))), weight=_class_weights(codes))


class Sampling(ByClass):
    """Every class is drawn equally often, with replacement and anew in each epoch; cells without a class never."""

    name: Literal["sampling"] = "sampling"

    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        codes = _classes(self, source, rows).codes
        return Balanced(source, rows, partial(ClassBalanced, codes))

    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        chance = np.where(codes >= 0, _class_weights(codes), 0.0)
        return _taken(points, rng.choice(len(points), size=len(points), p=chance / chance.sum()))


class InverseDensity(Balance):
    """Cells where there are few are drawn more often, with replacement and anew in each epoch; no classes [Amini19].

    In training the dimensions are up to 20 principal components of log-normalised values; of points they are their own.
    The paper multiplies the inverse densities of the dimensions; sc-AR's public code takes the largest.
    """

    citations: ClassVar[tuple[str, ...]] = ("Amini19",)

    name: Literal["density"] = "density"
    n_bins: int = Field(10, ge=2, description="of the histogram of each dimension")
    smoothing: float = Field(0.001, gt=0, description="added to the density of a bin, so that an empty one is no pole")
    over_dimensions: Literal["largest", "mean"] = Field(
        "largest", description="the chance of a cell, from those by single dimensions"
    )

    def training(self, source: StoredSource, rows: np.ndarray, rng: np.random.Generator) -> Balanced:
        chance = np.zeros(source.n_obs)
        chance[rows] = self.chances(components(source, rows, rng))
        return Balanced(source, rows, partial(Weighted, chance))

    def resample(self, points: np.ndarray, codes: np.ndarray, rng: np.random.Generator) -> Drawn:
        return _taken(points, rng.choice(len(points), size=len(points), p=self.chances(points)))

    def chances(self, points: np.ndarray) -> np.ndarray:
        """How likely each of `points (n, d)` is drawn, (n,): 1 / (density of its bin + smoothing), with the sum 1."""
        combine = np.maximum if self.over_dimensions == "largest" else np.add
        chance = np.zeros(len(points))
        for values in points.T:
            density, edges = np.histogram(values, bins=self.n_bins, density=True)
            inverse = 1.0 / (density + self.smoothing)[np.digitize(values, edges[1:-1])]
            chance = combine(chance, inverse / inverse.sum())
        return chance / chance.sum()


BALANCES: dict[str, type[Balance]] = {
    "none": NoBalance,
    "under": Under,
    "over": Over,
    "mixed": Mixed,
    "smote": Smote,
    "weights": ClassWeights,
    "sampling": Sampling,
    "density": InverseDensity,
}

# an option: a remedy, its options as a dict with its "name", or text: `smote`, `smote:n_neighbours=3:by=condition`
AnyBalance = Annotated[SerializeAsAny[Balance], BeforeValidator(chosen_from(BALANCES, "balance"))]


def class_codes(balance: Balance, source: Source, rows: np.ndarray) -> np.ndarray:
    """The class of each of `rows`, as `resample` takes it, (n_rows,); 0 for all where the remedy knows no classes.

    Raises `DataError` where the source has not what the classes are made of, or none of the rows has a class.
    """
    if not isinstance(balance, ByClass):
        return np.zeros(len(rows), dtype=np.int64)
    return _classes(balance, source, rows).codes[rows]


@dataclass(frozen=True, eq=False)
class _Classes:
    codes: np.ndarray  # (n_obs,) int64, -1 for none
    names: list[tuple[str, ...]]  # of each annotation that makes the classes

    def name(self, code: int) -> str:
        at = np.unravel_index(code, [len(names) for names in self.names])
        return " / ".join(names[place] for names, place in zip(self.names, at, strict=True))


def _classes(balance: ByClass, source: Source, rows: np.ndarray) -> _Classes:
    """The classes of all cells, of which a training cell must have one."""
    classes = _known_classes(balance, source)
    if not (classes.codes[rows] >= 0).any():
        raise DataError(
            f"balance={balance.name!r} by {balance.by} must have training cells with a class; none of {len(rows)} has "
            "one. Give another split, or balance by something else."
        )
    return classes


def _known_classes(balance: ByClass, source: Source) -> _Classes:
    """The class of every cell; of two annotations, the pair where both are known."""
    codes, names = np.zeros(source.n_obs, dtype=np.int64), []
    is_known = np.ones(source.n_obs, dtype=bool)
    for part in balance.by.split("_"):
        if (categories := getattr(source.schema, part)) is None:
            raise DataError(
                f"balance={balance.name!r} by {balance.by} must have classes; the data were opened without a "
                f"{part}_key. Give {part}_key, or balance by something else."
            )
        of_cells = getattr(source.annotation, part)
        is_known &= of_cells >= 0
        codes = codes * categories.n + of_cells
        names.append(categories.values)
    return _Classes(np.where(is_known, codes, -1), names)


def _positions(codes: np.ndarray) -> dict[int, np.ndarray]:
    """Where each class is that has a cell, in the order of the codes."""
    found = {int(code): np.flatnonzero(codes == code) for code in np.unique(codes[codes >= 0])}
    if not found:
        raise DataError(f"balance must have classes; none of {len(codes)} points has one. Give codes from 0.")
    return found


def _multiset(codes: np.ndarray, resized: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Positions, ascending: of each class as many as `resized` says, of those without a class every one."""
    positions = _positions(codes)
    wanted = resized(np.array([len(at) for at in positions.values()]))
    parts = [np.flatnonzero(codes < 0)]
    for at, n in zip(positions.values(), wanted, strict=True):
        further = rng.choice(at, max(0, n - len(at)))
        parts += [at if n >= len(at) else rng.choice(at, n, replace=False), further]
    return np.sort(np.concatenate(parts))


def _class_weights(codes: np.ndarray) -> np.ndarray:
    """n / (n_classes x n of the class) over those with a class, so that their mean is 1; 1 for those without."""
    positions, weights = _positions(codes), np.ones(len(codes))
    n = sum(len(at) for at in positions.values())
    for at in positions.values():
        weights[at] = n / (len(positions) * len(at))
    return weights


def _unweighted(source: Source, training: np.ndarray, rows: np.ndarray) -> Balanced:
    """A multiset, of which an epoch shows as many as there are training cells."""
    return Balanced(source, rows, partial(Cycled, len(training)))


def _taken(points: np.ndarray, at: np.ndarray) -> Drawn:
    return Drawn(points[at], at, np.ones(len(at)))
