"""Lineage: what an artifact was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from metastore.base import BaseMetadataStore
from metastore.model import Artifact, Event, Execution, ExecutionState, NodeKind
from metastore.query import EventQuery, NodeQuery, check_number

__all__ = ["Lineage", "StepLabel", "walk"]

_BATCH = 5000
"""Ids asked for at once: a frontier may be the whole store."""


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

    def next(self, kind: NodeKind, id: int) -> list[tuple[NodeKind, int, str]]:
        """The neighbours, in the order of events, with the key of the event."""
        return [(*node, key) for node, key in self._from.get((kind, id), {}).items()]


def walk(
    backend: BaseMetadataStore,
    artifacts: Collection[int],
    *,
    upstream: bool = True,
    downstream: bool = False,
    max_hops: int | None = None,
) -> Lineage:
    """Walk the events, whole frontiers at a time.

    Parameters
    ----------
    artifacts:
        Ids to begin with.
    upstream, downstream:
        Towards what they were made from; towards what was made from them; both are two walks, so
        that a sibling (another output of the same execution's input) is in neither.
    max_hops:
        How far: from an artifact to an execution, or on to an artifact, is one hop; 0 is the
        artifacts alone, None as far as it goes.

    Raises
    ------
    InvalidError
        `max_hops` is no integer, or negative.
    """
    if max_hops is not None:
        check_number(
            max_hops, "max_hops is an integer from 0", 0, hint="use None to go all the way"
        )
    events: dict[tuple[int, int, int], Event] = {}
    artifact_ids, execution_ids = set(artifacts), set[int]()
    for wanted, upwards in ((upstream, True), (downstream, False)):
        if wanted:
            found = _walk_one_way(backend, set(artifacts), upwards, max_hops)
            for event in found:
                events[event.artifact_id, event.execution_id, event.type] = event
                artifact_ids.add(event.artifact_id)
                execution_ids.add(event.execution_id)
    return Lineage(
        tuple(artifacts),
        upstream,
        downstream,
        cast(
            "dict[int, Artifact]",
            {node.id: node for node in _nodes(backend, NodeKind.ARTIFACT, artifact_ids)},
        ),
        cast(
            "dict[int, Execution]",
            {node.id: node for node in _nodes(backend, NodeKind.EXECUTION, execution_ids)},
        ),
        tuple(sorted(events.values(), key=lambda event: (event.id, event))),
        {},
    )


def _walk_one_way(
    backend: BaseMetadataStore, frontier: set[int], upwards: bool, max_hops: int | None
) -> Iterator[Event]:
    seen = {NodeKind.ARTIFACT: set(frontier), NodeKind.EXECUTION: set[int]()}
    kind, hops = NodeKind.ARTIFACT, 0
    while frontier and (max_hops is None or hops < max_hops):
        at_artifacts = kind is NodeKind.ARTIFACT
        # Upwards an artifact leads to what wrote it, an execution to what it read.
        wants_outputs = at_artifacts is upwards
        reached: set[int] = set()
        for event in _events(backend, kind, frontier):
            if event.type.is_output if wants_outputs else event.type.is_input:
                yield event
                reached.add(event.execution_id if at_artifacts else event.artifact_id)
        kind = NodeKind.EXECUTION if at_artifacts else NodeKind.ARTIFACT
        frontier = reached - seen[kind]
        seen[kind] |= frontier
        hops += 1


def _events(backend: BaseMetadataStore, kind: NodeKind, ids: set[int]) -> Iterator[Event]:
    for some in _batches(ids):
        yield from backend.read_events(
            EventQuery(artifact_ids=some)
            if kind is NodeKind.ARTIFACT
            else EventQuery(execution_ids=some)
        )


def _nodes(
    backend: BaseMetadataStore, kind: NodeKind, ids: set[int]
) -> Iterator[Artifact | Execution]:
    for some in _batches(ids):
        yield from cast("list[Artifact | Execution]", backend.read_nodes(NodeQuery(kind, ids=some)))


def _batches(ids: set[int]) -> Iterator[list[int]]:
    ordered = sorted(ids)
    for at in range(0, len(ordered), _BATCH):
        yield ordered[at : at + _BATCH]
