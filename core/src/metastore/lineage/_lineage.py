"""Lineage: what an artifact was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from metastore.errors import NotFoundError, Offender
from metastore.lineage._ways import Edge, Node, Way, Ways
from metastore.model import Artifact, Event, Execution, ExecutionState, NodeKind

__all__ = ["Lineage", "StepLabel"]

_ARTIFACT, _EXECUTION = NodeKind.ARTIFACT, NodeKind.EXECUTION


class StepLabel(NamedTuple):
    """What an execution is in its run: the convention may know better than the execution."""

    name: str
    state: ExecutionState


@dataclass(frozen=True)
class Lineage:
    """The artifacts and executions that a walk found, and the events between them.

    A node that events name and the store does not have (a damaged store) is missing from
    `artifacts` or `executions`, but not from `events`.
    """

    start: tuple[int, ...]
    """Ids of the artifacts that the walk began with."""
    upstream: bool
    downstream: bool
    artifacts: Mapping[int, Artifact]
    executions: Mapping[int, Execution]
    events: tuple[Event, ...]
    """Each event once, by id."""
    steps: Mapping[int, StepLabel]
    """What executions are in their runs, where that is known."""
    siblings: bool = False
    """Whether the walk went both ways at every node."""

    def __str__(self) -> str:
        return "\n".join(self.tree())

    def __repr__(self) -> str:
        return (
            f"<Lineage of {', '.join(f'artifact {id}' for id in self.start)}: "
            f"{len(self.artifacts)} artifacts, {len(self.executions)} executions>"
        )

    def paths_to(self, artifact: int) -> Lineage:
        """Only what lies on a way between where the walk began and an artifact that it found.

        "How did this model come from that dataset?": ``model.lineage().paths_to(dataset.id)``.

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
            on_paths |= there.reached(starts) & back.reached([target])
        if target not in on_paths or not any(start in on_paths for start in starts):
            raise NotFoundError(
                f"no way that is recorded leads to artifact {artifact}",
                hint="walk the other way (downstream=True), or further (max_hops=None)",
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

    def to_mermaid(self) -> str:
        """A flowchart in Mermaid's language, which Markdown on many sites draws."""
        from metastore.lineage._formats import mermaid

        return mermaid(self)

    def to_dot(self) -> str:
        """A directed graph in Graphviz's language."""
        from metastore.lineage._formats import dot

        return dot(self)

    def to_html(self) -> str:
        """A page that a browser opens, with the graph as a picture; it needs nothing else."""
        from metastore.lineage._formats import html

        return html(self)

    def _repr_html_(self) -> str:
        """The picture, for notebooks; of more than 300 nodes, how many there are."""
        from metastore.lineage._formats import picture

        return picture(self)

    def to_networkx(self) -> Any:
        """A `networkx.MultiDiGraph`; needs networkx, which is not installed with metastore.

        Nodes are ``("artifact", id)`` and ``("execution", id)`` with the attributes kind, id, label
        and node (the plain record; None where a damaged store lacks it); edges lead from what was
        first to what came of it, with the attributes type, key and time_ms.

        Raises
        ------
        CapabilityError
            networkx is not installed.
        """
        from metastore.lineage._formats import networkx_graph

        return networkx_graph(self)

    def label(self, kind: NodeKind, id: int) -> str:
        """What a node is called where it is drawn."""
        return self._artifact(id) if kind is NodeKind.ARTIFACT else self._execution(id)

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
            return f"{'made' if edge.is_output else 'used'} by {self._execution(id)}"
        said = f"{edge.key}: {self._artifact(id)}" if edge.key else self._artifact(id)
        # In a tree of one direction an execution has only the ones, or the others.
        return f"{'wrote' if edge.is_output else 'read'} {said}" if self.siblings else said

    def _artifact(self, id: int) -> str:
        artifact = self.artifacts.get(id)
        if artifact is None:
            return f"artifact {id} (missing)"
        called = artifact.name or artifact.uri
        return f"{artifact.type or 'artifact'} {id}{f' {called}' if called else ''}"

    def _execution(self, id: int) -> str:
        execution = self.executions.get(id)
        if execution is None:
            return f"execution {id} (missing)"
        step = self.steps.get(id)
        called = step.name if step else execution.name or execution.type.rpartition(".")[2]
        state = step.state if step else execution.state
        return f"{called} (execution {id}{f' {state.name}' if state else ''})"


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
