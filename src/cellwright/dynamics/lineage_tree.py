"""Lineage tree: where the cells divide into branches, and where these end.

    lengths, pseudotime -cells by falling pseudotime, joined where they touch-> maxima and how long each stands alone
    maxima that stand alone for long -> tips;  the pseudotime at which the cells above two tips touch -> forks

Seen from late to early, the cells above a pseudotime are islands: one for each branch. A maximum counts as a tip where
its island, before it touches another with a later maximum, has risen over `min_length` of the whole range and holds
`min_cells`: what is shorter or smaller is noise. Two forks that are nearer than `min_length` are one fork into three.
It is the join tree of the pseudotime with its branches of low persistence removed; O(edges) after sorting.

References: [Carr03] join trees; [Chazal13] persistence over a neighbour graph.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Segment:
    """A piece of the tree between two forks, or between a fork and a tip."""

    parent: int  # position of the segment that it leaves; -1 for the root's
    start: float  # pseudotime of the fork at which it begins
    end: float  # of the fork or the tip at which it ends
    tips: tuple[int, ...]  # positions of the tips beyond it

    @property
    def is_tip(self) -> bool:
        """Whether it ends in a tip."""
        return len(self.tips) == 1


@dataclass(frozen=True, eq=False)
class LineageTree:
    """Tips, as rows of cells, and segments; the first segment is the root's, and parents come before their children."""

    tips: np.ndarray  # (n_tips,)
    segments: tuple[Segment, ...]

    def children(self, segment: int) -> list[int]:
        """The segments that leave the end of one."""
        return [position for position, other in enumerate(self.segments) if other.parent == segment]


def maxima(
    lengths: sparse.csr_matrix, pseudotime: np.ndarray, *, min_length: float = 0.1, min_cells: int = 10
) -> np.ndarray:
    """The rows of the tips, the latest first. Cells that are not reached (infinity) are none of them."""
    span = np.ptp(pseudotime[np.isfinite(pseudotime)]) or 1.0
    found: set[int] = set()
    islands = _Islands(len(pseudotime))
    for row, touched in _from_late_to_early(lengths, pseudotime):
        # islands are known by their latest cell, which is the first that came
        first, *others = sorted({islands.of(other) for other in touched} or {row}, key=lambda top: -pseudotime[top])
        for top in others:
            alone = pseudotime[top] - pseudotime[row]
            if alone >= min_length * span and islands.size[top] >= min_cells:
                found.add(top)
            islands.join(first, top)
        islands.join(first, row)
    reached = np.flatnonzero(np.isfinite(pseudotime))
    found |= {islands.of(row) for row in reached.tolist()}  # the last one of each component stands alone for ever
    return np.array(sorted(found, key=lambda top: (-pseudotime[top], top)))


def lineage_tree(
    lengths: sparse.csr_matrix, pseudotime: np.ndarray, tips: np.ndarray, *, min_length: float = 0.1
) -> LineageTree:
    """The tree of given tips: where the cells above each touch those above the others.

    A tip that the way to a later one passes through ends at a fork of its own. Tips of a component that does not touch
    the others leave from the start.
    """
    span = np.ptp(pseudotime[np.isfinite(pseudotime)]) or 1.0
    position = {int(row): index for index, row in enumerate(tips)}
    trees: dict[int, _Node] = {}  # by island
    islands = _Islands(len(pseudotime))
    for row, touched in _from_late_to_early(lengths, pseudotime):
        met = {islands.of(other) for other in touched}
        nodes = [trees.pop(top) for top in sorted(met) if top in trees]
        if row in position:
            nodes.append(_Node(float(pseudotime[row]), (), position[row]))
        first = row
        for top in met:
            first = islands.join(top, first)
        if nodes:
            trees[first] = nodes[0] if len(nodes) == 1 else _fork(float(pseudotime[row]), nodes, min_length * span)
    roots = list(trees.values())
    whole = roots[0] if len(roots) == 1 else _Node(0.0, tuple(roots), -1)
    return LineageTree(np.asarray(tips), tuple(_segments(whole, -1, 0.0, [])))


@dataclass(frozen=True)
class _Node:
    """A fork with its subtrees, or a tip."""

    at: float
    children: "tuple[_Node, ...]"
    tip: int  # its position; -1 for a fork

    @property
    def tips(self) -> tuple[int, ...]:
        return (self.tip,) if self.tip >= 0 else tuple(tip for child in self.children for tip in child.tips)


def _fork(at: float, nodes: Sequence[_Node], shortest: float) -> _Node:
    """A fork; one that is just above it becomes a part of it."""
    children: list[_Node] = []
    for node in nodes:
        children += node.children if node.children and node.at - at < shortest else [node]
    return _Node(at, tuple(children), -1)


def _segments(node: _Node, parent: int, start: float, found: list[Segment]) -> list[Segment]:
    found.append(Segment(parent, start, node.at, tuple(sorted(node.tips))))
    here = len(found) - 1
    for child in sorted(node.children, key=lambda child: min(child.tips)):
        _segments(child, here, node.at, found)
    return found


class _Islands:
    """Sets of cells that join, each known by one of them."""

    def __init__(self, n_obs: int) -> None:
        self.above = np.arange(n_obs)
        self.size = np.ones(n_obs, dtype=np.int64)

    def of(self, row: int) -> int:
        while self.above[row] != row:
            self.above[row] = self.above[self.above[row]]  # halves the way for the next one who asks
            row = int(self.above[row])
        return row

    def join(self, first: int, second: int) -> int:
        """Let two islands be one, known by the first."""
        if first != second:
            self.above[second] = first
            self.size[first] += self.size[second]
        return first


def _from_late_to_early(lengths: sparse.csr_matrix, pseudotime: np.ndarray) -> Iterator[tuple[int, list[int]]]:
    """Each reached cell, and the neighbours of it that came before."""
    order = np.argsort(-pseudotime, kind="stable")
    order = order[np.isfinite(pseudotime[order])]
    came = np.full(len(pseudotime), len(pseudotime))
    came[order] = np.arange(len(order))
    starts, neighbours = lengths.indptr, lengths.indices
    for rank, row in enumerate(order.tolist()):
        beside = neighbours[starts[row] : starts[row + 1]]
        yield row, beside[came[beside] < rank].tolist()
