"""Old runs deleted, with what is theirs alone, so that the lineage of what stays is whole.

A run goes whole or stays whole.  It stays where a run (or an execution of none) that stays has read
what it wrote, and so do the runs before it: what is left can still say what it was made from.  With
a run go its executions, the artifacts that nobody else wrote or read, and contexts that hold
nothing any more; pipelines stay.

Memory holds a few numbers for each run and each of its executions, whatever else the store holds.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from metastore import pipelines
from metastore.base import BaseMetadataStore, Deleted
from metastore.model import Context, Event, ExecutionState, LinkKind, NodeKind
from metastore.pipelines import RunRecord, has_ended
from metastore.query import EventQuery, LinkQuery, NodeQuery

__all__ = ["Pruning", "Selection", "plan"]

_RUNS = 50
"""Runs that are looked at, and deleted, at once."""
_IDS = 1000
"""Ids that are asked for at once."""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much there is of it in all."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which runs are to go: those that fulfil every condition that is not None.

    before_ms:
        They ended before this time; of runs that never ended, nothing was changed since.
    pipeline:
        The name of their pipeline.
    states:
        Their states.  None: all but those of runs that may still go on.
    """

    before_ms: int | None = None
    pipeline: str | None = None
    states: Collection[ExecutionState] | None = None

    def has(self, run: RunRecord) -> bool:
        """Whether the run is one of these."""
        if self.states is None:
            if not has_ended(run.state):
                return False
        elif run.state not in self.states:
            return False
        ended = run.finished_ms or run.context.update_time_ms
        return (self.before_ms is None or ended < self.before_ms) and (
            self.pipeline is None or run.pipeline == self.pipeline
        )


@dataclass(slots=True)
class Pruning:
    """What is to be deleted, found out by `plan`; `run` does it."""

    backend: BaseMetadataStore
    runs: int
    """How many go."""
    kept: int
    """How many were selected, and stay for the lineage of others."""
    _doomed: array[int] = field(repr=False)
    _executions: array[int] = field(repr=False)

    def run(self, *, progress: Progress | None = None) -> Deleted:
        """Delete them, some runs at a time, each time whole or not at all.

        Where it is interrupted, runs are gone or there; planned and run again it goes on.

        Raises
        ------
        CapabilityError
            The flavor cannot delete.
        """
        done = Deleted()
        for at, nodes in self._portions():
            done = done.plus(self.backend.delete(nodes))
            if progress:
                progress("prune", min(at + _RUNS, self.runs), self.runs)
        return done

    def count(self) -> Deleted:
        """What `run` would delete; of links none are counted."""
        found = Deleted()
        for _, nodes in self._portions():
            executions = nodes[NodeKind.EXECUTION]
            events = sum(1 for _ in _events_of(self.backend, executions))
            found = found.plus(
                Deleted(
                    len(nodes[NodeKind.ARTIFACT]),
                    len(executions),
                    len(nodes[NodeKind.CONTEXT]),
                    events,
                )
            )
        return found

    def _portions(self) -> Iterator[tuple[int, dict[NodeKind, list[int]]]]:
        """Nodes that go together: of some runs with all that is theirs alone."""
        for at in range(0, len(self._doomed), _RUNS):
            runs = self._doomed[at : at + _RUNS].tolist()
            executions = sorted(
                {id for _, id in _executions_of(self.backend, runs) if _has(self._executions, id)}
            )
            artifacts = self._artifacts(executions)
            contexts = self._empty_contexts(executions, artifacts)
            yield (
                at,
                {
                    NodeKind.EXECUTION: executions,
                    NodeKind.ARTIFACT: artifacts,
                    NodeKind.CONTEXT: sorted({*runs, *contexts}),
                },
            )

    def _artifacts(self, executions: Sequence[int]) -> list[int]:
        """Those that only executions which go have written or read.

        One of several portions goes with the first of them, so that it is counted once.
        """
        here = set(executions)
        touched = sorted({event.artifact_id for event in _events_of(self.backend, executions)})
        found: list[int] = []
        for some in _portions_of(touched):
            users: dict[int, list[int]] = {}
            for event in self.backend.read_events(EventQuery(artifact_ids=some)):
                users.setdefault(event.artifact_id, []).append(event.execution_id)
            lone = [
                id
                for id, by in users.items()
                if min(by) in here and all(_has(self._executions, each) for each in by)
            ]
            links = self.backend.read_links(LinkQuery(LinkKind.ATTRIBUTION, other_ids=lone))
            runs = _runs_among(self.backend, {link.context_id for link in links})
            held = {
                link.other_id
                for link in links
                if link.context_id in runs and not _has(self._doomed, link.context_id)
            }
            found += (id for id in lone if id not in held)
        return sorted(found)

    def _empty_contexts(self, executions: Sequence[int], artifacts: Sequence[int]) -> list[int]:
        """Contexts beside runs and pipelines that hold nothing but what goes."""
        backend = self.backend
        gone = {LinkKind.ASSOCIATION: set(executions), LinkKind.ATTRIBUTION: set(artifacts)}
        near = {
            link.context_id
            for kind, ids in gone.items()
            for some in _portions_of(sorted(ids))
            for link in backend.read_links(LinkQuery(kind, other_ids=some))
        }
        kept = _runs_among(backend, near) | _pipelines_among(backend, near)
        candidates = sorted(near - kept)
        for kind, ids in gone.items():
            for some in _portions_of(candidates):
                links = backend.read_links(LinkQuery(kind, context_ids=some))
                kept |= {link.context_id for link in links if link.other_id not in ids}
        return [id for id in candidates if id not in kept]


