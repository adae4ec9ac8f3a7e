"""Lineage: what an artifact was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from metastore.errors import NotFoundError, Offender
from metastore.lineage._graph import Graph
from metastore.lineage._ways import Edge, Node, Ways
from metastore.model import NodeKind
from metastore.query import Way

__all__ = ["Lineage"]

_ARTIFACT, _EXECUTION = NodeKind.ARTIFACT, NodeKind.EXECUTION


@dataclass(frozen=True)
class Lineage(Graph):
    """The artifacts and executions that a walk found, and the events between them."""

    start: tuple[int, ...]
    """Ids of the artifacts that the walk began with."""
    upstream: bool
    downstream: bool
    siblings: bool = False
    """Whether the walk went both ways at every node."""
    is_cut: bool = False
    """Whether it ended early, because there were more nodes than were asked for."""

    @property
    def marked(self) -> tuple[int, ...]:
        """Where the walk began."""
        return self.start

    def __str__(self) -> str:
        return "\n".join(self.tree())

    def __repr__(self) -> str:
        return f"<{self.title}: {self._counts()}>"

    def paths_to(self, artifact: int) -> Lineage:
        """Only what lies on a way between where the walk began and an artifact that it found.

        "How did this model come from that dataset?": ``model.lineage().paths_to(dataset.id)``.  Of
        a sibling, to which no way leads in one direction, it is the shortest ways.

        Raises
        ------
        NotFoundError
            The walk did not come to that artifact.
        """
        target = (NodeKind.ARTIFACT, artifact)
        ways = [Ways(self.events, way) for way in self._directions()]
        starts = [(NodeKind.ARTIFACT, id) for id in self.start]
        on_paths: set[tuple[NodeKind, int]] = set()
        for there, back in ((each, each.turned()) for each in ways):
            on_paths |= there.reached(starts).keys() & back.reached([target]).keys()
        if self.siblings and target not in on_paths:
            on_paths = self._on_shortest_ways(starts, target)
        if target not in on_paths or not any(start in on_paths for start in starts):
            raise NotFoundError(
                f"no way that was walked leads to artifact {artifact}",
                hint="walk the other way (upstream, downstream), or further (max_hops, stop_at)",
                offender=Offender("artifact", id=artifact),
            )
        return replace(
            self,
            artifacts={id: a for id, a in self.artifacts.items() if (_ARTIFACT, id) in on_paths},
            executions={id: e for id, e in self.executions.items() if (_EXECUTION, id) in on_paths},
            events=tuple(
                event
                for event in self.events
                if (_ARTIFACT, event.artifact_id) in on_paths
                and (_EXECUTION, event.execution_id) in on_paths
            ),
        )

    def _on_shortest_ways(self, starts: list[Node], target: Node) -> set[Node]:
        ways = Ways(self.events, Way.ALL)
        there, back = ways.reached(starts), ways.reached([target])
        if target not in there:
            return set()
        return {node for node in there if there[node] + back[node] == there[target]}

    def _directions(self) -> list[Way]:
        return [Way.UP] * self.upstream + [Way.DOWN] * self.downstream

    def tree(self) -> Iterator[str]:
        """Lines of a tree for the terminal: what it came from, then what came from it.

        A node that several ways lead to is drawn out once; elsewhere it is only named.  What is
        deeper than 30 levels begins at the left again, behind the number of its level.
        """
        for id in self.start:
            start = (_ARTIFACT, id)
            yield self._artifact(id)
            # Two trees from one root: only the last branch of the second closes it.
            trees = [
                Ways(self.events, way)
                for way in ([Way.ALL] if self.siblings else self._directions())
            ]
            trees = [ways for ways in trees if ways.next(start)]
            for ways in trees:
                yield from self._branches(start, ways, more=ways is not trees[-1])

    def _branches(self, start: Node, ways: Ways, *, more: bool) -> Iterator[str]:
        drawn = {start}
        # A stack, not recursion: lineage may be thousands of steps deep.
        stack = _branches_of(start, _Indent(), ways.next(start), more=more)
        while stack:
            near, edge, indent, last = stack.pop()
            again = edge.node in drawn
            drawn.add(edge.node)
            further = ways.next(edge.node, but=near)
            above = " (see above)" if again and further else ""
            yield f"{indent}{'└─ ' if last else '├─ '}{self._said(edge)}{above}"
            if not again:
                stack += _branches_of(edge.node, indent.below(last), further)

    def _said(self, edge: Edge) -> str:
        kind, id = edge.node
        if kind is _EXECUTION:
            said = f"{'made' if edge.is_output else 'used'} by {self._execution(id)}"
            return f"{said} as {edge.key}" if edge.key else said
        said = f"{edge.key}: {self._artifact(id)}" if edge.key else self._artifact(id)
        # In a tree of one direction an execution has only the ones, or the others.
        return f"{'wrote' if edge.is_output else 'read'} {said}" if self.siblings else said


class _Indent(NamedTuple):
    """What stands in front of a branch; of deep ones only the innermost levels are drawn."""

    level: int = 0
    text: str = ""

    def __str__(self) -> str:
        begun = self.level // _DRAWN_LEVELS * _DRAWN_LEVELS
        return f"{begun}: {self.text}" if begun else self.text

    def below(self, last: bool) -> _Indent:
        level = self.level + 1
        text = "" if level % _DRAWN_LEVELS == 0 else self.text + ("   " if last else "│  ")
        return _Indent(level, text)


_DRAWN_LEVELS = 30
"""With all of them a chain of thousands of steps would be a text of many megabytes."""


def _branches_of(
    near: Node, indent: _Indent, edges: list[Edge], *, more: bool = False
) -> list[tuple[Node, Edge, _Indent, bool]]:
    """Stack entries, the first to be drawn on top; `more` where others follow below them."""
    last = None if more else len(edges) - 1
    return [(near, edge, indent, at == last) for at, edge in enumerate(edges)][::-1]
