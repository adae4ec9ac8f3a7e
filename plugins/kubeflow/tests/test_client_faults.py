"""Answers that get lost: what was written is found, written once, or said not to be known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

from grpc import StatusCode

from metastore import (
    AlreadyExistsError,
    Batch,
    BusyError,
    ConflictError,
    EventQuery,
    EventType,
    ExecutionState,
    LinkKind,
    LinkQuery,
    Merge,
    NodeKind,
    NodeQuery,
    Outcome,
    OutcomeUnknownError,
    Replace,
    Reuse,
    StorageError,
)
from metastore.model import PropertyKind
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore
from metastore_flavor_kubeflow.client import _channel

from .services import engine_service, our_service
from .stand_in import CUT, EMPTY, SILENCE, StandIn, standing_in

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT
LOST = pytest.mark.parametrize(
    "lost",
    [StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, CUT, SILENCE, StatusCode.UNKNOWN],
    ids=str,
)
LOST_AT_ONCE = pytest.mark.parametrize("lost", [StatusCode.UNAVAILABLE, CUT], ids=str)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of hundredths of a second."""
    monkeypatch.setattr(_channel, "_FIRST_WAIT", 0.02)


@pytest.fixture(params=[engine_service, our_service], ids=["engine", "ours"])
def stand_in(request: Any) -> Iterator[StandIn]:
    """In front of either server, with types."""
    with request.param() as port, standing_in(port) as found:
        with closing(_open(found)) as store:
            batch = Batch()
            for kind in NodeKind:
                batch.type(kind, "T", {"p": PropertyKind.STRING})
            store.write(batch)
        yield found


def _open(stand_in: StandIn) -> KubeflowMetadataStore:
    config = KubeflowConfig(host="127.0.0.1", port=stand_in.port, timeout=3, retry_timeout=30)
    return KubeflowMetadataStore.open(config)


@pytest.fixture
def store(stand_in: StandIn) -> Iterator[KubeflowMetadataStore]:
    """A client of it."""
    with closing(_open(stand_in)) as found:
        yield found


def _names(store: KubeflowMetadataStore, kind: NodeKind) -> list[str | None]:
    return [node.name for node in store.read_nodes(NodeQuery(kind))]


def _step(*, named: bool = True) -> Batch:
    """A step with a new context, an artifact, an event and both links: one call."""
    batch = Batch()
    context = batch.context("T", name="run")
    execution = batch.execution("T", name="step" if named else None, properties={"p": "of step"})
    artifact = batch.artifact(
        "T", name="model" if named else None, uri="model", custom_properties={"d": 0.1}
    )
    batch.event(artifact, execution, EventType.OUTPUT, path=["model"])
    batch.association(context, execution)
    batch.attribution(context, artifact)
    return batch


def _check_one_step(store: KubeflowMetadataStore) -> None:
    assert [len(store.read_nodes(NodeQuery(kind))) for kind in NodeKind] == [1, 1, 1]
    assert len(store.read_events(EventQuery())) == 1
    assert len(store.read_links(LinkQuery(LinkKind.ATTRIBUTION))) == 1
    assert len(store.read_links(LinkQuery(LinkKind.ASSOCIATION))) == 1


@LOST
@pytest.mark.parametrize("forward", [True, False], ids=["written", "not written"])
def test_a_step_with_names_is_written_once(
    stand_in: StandIn, store: KubeflowMetadataStore, lost: Any, forward: bool
) -> None:
    """Whether or not it arrived, it is there once, and its ids are those that are stored."""
    stand_in.fail("PutLineageSubgraph", lost, forward=forward)
    written = store.write(_step())
    for kind in NodeKind:
        (node,) = store.read_nodes(NodeQuery(kind))
        assert written.nodes[kind][0] == (node.id, Outcome.CREATED)
    _check_one_step(store)
    assert stand_in.counts["PutLineageSubgraph"] == (1 if forward else 2)


@LOST
def test_a_step_without_names_is_not_written_twice(
    stand_in: StandIn, store: KubeflowMetadataStore, lost: Any
) -> None:
    """What nobody could find again is called unknown at once, and is there once."""
    stand_in.fail("PutLineageSubgraph", lost)
    with pytest.raises(OutcomeUnknownError, match="whether the batch was written is not known"):
        store.write(_step(named=False))
    _check_one_step(store)
    assert stand_in.counts["PutLineageSubgraph"] == 1


@pytest.mark.parametrize("kind", list(NodeKind), ids=lambda kind: kind.label)
@pytest.mark.parametrize("by", ["name", "external_id"])
def test_nodes_of_one_kind_are_written_once(
    stand_in: StandIn, store: KubeflowMetadataStore, kind: NodeKind, by: str
) -> None:
    """By names as by external ids; fifty of them are looked for together."""
    batch = Batch()
    add = getattr(batch, kind.label)
    for number in range(50):
        fields = {by: f"n {number}"}
        if kind is CONTEXT:
            fields |= {"name": f"n {number}"}
        add("T", **fields, properties={"p": str(number)})
    stand_in.fail(f"Put{kind.label.capitalize()}s", StatusCode.UNAVAILABLE)
    before = stand_in.counts.total()
    written = store.write(batch)
    nodes = store.read_nodes(NodeQuery(kind))
    assert [each.id for each in written.nodes[kind]] == [node.id for node in nodes]
    assert [node.properties["p"] for node in nodes] == [str(number) for number in range(50)]
    assert stand_in.counts.total() - before < 20


