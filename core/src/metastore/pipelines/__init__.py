"""Pipelines, runs and steps, read from whatever convention a store follows.

ML Metadata has contexts and executions, no runs; which context is a run, and what its steps are
called, is a convention of the program that wrote the store.  Each convention is one small class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import cast

from metastore.base import BaseMetadataStore
from metastore.model import Context, Execution, LinkKind, NodeKind
from metastore.pipelines._cmf import CMF
from metastore.pipelines._convention import Convention
from metastore.pipelines._kfp import KubeflowPipelines
from metastore.pipelines._ours import Ours
from metastore.pipelines._records import RunRecord, StepRecord, has_ended
from metastore.pipelines._tfx import TFXComponentRuns, TFXNodes
from metastore.query import LinkQuery, NodeQuery

__all__ = [
    "CONVENTIONS",
    "Convention",
    "RunRecord",
    "StepRecord",
    "convention_of",
    "describe_runs",
    "describe_steps",
    "has_ended",
    "pipelines_query",
    "runs_of",
    "runs_of_executions",
    "runs_query",
    "steps_of",
]

CONVENTIONS: tuple[Convention, ...] = (
    Ours(),
    TFXNodes(),
    TFXComponentRuns(),
    KubeflowPipelines(),
    CMF(),
)
"""The conventions that are recognised."""


def _type_names(which: str) -> list[str]:
    return list(dict.fromkeys(name for each in CONVENTIONS for name in getattr(each, which)))


def pipelines_query() -> NodeQuery:
    """All contexts that are pipelines."""
    return NodeQuery(NodeKind.CONTEXT, type_names=_type_names("PIPELINE_TYPES"))


def runs_query() -> NodeQuery:
    """All contexts that are runs."""
    return NodeQuery(NodeKind.CONTEXT, type_names=_type_names("RUN_TYPES"))


def convention_of(context: Context) -> Convention | None:
    """The convention by which the context is a run."""
    return next((each for each in CONVENTIONS if context.type in each.RUN_TYPES), None)


def runs_of(backend: BaseMetadataStore, pipeline: Context) -> NodeQuery:
    """The contexts that are runs of a pipeline."""
    for convention in CONVENTIONS:
        if pipeline.type in convention.PIPELINE_TYPES:
            return convention.runs_of(backend, pipeline)
    return NodeQuery(NodeKind.CONTEXT, ids=[])


def runs_of_executions(
    backend: BaseMetadataStore, executions: Collection[int]
) -> dict[int, list[Context]]:
    """By execution: the runs among its contexts, else among these contexts' parents."""
    links = backend.read_links(LinkQuery(LinkKind.ASSOCIATION, other_ids=list(executions)))
    direct = _runs_among(backend, {link.context_id for link in links})
    found: dict[int, list[Context]] = {id: [] for id in executions}
    for link in links:
        if link.context_id in direct:
            found[link.other_id].append(direct[link.context_id])
    left = [link for link in links if not found[link.other_id]]
    parents = backend.read_links(
        LinkQuery(LinkKind.PARENT, context_ids=sorted({link.context_id for link in left}))
    )
    above = _runs_among(backend, {link.other_id for link in parents})
    for link in left:
        found[link.other_id] += [
            above[parent.other_id]
            for parent in parents
            if parent.context_id == link.context_id and parent.other_id in above
        ]
    return found


def _runs_among(backend: BaseMetadataStore, contexts: Collection[int]) -> dict[int, Context]:
    query = NodeQuery(NodeKind.CONTEXT, ids=sorted(contexts), type_names=runs_query().type_names)
    return {node.id: cast("Context", node) for node in backend.read_nodes(query)}


def describe_runs(backend: BaseMetadataStore, contexts: Sequence[Context]) -> list[RunRecord]:
    """A page of runs, in the order of the contexts; contexts that are no runs are left out."""
    described: dict[int, RunRecord] = {}
    for convention in CONVENTIONS:
        mine = [each for each in contexts if convention_of(each) is convention]
        if mine:
            for run in convention.describe_runs(backend, mine):
                described[run.context.id] = run
    return [described[each.id] for each in contexts if each.id in described]


def steps_of(backend: BaseMetadataStore, run: Context) -> list[StepRecord]:
    """The steps of a run, by id."""
    convention = convention_of(run)
    return [] if convention is None else convention.steps(backend, run)


def describe_steps(
    backend: BaseMetadataStore, executions: Iterable[Execution]
) -> dict[int, StepRecord]:
    """What executions are as steps, by id; those that are no steps are left out."""
    steps: dict[int, StepRecord] = {}
    left = list(executions)
    for convention in CONVENTIONS:
        if left:
            steps |= convention.describe_steps(backend, left)
            left = [each for each in left if each.id not in steps]
    return steps
