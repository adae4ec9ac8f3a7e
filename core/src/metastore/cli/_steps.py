"""Which steps of which runs touched an artifact."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast

from metastore import pipelines
from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, LinkKind, NodeKind
from metastore.query import EventQuery, LinkQuery, NodeQuery

__all__ = ["StepOfRun", "steps_of_runs", "whereabouts"]


class StepOfRun(NamedTuple):
    """An execution, and what it is in its run, where that is known."""

    execution: Execution
    step: str | None
    run: Context | None

    def __str__(self) -> str:
        execution = self.execution
        text = self.step or execution.name or execution.type or "execution"
        text += f" (execution {execution.id})"
        return text if self.run is None else f"{text} of run {self.run.name} (id {self.run.id})"

    def as_json(self) -> dict[str, Any]:
        """The fields that ``artifact show --json`` names."""
        return {
            "id": self.execution.id,
            "type": self.execution.type,
            "name": self.execution.name,
            "step": self.step,
            "run_id": None if self.run is None else self.run.id,
            "run": None if self.run is None else self.run.name,
        }


def whereabouts(backend: BaseMetadataStore, artifact: int, *, outputs: bool) -> list[StepOfRun]:
    """The executions that wrote an artifact, or those that read it, in the order of events."""
    ids = dict.fromkeys(
        event.execution_id
        for event in backend.read_events(EventQuery(artifact_ids=[artifact]))
        if (event.type.is_output if outputs else event.type.is_input)
    )
    found = cast(
        "list[Execution]", backend.read_nodes(NodeQuery(NodeKind.EXECUTION, ids=list(ids)))
    )
    by_id = {each.execution.id: each for each in steps_of_runs(backend, found)}
    # A damaged store may name an execution that is gone.
    return [by_id[id] for id in ids if id in by_id]


def steps_of_runs(backend: BaseMetadataStore, executions: Sequence[Execution]) -> list[StepOfRun]:
    """What each of the executions is in its run."""
    steps = pipelines.describe_steps(backend, executions)
    runs = _runs(backend, [each.id for each in executions])
    return [
        StepOfRun(
            each,
            steps[each.id].name if each.id in steps else None,
            next(iter(runs[each.id]), None),
        )
        for each in executions
    ]


def _runs(backend: BaseMetadataStore, executions: Collection[int]) -> dict[int, list[Context]]:
    """By execution: the runs among its contexts, else among these contexts' parents."""
    links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, other_ids=list(executions)))
    direct = _contexts(backend, {link.context_id for link in links})
    found: dict[int, list[Context]] = {id: [] for id in executions}
    for link in links:
        if link.context_id in direct:
            found[link.other_id].append(direct[link.context_id])
    left = [link for link in links if not found[link.other_id]]
    parents = backend.read_links(
        LinkQuery(LinkKind.PARENT, context_ids=sorted({link.context_id for link in left}))
    )
    above = _contexts(backend, {link.other_id for link in parents})
    for link in left:
        found[link.other_id] += [
            above[parent.other_id]
            for parent in parents
            if parent.context_id == link.context_id and parent.other_id in above
        ]
    return found


def _contexts(backend: BaseMetadataStore, ids: Collection[int]) -> dict[int, Context]:
    """Those of the contexts that are runs."""
    query = NodeQuery(
        NodeKind.CONTEXT, ids=sorted(ids), type_names=pipelines.runs_query().type_names
    )
    return {node.id: cast("Context", node) for node in backend.read_nodes(query)}