@LOST_AT_ONCE
@pytest.mark.parametrize("forward", [True, False], ids=["written", "not written"])
def test_links_and_events_of_stored_nodes_are_written_once(
    stand_in: StandIn, store: KubeflowMetadataStore, lost: Any, forward: bool
) -> None:
    """Each of these calls may be repeated, or is found written."""
    batch = Batch()
    child, parent = batch.context("T", name="child"), batch.context("T", name="parent")
    artifact, execution = batch.artifact("T"), batch.execution("T")
    refs = store.write(batch)
    ids = [refs[each].id for each in (child, parent, artifact, execution)]
    batch = Batch()
    batch.parent(ids[0], ids[1])
    batch.attribution(ids[0], ids[2])
    batch.association(ids[0], ids[3])
    batch.event(ids[2], ids[3], EventType.INPUT, path=["a", 0])
    for rpc in ("PutEvents", "PutAttributionsAndAssociations", "PutParentContexts"):
        stand_in.fail(rpc, lost, forward=forward)
    store.write(batch)
    (event,) = store.read_events(EventQuery())
    assert event.path == ("a", 0)
    for kind in LinkKind:
        assert len(store.read_links(LinkQuery(kind))) == 1


@pytest.mark.parametrize("kind", list(NodeKind), ids=lambda kind: kind.label)
@pytest.mark.parametrize("mode", ["merge", "replace"])
@pytest.mark.parametrize("forward", [True, False], ids=["written", "not written"])
def test_an_update_is_found_or_repeated(
    stand_in: StandIn, store: KubeflowMetadataStore, kind: NodeKind, mode: str, forward: bool
) -> None:
    """With an expected update time, too: what it wrote itself is no conflict."""
    batch = Batch()
    getattr(batch, kind.label)("T", name="n", properties={"p": "old"})
    id = store.write(batch).nodes[kind][0].id
    (before,) = store.read_nodes(NodeQuery(kind))
    batch = Batch()
    make: Any = Merge if mode == "merge" else Replace
    getattr(batch, kind.label)(
        name="n",
        properties={"p": "new"},
        mode=make(id, expected_update_time_ms=before.update_time_ms),
    )
    stand_in.fail(f"Put{kind.label.capitalize()}s", StatusCode.UNAVAILABLE, forward=forward)
    assert store.write(batch).nodes[kind][0] == (id, Outcome.UPDATED)
    (after,) = store.read_nodes(NodeQuery(kind))
    assert after.properties == {"p": "new"}
    with pytest.raises(ConflictError):
        store.write(batch)


@pytest.mark.parametrize("rpc", ["PutTypes", "PutContexts", "PutLineageSubgraph", "PutEvents"])
def test_a_call_that_was_aborted_is_made_again(
    stand_in: StandIn, store: KubeflowMetadataStore, rpc: str
) -> None:
    """As KFP's own client does: seven times in a row is nothing special."""
    batch = _step()
    batch.type(ARTIFACT, "New")
    stored = Batch()
    ends = stored.artifact("T", name="a"), stored.execution("T", name="e")
    ids = [store.write(stored)[each].id for each in ends[:1]]
    if rpc == "PutEvents":
        batch = Batch()
        (execution,) = store.read_nodes(NodeQuery(EXECUTION))
        batch.event(ids[0], execution.id, EventType.INPUT)
    if rpc == "PutContexts":
        batch.context("T", name="alone")
    stand_in.fail(rpc, StatusCode.ABORTED, forward=False, times=7)
    before = stand_in.counts[rpc]
    store.write(batch)
    assert stand_in.counts[rpc] - before == 8


def test_what_is_aborted_for_ever_is_busy(stand_in: StandIn) -> None:
    """After `retry_timeout` the error says that others write, and nothing is written."""
    config = KubeflowConfig(host="127.0.0.1", port=stand_in.port, retry_timeout=0.3)
    with closing(KubeflowMetadataStore.open(config)) as store:
        stand_in.fail("PutArtifacts", StatusCode.ABORTED, forward=False, times=10**6)
        batch = Batch()
        batch.artifact("T", name="a")
        with pytest.raises(BusyError, match="other writers"):
            store.write(batch)
        assert _names(store, ARTIFACT) == []


