"""A layered layout of a directed graph: what comes first stands first.

After Sugiyama, Tagawa and Toda (Methods for Visual Understanding of Hierarchical System Structures,
1981): edges that close a cycle are turned, nodes are put into layers by their longest path, edges
over several layers get a bend in each, sweeps order each layer by the mean place of its neighbours,
and at last each node is moved as near to these as its own neighbours in the layer allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

__all__ = ["Layout", "layered"]

_SWEEPS = 8
_MOST_BENDS = 20_000
"""Beyond that, long edges go straight: to order so many bends would take too long."""


@dataclass(frozen=True)
class Layout:
    """Where nodes stand: `layer` along the flow, from 0; `place` across it, at least 1 apart.

    A bend needs less room, where that was asked for.
    """

    layer: Sequence[int]
    """Of each node, by its number."""
    place: Sequence[float]
    routes: Sequence[Sequence[tuple[int, float]]]
    """Of each edge, in the order and direction given: layer and place of its ends and bends."""

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return max(self.layer, default=-1) + 1


def layered(count: int, edges: Sequence[tuple[int, int]], *, bend: float = 1.0) -> Layout:
    """Lay out `count` nodes, numbered from 0, with edges between them.

    Edges may be repeated, lead back, or from a node to itself; the same graph is always laid out
    in the same way.  `bend` is the room of a bend across the flow; that of a node is 1.
    """
    forward = _without_cycles(count, edges)
    layer = _longest_paths(count, forward)
    chains, bends = _with_bends(count, forward, layer)
    every = [*layer, *bends]
    rows = _rows(every)
    segments = [pair for chain in chains for pair in pairwise(chain)]
    below, above = _neighbours(len(every), segments)
    _order(rows, below, above)
    place = _places(rows, below, above, [1.0] * count + [bend] * len(bends))
    routes = []
    for (source, _), (first, *_), chain in zip(edges, forward, chains, strict=True):
        route = [(every[each], place[each]) for each in chain]
        routes.append(route if source == first else route[::-1])
    return Layout(layer, place[:count], routes)


def _without_cycles(count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The edges, those turned that lead back to a node whose descendants are being walked."""
    targets: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        targets[source].append(target)
    new, active, done = 0, 1, 2
    state = [new] * count
    back: set[tuple[int, int]] = set()
    has_source = {target for source, target in edges if source != target}
    for start in sorted(range(count), key=lambda node: (node in has_source, node)):
        stack: list[tuple[int, int]] = [(start, 0)]
        while stack:
            node, at = stack.pop()
            if at == 0:
                if state[node] != new:
                    continue
                state[node] = active
            if at == len(targets[node]):
                state[node] = done
                continue
            stack.append((node, at + 1) if at else (node, 1))
            following = targets[node][at]
            if state[following] == active:
                back.add((node, following))
            elif state[following] == new:
                stack.append((following, 0))
    return [(b, a) if (a, b) in back else (a, b) for a, b in edges]


def _longest_paths(count: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    targets: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in edges:
        if source != target:
            targets[source].append(target)
            waiting[target] += 1
    layer = [0] * count
    ready = [node for node in range(count) if not waiting[node]]
    for node in ready:
        for target in targets[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return layer


def _with_bends(
    count: int, edges: Sequence[tuple[int, int]], layer: Sequence[int]
) -> tuple[list[list[int]], list[int]]:
    """The nodes and bends of each edge, and the layers of the bends, numbered behind the nodes."""
    bends: list[int] = []
    chains: list[list[int]] = []
    total = sum(max(0, layer[target] - layer[source] - 1) for source, target in edges)
    for source, target in edges:
        chain = [source]
        if total <= _MOST_BENDS:
            for between in range(layer[source] + 1, layer[target]):
                chain.append(count + len(bends))
                bends.append(between)
        chains.append([*chain, target])
    return chains, bends


def _rows(layer: Sequence[int]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for node, row in enumerate(layer):
        rows[row].append(node)
    return rows


def _neighbours(
    count: int, segments: Iterable[tuple[int, int]]
) -> tuple[list[list[int]], list[list[int]]]:
    below: list[list[int]] = [[] for _ in range(count)]
    above: list[list[int]] = [[] for _ in range(count)]
    for source, target in segments:
        if source != target:
            below[source].append(target)
            above[target].append(source)
    return below, above


def _order(rows: list[list[int]], below: list[list[int]], above: list[list[int]]) -> None:
    """Order the rows so that few segments cross."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for before, row in pairwise(rows if down else rows[::-1]):
            _by_means(row, before, above if down else below)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
        if not fewest:
            break
    rows[:] = best


def _by_means(row: list[int], before: list[int], neighbours: list[list[int]]) -> None:
    """Order a row by the mean place of each node's neighbours in the row ordered before."""
    place = {node: at for at, node in enumerate(before)}
    means: dict[int, float] = {}
    for at, node in enumerate(row):
        near = [place[each] for each in neighbours[node] if each in place]
        means[node] = sum(near) / len(near) if near else at
    row.sort(key=means.__getitem__)


def _crossings(rows: list[list[int]], below: list[list[int]]) -> int:
    """How many pairs of segments cross: inversions, counted with a tree of sums for each row."""
    total = 0
    for row, following in pairwise(rows):
        place = {node: at for at, node in enumerate(following)}
        size = len(following)
        sums = [0] * (size + 1)
        seen = 0
        for node in row:
            ends = sorted(place[each] for each in below[node] if each in place)
            for end in ends:
                # Those before that end behind this one.
                at, not_behind = end + 1, 0
                while at:
                    not_behind += sums[at]
                    at -= at & -at
                total += seen - not_behind
            for end in ends:
                at = end + 1
                while at <= size:
                    sums[at] += 1
                    at += at & -at
                seen += 1
    return total


def _places(
    rows: list[list[int]], below: list[list[int]], above: list[list[int]], room: Sequence[float]
) -> list[float]:
    place = [0.0] * len(below)
    for row in rows:
        for node, offset in zip(row, _offsets([room[node] for node in row]), strict=True):
            place[node] = offset
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            wanted = []
            for node in row:
                near = (above[node] if down else below[node]) or (below[node] or above[node])
                wanted.append(
                    sum(place[each] for each in near) / len(near) if near else place[node]
                )
            rooms = [room[node] for node in row]
            for node, found in zip(row, _apart(wanted, rooms), strict=True):
                place[node] = found
    least = min(place, default=0.0)
    return [each - least for each in place]


def _offsets(room: Sequence[float]) -> list[float]:
    """The places of nodes that stand side by side as near as their room allows."""
    middles = [(before + after) / 2 for before, after in pairwise(room)]
    return [0.0, *accumulate(middles)][: len(room)]


def _apart(wanted: Sequence[float], room: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones (least squares) that keep order and distance.

    Isotonic regression by pooling adjacent violators, of each place less its offset.
    """
    offsets = _offsets(room)
    blocks: list[tuple[float, int]] = []
    for each, offset in zip(wanted, offsets, strict=True):
        mean, size = each - offset, 1
        while blocks and blocks[-1][0] > mean:
            before, count = blocks.pop()
            mean = (before * count + mean * size) / (count + size)
            size += count
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
