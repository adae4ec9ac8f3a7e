"""Section 4 of the contract: nodes replaced and merged."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore, cursor_of
from metastore.batch import ALL, Batch, Merge, Outcome, Replace, Reuse
from metastore.errors import AlreadyExistsError, ConflictError, InvalidError, NotFoundError
from metastore.model import Artifact, ArtifactState, Execution, ExecutionState, NodeKind
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
    ContractBase,
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

MODES = pytest.mark.parametrize("mode", [Replace, Merge])


def _full(store: BaseMetadataStore, kind: NodeKind, name: str = "n") -> int:
    """A stored node that has everything; its id."""
    fields: dict[str, Any] = {"uri": "old"} if kind is ARTIFACT else {}
    if kind is not CONTEXT:
        fields["state"] = ArtifactState.LIVE if kind is ARTIFACT else ExecutionState.RUNNING
    return put(
        store,
        kind,
        name=name,
        external_id=f"x-{name}",
        properties={"a": 1, "b": 2},
        custom_properties={"c": "three", "d": 4.5},
        **fields,
    ).id


def _refused(
    store: BaseMetadataStore, kind: NodeKind, mode: Any, error: Any, **fields: Any
) -> None:
    batch = Batch()
    getattr(batch, kind.label)(None, mode=mode, **fields)
    refuse(store, batch, error, kind=kind.label, index=0, id=mode.id)


class UpdateContract(ContractBase):
    """Stored nodes are replaced, or merged with what a draft names."""

    @pytest.fixture
    def stored(self, store: BaseMetadataStore) -> BaseMetadataStore:
        """A store with the type T for every kind: a and b are INT."""
        prepare(store, a=INT, b=INT)
        return store

    # Replace.

    @ALL_KINDS
    def test_replace_sets_everything(self, stored: BaseMetadataStore, kind: NodeKind) -> None:
        """Replace makes the node what the draft says: UPDATED. [4.6]

        On failure: if every update is `NotFoundError`, `lookup` does not answer
        `questions.type_ids`. `apply` must write all fields of a `NodeUpdate`, then set and drop
        properties: where "c" is still a text, or "d" still there, look at how custom ones are
        overwritten and removed.
        """
        id = _full(stored, kind)
        fields: dict[str, Any] = {"uri": "new"} if kind is ARTIFACT else {}
        if kind is not CONTEXT:
            fields["state"] = ArtifactState.DELETED if kind is ARTIFACT else ExecutionState.FAILED
        else:
            fields["name"] = "n"
        written = update(
            stored,
            kind,
            Replace(id),
            external_id="y",
            properties={"a": 5},
            custom_properties={"c": 6},
            **fields,
        )
        assert (written.id, written.outcome) == (id, Outcome.UPDATED)
        node = one(stored, kind, id)
        assert node.external_id == "y"
        assert exact(node.properties) == exact({"a": 5})
        assert exact(node.custom_properties) == exact({"c": 6})
        for name, value in fields.items():
            assert getattr(node, name) == value

    @ALL_KINDS
    def test_replace_removes_what_is_left_out(
        self, stored: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """Replace removes uri, state, external id and properties that the draft leaves
        out. [4.6]

        On failure: None in `NodeUpdate` means "empty this field", not "leave it". `drop_properties`
        and `drop_custom_properties` have the keys that go; a request with only what is set removes
        nothing.
        """
        id = _full(stored, kind)
        written = update(stored, kind, Replace(id), **({"name": "n"} if kind is CONTEXT else {}))
        assert written.outcome is Outcome.UPDATED
        node = one(stored, kind, id)
        assert (node.name, node.external_id) == ("n", None)
        assert (node.properties, node.custom_properties) == ({}, {})
        assert not isinstance(node, Artifact) or node.uri == ""
        assert not isinstance(node, Artifact | Execution) or node.state is None

    @ALL_KINDS
    @MODES
    def test_an_update_keeps_the_rest(
        self, stored: BaseMetadataStore, kind: NodeKind, mode: Any
    ) -> None:
        """An update keeps id, type, create time and, but for contexts, the name. [4.7]

        On failure: `NodeUpdate` has neither type nor create time, so `apply` must leave these
        columns: an upsert of the whole row, or deleting and inserting it, loses them. The name in
        it is the right one; a `write` of your own must not send the draft's.
        """
        id = _full(stored, kind)
        before = one(stored, kind, id)
        update(
            stored,
            kind,
            mode(id),
            name="other" if kind is not CONTEXT or mode is Merge else "n",
            properties={"a": 7},
        )
        after = one(stored, kind, id)
        for field in ("id", "type_id", "type", "name", "create_time_ms"):
            assert getattr(after, field) == getattr(before, field)
        assert after.properties["a"] == 7

    def test_replace_renames_contexts(self, stored: BaseMetadataStore) -> None:
        """Replace gives a context the draft's name, under which it is found then. [4.7]

        On failure: `apply` did not write `NodeUpdate.name`, or your index of names kept the old
        entry, so that "n" is still found and still taken.
        """
        id = _full(stored, CONTEXT)
        update(stored, CONTEXT, Replace(id), name="new")
        assert [node.id for node in read(stored, CONTEXT, names=["new"])] == [id]
        assert read(stored, CONTEXT, names=["n"]) == []
        assert put(stored, CONTEXT, name="n").outcome is Outcome.CREATED

    def test_merge_renames_contexts(self, stored: BaseMetadataStore) -> None:
        """Merge gives a context the draft's name where `fields` has it. [4.7, 4.8]

        On failure: a `write` of your own sends the draft's name only where `Merge.fields` has
        "name". If the external id is lost, it was missing from the context in `Answers.nodes`,
        which the planner writes back.
        """
        id = _full(stored, CONTEXT)
        update(stored, CONTEXT, Merge(id), name="not named in fields")
        assert one(stored, CONTEXT, id).name == "n"
        update(stored, CONTEXT, Merge(id, frozenset({"name"})), name="new")
        node = one(stored, CONTEXT, id)
        assert (node.name, node.external_id) == ("new", "x-n")

    @pytest.mark.parametrize("name", [None, ""])
    def test_a_context_cannot_lose_its_name(self, stored: BaseMetadataStore, name: Any) -> None:
        """A context whose new name would be none, or empty, is InvalidError. [4.4, 4.7]

        On failure: no answer of yours matters but the node itself. A service that is told to set
        "name", and gets none, empties it: look at the new name before you send a mask with "name"
        in it.
        """
        id = _full(stored, CONTEXT)
        _refused(stored, CONTEXT, Replace(id), InvalidError, name=name)
        _refused(stored, CONTEXT, Merge(id, frozenset({"name"})), InvalidError, name=name)

    def test_a_context_cannot_take_a_taken_name(self, stored: BaseMetadataStore) -> None:
        """A new name that another context of the type has is AlreadyExistsError. [4.3, 4.7]

        On failure: the new name is asked for in `questions.names` of a later `lookup`, with the
        type of the stored context: answer names in every call. An error of your unique index is too
        late, and not ours.
        """
        id = _full(stored, CONTEXT)
        _full(stored, CONTEXT, "taken")
        _refused(stored, CONTEXT, Replace(id), AlreadyExistsError, name="taken")
        _refused(stored, CONTEXT, Merge(id, frozenset({"name"})), AlreadyExistsError, name="taken")

    @ALL_KINDS
    def test_an_update_cannot_take_a_taken_external_id(
        self, stored: BaseMetadataStore, kind: NodeKind
    ) -> None:
        """A new external id that another node of the kind has is AlreadyExistsError. [4.3, 4.7]

        On failure: `questions.external_ids` comes for updates as for inserts, and `lookup` answered
        nobody. In a `write` of your own, look the external id up before an update too.
        """
        id = _full(stored, kind)
        _full(stored, kind, "other")
        name = {"name": "n"} if kind is CONTEXT else {}
        taken = {"external_id": "x-other"} | name
        _refused(stored, kind, Replace(id), AlreadyExistsError, **taken)
        _refused(stored, kind, Merge(id, frozenset({"external_id"})), AlreadyExistsError, **taken)

    @ALL_KINDS
    def test_an_update_may_keep_its_own(self, stored: BaseMetadataStore, kind: NodeKind) -> None:
        """A node's own name and external id are not taken for itself. [4.3]

        On failure: the ids in `Answers.names` and `Answers.external_ids` must be those of
        `Answers.nodes`, as ints: "7" or a row number is somebody else. A check of your own must
        except the node itself.
        """
        id = _full(stored, kind)
        written = update(stored, kind, Replace(id), name="n", external_id="x-n")
        assert written.outcome is Outcome.UPDATED
        assert (one(stored, kind, id).name, one(stored, kind, id).external_id) == ("n", "x-n")

    def test_property_and_custom_property_are_updated_apart(
        self, stored: BaseMetadataStore
    ) -> None:
        """An update of a property leaves the custom property of the same key, and the reverse.
        [1.9]

        On failure: the statements of `apply` for `set_properties`, `drop_properties` and their two
        twins must all have `is_custom_property` in their condition. MLMD's own server mixes them
        up: a backend like it cannot pass, so mark the test xfail.
        """
        for kind in NodeKind:
            id = put(
                stored, kind, name="both", properties={"a": 1}, custom_properties={"a": "one"}
            ).id
            update(stored, kind, Merge(id), properties={"a": 2})
            node = one(stored, kind, id)
            assert (node.properties, node.custom_properties) == ({"a": 2}, {"a": "one"})
            update(stored, kind, Merge(id), custom_properties={"a": "two"})
            node = one(stored, kind, id)
            assert (node.properties, node.custom_properties) == ({"a": 2}, {"a": "two"})
            update(stored, kind, Merge(id, properties=frozenset({"a"})))
            node = one(stored, kind, id)
            assert (node.properties, node.custom_properties) == ({}, {"a": "two"})
            update(stored, kind, Merge(id, custom_properties=ALL), properties={"a": 3})
            node = one(stored, kind, id)
            assert (node.properties, node.custom_properties) == ({"a": 3}, {})

    # Merge.

    @ALL_KINDS
    def test_merge_changes_nothing_unnamed(self, stored: BaseMetadataStore, kind: NodeKind) -> None:
        """Merge leaves every field and property that it does not name. [4.8, 4.9]

        On failure: what `lookup` leaves out of a node in `Answers.nodes` is written back as
        nothing: build these nodes with the code of `read_nodes`. `set_custom_properties` has only
        the new key, to be added to the others.
        """
        id = _full(stored, kind)
        before = one(stored, kind, id)
        update(stored, kind, Merge(id), custom_properties={"new": True})
        after = one(stored, kind, id)
        assert exact(after.custom_properties) == exact({"c": "three", "d": 4.5, "new": True})
        assert after.properties == before.properties
        for field in ("name", "external_id", "uri", "state"):
            assert getattr(after, field, None) == getattr(before, field, None)

    def test_merge_fields(self, stored: BaseMetadataStore) -> None:
        """Fields that Merge names become what the draft says; others stay. [4.8]

        On failure: if a field changed before its turn, your request had no mask, or one with other
        fields; if one did not change, the mask has names that the backend passes over. `apply`
        writes the whole `NodeUpdate`.
        """
        id = _full(stored, ARTIFACT)
        draft: dict[str, Any] = {
            "uri": "new",
            "state": ArtifactState.PENDING,
            "external_id": "y",
        }
        expected: dict[str, Any] = {
            "uri": "old",
            "state": ArtifactState.LIVE,
            "external_id": "x-n",
        }
        for field in ("uri", "state", "external_id"):
            update(stored, ARTIFACT, Merge(id, frozenset({field})), **draft)
            expected[field] = draft[field]
            node = artifact(stored, id)
            assert {name: getattr(node, name) for name in expected} == expected
            assert node.properties == {"a": 1, "b": 2}

    def test_merge_clears_fields(self, stored: BaseMetadataStore) -> None:
        """Fields that Merge names and the draft lacks are removed. [4.8]

        On failure: `apply` skips "" and None (`if update.uri`, `COALESCE`). If only the last line
        fails, your index of external ids still has the entry of the node that gave it up.
        """
        id = _full(stored, ARTIFACT)
        update(stored, ARTIFACT, Merge(id, frozenset({"uri", "state", "external_id"})))
        node = artifact(stored, id)
        assert (node.uri, node.state, node.external_id) == ("", None, None)
        assert put(stored, ARTIFACT, external_id="x-n").outcome is Outcome.CREATED

    def test_merge_the_state_of_an_execution(self, stored: BaseMetadataStore) -> None:
        """Merge sets the state of an execution alone, the commonest update of all. [4.8]

        On failure: there are no properties to set or drop here: an `apply` that deletes all of an
        updated node's and inserts `set_properties` loses them. The uri in the `NodeUpdate` of an
        execution is always "".
        """
        id = _full(stored, EXECUTION)
        before = execution(stored, id)
        update(stored, EXECUTION, Merge(id, frozenset({"state"})), state=ExecutionState.COMPLETE)
        after = execution(stored, id)
        assert after.state is ExecutionState.COMPLETE
        assert after.properties == before.properties
        assert after.custom_properties == before.custom_properties

    @pytest.mark.parametrize(
        ("kind", "field"),
        [
            (ARTIFACT, "name"),
            (ARTIFACT, "type"),
            (ARTIFACT, "properties"),
            (EXECUTION, "uri"),
            (EXECUTION, "name"),
            (CONTEXT, "state"),
            (CONTEXT, "uri"),
            (CONTEXT, ""),
        ],
    )
    def test_merge_of_unknown_fields(
        self, stored: BaseMetadataStore, kind: NodeKind, field: str
    ) -> None:
        """A field that nodes of the kind do not have, or never change, is InvalidError. [4.8]

        On failure: the planner knows the fields of each kind. Services pass over paths of a mask
        that they do not know: a `write` of your own compares `Merge.fields` with `uri`, `state`,
        `external_id`, `name` first.
        """
        id = _full(stored, kind)
        _refused(stored, kind, Merge(id, frozenset({field})), InvalidError)

    @pytest.mark.parametrize("custom", [False, True])
    def test_merge_keys(self, stored: BaseMetadataStore, custom: bool) -> None:
        """Of a set of keys, those that the draft has are set, those that it lacks removed. [4.9]

        On failure: `apply` must delete the keys in `drop_properties` and `drop_custom_properties`,
        each from its own map. If "not in the set" was written, your `write` sent the draft's map
        and not the keys of the set.
        """
        id = put(
            stored,
            ARTIFACT,
            properties={"a": 1, "b": 2},
            custom_properties={"a": 1, "b": 2},
        ).id
        which = "custom_properties" if custom else "properties"
        other = "properties" if custom else "custom_properties"
        keys = frozenset({"a", "b", "never there"})
        update(
            stored,
            ARTIFACT,
            Merge(id, **{which: keys, other: frozenset()}),  # type: ignore[arg-type]
            properties={"b": 5},
            custom_properties={"b": 5, "not in the set": 6},
        )
        node = artifact(stored, id)
        assert getattr(node, which) == {"b": 5}
        assert getattr(node, other) == {"a": 1, "b": 2}

    def test_merge_all_keys(self, stored: BaseMetadataStore) -> None:
        """ALL makes the whole map what the draft says, an empty one included. [4.9]

        On failure: ALL arrives as keys to set and to drop, and all may be to drop: an `apply` that
        passes over a node with nothing in `set_custom_properties` leaves the old ones.
        """
        id = _full(stored, EXECUTION)
        update(stored, EXECUTION, Merge(id, properties=ALL), properties={"b": 9})
        assert execution(stored, id).properties == {"b": 9}
        assert exact(execution(stored, id).custom_properties) == exact({"c": "three", "d": 4.5})
        update(stored, EXECUTION, Merge(id, custom_properties=ALL))
        assert execution(stored, id).custom_properties == {}
        assert execution(stored, id).properties == {"b": 9}

    def test_merge_checks_what_it_sets(self, stored: BaseMetadataStore) -> None:
        """Properties that Merge sets are checked against the type; those it leaves are
        not. [4.9]

        On failure: a `NotFoundError` says that `lookup` did not answer `questions.type_ids`, which
        asks for the type of the updated node in a later call. A `write` of your own must pass over
        "z" where the set of keys lacks it.
        """
        id = _full(stored, CONTEXT)
        for mode in (Merge(id), Merge(id, properties=frozenset({"z"})), Merge(id, properties=ALL)):
            _refused(stored, CONTEXT, mode, InvalidError, properties={"z": 1})
        _refused(stored, CONTEXT, Merge(id), InvalidError, properties={"a": "text"})
        update(stored, CONTEXT, Merge(id, properties=frozenset({"a"})), properties={"a": 3, "z": 1})
        assert context(stored, id).properties == {"a": 3, "b": 2}

    # Both.

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
