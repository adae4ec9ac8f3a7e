"""Section 4 of the contract: nodes inserted."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Outcome, Reuse
from metastore.errors import AlreadyExistsError, InvalidError, NotFoundError
from metastore.model import (
    Artifact,
    ArtifactState,
    Context,
    Execution,
    ExecutionState,
    NodeKind,
    PropertyKind,
    TypeKey,
)
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    BOOLEAN,
    CONTEXT,
    DOUBLE,
    EXECUTION,
    INT,
    PROTO,
    STRING,
    STRUCT,
    UNKNOWN_ID,
    ContractBase,
    add,
    artifact,
    batch_with,
    execution,
    needs,
    one,
    one_type,
    prepare,
    put,
    read,
    refuse,
)
from metastore.testing._clock import now_ms, was_between
from metastore.testing._contents import exact

_STATES: dict[NodeKind, Any] = {ARTIFACT: ArtifactState, EXECUTION: ExecutionState}
_CLASSES = {ARTIFACT: Artifact, EXECUTION: Execution, CONTEXT: Context}


class NodeContract(ContractBase):
    """Nodes are inserted."""

    @ALL_KINDS
    def test_a_node_comes_back_whole(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A node has all that its draft said, and its class, its type's id and name. [4.1, 8.12]

        On failure: compare `NodeInsert`, field by field, with what `read_nodes` builds. The node's
        `type` is the name that belongs to `type_id`, and its `state` a member of `ArtifactState` or
        `ExecutionState`, not a number.
        """
        prepare(store, a=INT)
        fields: dict[str, Any] = {"uri": "file:///x"} if kind is ARTIFACT else {}
        if kind is not CONTEXT:
            fields["state"] = _STATES[kind](2)
        written = put(
            store,
            kind,
            name="n",
            external_id="e",
            properties={"a": 1},
            custom_properties={"b": "c"},
            **fields,
        )
        assert written.outcome is Outcome.CREATED
        node = one(store, kind, written.id)
        assert type(node) is _CLASSES[kind]
        assert (node.id, node.name, node.external_id) == (written.id, "n", "e")
        assert (node.type_id, node.type) == (one_type(store, kind, "T").id, "T")
        assert exact(node.properties) == exact({"a": 1})
        assert exact(node.custom_properties) == exact({"b": "c"})
        for name, value in fields.items():
            assert getattr(node, name) == value
            assert type(getattr(node, name)) is type(value)

    @ALL_KINDS
    def test_what_a_node_leaves_out_is_none(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A node without name, external id, uri, state and properties has none of them.
        [1.6-1.8]

        On failure: store NULL where `NodeInsert` has None, not "" and not 0; only an absent uri is
        "". A column of states with a default of 0 makes every state UNKNOWN.
        """
        prepare(store, a=INT)
        node = one(store, kind, put(store, kind, name="n" if kind is CONTEXT else None).id)
        assert node.name == ("n" if kind is CONTEXT else None)
        assert node.external_id is None
        assert (node.properties, node.custom_properties) == ({}, {})
        assert not isinstance(node, Artifact) or node.uri == ""
        assert isinstance(node, Context) or node.state is None

    @pytest.mark.parametrize("kind", [ARTIFACT, EXECUTION])
    def test_every_state(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """Every state comes back, UNKNOWN apart from none. [1.8]

        On failure: `NodeInsert.state` is a number or None, and 0 is UNKNOWN: write
        `if state is None`, not `if state`. In protocol buffers, a field without presence cannot
        tell the two apart.
        """
        prepare(store)
        states = [None, *_STATES[kind]]
        batch = Batch()
        refs = [add(batch, kind, state=state) for state in states]
        written = store.write(batch)
        found = {node.id: node for node in read(store, kind)}
        assert [getattr(found[written[ref].id], "state") for ref in refs] == states  # noqa: B009

    def test_states_may_be_numbers(self, store: BaseMetadataStore) -> None:
        """A state given as its number is that state. [1.12]

        On failure: `read_nodes` must make the enumeration of the node's own kind from the stored
        number: 2 is LIVE for an artifact and RUNNING for an execution. A backend with other numbers
        needs a table to translate.
        """
        prepare(store)
        number: Any = 2
        assert artifact(store, put(store, ARTIFACT, state=number).id).state is ArtifactState.LIVE
        found = execution(store, put(store, EXECUTION, state=number).id)
        assert found.state is ExecutionState.RUNNING

    def test_types_by_name_key_and_id(self, store: BaseMetadataStore) -> None:
        """A node names its type by name, meaning no version, by key, or by id. [4.1]

        On failure: `lookup` must answer `questions.type_ids` as well as `questions.types`, where
        "T" without version is one type and not all of that name. `apply` must store
        `NodeInsert.type` as it is.
        """
        batch = Batch()
        plain = batch.type(ARTIFACT, "T")
        versioned = batch.type(ARTIFACT, "T", version="2")
        first, second = store.write(batch).types
        for named, id in (
            ("T", first.id),
            (plain, first.id),
            (versioned, second.id),
            (first.id, first.id),
            (second.id, second.id),
        ):
            node = one(store, ARTIFACT, put(store, ARTIFACT, named).id)
            assert (node.type_id, node.type) == (id, "T")

    @ALL_KINDS
    def test_a_node_needs_a_type(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A new node without type is InvalidError. [4.1]

        On failure: the error is the planner's, found after the batch's types are planned: look
        whether `transaction` wrapped it, or wrote anything before `apply`. In a request of your
        own, an unset type id is 0; ask for None first.
        """
        needs(store, "atomic_batch", "full")
        batch = batch_with()
        add(batch, kind, None)
        refuse(store, batch, InvalidError, kind=kind.label, index=0)

    @ALL_KINDS
    def test_the_type_must_be_there(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A type that is not stored, or is of another kind or version, is NotFoundError. [4.1]

        On failure: `lookup` must fill kind, name and version in `Answers.types` from what is
        stored, not from the question: an id that belongs to a type of another kind is answered with
        that kind. A `write` of your own must stop 2^80 before an encoder does.
        """
        other = NodeKind((kind + 1) % 3)
        batch = Batch()
        batch.type(kind, "T")
        batch.type(other, "Other")
        batch.type(kind, "V", version="1")
        other_id = store.write(batch).types[1].id
        for wrong in (
            "Other",
            "U",
            "V",
            "t",
            TypeKey(kind, "T", "1"),
            TypeKey(kind, "V"),
            TypeKey(other, "Other"),
            other_id,
            UNKNOWN_ID,
            0,
            -1,
            2**63,
            2**80,
        ):
            batch = Batch()
            add(batch, kind, "T")
            add(batch, kind, wrong)
            refuse(store, batch, NotFoundError, kind=kind.label, index=1)

    @pytest.mark.parametrize("wrong", [True, 1.5, b"T", ("T",), ["T"], object()])
    def test_other_things_are_no_types(self, store: BaseMetadataStore, wrong: Any) -> None:
        """What is no name, key or id of a type is InvalidError. [4.1]

        On failure: a `write` of your own used the thing as a key of a dict, or took True and 1.5
        for ids. A type is named by a str, a `TypeKey` or an int that is no bool; all else is
        `InvalidError`.
        """
        prepare(store)
        batch = Batch()
        add(batch, ARTIFACT, wrong)
        refuse(store, batch, InvalidError, kind="artifact", index=0)

    @ALL_KINDS
    def test_undeclared_properties(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A property that the type does not declare is InvalidError that names it. [4.2]

        On failure: `Answers.types` gave T a property "b" that it does not declare, for instance
        those of all types or kinds. If the error lacks its `property`, it comes from the backend:
        compare with the type before you send.
        """
        prepare(store, a=INT)
        batch = Batch()
        add(batch, kind, name="fine", properties={"a": 1})
        add(batch, kind, name="wrong", properties={"a": 1, "b": 1})
        error = refuse(
            store, batch, InvalidError, kind=kind.label, index=1, name="wrong", property="b"
        )
        assert "'b'" in str(error)

    @pytest.mark.parametrize(
        ("declared", "value"),
        [
            (declared, value)
            for declared, own in (
                (INT, 1),
                (DOUBLE, 1.0),
                (STRING, "1"),
                (BOOLEAN, True),
                (STRUCT, {"a": 1.0}),
                (PROTO, None),
            )
            for value in (1, 1.0, "1", True, {"a": 1.0})
            if type(value) is not type(own)
        ],
    )
    def test_properties_of_another_kind(
        self, store: BaseMetadataStore, declared: PropertyKind, value: Any
    ) -> None:
        """A value of another kind than the declared one is InvalidError: no int for a
        DOUBLE. [4.2]

        On failure: look at the kind of "a" in `Answers.types`: a wrong table from stored numbers to
        `PropertyKind` shows here. A backend that converts (an int in a DOUBLE column) does not see
        the mistake, so your `write` must.
        """
        prepare(store, a=declared)
        batch = Batch()
        add(batch, EXECUTION, properties={"a": value})
        error = refuse(store, batch, InvalidError, kind="execution", index=0, property="a")
        assert declared.name in str(error)

    @ALL_KINDS
    def test_property_and_custom_property_of_one_key(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """A property and a custom property of one key have their own values and kinds. [1.9]

        On failure: `apply` must write `NodeInsert.custom_properties` apart from `properties`: a
        primary key of (owner, name) without the flag `is_custom_property`, or one map for both,
        mixes them up.
        """
        prepare(store, a=INT)
        written = put(store, kind, properties={"a": 1}, custom_properties={"a": "one"})
        node = one(store, kind, written.id)
        assert exact(node.properties) == exact({"a": 1})
        assert exact(node.custom_properties) == exact({"a": "one"})

    @ALL_KINDS
    def test_names_are_unique_in_a_type(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A name that a stored node of the type has is AlreadyExistsError. [1.6, 4.3]

        On failure: `lookup` did not answer `questions.names` for nodes of this kind. If it is the
        node of U that is refused, a unique index, or the answer, has the name without the type.
        """
        prepare(store, "T", "U")
        put(store, kind, name="n")
        put(store, kind, "U", name="n")
        batch = Batch()
        add(batch, kind, name="other")
        add(batch, kind, name="n")
        refuse(store, batch, AlreadyExistsError, kind=kind.label, index=1, name="n")

    @ALL_KINDS
    def test_names_are_unique_in_a_batch(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A name that an earlier draft of the type has is AlreadyExistsError. [4.3]

        On failure: the planner compares drafts with one another, also where their type is new. If
        the offender is not draft 2, the answer to `questions.names` or your `write` mixes T and V;
        if T is left behind, the types were written before the check.
        """
        needs(store, "atomic_batch", "full")
        for stored in (False, True):
            batch = batch_with("V") if stored else batch_with("T", "V")
            type = "T"
            add(batch, kind, type, name="n")
            add(batch, kind, "V", name="n")
            add(batch, kind, type, name="n")
            refuse(store, batch, AlreadyExistsError, kind=kind.label, index=2, name="n")
            prepare(store)

    @pytest.mark.parametrize("kind", [ARTIFACT, EXECUTION])
    def test_nodes_without_name_do_not_collide(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """Any number of nodes of a type has no name. [1.6]

        On failure: the name was stored as "", and a unique index of type and name refuses the
        second. Store NULL, which such an index lets in any number of times; where it does not,
        index only rows with a name.
        """
        prepare(store)
        batch = Batch()
        for _ in range(3):
            add(batch, kind)
        store.write(batch)
        put(store, kind)
        assert [node.name for node in read(store, kind)] == [None] * 4

    @ALL_KINDS
    def test_external_ids_are_unique_in_a_kind(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """An external id that a node of the kind has, of any type, is AlreadyExistsError. [1.7,
        4.3]

        On failure: `lookup` must answer `questions.external_ids` whatever the node's type: it lacks
        a node of another type. The two of one batch are compared by the planner, or by your `write`
        where you have one.
        """
        prepare(store, "T", "U")
        put(store, kind, name="stored", external_id="x")
        batch = Batch()
        add(batch, kind, "U", external_id="x")
        refuse(store, batch, AlreadyExistsError, kind=kind.label, index=0)
        batch = Batch()
        add(batch, kind, "T", external_id="y")
        add(batch, kind, "U", external_id="y")
        refuse(store, batch, AlreadyExistsError, kind=kind.label, index=1)

    def test_kinds_have_external_ids_of_their_own(self, store: BaseMetadataStore) -> None:
        """An artifact, an execution, a context and a type may have the same external id. [1.7]

        On failure: one index, or one key space, of external ids spans several kinds of nodes, or
        nodes and types. Put the kind into it, as in the question, `external_ids[kind]`.
        """
        batch = Batch()
        for kind in NodeKind:
            batch.type(kind, "T", external_id="x" if kind is ARTIFACT else None)
        for kind in NodeKind:
            add(batch, kind, name="n", external_id="x")
        store.write(batch)
        for kind in NodeKind:
            [node] = read(store, kind, external_ids=["x"])
            assert node.name == "n"

    def test_uris_are_not_unique(self, store: BaseMetadataStore) -> None:
        """Any number of artifacts has the same uri. [1.7]

        On failure: a unique index on uris, or a mapping from uri to one artifact, holds only the
        last. `read_nodes` must give all artifacts that have one of `query.uris`.
        """
        prepare(store)
        batch = Batch()
        for _ in range(3):
            batch.artifact("T", uri="s3://x")
        written = store.write(batch)
        found = read(store, ARTIFACT, uris=["s3://x"])
        assert [node.id for node in found] == [each.id for each in written.artifacts]

    @pytest.mark.parametrize("name", [None, ""])
    def test_contexts_need_a_name(self, store: BaseMetadataStore, name: Any) -> None:
        """A context without a name, or with an empty one, is InvalidError. [1.6, 4.4]

        On failure: the planner refuses both, when the context's turn comes; a `transaction` that
        catches errors hides it. A service that answers an empty name with a generic error needs the
        check for None and "" in your `write`.
        """
        prepare(store)
        batch = Batch()
        batch.context("T", name="fine")
        batch.context("T", name=name)
        refuse(store, batch, InvalidError, kind="context", index=1)

    @pytest.mark.parametrize(
        ("kind", "field", "value"),
        [
            (EXECUTION, "uri", "s3://x"),
            (CONTEXT, "uri", "s3://x"),
            (CONTEXT, "state", ArtifactState.LIVE),
            (CONTEXT, "state", 0),
            (ARTIFACT, "state", ExecutionState.RUNNING),
            (EXECUTION, "state", ArtifactState.LIVE),
            (ARTIFACT, "state", 7),
            (EXECUTION, "state", -1),
            (ARTIFACT, "state", True),
            (ARTIFACT, "state", "LIVE"),
            (ARTIFACT, "state", 1.0),
        ],
    )
    def test_fields_of_other_kinds(
        self, store: BaseMetadataStore, kind: NodeKind, field: str, value: Any
    ) -> None:
        """A uri or state where none belongs, and a state of another kind, is InvalidError. [4.4]

        On failure: in a `write` of your own compare a state by its class and by
        `type(state) is int`: True and 1.0 are equal to 1. Requests for executions and contexts have
        no field for a uri, which must not just be dropped.
        """
        from metastore.batch import NodeDraft

        prepare(store)
        batch = Batch()
        batch.add(kind, NodeDraft("T", name="n", **{field: value}))
        refuse(store, batch, InvalidError, kind=kind.label, index=0)

    @ALL_KINDS
    def test_times_are_set(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A new node has the time of the write as create and update time, not before that of an
        older one. [4.5]

        On failure: store `create_time_ms` and `update_time_ms` as the milliseconds they are: a
        conversion to seconds or back, or a time without its zone, is hours or years away. A backend
        that sets both itself must read its clock once.
        """
        prepare(store)
        before = now_ms()
        first = one(store, kind, put(store, kind, name="a").id)
        second = one(store, kind, put(store, kind, name="b").id)
        after = now_ms()
        assert type(first.create_time_ms) is int
        assert 0 < first.create_time_ms == first.update_time_ms
        assert first.create_time_ms <= second.create_time_ms == second.update_time_ms
        for node in (first, second):
            assert was_between(before, node.create_time_ms, after)

    @ALL_KINDS
    def test_given_times_are_kept(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """Given create and update times are stored; the update time is by default the
        first. [4.5]

        On failure: a column for timestamps, without sign or of 32 bits loses some of these: take a
        signed 64-bit integer, and write `is None`, because 0 is a time. A backend with its own
        clock declares `given_times=False`.
        """
        needs(store, "given_times")
        prepare(store)
        for number, (created, updated, expected) in enumerate(
            (
                (1_500_000_000_123, 1_600_000_000_456, (1_500_000_000_123, 1_600_000_000_456)),
                (1_500_000_000_123, None, (1_500_000_000_123, 1_500_000_000_123)),
                (0, 0, (0, 0)),
                (1, 2**62, (1, 2**62)),
                (-5, -4, (-5, -4)),
            )
        ):
            written = put(
                store, kind, name=str(number), create_time_ms=created, update_time_ms=updated
            )
            node = one(store, kind, written.id)
            assert (node.create_time_ms, node.update_time_ms) == expected

    @pytest.mark.parametrize("time", [1.5, "now", True, 2**63, -(2**63) - 1])
    @pytest.mark.parametrize("field", ["create_time_ms", "update_time_ms"])
    def test_times_are_integers(self, store: BaseMetadataStore, field: str, time: Any) -> None:
        """A time that is no 64-bit integer is InvalidError. [1.10]

        On failure: a `write` of your own let an encoder cut 1.5 to 1, or store True as 1. The
        draft's times are None or of `type(time) is int` within 64 bits; check both, also on nodes
        that will be inserted.
        """
        prepare(store)
        batch = Batch()
        add(batch, ARTIFACT, **{field: time})
        refuse(store, batch, InvalidError, kind="artifact", index=0)

    def test_ids_are_positive_and_ascend(self, store: BaseMetadataStore) -> None:
        """Ids are positive, and in one batch and from batch to batch they ascend. [1.3, 1.4]

        On failure: give ids from one counter a kind that only rises, in the order of
        `Changes.inserts`. `INSERT ... RETURNING` promises no order of its rows; sort, or match them
        with what you inserted.
        """
        prepare(store)
        last = dict.fromkeys(NodeKind, 0)
        for _ in range(3):
            batch = Batch()
            for number in range(5):
                for kind in NodeKind:
                    add(batch, kind, name=f"{last[kind]}-{number}")
            written = store.write(batch)
            for kind in NodeKind:
                found = [each.id for each in written.nodes[kind]]
                assert found == sorted(set(found))
                assert found[0] > last[kind]
                last[kind] = found[-1]

    def test_modes_of_writing(self, store: BaseMetadataStore) -> None:
        """A draft whose mode is none of the four is InvalidError. [4.21]

        On failure: a `write` of your own takes every mode that it does not know for an insert. Ask
        `isinstance` for the four classes, and end with an error: the class `Reuse` itself is no
        mode.
        """
        prepare(store)
        for mode in (None, "insert", Reuse):
            batch = Batch()
            add(batch, ARTIFACT, mode=mode)
            refuse(store, batch, InvalidError, kind="artifact", index=0)

    def test_refs_of_a_batch_count_in_order(self, store: BaseMetadataStore) -> None:
        """The Ref of a draft is its kind and its position among the drafts of the kind. [7.4]

        On failure: `Applied.nodes[kind]` has the ids of another kind, or in another order than
        `Changes.inserts[kind]`: each result then points at somebody else's node.
        """
        batch = batch_with()
        refs = [add(batch, kind, name=f"{n}") for n in range(3) for kind in NodeKind]
        assert [ref[:2] for ref in refs] == [(kind, n) for n in range(3) for kind in NodeKind]
        written = store.write(batch)
        for ref in refs:
            assert one(store, ref.kind, written[ref].id).name == str(ref.index)

    @ALL_KINDS
    def test_texts_that_differ_are_not_taken(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """A name or external id that differs from a stored one in case, accents, spaces or normal
        form is free, and reuse finds each by its own. [4.3, 4.17, 8.5]

        On failure: look at how a transaction's `lookup` compares names and external ids with those
        that are stored, and at the collation of unique indexes: both must compare exactly.
        """
        prepare(store)
        made: dict[str, int] = {}
        for word in ("a", "A", "a ", " a", "\u00e1", "a\u0301", "\uff41", "\u00df", "ss", "%", "_"):
            written = put(store, kind, name=word, external_id=word)
            assert written.outcome is Outcome.CREATED
            made[word] = written.id
        for word, id in made.items():
            by_name = put(store, kind, name=word, mode=Reuse("name"))
            assert by_name == (id, Outcome.REUSED)
            by_external_id = put(store, kind, external_id=word, mode=Reuse("external_id"))
            assert by_external_id == (id, Outcome.REUSED)