def plan(
    backend: BaseMetadataStore,
    selection: Selection,
    *,
    break_lineage: bool = False,
    progress: Progress | None = None,
) -> Pruning:
    """Find out which runs go; nothing is changed.

    Parameters
    ----------
    selection:
        Which runs are to go.
    break_lineage:
        Whether they go also where what stays was made from what they wrote.
    progress:
        Called with what is done, how much of it, and how much there is of it in all.
    """
    runs = array("q", _selected(backend, selection, progress))
    if not runs:
        return Pruning(backend, 0, 0, array("q"), array("q"))
    owners = _Owners(backend, runs)
    if break_lineage:
        needed = bytearray(len(runs))
    else:
        needed = _needed(backend, owners, len(runs), progress)
    # An execution that is a part of a run which stays, too, stays with it.
    doomed = array("q", (run for at, run in enumerate(runs) if not needed[at]))
    executions = array("q", (id for id, run in owners if not needed[run] and not owners.shared(id)))
    return Pruning(backend, len(doomed), sum(needed), doomed, executions)


def _selected(
    backend: BaseMetadataStore, selection: Selection, progress: Progress | None
) -> Iterator[int]:
    page: list[Context] = []
    query = pipelines.runs_query()
    total, done = (backend.count(query) if progress else 0), 0
    for node in backend.iterate(query, page_size=_RUNS):
        assert isinstance(node, Context)
        page.append(node)
        if len(page) == _RUNS:
            yield from _fulfilling(backend, selection, page)
            done += len(page)
            page = []
            if progress:
                progress("look at runs", done, total)
    yield from _fulfilling(backend, selection, page)


def _fulfilling(
    backend: BaseMetadataStore, selection: Selection, page: Sequence[Context]
) -> list[int]:
    described = pipelines.describe_runs(backend, page)
    return sorted(run.context.id for run in described if selection.has(run))


