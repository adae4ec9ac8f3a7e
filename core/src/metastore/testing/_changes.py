"""Section 4 of the contract: what an update changes, and whether it happens."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore, cursor_of
from metastore.batch import ALL, Batch, Merge, Outcome, Replace, Reuse
from metastore.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from metastore.model import Artifact, ArtifactState, NodeKind
from metastore.query import NodeQuery, OrderBy
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    DOUBLE,
    EXECUTION,
    INT,
    STRING,
    STRUCT,
    UNKNOWN_ID,
    add,
    artifact,
    context,
    execution,
    needs,
    one,
    prepare,
    put,
    read,
    refuse,
    update,
)
from metastore.testing._contents import exact
from metastore.testing._updates import MODES, StoredContract, _full, _refused


class ChangeContract(StoredContract):
    """Updates happen where something changes, once, later, and where they were expected."""

    @ALL_KINDS
    @MODES
    def test_an_update_needs_a_stored_node(
        self, stored: BaseMetadataStore, kind: NodeKind, mode: Any
    ) -> None:
        """An update of an id that is not stored is NotFoundError. [4.10]

        On failure: `Answers.nodes[kind]` must leave ids out that are not stored as that kind, even
        if an artifact has the same number. Where the backend answers "invalid argument" to an
        unknown id, read the node first.
        """
        of_another = put(stored, NodeKind((kind + 1) % 3), name="of another kind").id
        for id in (UNKNOWN_ID, 0, -1, 2**63, 2**80, of_another):
            _refused(stored, kind, mode(id), NotFoundError, name="n")

    @MODES
    @pytest.mark.parametrize("id", [None, "1", 1.0, True, [1]])
    def test_an_update_needs_an_id(self, stored: BaseMetadataStore, mode: Any, id: Any) -> None:
        """An update whose id is no integer is InvalidError. [4.21]

        On failure: a `write` of your own compared 1.0 or True with stored ids, and Python calls
        them equal to 1. Ask `isinstance(id, int)` and not bool before you look anything up.
        """
        put(stored, ARTIFACT)
        batch = Batch()
        batch.artifact("T", mode=mode(id))
        refuse(stored, batch, InvalidError, kind="artifact", index=0)

    @ALL_KINDS
    @MODES
    def test_an_update_may_name_the_type(
        self, stored: BaseMetadataStore, kind: NodeKind, mode: Any
    ) -> None:
        """An update may name the node's type, by name or id; another type is
        InvalidError. [4.10]

        On failure: the `type_id` of a node in `Answers.nodes` and the id of its type in
        `Answers.types` must be the same int. A `write` of your own must compare the two, as
        services pass over the type of an update.
        """
        prepare(stored, "U")
        id = _full(stored, kind)
        type_id = one(stored, kind, id).type_id
        for same in ("T", type_id, None):
            batch = Batch()
            add(batch, kind, same, mode=mode(id), name="n", properties={"a": 1, "b": 2})
            assert stored.write(batch).nodes[kind][0].id == id
        batch = Batch()
        add(batch, kind, "U", mode=mode(id), name="n")
        refuse(stored, batch, InvalidError, kind=kind.label, index=0, id=id)
        batch = Batch()
        add(batch, kind, "nowhere", mode=mode(id), name="n")
        refuse(stored, batch, NotFoundError, kind=kind.label, index=0)

    @ALL_KINDS
    @MODES
    def test_expected_update_times(
        self, stored: BaseMetadataStore, kind: NodeKind, mode: Any
    ) -> None:
        """An update that expects another update time than the stored one is
        ConflictError. [4.11]

        On failure: the planner compares with `update_time_ms` of the node in `Answers.nodes`: read
        it inside the transaction, to the millisecond. A backend with its own clock may give two
        updates one time; wait until it has moved on.
        """
        id = _full(stored, kind)
        name = {"name": "n"} if kind is CONTEXT else {}
        seen = one(stored, kind, id).update_time_ms
        for wrong in (seen - 1, seen + 1, 0):
            bad = mode(id, expected_update_time_ms=wrong)
            _refused(stored, kind, bad, ConflictError, properties={"a": 8}, **name)
        good = mode(id, expected_update_time_ms=seen)
        assert update(stored, kind, good, properties={"a": 8}, **name).outcome is Outcome.UPDATED
        # The update was a change, so the same expectation is not met again, even at once.
        _refused(stored, kind, good, ConflictError, properties={"a": 9}, **name)

    @ALL_KINDS
    def test_an_update_that_changes_nothing(
        self, stored: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """Writing back what was read changes nothing, not even the time: REUSED. [4.12]

        On failure: compare the node in `Answers.nodes` with that of `read_nodes`: any difference of
        kinds, "" for None, or an unread property makes the same draft a change. A `write` of your
        own must compare before it sends.
        """
        id = _full(stored, kind)
        before = one(stored, kind, id)
        same: dict[str, Any] = {
            name: getattr(before, name)
            for name in ("name", "external_id", "properties", "custom_properties", "uri", "state")
            if hasattr(before, name)
        }
        written = update(stored, kind, Replace(id), **same)
        assert (written.id, written.outcome) == (id, Outcome.REUSED)
        fields = frozenset(same) & {"uri", "state", "external_id"}
        written = update(stored, kind, Merge(id, fields, ALL, ALL), **same)
        assert (written.id, written.outcome) == (id, Outcome.REUSED)
        written = update(stored, kind, Merge(id))
        assert (written.id, written.outcome) == (id, Outcome.REUSED)
        assert one(stored, kind, id) == before

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (1, True),
            (1, 1.0),
            (0.0, False),
            ("1", 1),
            ({"a": True}, {"a": 1.0}),
            ({"a": [0.0]}, {"a": [False]}),
            ({"a": None}, {}),
            ({"a": []}, {"a": {}}),
        ],
    )
    def test_values_of_other_kinds_are_changes(
        self, stored: BaseMetadataStore, old: Any, new: Any
    ) -> None:
        """Values of different kinds differ, inside structs too: UPDATED. [4.12, 2.1]

        On failure: REUSED means that the old value was answered as the new kind, or that your
        `write` compares with `==`. A wrong value means that `apply` left the old kind's column, or
        that structs lose bools, None or empty lists.
        """
        for before, after in ((old, new), (new, old)):
            id = put(stored, ARTIFACT, custom_properties={"p": before}).id
            written = update(stored, ARTIFACT, Merge(id), custom_properties={"p": after})
            assert written.outcome is Outcome.UPDATED
            assert exact(artifact(stored, id).custom_properties) == exact({"p": after})

    @ALL_KINDS
    def test_a_change_has_a_later_time(self, stored: BaseMetadataStore, kind: NodeKind) -> None:
        """Every change has a later update time than the one before, at once or not. [4.14]

        On failure: write `NodeUpdate.update_time_ms` as it is; it is later than the stored one by a
        millisecond at least. A column of seconds, or a trigger that sets the backend's time, makes
        equal ones.
        """
        id = _full(stored, kind)
        times = [one(stored, kind, id).update_time_ms]
        for number in range(5):
            update(stored, kind, Merge(id), properties={"a": 100 + number})
            times.append(one(stored, kind, id).update_time_ms)
        assert times == sorted(set(times))

    def test_any_part_of_a_node_is_a_change(self, stored: BaseMetadataStore) -> None:
        """A change of any one field or property sets the update time. [4.12]

        On failure: if the second update is UPDATED, `lookup` did not read the change back: a state
        UNKNOWN as None, an empty state as UNKNOWN. An upsert that skips "equal" values takes
        "Three" for "three" where case does not count.
        """
        for fields, draft in (
            ({"uri"}, {"uri": "new"}),
            ({"state"}, {"state": ArtifactState.UNKNOWN}),
            ({"state"}, {}),
            ({"external_id"}, {"external_id": "y"}),
            (set(), {"properties": {"a": 3}}),
            (set(), {"custom_properties": {"a": 3}}),
            (set(), {"custom_properties": {"c": "Three"}}),
        ):
            id = _full(stored, ARTIFACT, f"{fields}{draft}")
            before = artifact(stored, id)
            mode = Merge(id, frozenset(fields))
            assert update(stored, ARTIFACT, mode, **draft).outcome is Outcome.UPDATED
            assert artifact(stored, id).update_time_ms > before.update_time_ms
            again = update(stored, ARTIFACT, mode, **draft)
            assert again.outcome is Outcome.REUSED

    @ALL_KINDS
    @MODES
    def test_forced_updates(self, stored: BaseMetadataStore, kind: NodeKind, mode: Any) -> None:
        """A forced update that changes nothing sets a later update time: UPDATED. [4.13]

        On failure: the `NodeUpdate` has a new time and else what is stored: an `apply` that skips
        updates without properties loses it. A service that does the same needs a real change, and
        its undoing, from your `write`.
        """
        id = put(stored, kind, name="n", properties={"a": 1}).id
        before = one(stored, kind, id)
        written = update(stored, kind, mode(id, force_update=True), name="n", properties={"a": 1})
        assert (written.id, written.outcome) == (id, Outcome.UPDATED)
        after = one(stored, kind, id)
        assert after.update_time_ms > before.update_time_ms
        assert exact(after.properties) == exact(before.properties)
        assert after.create_time_ms == before.create_time_ms

    @ALL_KINDS
    @MODES
    def test_given_update_times(self, stored: BaseMetadataStore, kind: NodeKind, mode: Any) -> None:
        """A given update time is stored by an update that changes something, and only
        then. [4.14]

        On failure: the given time may be earlier than the stored one (6500 after 7777): no `MAX`,
        no trigger, no clock of the backend. `NodeUpdate` has no create time, so a draft's must not
        get into your request.
        """
        needs(stored, "given_times")
        id = put(stored, kind, name="n", create_time_ms=5000, update_time_ms=6000).id
        name = {"name": "n"} if kind is CONTEXT else {}
        update(stored, kind, mode(id), properties={"a": 1}, update_time_ms=7777, **name)
        assert (one(stored, kind, id).create_time_ms, one(stored, kind, id).update_time_ms) == (
            5000,
            7777,
        )
        update(stored, kind, mode(id), properties={"a": 1}, update_time_ms=8888, **name)
        assert one(stored, kind, id).update_time_ms == 7777
        forced = mode(id, force_update=True)
        update(stored, kind, forced, properties={"a": 1}, update_time_ms=6500, **name)
        assert one(stored, kind, id).update_time_ms == 6500
        update(stored, kind, mode(id), properties={"a": 2}, create_time_ms=1, **name)
        assert one(stored, kind, id).create_time_ms == 5000

    def test_the_last_time_of_all(self, stored: BaseMetadataStore) -> None:
        """A node whose update time is the largest integer can still be updated. [4.14]

        On failure: something of yours adds 1 to an update time, or converts it on the way (a float,
        a timestamp of the database). The planner stays at 2^63-1.
        """
        needs(stored, "given_times")
        id = put(stored, ARTIFACT, update_time_ms=2**63 - 1).id
        written = update(stored, ARTIFACT, Merge(id), properties={"a": 1})
        assert written.outcome is Outcome.UPDATED
        assert artifact(stored, id).update_time_ms == 2**63 - 1

    def test_updates_of_one_batch_see_one_another(self, stored: BaseMetadataStore) -> None:
        """The second update of a node in a batch sees the first; each has its outcome. [4.15]

        On failure: one `NodeUpdate` arrives for the four drafts, with what they come to. A `write`
        of your own must send them in their order, one seeing the other, and keep the outcome of
        each.
        """
        id = _full(stored, ARTIFACT)
        batch = Batch()
        modes: list[Any] = [Merge(id), Merge(id, frozenset({"uri"})), Merge(id), Replace(id)]
        drafts: tuple[dict[str, Any], ...] = (
            {"properties": {"a": 10}},
            {"uri": "new", "properties": {"b": 20}},
            {"properties": {"a": 10}},
            {"properties": {"b": 20}, "uri": "new"},
        )
        for mode, draft in zip(modes, drafts, strict=True):
            batch.artifact(mode=mode, **draft)
        written = stored.write(batch).artifacts
        assert [each.id for each in written] == [id] * 4
        assert [each.outcome for each in written] == [
            Outcome.UPDATED,
            Outcome.UPDATED,
            Outcome.REUSED,
            Outcome.UPDATED,
        ]
        node = artifact(stored, id)
        assert (node.uri, node.properties, node.custom_properties) == ("new", {"b": 20}, {})

    def test_names_taken_away_are_not_free_in_the_batch(self, stored: BaseMetadataStore) -> None:
        """A context's old name is free for others after the batch, not inside it. [4.16]

        On failure: a backend that writes row by row lets these batches pass, so a `write` of your
        own must note the names that its drafts take away. If the last line fails, `lookup` still
        answers "n", which no context has any more.
        """
        id = _full(stored, CONTEXT)
        other = _full(stored, CONTEXT, "other")
        rename = Merge(id, frozenset({"name"}))
        batch = Batch()
        batch.context(mode=rename, name="new")
        batch.context("T", name="n")
        refuse(stored, batch, AlreadyExistsError, kind="context", index=1, name="n")
        batch = Batch()
        batch.context(mode=rename, name="new")
        batch.context(mode=Merge(other, frozenset({"name"})), name="n")
        refuse(stored, batch, AlreadyExistsError, kind="context", index=1, name="n")
        update(stored, CONTEXT, rename, name="new")
        assert put(stored, CONTEXT, name="n").outcome is Outcome.CREATED

    @ALL_KINDS
    def test_external_ids_taken_away_are_not_free_in_the_batch(
        self, stored: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """A node's old external id is free for others after the batch, not inside it. [4.16]

        On failure: the old external id must be in `Answers.nodes`, or the planner does not see that
        the batch gives it up. If the last insert is refused, `apply` did not write None over it.
        """
        id = _full(stored, kind)
        clear = Merge(id, frozenset({"external_id"}))
        batch = Batch()
        getattr(batch, kind.label)(mode=clear)
        add(batch, kind, name="taker", external_id="x-n")
        refuse(stored, batch, AlreadyExistsError, kind=kind.label, index=1, name="taker")
        update(stored, kind, clear)
        assert put(stored, kind, name="taker", external_id="x-n").outcome is Outcome.CREATED

    def test_a_name_may_be_taken_back(self, stored: BaseMetadataStore) -> None:
        """A context renamed away and back in one batch is what it was: the second is a change.
        [4.15]

        On failure: `apply` gets one `NodeUpdate` with the old name and a new time; do not skip it
        because the row looks the same. A `write` of your own that compares with the stored name
        calls the second REUSED.
        """
        id = _full(stored, CONTEXT)
        rename = Merge(id, frozenset({"name"}))
        batch = Batch()
        batch.context(mode=rename, name="new")
        batch.context(mode=rename, name="n")
        written = stored.write(batch).contexts
        assert [each.outcome for each in written] == [Outcome.UPDATED] * 2
        assert context(stored, id).name == "n"

    def test_properties_of_every_kind_are_overwritten(self, store: BaseMetadataStore) -> None:
        """An update overwrites properties, whatever kind the old value had. [4.6, 4.9]

        On failure: look at the kind whose value is wrong: where kinds have tables or columns of
        their own, `apply` must update all of them. An empty text or struct must not count as "no
        value to set".
        """
        prepare(store, i=INT, s=STRING, d=DOUBLE, m=STRUCT)
        values: dict[str, Any] = {"i": 1, "s": "x", "d": 0.5, "m": {"a": 1.0}}
        others: dict[str, Any] = {"i": 2, "s": "", "d": -1.5, "m": {}}
        id = put(store, EXECUTION, properties=values).id
        update(store, EXECUTION, Merge(id), properties=others)
        assert exact(execution(store, id).properties) == exact(others)
        update(store, EXECUTION, Replace(id), properties=values)
        assert exact(execution(store, id).properties) == exact(values)

    def test_many_updates_in_a_batch(self, stored: BaseMetadataStore) -> None:
        """Hundreds of nodes are updated in one batch, each with its own values. [4.6]

        On failure: parameters of `executemany` got out of step, or a statement for many rows was
        cut at a limit. `set_properties` and `drop_properties` belong to the id of their own
        `NodeUpdate`.
        """
        batch = Batch()
        for number in range(300):
            batch.artifact("T", uri=f"old {number}", properties={"a": number})
        written = stored.write(batch).artifacts
        batch = Batch()
        for number, each in enumerate(written):
            batch.artifact(mode=Replace(each.id), uri=f"new {number}", properties={"b": number})
        assert {each.outcome for each in stored.write(batch).artifacts} == {Outcome.UPDATED}
        found = [node for node in read(stored, ARTIFACT) if isinstance(node, Artifact)]
        assert [(node.uri, node.properties) for node in found] == [
            (f"new {number}", {"b": number}) for number in range(300)
        ]

    @ALL_KINDS
    def test_updated_fields_are_found(self, stored: BaseMetadataStore, kind: NodeKind) -> None:
        """A node is found by the uri, external id and name that an update gave it, and no more by
        the old ones. [4.6, 4.17, 8.5]

        On failure: look at whatever finds nodes by these texts beside the nodes themselves, an
        index or a second table: an update must add the new text to it and remove the old one.
        """
        id = _full(stored, kind)
        fields: dict[str, Any] = {"external_ids": ("x-n", "y")}
        draft: dict[str, Any] = {"external_id": "y"}
        if kind is ARTIFACT:
            fields["uris"], draft["uri"] = ("old", "new"), "new"
        if kind is CONTEXT:
            fields["names"], draft["name"] = ("n", "m"), "m"
        update(stored, kind, Replace(id), **draft)
        for condition, (old, new) in fields.items():
            assert [node.id for node in read(stored, kind, **{condition: [old, new]})] == [id]
            assert read(stored, kind, **{condition: [old]}) == []
            one_field: dict[str, Any] = {condition: [new]}
            assert stored.count(NodeQuery(kind, **one_field)) == 1
        ways: dict[str, Any] = {"external_ids": "external_id", "uris": "uri", "names": "name"}
        for condition, (_, new) in fields.items():
            batch = Batch()
            add(batch, kind, "T", mode=Reuse(ways[condition]), **{ways[condition]: new})
            assert stored.write(batch).nodes[kind][0] == (id, Outcome.REUSED)

    @ALL_KINDS
    def test_an_update_moves_a_node_in_the_order(
        self, stored: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """A node that is updated comes last in the order of update times, and stays where it is in
        the other orders. [4.14, 8.8]

        On failure: look at what the order by update time is read from. Where that is an index of
        its own, an update must move the node in it.
        """
        made = [_full(stored, kind, name) for name in ("first", "second", "third")]
        # A time of its own each, whatever the clock.
        for id in made:
            update(stored, kind, Merge(id), properties={"a": 10})
        times = [one(stored, kind, id).update_time_ms for id in made]
        later = {"update_time_ms": max(times) + 1000} if stored.CAPABILITIES.given_times else {}
        update(stored, kind, Merge(made[0]), properties={"a": 11}, **later)
        if one(stored, kind, made[0]).update_time_ms > max(times):
            by_update = read(stored, kind, order_by=OrderBy.UPDATE_TIME)
            assert by_update[-1].id == made[0]
            back = read(stored, kind, order_by=OrderBy.UPDATE_TIME, descending=True, limit=1)
            assert [node.id for node in back] == [made[0]]
        found = [cursor_of(node, OrderBy.UPDATE_TIME) for node in read(stored, kind)]
        assert sorted(found) == [
            cursor_of(node, OrderBy.UPDATE_TIME)
            for node in read(stored, kind, order_by=OrderBy.UPDATE_TIME)
        ]
        for order_by in (OrderBy.ID, OrderBy.CREATE_TIME):
            assert [node.id for node in read(stored, kind, order_by=order_by)] == made