@pytest.mark.parametrize(
    ("rpc", "there"),
    [
        ("PutLineageSubgraph", "PutContexts"),
        ("PutAttributionsAndAssociations", "PutContexts and PutLineageSubgraph"),
        (
            "PutParentContexts",
            "PutContexts and PutLineageSubgraph and PutAttributionsAndAssociations",
        ),
    ],
)
@pytest.mark.parametrize("code", [StatusCode.INVALID_ARGUMENT, StatusCode.PERMISSION_DENIED])
def test_a_later_call_that_fails_says_what_was_written(
    stand_in: StandIn, store: KubeflowMetadataStore, rpc: str, there: str, code: StatusCode
) -> None:
    """A batch that takes several calls names those that had written, and the outcome is none."""
    batch = _step()
    alone = batch.context("T", name="alone")
    batch.attribution(alone, batch.artifact("T", name="other"))
    batch.parent(alone, batch.context("T", name="above"))
    stand_in.fail(rpc, code, forward=False)
    with pytest.raises(OutcomeUnknownError) as caught:
        store.write(batch)
    assert f"what {there} wrote is there, and the rest is not" in str(caught.value)
    assert set(_names(store, CONTEXT)) >= {"alone", "above"}


def _outrun(stand_in: StandIn, batch: Batch) -> None:
    """Somebody else writes first, and the answer to who came second is lost."""
    before = stand_in.rewrite

    def first_the_other(rpc: str, request: Any) -> None:
        if rpc == "PutArtifacts":
            stand_in.rewrite = before
            with closing(_open(stand_in)) as second:
                second.write(batch)

    stand_in.fail("PutArtifacts", StatusCode.UNAVAILABLE, forward=False)
    stand_in.rewrite = first_the_other


@pytest.mark.parametrize("mode", ["reuse", "insert"])
def test_a_name_that_somebody_else_took_meanwhile(
    stand_in: StandIn, store: KubeflowMetadataStore, mode: str
) -> None:
    """Reuse finds the other's node; of an insert in doubt nobody can tell whose it is."""
    other = Batch()
    other.artifact("T", name="a", uri="of the other")
    _outrun(stand_in, other)
    batch = Batch()
    if mode == "reuse":
        batch.artifact("T", name="a", uri="mine", mode=Reuse(by="name"))
        assert store.write(batch).nodes[ARTIFACT][0].outcome is Outcome.REUSED
    else:
        batch.artifact("T", name="a", uri="mine")
        with pytest.raises(OutcomeUnknownError, match="and now: "):
            store.write(batch)
        with pytest.raises(AlreadyExistsError):
            store.write(batch)
    (node,) = store.read_nodes(NodeQuery(ARTIFACT))
    assert getattr(node, "uri", None) == "of the other"


@pytest.mark.parametrize("rpc", ["PutTypes", "PutArtifacts", "PutLineageSubgraph"])
def test_an_answer_with_too_few_ids_is_no_result(
    stand_in: StandIn, store: KubeflowMetadataStore, rpc: str
) -> None:
    """A server that answers with nothing, as some proxies do, leaves the outcome unknown."""
    batch = _step() if rpc == "PutLineageSubgraph" else Batch()
    batch.artifact("New" if rpc == "PutTypes" else "T", name="a")
    if rpc == "PutTypes":
        batch.type(ARTIFACT, "New")
    stand_in.fail(rpc, EMPTY)
    with pytest.raises(OutcomeUnknownError, match=f"answered {rpc} with other ids"):
        store.write(batch)


def test_reads_wait_for_the_server(stand_in: StandIn, store: KubeflowMetadataStore) -> None:
    """A read that is not answered, cut off or aborted is made again; none sees an error."""
    store.write(_step())
    for what in (StatusCode.UNAVAILABLE, CUT, StatusCode.ABORTED):
        for rpc in ("GetArtifacts", "GetEventsByExecutionIDs", "GetExecutions"):
            stand_in.fail(rpc, what, times=2)
        assert _names(store, ARTIFACT) == ["model"]
        assert len(store.read_events(EventQuery())) == 1


def test_a_read_that_takes_too_long_says_for_how_long(
    stand_in: StandIn, store: KubeflowMetadataStore
) -> None:
    """The error names the call and the seconds; the next read works."""
    stand_in.fail("GetArtifacts", SILENCE)
    with pytest.raises(StorageError, match=r"did not answer GetArtifacts within 3 seconds"):
        _names(store, ARTIFACT)
    assert _names(store, ARTIFACT) == []


def test_states_survive_a_lost_answer(stand_in: StandIn, store: KubeflowMetadataStore) -> None:
    """An execution's end, whose answer is lost, is written; the next write sees it."""
    batch = Batch()
    batch.execution("T", name="e", state=ExecutionState.RUNNING)
    id = store.write(batch).nodes[EXECUTION][0].id
    for _ in range(2):
        ended = Batch()
        ended.execution(state=ExecutionState.COMPLETE, mode=Merge(id, fields=frozenset({"state"})))
        stand_in.fail("PutExecutions", StatusCode.UNAVAILABLE)
        store.write(ended)
    (node,) = store.read_nodes(NodeQuery(EXECUTION))
    assert getattr(node, "state", None) is ExecutionState.COMPLETE
