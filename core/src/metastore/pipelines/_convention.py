"""The base class of conventions, and the bulk reads that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, cast

from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, LinkKind, NodeKind
from metastore.pipelines._records import RunRecord, StepRecord, has_ended, state_of_run
from metastore.query import LinkQuery, NodeQuery

__all__ = [
    "Convention",
    "contexts_of_executions",
    "executions_of_contexts",
    "parents_of_contexts",
    "run_of_steps",
]


class Convention(ABC):
    """How one program lays out runs in a store."""

    NAME: ClassVar[str]
    PIPELINE_TYPES: ClassVar[tuple[str, ...]]
    """Context types that are pipelines."""
    RUN_TYPES: ClassVar[tuple[str, ...]]
    """Context types that are runs."""

    @abstractmethod
    def runs_of(self, backend: BaseMetadataStore, pipeline: Context) -> NodeQuery:
        """The contexts that are runs of a pipeline."""

    @abstractmethod
    def describe_runs(
        self, backend: BaseMetadataStore, contexts: Sequence[Context]
    ) -> list[RunRecord]:
        """A page of runs, in a number of reads that does not grow with the page."""

    @abstractmethod
    def steps(self, backend: BaseMetadataStore, run: Context) -> list[StepRecord]:
        """The steps of a run, by id."""

    @abstractmethod
    def describe_steps(
        self, backend: BaseMetadataStore, executions: Sequence[Execution]
    ) -> dict[int, StepRecord]:
        """Those of the executions that are steps of this convention, by id."""


def executions_of_contexts(
    backend: BaseMetadataStore, contexts: Collection[int]
) -> dict[int, list[Execution]]:
    """The executions that are associated with each context, by id."""
    links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, context_ids=list(contexts)))
    ids = sorted({link.other_id for link in links})
    nodes = {
        node.id: cast("Execution", node)
        for node in backend.read_nodes(NodeQuery(NodeKind.EXECUTION, ids=ids))
    }
    found: dict[int, list[Execution]] = {id: [] for id in contexts}
    for link in links:
        # A damaged store may associate an execution that is gone.
        if link.other_id in nodes:
            found[link.context_id].append(nodes[link.other_id])
    return found


def contexts_of_executions(
    backend: BaseMetadataStore, executions: Iterable[int], types: Sequence[str]
) -> dict[int, list[Context]]:
    """The contexts of these types that each execution is associated with, by id."""
    wanted = list(executions)
    links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, other_ids=wanted))
    ids = sorted({link.context_id for link in links})
    contexts = {
        node.id: cast("Context", node)
        for node in backend.read_nodes(NodeQuery(NodeKind.CONTEXT, ids=ids, type_names=types))
    }
    found: dict[int, list[Context]] = {id: [] for id in wanted}
    for link in links:
        if link.context_id in contexts:
            found[link.other_id].append(contexts[link.context_id])
    return found


def parents_of_contexts(
    backend: BaseMetadataStore, contexts: Sequence[int], types: Sequence[str]
) -> dict[int, list[str]]:
    """The names of each context's parents of these types, sorted; those without left out.

    By type: a partial run of TFX has the run that it continues as a parent, too.
    """
    links = backend.read_links(LinkQuery(LinkKind.PARENT, context_ids=contexts))
    ids = sorted({link.other_id for link in links})
    parents = backend.read_nodes(NodeQuery(NodeKind.CONTEXT, ids=ids, type_names=types))
    names = {node.id: node.name or "" for node in parents}
    found: dict[int, list[str]] = {}
    for link in links:
        if link.other_id in names:
            found.setdefault(link.context_id, []).append(names[link.other_id])
    return {id: sorted(each) for id, each in found.items()}


def run_of_steps(
    convention: str,
    context: Context,
    name: str,
    pipeline: str | None,
    steps: list[StepRecord],
) -> RunRecord:
    """A run that has no state and no times of its own: both are those of its steps."""
    state = state_of_run(steps)
    started = [step.started_ms for step in steps if step.started_ms is not None]
    finished = [step.finished_ms for step in steps if step.finished_ms is not None]
    return RunRecord(
        name,
        context,
        convention,
        pipeline,
        state,
        error=next((step.error for step in steps if step.error), None),
        started_ms=min(started, default=context.create_time_ms or None),
        finished_ms=max(finished, default=None) if has_ended(state) else None,
    )
