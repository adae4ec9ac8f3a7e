"""Pipelines, runs and steps that can be asked further."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

from metastore import lineage, pipelines
from metastore.base import BaseMetadataStore
from metastore.errors import NotFoundError, Offender
from metastore.lineage import Graph
from metastore.listing import Listing
from metastore.model import Context, Event, ExecutionState, Value, time_of
from metastore.pipelines import RunRecord, StepRecord
from metastore.processes import Process, is_gone
from metastore.query import NodeQuery
from metastore.recording import cancel_run
from metastore.views import _html
from metastore.views._nodes import (
    ContextView,
    ExecutionView,
    Ports,
    labels_of,
    ports_among,
    ports_of,
)

__all__ = ["Pipeline", "Run", "Step", "Steps", "graph_of", "runs_listing"]

R = TypeVar("R", RunRecord, StepRecord)


class _RecordView(Generic[R]):
    """What runs and steps have in common."""

    def __init__(self, backend: BaseMetadataStore, record: R) -> None:
        self._backend = backend
        self.record: R = record
        """The plain record."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.record == self.record

    def __hash__(self) -> int:
        return hash((type(self), self.record.name, self.record.started_ms))

    @property
    def name(self) -> str:
        """What it is called: a run in its store, a step in its run."""
        return self.record.name

    @property
    def state(self) -> ExecutionState:
        """How far it came."""
        return self.record.state

    @property
    def error(self) -> str | None:
        """Why it failed, where that was recorded."""
        return self.record.error

    @property
    def parameters(self) -> Mapping[str, Value]:
        """What it was told."""
        return self.record.parameters or {}

    @property
    def host(self) -> str | None:
        """The host that it ran on, where that was recorded."""
        return self.record.host

    @property
    def process(self) -> int | None:
        """The id of its process on that host, where that was recorded."""
        return self.record.process

    @property
    def is_abandoned(self) -> bool | None:
        """Whether it says RUNNING, and its process is gone; None where that cannot be told.

        That is, where it runs on another host than this one, or in another container of this
        one, or where that was not recorded.
        """
        record = self.record
        if record.state is not ExecutionState.RUNNING:
            return False
        if record.host is None or record.process is None:
            return None
        return is_gone(
            Process(
                record.host, record.process, record.process_started_ms, record.process_namespace
            )
        )

    @property
    def start_time(self) -> datetime | None:
        """When it began (UTC); None where the store does not say."""
        return _time(self.record.started_ms)

    @property
    def end_time(self) -> datetime | None:
        """When it ended (UTC); None while it has not, or where the store does not say."""
        return _time(self.record.finished_ms)

    @property
    def duration(self) -> timedelta | None:
        """From start to end."""
        started, finished = self.record.started_ms, self.record.finished_ms
        if started is None or finished is None:
            return None
        return timedelta(milliseconds=finished - started)


class Step(_RecordView[StepRecord]):
    """A step of a run."""

    def __repr__(self) -> str:
        return f"<Step {self.name!r} {self.state.name}>"

    def _repr_html_(self) -> str:
        return _html.shown(_html.step, self)

    @property
    def short_name(self) -> str:
        """Its name inside of what it is a part of: ``train`` of ``for-loop-1[0]/train``."""
        return self.record.short_name or self.name

    @property
    def id(self) -> int:
        """The id of its execution."""
        return self.record.execution.id

    @property
    def parent(self) -> int | None:
        """The id of the step that it is a part of, such as a loop; None for a step of the run."""
        return self.record.parent

    @property
    def reason(self) -> str | None:
        """Why the state is not what the execution itself says."""
        return self.record.reason

    @property
    def metrics(self) -> Mapping[str, float]:
        """Numbers that it found out."""
        return self.record.metrics or {}

    @property
    def execution(self) -> ExecutionView:
        """The execution behind it."""
        return ExecutionView(self._backend, self.record.execution)

    @cached_property
    def _ports(self) -> tuple[Ports, Ports]:
        return ports_of(self._backend, self.id)

    @property
    def inputs(self) -> Ports:
        """What it read, by key."""
        return self._ports[0]

    @property
    def outputs(self) -> Ports:
        """What it wrote, by key."""
        return self._ports[1]


