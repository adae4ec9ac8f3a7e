"""Section 3 of the contract: types."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Outcome
from metastore.errors import AlreadyExistsError, InvalidError
from metastore.model import SIMPLE_TYPES, NodeKind, PropertyKind, TypeKey
from metastore.query import TypeQuery
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
    needs,
    one,
    one_type,
    refuse,
    types,
)


def _draft(kind: NodeKind = ARTIFACT, name: str = "T", **fields: Any) -> Batch:
    batch = Batch()
    batch.type(kind, name, **fields)
    return batch


class TypeContract(ContractBase):
    """Types are created, found and widened."""

    def test_a_new_store_holds_the_simple_types(self, store: BaseMetadataStore) -> None:
        """A new store has MLMD's simple types, without version and properties, and no others.
        [1.11]

        On failure: `open` must write the names in `SIMPLE_TYPES` when it makes a store, once each,
        without version and properties. `read_types` must neither hide them nor give them to the
        wrong kind.
        """
        for kind in NodeKind:
            found = store.read_types(TypeQuery(kind))
            assert Counter(each.name for each in found) == Counter(SIMPLE_TYPES[kind])
            assert all(each.version is None and not each.properties for each in found)

    @ALL_KINDS
    def test_a_type_comes_back_whole(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A created type has all that its draft said, properties of every kind included. [3.1]

        On failure: compare `TypeInsert`, field by field, with what `apply` writes and `read_types`
        builds; `input_type` and `output_type` are easily forgotten. `Type.properties` holds members
        of `PropertyKind`, not their numbers.
        """
        properties = {each.name: each for each in PropertyKind}
        batch = Batch()
        batch.type(
            kind,
            "Wide",
            properties,
            version="2",
            description="all kinds",
            external_id="wide-2",
            input_type='{"any": {}}' if kind is EXECUTION else None,
            output_type='{"none": {}}' if kind is EXECUTION else None,
        )
        [written] = store.write(batch).types
        assert written.outcome is Outcome.CREATED
        found = one_type(store, kind, "Wide", "2")
        assert (found.id, found.kind, found.name, found.version) == (written.id, kind, "Wide", "2")
        assert dict(found.properties) == properties
        assert {type(each) for each in found.properties.values()} == {PropertyKind}
        assert (found.description, found.external_id) == ("all kinds", "wide-2")
        if kind is EXECUTION:
            assert (found.input_type, found.output_type) == ('{"any": {}}', '{"none": {}}')

    def test_what_a_type_leaves_out_is_none(self, store: BaseMetadataStore) -> None:
        """A type without version, description, external id and base type reads None for
        each. [3.1]

        On failure: `apply` or your driver stores an absent text as "". Store NULL for None, and do
        not turn "" into None in `read_types` instead: a description may be empty.
        """
        store.write(_draft())
        found = one_type(store, ARTIFACT, "T")
        assert (found.version, found.description) == (None, None)
        assert (found.external_id, found.base_type) == (None, None)
        assert (found.input_type, found.output_type) == (None, None)

    def test_flags_do_not_hinder_creation(self, store: BaseMetadataStore) -> None:
        """A type that is not stored is created whatever its flags. [3.1]

        On failure: `lookup` answered a type that nobody wrote: it must compare kind, name and
        version of `questions.types`. A `write` of your own must not send the flags as "only where
        the type is there".
        """
        batch = _draft(properties={"a": INT}, can_add_properties=True, can_omit_properties=True)
        assert store.write(batch).types[0].outcome is Outcome.CREATED

    def test_the_same_draft_finds_the_type(self, store: BaseMetadataStore) -> None:
        """A draft equal to the stored type writes nothing: REUSED, with the stored id.
        [3.2, 3.8]

        On failure: if there are two types, `lookup` did not answer `questions.types`, so that
        `apply` got a second `TypeInsert`. An `AlreadyExistsError` says that the type in
        `Answers.types` has other properties than were declared.
        """
        [first] = store.write(_draft(properties={"a": INT})).types
        [second] = store.write(_draft(properties={"a": INT})).types
        assert (second.id, second.outcome) == (first.id, Outcome.REUSED)
        assert len(types(store, ARTIFACT)) == 1

    def test_widening_needs_its_flag(self, store: BaseMetadataStore) -> None:
        """A new property of a stored type is AlreadyExistsError without
        can_add_properties. [3.2]

        On failure: the planner compares the draft with `Answers.types`, where "b" must not be among
        the properties: do not join those of other types or kinds in. A `write` of your own must
        send `can_add_properties` where it is false, too.
        """
        store.write(_draft(properties={"a": INT}))
        refuse(
            store,
            _draft(properties={"a": INT, "b": STRING}),
            AlreadyExistsError,
            kind="artifact type",
            index=0,
            name="T",
            property="b",
        )
        refuse(
            store,
            _draft(properties={"a": INT, "b": STRING}, can_omit_properties=True),
            AlreadyExistsError,
        )

    @ALL_KINDS
    def test_widening_adds_properties(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """With can_add_properties the stored type gains the new properties: UPDATED. [3.2, 3.8]

        On failure: `apply` must add `TypeUpdate.properties` to those of the type, for types of all
        three kinds. If your store keeps types in memory, forget them when they change: `read_types`
        may be showing the old one.
        """
        [first] = store.write(_draft(kind, properties={"a": INT})).types
        wider = _draft(kind, properties={"a": INT, "b": STRING}, can_add_properties=True)
        [second] = store.write(wider).types
        assert (second.id, second.outcome) == (first.id, Outcome.UPDATED)
        assert dict(one_type(store, kind, "T").properties) == {"a": INT, "b": STRING}

    def test_omitting_needs_its_flag(self, store: BaseMetadataStore) -> None:
        """A draft that lacks a stored property is AlreadyExistsError without its flag. [3.2]

        On failure: `lookup` must give types whole in `Answers.types`, with every property that was
        declared; "b" was missing there. Services that pass over what a request leaves out need this
        check in your `write`.
        """
        store.write(_draft(properties={"a": INT, "b": INT}))
        refuse(store, _draft(properties={"a": INT}), AlreadyExistsError, property="b")
        refuse(
            store,
            _draft(properties={"a": INT}, can_add_properties=True),
            AlreadyExistsError,
            property="b",
        )

    def test_omitted_properties_stay(self, store: BaseMetadataStore) -> None:
        """With can_omit_properties a draft finds the type, which keeps all it has: REUSED. [3.2]

        On failure: nothing is to be written here, and `apply` is not called. If "b" is gone, your
        `write` sent the draft as the type's new list of properties; send the union with the stored
        ones.
        """
        store.write(_draft(properties={"a": INT, "b": INT}))
        [written] = store.write(_draft(properties={"a": INT}, can_omit_properties=True)).types
        assert written.outcome is Outcome.REUSED
        assert dict(one_type(store, ARTIFACT, "T").properties) == {"a": INT, "b": INT}

    def test_adding_and_omitting_needs_both_flags(self, store: BaseMetadataStore) -> None:
        """A draft may add and omit at once with both flags; the type has the union. [3.2]

        On failure: `TypeUpdate.properties` holds the new "b" alone: an `apply` that stores it as
        the whole map (one JSON column, one document) loses "a".
        """
        store.write(_draft(properties={"a": INT}))
        refuse(store, _draft(properties={"b": INT}, can_add_properties=True), AlreadyExistsError)
        refuse(store, _draft(properties={"b": INT}, can_omit_properties=True), AlreadyExistsError)
        store.write(
            _draft(properties={"b": INT}, can_add_properties=True, can_omit_properties=True)
        )
        assert dict(one_type(store, ARTIFACT, "T").properties) == {"a": INT, "b": INT}

    @pytest.mark.parametrize("other", [DOUBLE, STRING, STRUCT, PROTO, BOOLEAN])
    def test_a_property_never_changes_its_kind(
        self, store: BaseMetadataStore, other: PropertyKind
    ) -> None:
        """A property of another kind is AlreadyExistsError whatever the flags. [3.3]

        On failure: `Answers.types` must give each property the kind with which it was declared. A
        schema that only knows "number" and "text" cannot tell INT from DOUBLE, or STRING from
        STRUCT.
        """
        store.write(_draft(properties={"a": INT}))
        refuse(
            store,
            _draft(properties={"a": other}, can_add_properties=True, can_omit_properties=True),
            AlreadyExistsError,
            property="a",
        )

    def test_descriptions_of_found_types_are_passed_over(self, store: BaseMetadataStore) -> None:
        """Description, input and output type of a found type stay as they are: REUSED. [3.4]

        On failure: `TypeUpdate` has no description, so a statement that writes whole types (an
        upsert) changed it. If only `input_type` differs, look for a JSON column that writes its
        text anew.
        """
        store.write(_draft(EXECUTION, description="old", input_type="{}", output_type="{}"))
        [written] = store.write(
            _draft(EXECUTION, description="new", input_type='{"any": {}}', output_type=None)
        ).types
        assert written.outcome is Outcome.REUSED
        found = one_type(store, EXECUTION, "T")
        assert (found.description, found.input_type, found.output_type) == ("old", "{}", "{}")

    def test_kinds_versions_and_names_make_types(self, store: BaseMetadataStore) -> None:
        """Types of one name and of different kinds or versions are different types. [1.5]

        On failure: a unique index or key of types must have kind, name and version in it, and tell
        "T" from "t". If "T" has the properties of "T@2", `lookup` or `read_types` compares no
        version with any version.
        """
        batch = Batch()
        for kind in NodeKind:
            batch.type(kind, "T")
            batch.type(kind, "T", version="1")
            batch.type(kind, "T", {"a": INT}, version="2")
            batch.type(kind, "t")
        written = store.write(batch).types
        assert len({each.id for each in written}) == len(written) == 12
        assert {each.outcome for each in written} == {Outcome.CREATED}
        for kind in NodeKind:
            assert set(types(store, kind)) == {"T", "T@1", "T@2", "t"}
            assert dict(one_type(store, kind, "T").properties) == {}
            assert dict(one_type(store, kind, "T", "2").properties) == {"a": INT}

    def test_an_empty_version_is_none(self, store: BaseMetadataStore) -> None:
        """A type with an empty version is the type without version, written and asked for. [1.5]

        On failure: your methods are asked for version None, never for "": store NULL, and read NULL
        as None. A `write` of your own turns "" into None before it compares or sends anything.
        """
        [first] = store.write(_draft(version="")).types
        [second] = store.write(_draft(version=None)).types
        assert first.id == second.id
        assert one_type(store, ARTIFACT, "T", "").version is None
        batch = Batch()
        ref = batch.artifact(TypeKey(ARTIFACT, "T", ""))
        assert one(store, ARTIFACT, store.write(batch)[ref].id).type_id == first.id

    def test_external_ids_are_replaced_and_kept(self, store: BaseMetadataStore) -> None:
        """A found type takes a new external id, UPDATED, and keeps the old one for None. [3.5]

        On failure: `apply` must set `TypeUpdate.external_id` where it is not None, and leave the
        stored one where it is. A cache of types that outlives the update still shows "x".
        """
        store.write(_draft(external_id="x"))
        [kept] = store.write(_draft()).types
        assert kept.outcome is Outcome.REUSED
        assert one_type(store, ARTIFACT, "T").external_id == "x"
        [changed] = store.write(_draft(external_id="y")).types
        assert changed.outcome is Outcome.UPDATED
        assert one_type(store, ARTIFACT, "T").external_id == "y"

    @ALL_KINDS
    def test_external_ids_are_unique_among_all_types(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """An external id of another type, of any kind, is AlreadyExistsError. [1.7, 3.5]

        On failure: `lookup` must answer `questions.type_external_ids` with types of all three
        kinds; the question does not say for which kind it is asked. A `write` of your own compares
        the drafts of the batch with one another, too.
        """
        needs(store, "atomic_batch", "full")
        for owner in NodeKind:
            name, taken = f"Second {owner.label}", f"of {owner.label}"
            store.write(_draft(owner, f"First {owner.label}", external_id=taken))
            refuse(store, _draft(kind, name, external_id=taken), AlreadyExistsError, name=name)
            store.write(_draft(kind, name))
            refuse(store, _draft(kind, name, external_id=taken), AlreadyExistsError, name=name)
        twice = _draft(kind, "Third", external_id="z")
        twice.type(ARTIFACT, "Fourth", external_id="z")
        refuse(store, twice, AlreadyExistsError, name="Fourth", index=1)

    @pytest.mark.parametrize(
        ("kind", "base"),
        [(kind, name) for kind, names in SIMPLE_TYPES.items() for name in names],
    )
    def test_base_types(self, store: BaseMetadataStore, kind: NodeKind, base: str) -> None:
        """A type may have a simple type of its kind as base type, which comes back. [3.6]

        On failure: `TypeInsert.base_type` is the id of a simple type; `Type.base_type`, in
        `read_types` and in `Answers.types`, is its name. The id comes from your `lookup`, which
        must answer simple types by key like others.
        """
        store.write(_draft(kind, base_type=base))
        assert one_type(store, kind, "T").base_type == base
        [again] = store.write(_draft(kind, base_type=base)).types
        assert again.outcome is Outcome.REUSED
        [unsaid] = store.write(_draft(kind)).types
        assert unsaid.outcome is Outcome.REUSED
        assert one_type(store, kind, "T").base_type == base

    def test_a_base_type_may_come_later(self, store: BaseMetadataStore) -> None:
        """A stored type without base type takes one: UPDATED. [3.6]

        On failure: `apply` passed over `TypeUpdate.base_type`, which may be all that a `TypeUpdate`
        sets, with no property and no external id beside it.
        """
        store.write(_draft())
        [written] = store.write(_draft(base_type="mlmd.Model")).types
        assert written.outcome is Outcome.UPDATED
        assert one_type(store, ARTIFACT, "T").base_type == "mlmd.Model"

    @pytest.mark.parametrize(
        ("kind", "base"),
        [
            (ARTIFACT, "mlmd.Train"),
            (EXECUTION, "mlmd.Model"),
            (CONTEXT, "mlmd.Model"),
            (ARTIFACT, "T"),
        ],
    )
    def test_other_base_types_are_refused(
        self, store: BaseMetadataStore, kind: NodeKind, base: str
    ) -> None:
        """A base type that is no simple type of the kind is InvalidError. [3.6]

        On failure: the planner refuses what is not in `SIMPLE_TYPES` of the kind, stored or not; if
        no error came out, `transaction` swallowed it. A `write` of your own checks the name first:
        some backends make a base type that they do not know.
        """
        store.write(_draft())
        refuse(store, _draft(kind, "New", base_type=base), InvalidError, name="New")

    def test_a_base_type_never_changes(self, store: BaseMetadataStore) -> None:
        """A base type other than the stored one is InvalidError. [3.6]

        On failure: the type in `Answers.types` had `base_type` None, so that the planner took the
        new one for the first. Look up the base type together with the type, not only in
        `read_types`.
        """
        store.write(_draft(base_type="mlmd.Model"))
        refuse(store, _draft(base_type="mlmd.Dataset"), InvalidError, name="T")

    def test_no_type_is_its_own_base(self, store: BaseMetadataStore) -> None:
        """A simple type that would be its own base, at once or over another one, is InvalidError.
        [3.6]

        On failure: the planner asks for all simple types of the kind and follows `base_type` from
        one to the next: answer each with its own. `apply` must take a `TypeUpdate` of a simple type
        like any other.
        """
        own = _draft(name="mlmd.Model", base_type="mlmd.Model")
        refuse(store, own, InvalidError, name="mlmd.Model")
        store.write(_draft(name="mlmd.Model", base_type="mlmd.Dataset"))
        refuse(
            store, _draft(name="mlmd.Dataset", base_type="mlmd.Model"), InvalidError,
            name="mlmd.Dataset",
        )  # fmt: skip
        assert one_type(store, ARTIFACT, "mlmd.Dataset").base_type is None

    @ALL_KINDS
    def test_types_need_a_name(self, store: BaseMetadataStore, kind: NodeKind) -> None:
        """A type with an empty name is InvalidError. [3.7]

        On failure: the planner refuses it before the first `lookup`; `transaction` must let that
        error out with its offender. A `write` of your own must look for "" itself, which many
        services take for a name.
        """
        refuse(store, _draft(kind, ""), InvalidError, kind=f"{kind.label} type", index=0)

    @pytest.mark.parametrize("nothing", [None, 0, 7, "INT"])
    def test_properties_need_a_kind(self, store: BaseMetadataStore, nothing: Any) -> None:
        """A declared property without a PropertyKind is InvalidError. [3.7]

        On failure: only a `write` of your own lets this through, by building its request first: in
        protocol buffers, 0 is a kind ("unknown") and None leaves the field unset. Ask whether each
        is a `PropertyKind`.
        """
        refuse(store, _draft(properties={"a": nothing}), InvalidError, name="T", property="a")

    def test_drafts_of_one_batch_see_one_another(self, store: BaseMetadataStore) -> None:
        """A second draft of a key finds, and may widen, what the first one makes. [3.9]

        On failure: the planner makes one `TypeInsert` of the three drafts, with "a" and "b".
        `Applied.types` must have an id for each `TypeInsert`, not for each draft, and `New(0)` as
        the type of the artifact is the first of them.
        """
        batch = _draft(properties={"a": INT})
        batch.type(ARTIFACT, "T", {"a": INT})
        batch.type(ARTIFACT, "T", {"a": INT, "b": DOUBLE}, can_add_properties=True)
        batch.type(ARTIFACT, "Other")
        ref = batch.artifact("T", properties={"b": 0.5})
        written = store.write(batch)
        first, second, third, other = written.types
        assert first.id == second.id == third.id != other.id
        assert first.outcome is Outcome.CREATED
        assert second.outcome is Outcome.REUSED
        assert dict(one_type(store, ARTIFACT, "T").properties) == {"a": INT, "b": DOUBLE}
        assert one(store, ARTIFACT, written[ref].id).type_id == first.id

    def test_drafts_of_one_batch_obey_the_flags(self, store: BaseMetadataStore) -> None:
        """The rules for stored types hold for a type that the same batch creates. [3.9]

        On failure: no question is asked for the second draft. A `write` of your own that sends type
        by type has stored the first when the second is refused: compare all drafts before you send
        any.
        """
        needs(store, "atomic_batch", "full")
        batch = _draft(properties={"a": INT})
        batch.type(ARTIFACT, "T", {"a": INT, "b": INT})
        refuse(store, batch, AlreadyExistsError, index=1, property="b")

    def test_nodes_use_properties_that_the_batch_adds(self, store: BaseMetadataStore) -> None:
        """A node may have a property by which the same batch widens a stored type. [3.9]

        On failure: `apply` must widen types before it inserts nodes, in the order of the fields of
        `Changes`, where the backend checks properties against types.
        """
        store.write(_draft(properties={"a": INT}))
        batch = _draft(properties={"b": STRING}, can_add_properties=True, can_omit_properties=True)
        ref = batch.artifact("T", properties={"a": 1, "b": "new"})
        written = store.write(batch)
        assert one(store, ARTIFACT, written[ref].id).properties == {"a": 1, "b": "new"}

    def test_creating_types_in_threads_ends_with_one(self, store: BaseMetadataStore) -> None:
        """Threads that create the same type at the same time end with one type of one id. [3.10]

        On failure: two transactions looked the type up before either inserted it. Lock when the
        transaction begins (`BEGIN IMMEDIATE`, a row that all lock first), or let a unique index
        refuse the second and start over; in many databases such an index lets two NULL versions in.
        """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier

        barrier = Barrier(4)

        def create() -> int:
            barrier.wait(timeout=30)
            return store.write(_draft(properties={"a": INT})).types[0].id

        with ThreadPoolExecutor(4) as pool:
            found = [future.result() for future in [pool.submit(create) for _ in range(4)]]
        assert len(set(found)) == 1
        assert len(types(store, ARTIFACT)) == 1

    @ALL_KINDS
    def test_types_are_read_by_key_id_and_external_id(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """Each condition of a TypeQuery narrows the answer, which is ordered by id. [8.1-8.3]

        On failure: `read_types` must apply `kind`, `keys`, `ids` and `external_ids` all at once,
        take an empty list for "nothing", and sort by id. Types of all kinds share one range of ids:
        one of another kind is not in the answer though its id is asked for.
        """
        batch = Batch()
        for number in range(4):
            batch.type(kind, f"T{number}", external_id=f"x{number}")
        batch.type(kind, "T1", version="2")
        batch.type(NodeKind((kind + 1) % 3), "T1")
        written = [each.id for each in store.write(batch).types]

        def asked(**conditions: Any) -> list[int]:
            return [each.id for each in store.read_types(TypeQuery(kind, **conditions))]

        def key(name: str, version: str | None = None) -> TypeKey:
            return TypeKey(kind, name, version)

        assert asked(keys=[key("T3"), key("T1"), key("T1"), key("T9")]) == [written[1], written[3]]
        assert asked(keys=[key("T1", "2")]) == [written[4]]
        assert asked(ids=[written[2], written[0], written[2], UNKNOWN_ID, written[5]]) == [
            written[0],
            written[2],
        ]
        assert asked(external_ids=["x3", "x0", "x9"]) == [written[0], written[3]]
        assert asked(ids=written, external_ids=["x2"], keys=[key("T2"), key("T3")]) == [written[2]]
        assert asked(ids=[]) == asked(keys=[]) == asked(external_ids=[]) == []
        simple = len(SIMPLE_TYPES[kind])
        assert len(asked()) == simple + 5
        assert asked() == sorted(asked())

    def test_a_type_without_version_is_not_any_version(self, store: BaseMetadataStore) -> None:
        """A key without version does not find a type that has one. [8.3]

        On failure: `read_types` left the version out of its comparison because it is None. In SQL,
        `version = NULL` is no help either: write `IS NULL`.
        """
        store.write(_draft(version="1"))
        assert list(store.read_types(TypeQuery(ARTIFACT, keys=[TypeKey(ARTIFACT, "T")]))) == []

    def test_a_type_failure_takes_the_nodes_along(self, store: BaseMetadataStore) -> None:
        """A draft of a type that is refused leaves none of the batch's types and nodes. [7.1]

        On failure: the planner refuses the batch before `apply`, so what stays was written by a
        `write` of your own, type by type. Send the batch in one request, undo the first ones, or
        declare `atomic_batch="nodes"`.
        """
        needs(store, "atomic_batch", "full")
        store.write(_draft(properties={"a": INT}))
        batch = Batch()
        batch.type(ARTIFACT, "New")
        add(batch, ARTIFACT, "New")
        batch.type(ARTIFACT, "T", {"a": STRING})
        refuse(store, batch, AlreadyExistsError, index=1)

    @ALL_KINDS
    def test_a_type_is_found_by_its_new_external_id(
        self, store: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """A type whose external id is replaced is found by the new one, and the old one is free.
        [3.5, 8.3]

        On failure: look at whatever finds types by external id beside the types themselves, an
        index or a second table: an update must add the new one to it and remove the old one.
        """
        [first] = store.write(_draft(kind, external_id="old")).types
        store.write(_draft(kind, external_id="new"))
        [found] = store.read_types(TypeQuery(kind, external_ids=["new", "old"]))
        assert (found.id, found.external_id) == (first.id, "new")
        assert list(store.read_types(TypeQuery(kind, external_ids=["old"]))) == []
        [second] = store.write(_draft(kind, "Second", external_id="old")).types
        assert second.outcome is Outcome.CREATED
        [found] = store.read_types(TypeQuery(kind, external_ids=["old"]))
        assert found.id == second.id

    def test_conditions_on_types_may_be_long(self, store: BaseMetadataStore) -> None:
        """A condition of a TypeQuery may have tens of thousands of values. [8.1, 8.3]

        On failure: look at the statement that reads types. It takes a limited number of variables,
        so that long lists are to be cut into several, or handed over as a table.
        """
        batch = Batch()
        for number in range(3):
            batch.type(ARTIFACT, f"T{number}", external_id=f"x{number}")
        made = [each.id for each in store.write(batch).types]

        def asked(**conditions: Any) -> list[int]:
            return [each.id for each in store.read_types(TypeQuery(ARTIFACT, **conditions))]

        # The stored ones last, where a list that is cut has them no more.
        many = range(33_000, -1, -1)
        assert asked(keys=[TypeKey(ARTIFACT, f"T{each}") for each in many]) == made
        assert asked(external_ids=[f"x{each}" for each in many]) == made
        assert asked(ids=[*(UNKNOWN_ID + each for each in many), *made]) == made
