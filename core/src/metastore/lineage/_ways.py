"""Where events lead: from what was first to what came of it, or back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from metastore.model import Event, NodeKind
from metastore.query import Way

__all__ = ["Edge", "Node", "Ways"]

Node: TypeAlias = "tuple[NodeKind, int]"


class Edge(NamedTuple):
    """A way to a node, over an event."""

    node: Node
    key: str
    is_output: bool


class Ways:
    """Where the events lead, in one direction or in both."""

    def __init__(self, events: Iterable[Event], way: Way) -> None:
        self.way = way
        self._from: dict[Node, dict[Node, Edge]] = {}
        for event in events:
            artifact = (NodeKind.ARTIFACT, event.artifact_id)
            execution = (NodeKind.EXECUTION, event.execution_id)
            is_output = event.type.is_output
            if not (is_output or event.type.is_input):
                continue
            key = next((step for step in event.path if isinstance(step, str)), "")
            earlier, later = (execution, artifact) if is_output else (artifact, execution)
            if way is not Way.DOWN:
                self._add(later, Edge(earlier, key, is_output))
            if way is not Way.UP:
                self._add(earlier, Edge(later, key, is_output))

    def _add(self, near: Node, edge: Edge) -> None:
        self._from.setdefault(near, {}).setdefault(edge.node, edge)

    def turned(self) -> Ways:
        """The same ways, walked back."""
        back = Ways((), self.way)
        for near, found in self._from.items():
            for far, edge in found.items():
                back._add(far, edge._replace(node=near))
        return back

    def reached(self, starts: Iterable[Node]) -> dict[Node, int]:
        """All nodes that the ways lead to, the starts included, and after how many steps."""
        steps = dict.fromkeys(starts, 0)
        queue = deque(steps)
        while queue:
            near = queue.popleft()
            for far in self._from.get(near, ()):
                if far not in steps:
                    steps[far] = steps[near] + 1
                    queue.append(far)
        return steps

    def next(self, node: Node, *, but: Node | None = None) -> list[Edge]:
        """The edges from a node, in the order of events.

        Where they lead both ways, without the one back to where it was come from.
        """
        left = but if self.way is Way.ALL else None
        return [edge for far, edge in self._from.get(node, {}).items() if far != left]