class Steps(Sequence[Step]):
    """The steps of a run, in the order in which they began; by position or by name."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = tuple(steps)

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, which: int | str) -> Step: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[Step]: ...
    def __getitem__(self, which: int | str | slice) -> Step | Sequence[Step]:
        """By position; or, by name, the last try of the step that is called so."""
        if not isinstance(which, str):
            return self._steps[which]
        for step in reversed(self._steps):
            if step.name == which:
                return step
        known = ", ".join(dict.fromkeys(repr(step.name) for step in self._steps)) or "none"
        raise NotFoundError(
            f"the run has no step {which!r}",
            hint=f"its steps: {known}",
            offender=Offender("step", name=which),
        )

    def __contains__(self, which: object) -> bool:
        """Whether a step, or a step of that name, is among them."""
        if isinstance(which, str):
            return any(step.name == which for step in self._steps)
        return which in self._steps

    def __repr__(self) -> str:
        return repr(list(self._steps))

    def _repr_html_(self) -> str:
        return _html.shown(_html.steps, list(self.nested()))

    def nested(self) -> Iterator[tuple[int, Step]]:
        """Each step behind the one that it is a part of, such as a loop, and how deep: from 0."""
        parts: dict[int | None, list[Step]] = {}
        known = {step.id for step in self._steps}
        for step in self._steps:
            parts.setdefault(step.parent if step.parent in known else None, []).append(step)
        shown: set[int] = set()
        # Behind the outermost ones the others: in a damaged store they are parts of one another.
        for outer in (*parts.get(None, ()), *self._steps):
            left = [(0, outer)]
            while left:
                depth, step = left.pop()
                if step.id not in shown:
                    shown.add(step.id)
                    yield depth, step
                    left += [(depth + 1, part) for part in reversed(parts.get(step.id, []))]


class Run(_RecordView[RunRecord]):
    """A run of a pipeline."""

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.name!r} {self.state.name}>"

    def _repr_html_(self) -> str:
        return _html.shown(_html.run, self)

    def _row_html_(self) -> dict[str, Any]:
        return _html.run_row(self)

    def to_html(self) -> str:
        """A page that a browser opens, with its steps and a picture; it needs nothing else."""
        return _html.run_page(self)

    @property
    def id(self) -> int:
        """The id of its context."""
        return self.record.context.id

    @property
    def pipeline(self) -> str | None:
        """The name of its pipeline, where the store says."""
        return self.record.pipeline

    @property
    def convention(self) -> str:
        """Whose convention it follows: ``"metastore"``, ``"tfx"`` ..."""
        return self.record.convention

    @property
    def context(self) -> ContextView:
        """The context behind it."""
        return ContextView(self._backend, self.record.context)

    def cancel(self, reason: str | None = None, *, force: bool = False) -> None:
        """Mark it, and its steps that have not ended, as CANCELED; for a run whose process is gone.

        Read it again to see it so.  See `metastore.recording.cancel_run` for what is raised.
        """
        cancel_run(self._backend, self.id, reason=reason, force=force)

    @cached_property
    def graph(self) -> Graph:
        """Its steps with what they read and wrote, read at once: a picture of the run.

        Boxes where it is printed, a picture in a notebook; see `metastore.lineage.Graph`.
        """
        return graph_of(self._backend, self.steps, f"Run {self.name}")

    @cached_property
    def steps(self) -> Steps:
        """Its steps, read once."""
        found = pipelines.steps_of(self._backend, self.record.context)
        return Steps([Step(self._backend, each) for each in found])


def graph_of(backend: BaseMetadataStore, steps: Sequence[Step], title: str) -> Graph:
    """Steps with what they read and wrote, in a few reads; the steps know it from then on."""
    graph = lineage.around(backend, (step.record.execution for step in steps), title=title)
    graph = replace(graph, steps=labels_of(step.record for step in steps))
    events: dict[int, list[Event]] = {}
    for event in graph.events:
        events.setdefault(event.execution_id, []).append(event)
    for step in steps:
        step._ports = ports_among(backend, events.get(step.id, ()), graph.artifacts)
    return graph


class Pipeline:
    """A pipeline: all runs of one name."""

    def __init__(self, backend: BaseMetadataStore, context: Context) -> None:
        self._backend = backend
        self._context = context

    def __repr__(self) -> str:
        return f"<Pipeline {self.id} {self.name!r}>"

    def _repr_html_(self) -> str:
        return _html.shown(_html.pipeline, self)

    def _row_html_(self) -> dict[str, Any]:
        return _html.pipeline_row(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pipeline) and other._context == self._context

    def __hash__(self) -> int:
        return hash(self._context)

    @property
    def id(self) -> int:
        """The id of its context."""
        return self._context.id

    @property
    def name(self) -> str:
        """Its name."""
        return self._context.name or ""

    @property
    def context(self) -> ContextView:
        """The context behind it."""
        return ContextView(self._backend, self._context)

    @property
    def runs(self) -> Listing[Run]:
        """Its runs, the oldest first."""
        return runs_listing(self._backend, pipelines.runs_of(self._backend, self._context))


def runs_listing(backend: BaseMetadataStore, query: NodeQuery) -> Listing[Run]:
    """Runs, a page at a time."""
    return Listing(
        backend,
        query,
        lambda nodes: [Run(backend, each) for each in pipelines.describe_runs(backend, nodes)],
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else time_of(milliseconds)
