"""The planner alone: every rule that a batch can break, and the error that says so."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import pytest

import metastore.rules
from metastore.batch import ALL, Batch, EventDraft, LinkDraft, Merge, NodeDraft, Ref, Replace, Reuse
from metastore.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    MetastoreError,
    NotFoundError,
)
from metastore.model import EventType, ExecutionState, LinkKind, TypeKey

from .stored import ARTIFACT, CONTEXT, DOUBLE, EXECUTION, INT, STRING, world

SECRET = "s3cr3t"
HALF = "\ud800"


def _link(kind: LinkKind, context: Any, other: Any) -> Any:
    return lambda batch: batch.links[kind].append(LinkDraft(context, other))


def _event(artifact: Any, execution: Any, type: Any, **fields: Any) -> Any:
    return lambda batch: batch.events.append(EventDraft(artifact, execution, type, **fields))


# What breaks a rule; the error; its offender; words of the message: what is wrong, what to do.
CASES: dict[str, tuple[Any, type[MetastoreError], dict[str, Any], tuple[str, ...]]] = {
    # Types.
    "type without name": (
        lambda batch: batch.type(ARTIFACT, ""),
        InvalidError,
        {"kind": "artifact type", "index": 0},
        ("no name",),
    ),
    "type whose name is no text": (
        lambda batch: batch.type(CONTEXT, 7),
        InvalidError,
        {"kind": "context type", "index": 0, "name": None},
        ("name", "int"),
    ),
    "type with half a pair": (
        lambda batch: batch.type(ARTIFACT, "N", description=HALF),
        InvalidError,
        {"kind": "artifact type", "name": "N"},
        ("description", "surrogate"),
    ),
    "type property without kind": (
        lambda batch: batch.type(ARTIFACT, "N", {"p": 3}),
        InvalidError,
        {"kind": "artifact type", "property": "p"},
        ("'p'", "INT"),
    ),
    "type property without key": (
        lambda batch: batch.type(ARTIFACT, "N", {None: INT}),
        InvalidError,
        {"kind": "artifact type", "property": None},
        ("no name", "give"),
    ),
    "type properties no mapping": (
        lambda batch: batch.type(ARTIFACT, "N", ["p"]),
        InvalidError,
        {"kind": "artifact type"},
        ("mapping", "dict"),
    ),
    "type property new": (
        lambda batch: batch.type(ARTIFACT, "T", {"a": INT, "d": DOUBLE, "n": INT}),
        AlreadyExistsError,
        {"kind": "artifact type", "index": 0, "name": "T", "property": "n"},
        ("'n'", "can_add_properties"),
    ),
    "type property omitted": (
        lambda batch: batch.type(ARTIFACT, "T", {"a": INT}),
        AlreadyExistsError,
        {"kind": "artifact type", "name": "T", "property": "d"},
        ("'d'", "can_omit_properties"),
    ),
    "type property of another kind": (
        lambda batch: batch.type(
            ARTIFACT, "T", {"a": STRING}, can_add_properties=True, can_omit_properties=True
        ),
        AlreadyExistsError,
        {"kind": "artifact type", "name": "T", "property": "a"},
        ("INT", "STRING", "another name"),
    ),
    "second draft of a new type": (
        lambda batch: (batch.type(ARTIFACT, "N", {"a": INT}), batch.type(ARTIFACT, "N")),
        AlreadyExistsError,
        {"kind": "artifact type", "index": 1, "name": "N", "property": "a"},
        ("can_omit_properties",),
    ),
    "type external id of another type": (
        lambda batch: batch.type(ARTIFACT, "N", external_id="type-x"),
        AlreadyExistsError,
        {"kind": "artifact type", "name": "N"},
        ("'T'", "unique"),
    ),
    "type external id of another kind": (
        lambda batch: batch.type(CONTEXT, "N", external_id="type-x"),
        AlreadyExistsError,
        {"kind": "context type", "name": "N"},
        ("artifact type 'T'", "all kinds"),
    ),
    "type external id twice in the batch": (
        lambda batch: (
            batch.type(EXECUTION, "N", external_id="n"),
            batch.type(CONTEXT, "M", external_id="n"),
        ),
        AlreadyExistsError,
        {"kind": "context type", "index": 1, "name": "M"},
        ("external id",),
    ),
    "base type that is none": (
        lambda batch: batch.type(ARTIFACT, "N", base_type="T"),
        InvalidError,
        {"kind": "artifact type", "name": "N"},
        ("'T'", "mlmd.Model"),
    ),
    "base type of another kind": (
        lambda batch: batch.type(CONTEXT, "N", base_type="mlmd.Model"),
        InvalidError,
        {"kind": "context type", "name": "N"},
        ("none",),
    ),
    "base type that changes": (
        lambda batch: batch.type(ARTIFACT, "T", {"b": INT}, version="2", base_type="mlmd.Model"),
        InvalidError,
        {"kind": "artifact type", "name": "T"},
        ("mlmd.Dataset", "never changes"),
    ),
    "base type of itself": (
        lambda batch: batch.type(ARTIFACT, "mlmd.Model", base_type="mlmd.Model"),
        InvalidError,
        {"kind": "artifact type", "index": 0, "name": "mlmd.Model"},
        ("its own base type", "another base type"),
    ),
    "base type that the batch gave": (
        lambda batch: (
            batch.type(ARTIFACT, "U", base_type="mlmd.Model"),
            batch.type(ARTIFACT, "U", base_type="mlmd.Dataset"),
        ),
        InvalidError,
        {"kind": "artifact type", "index": 1, "name": "U"},
        ("mlmd.Model", "never changes"),
    ),
    # Nodes: their types.
    "node without type": (
        lambda batch: batch.artifact(),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("no type",),
    ),
    "node of an unknown type": (
        lambda batch: (batch.artifact("T"), batch.artifact("N", name="n")),
        NotFoundError,
        {"kind": "artifact", "index": 1, "name": "n"},
        ("'N'", "add the type"),
    ),
    "node of an unknown version": (
        lambda batch: batch.artifact(TypeKey(ARTIFACT, "T", "9")),
        NotFoundError,
        {"kind": "artifact"},
        ("'T@9'", "correct"),
    ),
    "node of a type of another kind": (
        lambda batch: batch.execution(TypeKey(ARTIFACT, "T")),
        NotFoundError,
        {"kind": "execution"},
        ("execution type",),
    ),
    "node of a type id of another kind": (
        lambda batch: batch.execution(10),
        NotFoundError,
        {"kind": "execution"},
        ("id 10", "correct"),
    ),
    "node whose type is a thing": (
        lambda batch: batch.artifact(1.5),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("float", "TypeKey"),
    ),
    "node whose type is a bool": (
        lambda batch: batch.artifact(True),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("bool",),
    ),
    "node whose type key is empty": (
        lambda batch: batch.artifact(TypeKey(ARTIFACT, None)),  # type: ignore[arg-type]
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("no name",),
    ),
    "node of a version with half a pair": (
        lambda batch: batch.artifact(TypeKey(ARTIFACT, "T", HALF)),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("version", "surrogate"),
    ),
    "node without mode": (
        lambda batch: batch.artifact("T", mode="insert"),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("mode", "Insert()"),
    ),
    # Nodes: their values.
    "property not declared": (
        lambda batch: batch.artifact("T", name="n", properties={"zz": SECRET}),
        InvalidError,
        {"kind": "artifact", "index": 0, "name": "n", "property": "zz"},
        ("'zz'", "custom property"),
    ),
    "property of another kind": (
        lambda batch: batch.artifact("T", properties={"a": SECRET}),
        InvalidError,
        {"kind": "artifact", "property": "a"},
        ("STRING", "INT", "declares"),
    ),
    "int for a double": (
        lambda batch: batch.artifact("T", properties={"d": 1}),
        InvalidError,
        {"kind": "artifact", "property": "d"},
        ("INT", "DOUBLE", "1.0"),
    ),
    "property without content": (
        lambda batch: batch.artifact("T", properties={"a": None}),
        InvalidError,
        {"kind": "artifact", "property": "a"},
        ("None", "leave"),
    ),
    "custom property that nothing holds": (
        lambda batch: batch.artifact("T", custom_properties={"c": [SECRET]}),
        InvalidError,
        {"kind": "artifact", "property": "c"},
        ("list", "holds"),
    ),
    "custom property that is no number": (
        lambda batch: batch.artifact("T", custom_properties={"c": float("nan")}),
        InvalidError,
        {"kind": "artifact", "property": "c"},
        ("NaN", "leave"),
    ),
    "custom property that is too large": (
        lambda batch: batch.artifact("T", custom_properties={"c": 2**63}),
        InvalidError,
        {"kind": "artifact", "property": "c"},
        ("64 bits", "leave"),
    ),
    "custom property with half a pair": (
        lambda batch: batch.artifact("T", custom_properties={"c": HALF}),
        InvalidError,
        {"kind": "artifact", "property": "c"},
        ("surrogate", "leave"),
    ),
    "custom property key with half a pair": (
        lambda batch: batch.artifact("T", custom_properties={HALF: 1}),
        InvalidError,
        {"kind": "artifact"},
        ("key", "surrogate"),
    ),
    "text for a double": (
        lambda batch: batch.artifact("T", properties={"d": SECRET}),
        InvalidError,
        {"kind": "artifact", "property": "d"},
        ("STRING", "its type declares DOUBLE"),
    ),
    "double for an int": (
        lambda batch: batch.artifact("T", properties={"a": 1.0}),
        InvalidError,
        {"kind": "artifact", "property": "a"},
        ("DOUBLE", "its type declares INT"),
    ),
    "custom property key that is no text": (
        lambda batch: batch.artifact("T", custom_properties={7: 1}),
        InvalidError,
        {"kind": "artifact", "property": None},
        ("key", "int"),
    ),
    "properties no mapping": (
        lambda batch: batch.artifact("T", properties=[("a", 1)]),
        InvalidError,
        {"kind": "artifact"},
        ("mapping", "dict"),
    ),
    "custom properties none": (
        lambda batch: batch.artifact("T", custom_properties=None),
        InvalidError,
        {"kind": "artifact"},
        ("mapping", "dict"),
    ),
    "name that is no text": (
        lambda batch: batch.artifact("T", name=7),
        InvalidError,
        {"kind": "artifact", "name": None},
        ("name", "int"),
    ),
    "name that cannot be looked up": (
        lambda batch: batch.artifact("T", name=["n"]),
        InvalidError,
        {"kind": "artifact"},
        ("name", "list"),
    ),
    "uri that is none": (
        lambda batch: batch.artifact("T", uri=b"u"),
        InvalidError,
        {"kind": "artifact"},
        ("uri", "bytes"),
    ),
    "external id with half a pair": (
        lambda batch: batch.artifact("T", external_id=HALF),
        InvalidError,
        {"kind": "artifact"},
        ("external id", "surrogate"),
    ),
    "uri of an execution": (
        lambda batch: batch.add(EXECUTION, NodeDraft("E", uri="u")),
        InvalidError,
        {"kind": "execution"},
        ("uri", "custom property"),
    ),
    "state of a context": (
        lambda batch: batch.add(CONTEXT, NodeDraft("C", name="n", state=1)),
        InvalidError,
        {"kind": "context", "name": "n"},
        ("state", "custom property"),
    ),
    "state of another kind": (
        lambda batch: batch.artifact("T", state=ExecutionState.NEW),
        InvalidError,
        {"kind": "artifact"},
        ("ArtifactState", "LIVE"),
    ),
    "state that is none": (
        lambda batch: batch.execution("E", state=7),
        InvalidError,
        {"kind": "execution"},
        ("ExecutionState", "RUNNING"),
    ),
    "time that is none": (
        lambda batch: batch.artifact("T", create_time_ms=1.5),
        InvalidError,
        {"kind": "artifact"},
        ("time", "milliseconds since"),
    ),
    "update time that is none": (
        lambda batch: batch.artifact("T", update_time_ms=1.5),
        InvalidError,
        {"kind": "artifact"},
        ("milliseconds since",),
    ),
    # Nodes: names and external ids.
    "context without name": (
        lambda batch: batch.context("C"),
        InvalidError,
        {"kind": "context", "index": 0},
        ("no name", "every context"),
    ),
    "context with an empty name": (
        lambda batch: batch.context("C", name=""),
        InvalidError,
        {"kind": "context", "index": 0},
        ("no name",),
    ),
    "name taken": (
        lambda batch: batch.artifact("T", name="art"),
        AlreadyExistsError,
        {"kind": "artifact", "index": 0, "name": "art"},
        ("name", "reuse"),
    ),
    "name taken in the batch": (
        lambda batch: (batch.artifact("U", name="n"), batch.artifact(11, name="n")),
        AlreadyExistsError,
        {"kind": "artifact", "index": 1, "name": "n"},
        ("another name",),
    ),
    "external id taken": (
        lambda batch: batch.artifact("U", external_id="x"),
        AlreadyExistsError,
        {"kind": "artifact", "index": 0},
        ("external id", "reuse"),
    ),
    "external id taken in the batch": (
        lambda batch: (
            batch.context("C", name="1", external_id="e"),
            batch.context("C", name="2", external_id="e"),
        ),
        AlreadyExistsError,
        {"kind": "context", "index": 1, "name": "2"},
        ("external id",),
    ),
    # Updates.
    "update of nothing": (
        lambda batch: batch.artifact(mode=Replace(999)),
        NotFoundError,
        {"kind": "artifact", "index": 0, "id": 999},
        ("999", "insert"),
    ),
    "update without id": (
        lambda batch: batch.artifact(mode=Merge(None)),  # type: ignore[arg-type]
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("no id", "give"),
    ),
    "update to another type": (
        lambda batch: batch.artifact("U", mode=Replace(100)),
        InvalidError,
        {"kind": "artifact", "id": 100},
        ("'T'", "'U'", "never changes"),
    ),
    "update to another version": (
        lambda batch: batch.artifact(TypeKey(ARTIFACT, "T", "2"), mode=Merge(100)),
        InvalidError,
        {"kind": "artifact", "id": 100},
        ("'T@2'",),
    ),
    "update of what changed": (
        lambda batch: batch.artifact(mode=Merge(100, expected_update_time_ms=1999)),
        ConflictError,
        {"kind": "artifact", "index": 0, "id": 100},
        ("changed", "read it again"),
    ),
    "update that the batch made stale": (
        lambda batch: (
            batch.artifact(mode=Merge(100), properties={"a": 2}),
            batch.artifact(mode=Merge(100, expected_update_time_ms=2000), properties={"a": 3}),
        ),
        ConflictError,
        {"kind": "artifact", "index": 1, "id": 100},
        ("changed",),
    ),
    "replace by an undeclared property": (
        lambda batch: batch.artifact(mode=Replace(100), properties={"zz": 1}),
        InvalidError,
        {"kind": "artifact", "property": "zz"},
        ("'zz'", "declare"),
    ),
    "merge of an undeclared property": (
        lambda batch: batch.artifact(mode=Merge(100, properties=ALL), properties={"zz": 1}),
        InvalidError,
        {"kind": "artifact", "id": 100, "property": "zz"},
        ("'zz'",),
    ),
    "merge of a field that is none": (
        lambda batch: batch.artifact(mode=Merge(100, frozenset({"name"}))),
        InvalidError,
        {"kind": "artifact", "id": 100},
        ("'name'", "uri"),
    ),
    "merge of a bad state": (
        lambda batch: batch.artifact(
            mode=Merge(100, frozenset({"state"})), state=ExecutionState.NEW
        ),
        InvalidError,
        {"kind": "artifact"},
        ("ArtifactState",),
    ),
    "context that loses its name": (
        lambda batch: batch.context(mode=Replace(300)),
        InvalidError,
        {"kind": "context", "id": 300},
        ("no name",),
    ),
    "context that takes a name": (
        lambda batch: batch.context(mode=Merge(300, frozenset({"name"})), name="group"),
        AlreadyExistsError,
        {"kind": "context", "id": 300, "name": "group"},
        ("another name",),
    ),
    "update that takes an external id": (
        lambda batch: batch.artifact(mode=Replace(100), external_id="y"),
        AlreadyExistsError,
        {"kind": "artifact", "id": 100},
        ("external id",),
    ),
    "name that the batch takes away": (
        lambda batch: (
            batch.context(mode=Merge(300, frozenset({"name"})), name="new"),
            batch.context("C", name="run"),
        ),
        AlreadyExistsError,
        {"kind": "context", "index": 1, "name": "run"},
        ("takes", "batches of their own"),
    ),
    "external id that the batch takes away": (
        lambda batch: (
            batch.artifact(mode=Merge(100, frozenset({"external_id"}))),
            batch.artifact(mode=Merge(101, frozenset({"external_id"})), external_id="x"),
        ),
        AlreadyExistsError,
        {"kind": "artifact", "index": 1, "id": 101},
        ("batches of their own",),
    ),
    "name to reuse that the batch takes away": (
        lambda batch: (
            batch.context(mode=Merge(300, frozenset({"name"})), name="new"),
            batch.context("C", name="run", mode=Reuse("name")),
        ),
        AlreadyExistsError,
        {"kind": "context", "index": 1, "name": "run"},
        ("batches of their own",),
    ),
    "external id to reuse that the batch takes away": (
        lambda batch: (
            batch.artifact(mode=Merge(100, frozenset({"external_id"}))),
            batch.artifact("T", external_id="x", mode=Reuse("external_id")),
        ),
        AlreadyExistsError,
        {"kind": "artifact", "index": 1},
        ("batches of their own",),
    ),
    "time of an update": (
        lambda batch: batch.artifact(mode=Merge(100), properties={"a": 2}, update_time_ms="now"),
        InvalidError,
        {"kind": "artifact", "id": 100},
        ("milliseconds since",),
    ),
    # Reuse.
    "reuse by nothing": (
        lambda batch: batch.artifact("T", mode=Reuse("name")),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("name", "insert the node"),
    ),
    "reuse by uri of a context": (
        lambda batch: batch.context("C", name="n", mode=Reuse("uri")),
        InvalidError,
        {"kind": "context", "name": "n"},
        ("uri", "external_id"),
    ),
    "reuse in an unknown way": (
        lambda batch: batch.context("C", name="n", mode=Reuse("id")),  # type: ignore[arg-type]
        InvalidError,
        {"kind": "context", "name": "n"},
        ("'external_id'",),
    ),
    "reuse with an unknown end": (
        lambda batch: batch.context("C", name="n", mode=Reuse("name", "drop")),  # type: ignore[arg-type]
        InvalidError,
        {"kind": "context", "name": "n"},
        ("'keep'",),
    ),
    "reuse without type": (
        lambda batch: batch.artifact(external_id="x", mode=Reuse("external_id", "merge")),
        InvalidError,
        {"kind": "artifact", "index": 0},
        ("no type",),
    ),
    "reuse of an unknown type": (
        lambda batch: batch.artifact("N", external_id="x", mode=Reuse("external_id", "merge")),
        NotFoundError,
        {"kind": "artifact", "index": 0},
        ("'N'",),
    ),
    "reuse that would change the type": (
        lambda batch: batch.artifact("T", external_id="z", mode=Reuse("external_id", "replace")),
        InvalidError,
        {"kind": "artifact", "index": 0, "id": 102},
        ("'U'", "never changes"),
    ),
    "reuse that would change a new node": (
        lambda batch: (
            batch.artifact("T", name="n"),
            batch.artifact("T", name="n", mode=Reuse("name", "merge")),
        ),
        InvalidError,
        {"kind": "artifact", "index": 1, "name": "n"},
        ("same batch", "keep"),
    ),
    # Events.
    "event without type": (
        _event(100, 200, None),
        InvalidError,
        {"kind": "event", "index": 0},
        ("no type", "OUTPUT"),
    ),
    "event of type unknown": (
        _event(100, 200, EventType.UNKNOWN),
        InvalidError,
        {"kind": "event", "index": 0},
        ("no type",),
    ),
    "event of a bool type": (
        _event(100, 200, True),
        InvalidError,
        {"kind": "event"},
        ("no type",),
    ),
    "event that is stored": (
        _event(100, 200, EventType.INPUT),
        AlreadyExistsError,
        {"kind": "event", "index": 0},
        ("exists already", "once"),
    ),
    "event twice": (
        lambda batch: (
            batch.event(101, 200, EventType.INPUT),
            batch.event(101, 200, EventType.INPUT, path=["other"], time_ms=1),
        ),
        AlreadyExistsError,
        {"kind": "event", "index": 1},
        ("exists already",),
    ),
    "event of no artifact": (
        _event(999, 200, EventType.INPUT),
        NotFoundError,
        {"kind": "event", "index": 0},
        ("artifact with id 999", "Ref"),
    ),
    "event of no execution": (
        _event(100, 999, EventType.INPUT),
        NotFoundError,
        {"kind": "event", "index": 0},
        ("execution with id 999", "correct"),
    ),
    "event without execution": (
        _event(100, None, EventType.INPUT),
        InvalidError,
        {"kind": "event", "index": 0},
        ("no execution", "give"),
    ),
    "event of a float, beside one of the equal int": (
        lambda batch: (
            batch.event(100, 200, EventType.OUTPUT),
            batch.event(100.0, 200, EventType.INTERNAL_INPUT),
        ),
        InvalidError,
        {"kind": "event", "index": 1},
        ("no artifact",),
    ),
    "event of the wrong draft": (
        _event(Ref(EXECUTION, 0), 200, EventType.INPUT),
        InvalidError,
        {"kind": "event", "index": 0},
        ("an artifact of this batch", "use the Ref"),
    ),
    "event of no draft": (
        _event(Ref(ARTIFACT, 0), 200, EventType.INPUT),
        InvalidError,
        {"kind": "event", "index": 0},
        ("this batch",),
    ),
    "event of another batch's draft": (
        _event(Ref(ARTIFACT, 0, 10**9), 200, EventType.INPUT),
        InvalidError,
        {"kind": "event", "index": 0},
        ("an artifact of another batch", "the id that it got"),
    ),
    "event with a bad path": (
        _event(101, 200, EventType.INPUT, path=("a", 1.0)),
        InvalidError,
        {"kind": "event", "index": 0},
        ("path", "integers and text"),
    ),
    "event with a large index in its path": (
        _event(101, 200, EventType.INPUT, path=(2**63,)),
        InvalidError,
        {"kind": "event", "index": 0},
        ("path", "64-bit"),
    ),
    "event with a bad time": (
        _event(101, 200, EventType.INPUT, time_ms=2**63),
        InvalidError,
        {"kind": "event", "index": 0},
        ("time", "milliseconds since"),
    ),
    # Links.
    "attribution of no artifact": (
        _link(LinkKind.ATTRIBUTION, 300, 200),
        NotFoundError,
        {"kind": "attribution", "index": 0},
        ("artifact with id 200", "correct"),
    ),
    "association of no context": (
        _link(LinkKind.ASSOCIATION, 100, 200),
        NotFoundError,
        {"kind": "association", "index": 0},
        ("context with id 100",),
    ),
    "association without execution": (
        _link(LinkKind.ASSOCIATION, 300, "exe"),
        InvalidError,
        {"kind": "association", "index": 0},
        ("no execution", "give"),
    ),
    "parent of the wrong draft": (
        _link(LinkKind.PARENT, 300, Ref(ARTIFACT, 0)),
        InvalidError,
        {"kind": "parent context", "index": 0},
        ("a context of this batch",),
    ),
    "parent of itself": (
        _link(LinkKind.PARENT, 300, 300),
        InvalidError,
        {"kind": "parent context", "index": 0},
        ("its own parent", "another context"),
    ),
    "parent that is stored": (
        _link(LinkKind.PARENT, 300, 301),
        AlreadyExistsError,
        {"kind": "parent context", "index": 0},
        ("exists already", "leave this one out"),
    ),
    "parent twice": (
        lambda batch: (batch.parent(300, 302), batch.parent(300, 302)),
        AlreadyExistsError,
        {"kind": "parent context", "index": 1},
        ("exists already",),
    ),
    "cycle over stored links": (
        _link(LinkKind.PARENT, 302, 300),
        InvalidError,
        {"kind": "parent context", "index": 0},
        ("cycle", "ancestors"),
    ),
    "cycle of two": (
        _link(LinkKind.PARENT, 301, 300),
        InvalidError,
        {"kind": "parent context", "index": 0},
        ("cycle",),
    ),
    "cycle over a new context": (
        lambda batch: (
            batch.context("C", name="n"),
            batch.parent(Ref(CONTEXT, 0), 300),
            batch.parent(302, Ref(CONTEXT, 0)),
        ),
        InvalidError,
        {"kind": "parent context", "index": 0},
        ("cycle",),
    ),
    "cycle of new contexts, behind links that are fine": (
        lambda batch: (
            batch.context("C", name="1"),
            batch.context("C", name="2"),
            batch.parent(Ref(CONTEXT, 0), 300),
            batch.parent(Ref(CONTEXT, 0), Ref(CONTEXT, 1)),
            batch.parent(Ref(CONTEXT, 1), Ref(CONTEXT, 0)),
        ),
        InvalidError,
        {"kind": "parent context", "index": 1},
        ("cycle",),
    ),
}


@pytest.mark.parametrize(("build", "error", "offender", "words"), CASES.values(), ids=CASES)
def test_a_broken_rule_is_an_error(
    build: Any, error: type[MetastoreError], offender: dict[str, Any], words: tuple[str, ...]
) -> None:
    """A batch that breaks a rule raises the class of that rule, names its offender, and says what
    is wrong and what to do, without a value.
    """
    batch = Batch()
    build(batch)
    with pytest.raises(error) as raised:
        world().changes(batch)
    assert type(raised.value) is error
    found = raised.value.offender
    assert found is not None
    assert {name: getattr(found, name) for name in offender} == offender
    text = str(raised.value)
    for word in words:
        assert word in text
    assert raised.value.hint or "surrogate" in text or "is of type" in text
    assert SECRET not in text
    # A hint that lists what may be used does not offer what may not.
    assert error is not InvalidError or found.kind != "event" or "UNKNOWN" not in text


# Those whose Refs count from the beginning of the batch are left out.
_ANYWHERE = {name: case for name, case in CASES.items() if "new context" not in name}


@pytest.mark.parametrize(("build", "error", "offender", "_"), _ANYWHERE.values(), ids=_ANYWHERE)
def test_what_is_right_hides_nothing(
    build: Any, error: type[MetastoreError], offender: dict[str, Any], _: object
) -> None:
    """What is right in a batch does not hide what is wrong behind it, nor shift its position."""
    batch = Batch()
    batch.type(CONTEXT, "Fine", {"p": INT})
    batch.context("Fine", name="fine", external_id="fine", properties={"p": 1})
    batch.attribution(300, 100)
    build(batch)
    with pytest.raises(error) as raised:
        world().changes(batch)
    found = raised.value.offender
    assert found is not None
    assert found.kind is not None
    before = 1 if found.kind.endswith("type") or found.kind in {"context", "attribution"} else 0
    assert found.index == offender.get("index", 0) + before


def test_of_several_wrong_nodes_the_first_is_told_about() -> None:
    """Artifacts come before executions, executions before contexts, each in the batch's order;
    that a type is missing is not found out sooner.
    """
    batch = Batch()
    batch.context("Nowhere", name="c")
    batch.execution("Nowhere", name="e")
    batch.artifact(mode=Replace(999))
    batch.artifact("Nowhere", name="a")
    told = []
    while True:
        with pytest.raises(MetastoreError) as raised:
            world().changes(batch)
        found = raised.value.offender
        assert found is not None
        told.append((found.kind, found.index))
        if found.kind == "context":
            break
        kind = ARTIFACT if found.kind == "artifact" else EXECUTION
        del batch.nodes[kind][0]
    assert told == [("artifact", 0), ("artifact", 0), ("execution", 0), ("context", 0)]


def test_every_error_of_the_rules_is_raised_here() -> None:
    """The table has a case for every `raise` of an error of ours in the rules."""
    folder = Path(metastore.rules.__file__).parent
    lines = [
        (path.name, number)
        for path in sorted(folder.glob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line.strip().startswith(("raise ", "return InvalidError(", "return NotFoundError("))
        and not line.strip().startswith("raise self.")
    ]
    seen: set[tuple[str, int]] = set()

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(str(folder)):
            return None
        if event == "line":
            seen.add((Path(frame.f_code.co_filename).name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for build, error, _, _ in CASES.values():
            batch = Batch()
            build(batch)
            with contextlib.suppress(error):
                world().changes(batch)
    finally:
        sys.settrace(before)
    assert lines
    assert [line for line in lines if line not in seen] == []
