"""Lineage: what an artifact was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from metastore.errors import NotFoundError, Offender
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
        ways = [
            _Ways(self.events, upwards=upwards)
            for upwards, walked in ((True, self.upstream), (False, self.downstream))
            if walked
        ]
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

    def tree(self) -> Iterator[str]:
        """Lines of a tree for the terminal: what it came from, then what came from it.

        A node that several ways lead to is drawn out once; elsewhere it is only named.
        """
        for id in self.start:
            yield self._artifact(id)
            # Two trees from one root: only the last branch of the second closes it.
            trees = [
                (verb, _Ways(self.events, upwards=verb == "made by"))
                for verb, wanted in (("made by", self.upstream), ("used by", self.downstream))
                if wanted
            ]
            trees = [(verb, ways) for verb, ways in trees if ways.next(NodeKind.ARTIFACT, id)]
            for verb, ways in trees:
                yield from self._branches(id, verb, ways, more=verb != trees[-1][0])

    def _branches(self, start: int, verb: str, ways: _Ways, *, more: bool) -> Iterator[str]:
        seen = {(NodeKind.ARTIFACT, start)}
        # A stack, not recursion: lineage may be thousands of steps deep.
        stack = _children([], ways.next(NodeKind.ARTIFACT, start), more=more)
        while stack:
            prefix, last, kind, id, key = stack.pop()
            again = (kind, id) in seen
            seen.add((kind, id))
            further = [] if again else ways.next(kind, id)
            if kind is NodeKind.EXECUTION:
                label = f"{verb} {self._execution(id)}"
            else:
                label = f"{key}: {self._artifact(id)}" if key else self._artifact(id)
            above = " (see above)" if again and ways.next(kind, id) else ""
            yield f"{_indent(prefix)}{'└─ ' if last else '├─ '}{label}{above}"
            stack += _children([*prefix, last], further)

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


def _children(
    prefix: list[bool], found: list[tuple[NodeKind, int, str]], *, more: bool = False
) -> list[tuple[list[bool], bool, NodeKind, int, str]]:
    """Stack entries, the first to be drawn on top; `more` where others follow below them."""
    last = None if more else len(found) - 1
    entries = [(prefix, at == last, *each) for at, each in enumerate(found)]
    return entries[::-1]


def _indent(prefix: list[bool]) -> str:
    return "".join("   " if last else "│  " for last in prefix)


class _Ways:
    """Where the events lead in one direction."""

    def __init__(self, events: Iterable[Event], *, upwards: bool) -> None:
        self._from: dict[tuple[NodeKind, int], dict[tuple[NodeKind, int], str]] = {}
        for event in events:
            artifact = (NodeKind.ARTIFACT, event.artifact_id)
            execution = (NodeKind.EXECUTION, event.execution_id)
            into_artifact = event.type.is_output
            if not (into_artifact or event.type.is_input):
                continue
            key = next((step for step in event.path if isinstance(step, str)), "")
            source, target = (execution, artifact) if into_artifact else (artifact, execution)
            near, far = (target, source) if upwards else (source, target)
            self._from.setdefault(near, {}).setdefault(far, key)

    def turned(self) -> _Ways:
        """The same ways, walked back."""
        back = _Ways((), upwards=False)
        for near, found in self._from.items():
            for far, key in found.items():
                back._from.setdefault(far, {})[near] = key
        return back

    def reached(self, starts: Iterable[tuple[NodeKind, int]]) -> set[tuple[NodeKind, int]]:
        """All nodes that the ways lead to, the starts included."""
        seen = set(starts)
        stack = list(seen)
        while stack:
            for far in self._from.get(stack.pop(), ()):
                if far not in seen:
                    seen.add(far)
                    stack.append(far)
        return seen

    def next(self, kind: NodeKind, id: int) -> list[tuple[NodeKind, int, str]]:
        """The neighbours, in the order of events, with the key of the event."""
        return [(*node, key) for node, key in self._from.get((kind, id), {}).items()]