class _Owners:
    """Executions of the selected runs, by id, with the position of their run."""

    def __init__(self, backend: BaseMetadataStore, runs: array[int]) -> None:
        self._ids, self._owners = array("q"), array("q")
        self._shared: set[int] = set()
        pages: list[tuple[array[int], array[int]]] = []
        for at in range(0, len(runs), _RUNS):
            pairs = _executions_of(backend, runs[at : at + _RUNS].tolist())
            ordered = sorted((id, bisect_left(runs, run)) for run, id in pairs)
            ids = array("q", (id for id, _ in ordered))
            pages.append((ids, array("q", (owner for _, owner in ordered))))
            self._shared |= _in_other_runs(backend, set(ids), runs)
        # Pages in their order, one after the other: a list of all would be as large again.
        for id, owner in heapq.merge(*(zip(*page, strict=True) for page in pages)):
            self._ids.append(id)
            self._owners.append(owner)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._ids, self._owners, strict=True))

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, execution: int) -> list[int]:
        """The positions of the selected runs that an execution is a part of."""
        at = bisect_left(self._ids, execution)
        found = []
        while at < len(self._ids) and self._ids[at] == execution:
            found.append(self._owners[at])
            at += 1
        return found

    def shared(self, execution: int) -> bool:
        """Whether it is a part of a run that was not selected, too."""
        return execution in self._shared

    def pages(self) -> Iterator[list[int]]:
        """The executions, some at a time."""
        for at in range(0, len(self._ids), _IDS):
            yield sorted(set(self._ids[at : at + _IDS]))


def _needed(
    backend: BaseMetadataStore, owners: _Owners, count: int, progress: Progress | None
) -> bytearray:
    """Which of the runs stay, because of what was made from what they wrote."""
    needed = bytearray(count)
    makers, users = array("q"), array("q")
    done = 0
    for page in owners.pages():
        for maker, user in _uses(backend, page):
            ours, theirs = owners.of(maker), owners.of(user)
            for run in ours:
                if not theirs or owners.shared(user) or owners.shared(maker):
                    needed[run] = 1
                for other in theirs:
                    if other != run:
                        makers.append(run)
                        users.append(other)
        done += len(page)
        if progress:
            progress("follow lineage", done, len(owners))
    # What a run that stays was made from stays: until nothing changes any more.
    changed = True
    while changed:
        changed = False
        for maker, user in zip(makers, users, strict=True):
            if needed[user] and not needed[maker]:
                needed[maker] = 1
                changed = True
    return needed


def _uses(backend: BaseMetadataStore, executions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of an execution and one that read what it wrote."""
    writers: dict[int, set[int]] = {}
    for event in backend.read_events(EventQuery(execution_ids=executions)):
        if event.type.is_output:
            writers.setdefault(event.artifact_id, set()).add(event.execution_id)
    for some in _portions_of(sorted(writers)):
        for event in backend.read_events(EventQuery(artifact_ids=some)):
            if event.type.is_input:
                for writer in writers[event.artifact_id]:
                    if writer != event.execution_id:
                        yield writer, event.execution_id


# Bulk reads.


def _executions_of(backend: BaseMetadataStore, runs: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of a run and an execution."""
    links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, context_ids=runs))
    return [(link.context_id, link.other_id) for link in links]


def _in_other_runs(backend: BaseMetadataStore, executions: set[int], runs: array[int]) -> set[int]:
    """Those of the executions that are a part of a run which is none of these."""
    found: set[int] = set()
    for some in _portions_of(sorted(executions)):
        links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, other_ids=some))
        others = {link.context_id for link in links if not _has(runs, link.context_id)}
        are_runs = _runs_among(backend, others)
        found |= {link.other_id for link in links if link.context_id in are_runs}
    return found


def _runs_among(backend: BaseMetadataStore, contexts: Collection[int]) -> set[int]:
    return _among(backend, contexts, pipelines.runs_query())


def _pipelines_among(backend: BaseMetadataStore, contexts: Collection[int]) -> set[int]:
    return _among(backend, contexts, pipelines.pipelines_query())


def _among(backend: BaseMetadataStore, contexts: Collection[int], query: NodeQuery) -> set[int]:
    if not contexts:
        return set()
    wanted = NodeQuery(NodeKind.CONTEXT, ids=sorted(contexts), type_names=query.type_names)
    return {node.id for node in backend.read_nodes(wanted)}


def _events_of(backend: BaseMetadataStore, executions: Sequence[int]) -> Iterator[Event]:
    for some in _portions_of(executions):
        yield from backend.read_events(EventQuery(execution_ids=some))


def _portions_of(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[at : at + _IDS] for at in range(0, len(ids), _IDS))


def _has(ordered: array[int], id: int) -> bool:
    at = bisect_left(ordered, id)
    return at < len(ordered) and ordered[at] == id
