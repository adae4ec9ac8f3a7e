"""Sections 7 and 9 of the contract: whole batches, and their errors."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, Outcome, Replace, Reuse
from metastore.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    MetastoreError,
    NotFoundError,
)
from metastore.model import EventType, ExecutionState, LinkKind, NodeKind
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    STRING,
    UNKNOWN_ID,
    ContractBase,
    MakeStore,
    add,
    artifact,
    batch_with,
    events,
    execution,
    ids,
    links,
    needs,
    one,
    prepare,
    put,
    read,
    refuse,
    types,
    whole_text,
)
from metastore.testing._contents import compare_stores, contents

SECRET = "v3ry-s3cret-v4lue"


def _spoil(batch: Batch, how: str) -> None:
    """Make the batch one that is refused, by its last item of a kind."""
    if how == "type":
        batch.type(ARTIFACT, "Fine", {"a": INT})
        batch.type(ARTIFACT, "Fine", {"a": STRING})
    elif how == "node":
        batch.artifact("Fine")
        batch.artifact("nowhere")
    elif how == "property":
        batch.context("Fine", name="spoiled", properties={"undeclared": 1})
    elif how == "update":
        batch.execution(mode=Replace(UNKNOWN_ID))
    elif how == "event":
        batch.event(UNKNOWN_ID, batch.execution("Fine"), EventType.INPUT)
    elif how == "attribution":
        batch.attribution(batch.context("Fine", name="spoiled"), UNKNOWN_ID)
    elif how == "association":
        batch.association(UNKNOWN_ID, batch.execution("Fine"))
    else:
        spoiled = batch.context("Fine", name="spoiled")
        batch.parent(spoiled, spoiled)


class BatchContract(ContractBase):
    """A batch is written whole or not at all."""

    def test_a_whole_run_in_one_batch(self, store: BaseMetadataStore) -> None:
        """Types, nodes, events and links that refer to one another are written
        together. [7.1, 7.4]

        On failure: this uses every list of `Changes` at once; see first which smaller test fails
        too. If none does, `apply` mixes up `New(0)` of types, artifacts, executions and contexts:
        each counts its own list.
        """
        batch = Batch()
        batch.type(ARTIFACT, "Dataset", {"rows": INT})
        model_type = batch.type(ARTIFACT, "Model", {"name": STRING}, version="2")
        batch.type(EXECUTION, "Train", {"seed": INT})
        for name in ("Pipeline", "Run"):
            batch.type(CONTEXT, name)
        pipeline = batch.context("Pipeline", name="p")
        run = batch.context("Run", name="p-1")
        data = batch.artifact("Dataset", uri="s3://data", properties={"rows": 3})
        model = batch.artifact(model_type, uri="s3://model", properties={"name": "m"})
        train = batch.execution("Train", state=ExecutionState.COMPLETE, properties={"seed": 1})
        batch.event(data, train, EventType.INPUT, path=["data", 0])
        batch.event(model, train, EventType.OUTPUT, path=["model", 0])
        batch.parent(run, pipeline)
        for context in (pipeline, run):
            batch.association(context, train)
            for each in (data, model):
                batch.attribution(context, each)
        written = store.write(batch)
        assert [each.outcome for each in written.types] == [Outcome.CREATED] * 5
        assert artifact(store, written[model].id).properties == {"name": "m"}
        assert execution(store, written[train].id).properties == {"seed": 1}
        [made, used] = [
            [each.artifact_id for each in events(store) if each.type is type]
            for type in (EventType.OUTPUT, EventType.INPUT)
        ]
        assert (made, used) == ([written[model].id], [written[data].id])
        assert ids(store, ARTIFACT, context_ids=[written[run].id]) == [
            written[data].id,
            written[model].id,
        ]
        assert links(store, LinkKind.PARENT) == [(written[run].id, written[pipeline].id)]
        assert written.artifacts == written.nodes[ARTIFACT]
        assert written.executions == written.nodes[EXECUTION]
        assert written.contexts == written.nodes[CONTEXT]

    @pytest.mark.parametrize("empty_store", [True, False])
    @pytest.mark.parametrize(
        "how",
        [
            "type",
            "node",
            "property",
            "update",
            "event",
            "attribution",
            "association",
            "parent",
        ],
    )
    def test_a_batch_that_fails_leaves_nothing(
        self, store: BaseMetadataStore, how: str, empty_store: bool
    ) -> None:
        """A batch whose last item is wrong leaves nothing, not even its types and updates. [7.1]

        On failure: the planner raises before `apply`, so what is left was written outside of the
        transaction or by `lookup`. A `write` of your own in several requests has to check all of
        the batch first, or to declare `atomic_batch="nodes"`.
        """
        needs(store, "atomic_batch", "full")
        batch = batch_with("Fine", a=INT)
        if not empty_store:
            prepare(store, a=INT)
            stored = put(store, ARTIFACT, properties={"a": 1}, custom_properties={"b": 2}).id
            batch.type(ARTIFACT, "T", {"a": INT, "new": INT}, can_add_properties=True)
            batch.artifact(mode=Replace(stored), properties={"a": 3})
            batch.event(stored, batch.execution("Fine"), EventType.INPUT)
            batch.attribution(batch.context("Fine", name="group of stored"), stored)
        made, ran = batch.artifact("Fine", external_id="x"), batch.execution("Fine")
        group, above = batch.context("Fine", name="group"), batch.context("Fine", name="above")
        batch.event(made, ran, EventType.OUTPUT, path=["a"])
        batch.attribution(group, made)
        batch.association(group, ran)
        batch.parent(group, above)
        _spoil(batch, how)
        refuse(store, batch, MetastoreError)
        assert "Fine" not in types(store, ARTIFACT)

    def test_the_same_batch_succeeds_once_it_is_right(self, store: BaseMetadataStore) -> None:
        """After a failure, names, external ids and types of the batch are still free. [7.1, 9.6]

        On failure: an index or cache in memory kept names, external ids or types of the batch that
        failed. Put them there when the transaction commits, not before.
        """
        needs(store, "atomic_batch", "full")
        for how in ("node", "event", "property"):
            batch = batch_with("Fine")
            batch.artifact("Fine", name=f"n {how}", external_id=f"x {how}")
            _spoil(batch, how)
            refuse(store, batch, MetastoreError)
            batch = batch_with("Fine")
            ref = batch.artifact("Fine", name=f"n {how}", external_id=f"x {how}")
            assert store.write(batch)[ref].outcome is Outcome.CREATED

    def test_results_are_aligned(self, store: BaseMetadataStore) -> None:
        """Results come in the order of the drafts, whatever their modes and types. [7.4]

        On failure: `Applied` has ids of inserts only, here one type and four artifacts. An id for
        every draft, or for updates as well, moves all results by some places.
        """
        prepare(store, "T", "U", a=INT)
        old = [put(store, ARTIFACT, name=f"old {number}").id for number in range(3)]
        batch = Batch()
        batch.type(ARTIFACT, "U", {"a": INT})
        batch.type(ARTIFACT, "New")
        batch.type(ARTIFACT, "T", {"a": INT, "b": INT}, can_add_properties=True)
        refs = [
            batch.artifact("U", name="first"),
            batch.artifact(mode=Merge(old[2]), properties={"a": 1}),
            batch.artifact("New", name="second"),
            batch.artifact("T", name="old 0", mode=Reuse("name")),
            batch.artifact("T", name="third"),
            batch.artifact(mode=Replace(old[1])),
            batch.artifact("T", name="fourth", mode=Reuse("name")),
        ]
        written = store.write(batch)
        assert [each.outcome for each in written.types] == [
            Outcome.REUSED,
            Outcome.CREATED,
            Outcome.UPDATED,
        ]
        assert [written[ref] for ref in refs] == list(written.artifacts)
        assert [one(store, ARTIFACT, each.id).name for each in written.artifacts] == [
            "first",
            "old 2",
            "second",
            "old 0",
            "third",
            "old 1",
            "fourth",
        ]
        assert [each.outcome for each in written.artifacts] == [
            Outcome.CREATED,
            Outcome.UPDATED,
            Outcome.CREATED,
            Outcome.REUSED,
            Outcome.CREATED,
            Outcome.REUSED,
            Outcome.CREATED,
        ]
        assert list(written.executions) == list(written.contexts) == []

    def test_an_empty_batch(self, store: BaseMetadataStore) -> None:
        """An empty batch is written without effect. [7.5]

        On failure: neither `lookup` nor `apply` is called: `transaction` must be able to end
        without them. A `write` of your own returns empty lists for every kind, and does not send an
        empty request.
        """
        before = contents(store)
        written = store.write(Batch())
        assert list(written.types) == []
        assert all(list(written.nodes[kind]) == [] for kind in NodeKind)
        assert contents(store) == before

    def test_a_batch_can_be_written_again(self, new_store: MakeStore) -> None:
        """A batch written to two stores leaves the same in both. [7.6, 10.8]

        On failure: a `write` of your own put ids or resolved types into the batch, or took drafts
        out of it. If the first comparison fails, see whether `make_store` opens two stores over one
        place.
        """
        first, second = new_store(), new_store()
        batch = batch_with(a=INT)
        made = batch.artifact("T", uri="x", properties={"a": 1}, create_time_ms=5, update_time_ms=6)
        ran = batch.execution("T", create_time_ms=5, update_time_ms=6)
        batch.event(made, ran, EventType.OUTPUT, path=["a", 0], time_ms=7)
        first.write(batch)
        second.write(batch)
        times = first.CAPABILITIES.given_times
        assert compare_stores(first, second, times=times) == []
        assert len(read(first, ARTIFACT)) == 1
        again = first.write(batch)
        assert [each.outcome for each in again.types] == [Outcome.REUSED] * 3
        assert len(read(first, ARTIFACT)) == len(events(first)) == 2

    def test_a_batch_that_failed_can_be_written_again(self, store: BaseMetadataStore) -> None:
        """A batch that failed can be written once what it missed is there. [7.6]

        On failure: a cache in `lookup` remembered that "T" is not there. Keep only types that were
        found; a `write` of your own must not keep a half-made request in the batch either.
        """
        batch = Batch()
        ref = batch.artifact("T")
        refuse(store, batch, NotFoundError)
        prepare(store)
        assert store.write(batch)[ref].outcome is Outcome.CREATED

    @ALL_KINDS
    def test_a_large_batch(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A batch of thousands of nodes is written and read back in one piece. [7.1, 8.9]

        On failure: look for limits: variables of a statement, size of a message (4 MB in gRPC),
        rows of an answer. If only the order is wrong, the ids in `Applied` came back from the
        database in another one.
        """
        count = 2500
        batch = batch_with(a=INT)
        for number in range(count):
            add(
                batch,
                kind,
                name=f"n{number}",
                external_id=f"x{number}",
                properties={"a": number},
                custom_properties={"b": str(number)},
            )
        written = store.write(batch).nodes[kind]
        found = read(store, kind)
        assert [node.id for node in found] == [each.id for each in written]
        assert [node.properties["a"] for node in found] == list(range(count))
        assert [node.custom_properties["b"] for node in found] == [str(n) for n in range(count)]
        batch = Batch()
        for number in range(count):
            add(batch, kind, name=f"n{number}", mode=Reuse("name"))
        again = store.write(batch).nodes[kind]
        assert [each.id for each in again] == [each.id for each in written]

    def test_errors_name_what_is_wrong(self, store: BaseMetadataStore) -> None:
        """An error names kind, position and name of the draft, in attributes and in words. [9.4]

        On failure: `transaction` replaced the planner's error by one of its own; turn only
        exceptions of your driver into `StorageError`. A `write` of your own fills all of
        `Offender`, not the message alone.
        """
        prepare(store)
        batch = Batch()
        batch.context("T", name="fine")
        batch.context("T", name="the wrong one", properties={"zz": 1})
        error = refuse(
            store,
            batch,
            InvalidError,
            kind="context",
            index=1,
            name="the wrong one",
            property="zz",
            id=None,
        )
        for word in ("context", "the wrong one", "1", "zz"):
            assert word in str(error)

    @pytest.mark.parametrize(
        "case", ["kind", "undeclared", "none", "nan", "taken", "conflict", "dangling", "struct"]
    )
    def test_errors_show_no_values(self, store: BaseMetadataStore, case: str) -> None:
        """Neither an error's message nor its causes show a property's value. [9.5]

        On failure: drivers put a statement's parameters into their messages, and `__cause__` and
        `__context__` show them. Use `hide_parameters` in SQLAlchemy, clean the message, or leave
        the cause out (`from None`); and do not put a request or draft into a text.
        """
        prepare(store, a=INT, s=STRING)
        stored = put(store, ARTIFACT, name="n", properties={"s": SECRET})
        batch = Batch()
        values: dict[str, Any] = {"s": SECRET}
        expected: type[MetastoreError] = InvalidError
        if case == "kind":
            batch.artifact("T", properties=values | {"a": SECRET})
        elif case == "undeclared":
            batch.artifact("T", properties=values | {"zz": SECRET})
        elif case == "none":
            thing: Any = (SECRET,)
            batch.artifact("T", properties=values, custom_properties={"zz": thing})
        elif case == "nan":
            batch.artifact("T", properties=values, custom_properties={"zz": SECRET + "\ud800"})
        elif case == "struct":
            bad: Any = {"deep": [SECRET, {SECRET}]}
            batch.artifact("T", properties=values, custom_properties={"zz": bad})
        elif case == "taken":
            expected = AlreadyExistsError
            batch.artifact("T", name="n", properties=values)
        elif case == "conflict":
            expected = ConflictError
            mode = Merge(stored.id, expected_update_time_ms=1)
            batch.artifact(mode=mode, properties=values)
        else:
            expected = NotFoundError
            batch.event(batch.artifact("T", properties=values), UNKNOWN_ID, EventType.INPUT)
        error = refuse(store, batch, expected)
        assert SECRET not in whole_text(error)

    def test_the_store_works_on_after_errors(self, store: BaseMetadataStore) -> None:
        """Reads and writes work after any number of refused batches. [9.6]

        On failure: a refused batch left its transaction, its lock or its connection open, and the
        pool is empty after some. Roll back and give back in a `finally` around the `yield` of
        `transaction`.
        """
        prepare(store)
        for number in range(20):
            batch = Batch()
            batch.artifact("T", name=f"{number}")
            batch.artifact("nowhere")
            refuse(store, batch, NotFoundError)
        put(store, ARTIFACT, name="0")
        assert [node.name for node in read(store, ARTIFACT)] == ["0"]

    def test_stores_are_independent(self, new_store: MakeStore) -> None:
        """What is written to one store is not in another. [10.8]

        On failure: data are in a class attribute or a global of your module, or `make_store` gives
        the same file, schema or namespace each time.
        """
        first, second = new_store(), new_store()
        prepare(first)
        put(first, ARTIFACT, name="n")
        assert types(second, ARTIFACT) == {}
        assert read(second, ARTIFACT) == []
