"""Which node of the source is which node of the target: numbers only, because there are many."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

from metastore.model import NODE_KINDS, NodeKind

__all__ = ["Ids", "IdsOfKind"]


class IdsOfKind:
    """Ids of one kind, source to target: 16 bytes for each node."""

    __slots__ = ("_reverse", "_sources", "_targets", "merged")

    def __init__(self) -> None:
        self._sources = array("q")
        self._targets = array("q")
        self._reverse: array[int] | None = None
        self.merged: set[int] = set()
        """Source ids whose node was in the target before, and so has times of its own."""

    def __len__(self) -> int:
        return len(self._sources)

    def get(self, source: int) -> int | None:
        """The id in the target; None where there is none yet."""
        at = bisect_left(self._sources, source)
        if at < len(self._sources) and self._sources[at] == source:
            return self._targets[at]
        return None

    def add(self, source: int, target: int) -> None:
        """Remember a pair; one that is known already becomes this one."""
        self._reverse = None
        if not self._sources or source > self._sources[-1]:
            self._sources.append(source)
            self._targets.append(target)
            return
        at = bisect_left(self._sources, source)
        if self._sources[at] == source:
            self._targets[at] = target
        else:
            self._sources.insert(at, source)
            self._targets.insert(at, target)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._sources, self._targets, strict=True))

    def pages(self, size: int) -> Iterator[list[tuple[int, int]]]:
        """All pairs, in the order of the source's ids, so many at once."""
        for start in range(0, len(self._sources), size):
            yield [
                *zip(
                    self._sources[start : start + size],
                    self._targets[start : start + size],
                    strict=True,
                )
            ]

    def ends(self, size: int) -> dict[int, int]:
        """The first pairs and the last ones, so many of each."""
        first = zip(self._sources[:size], self._targets[:size], strict=True)
        last = zip(self._sources[-size:], self._targets[-size:], strict=True)
        return dict([*first, *last])

    def has_target(self, target: int) -> bool:
        """Whether a node of the source became this one."""
        if self._reverse is None:
            # Ids ascend on both sides where all was copied at once: then nothing has to be sorted.
            ascends = all(one < next for one, next in pairwise(self._targets))
            self._reverse = self._targets if ascends else array("q", sorted(self._targets))
        at = bisect_left(self._reverse, target)
        return at < len(self._reverse) and self._reverse[at] == target

    @property
    def highest_target(self) -> int:
        """The highest id in the target; 0 where there is none."""
        return max(self._targets, default=0)


class Ids:
    """Ids of all three kinds."""

    def __init__(self) -> None:
        self._of = {kind: IdsOfKind() for kind in NODE_KINDS}

    def __getitem__(self, kind: NodeKind) -> IdsOfKind:
        return self._of[kind]

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))
