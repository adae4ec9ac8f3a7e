"""Section 5 of the contract: events."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, EventDraft, Ref
from metastore.errors import AlreadyExistsError, InvalidError, NotFoundError
from metastore.model import EventType, NodeKind
from metastore.testing._base import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    UNKNOWN_ID,
    ContractBase,
    batch_with,
    events,
    needs,
    one,
    prepare,
    put,
    refuse,
)
from metastore.testing._clock import now_ms, was_between
from metastore.testing._contents import exact

TYPES = [each for each in EventType if each is not EventType.UNKNOWN]


def _pair(store: BaseMetadataStore) -> tuple[int, int]:
    """The ids of a stored artifact and a stored execution, which differ."""
    prepare(store)
    put(store, EXECUTION)
    return put(store, ARTIFACT).id, put(store, EXECUTION).id


class EventContract(ContractBase):
    """Events between artifacts and executions."""

    def test_every_type_of_event(self, store: BaseMetadataStore) -> None:
        """An artifact and an execution may have one event of each type. [5.1, 5.2]

        On failure: a unique key of events must have artifact, execution and type in it.
        `read_events` must make members of `EventType` from stored numbers, and sort by the event's
        id.
        """
        artifact, execution = _pair(store)
        for each in TYPES:
            batch = Batch()
            batch.event(artifact, execution, each)
            store.write(batch)
        found = events(store)
        assert [(each.artifact_id, each.execution_id, each.type) for each in found] == [
            (artifact, execution, each) for each in TYPES
        ]
        assert {type(each.type) for each in found} == {EventType}

    def test_events_of_new_nodes(self, store: BaseMetadataStore) -> None:
        """Events connect nodes of the same batch with one another and with stored ones. [5.1]

        On failure: each end of a `NewEvent` is a stored id or `New(i)`, the i-th of
        `inserts[ARTIFACT]` or `inserts[EXECUTION]` of the same `Changes`: take the ids from this
        call of `apply`. Ids of events follow the order of `changes.events`.
        """
        old_artifact, old_execution = _pair(store)
        batch = batch_with("U")
        new_artifact, new_execution = batch.artifact("U"), batch.execution("U")
        batch.event(new_artifact, new_execution, EventType.OUTPUT)
        batch.event(old_artifact, new_execution, EventType.INPUT)
        batch.event(new_artifact, old_execution, EventType.INPUT)
        batch.event(old_artifact, old_execution, EventType.OUTPUT)
        written = store.write(batch)
        artifact, execution = written[new_artifact].id, written[new_execution].id
        assert [(each.artifact_id, each.execution_id, each.type) for each in events(store)] == [
            (artifact, execution, EventType.OUTPUT),
            (old_artifact, execution, EventType.INPUT),
            (artifact, old_execution, EventType.INPUT),
            (old_artifact, old_execution, EventType.OUTPUT),
        ]

    @pytest.mark.parametrize("same_batch", [False, True])
    def test_events_are_written_once(self, store: BaseMetadataStore, same_batch: bool) -> None:
        """A second event of artifact, execution and type is AlreadyExistsError. [5.2]

        On failure: `lookup` must answer `questions.events`, pairs of ids, with an `EventKey` for
        each stored event. Its third part is an `EventType`; path and time are no part of it.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.OUTPUT, path=["a"], time_ms=5)
        if not same_batch:
            store.write(batch)
            batch = Batch()
            batch.event(artifact, execution, EventType.INPUT)
        batch.event(artifact, execution, EventType.OUTPUT, path=["b"], time_ms=6)
        refuse(store, batch, AlreadyExistsError, kind="event", index=1)

    def test_events_of_new_nodes_are_written_once(self, store: BaseMetadataStore) -> None:
        """A second event of new nodes is AlreadyExistsError too. [5.2]

        On failure: there is no stored id to ask for, so the planner decides alone. A backend that
        merges equal events, or keeps the last, needs a comparison of both refs and the type in your
        `write`.
        """
        needs(store, "atomic_batch", "full")
        batch = batch_with()
        artifact, execution = batch.artifact("T"), batch.execution("T")
        batch.event(artifact, execution, EventType.OUTPUT)
        batch.event(artifact, batch.execution("T"), EventType.OUTPUT)
        batch.event(artifact, execution, EventType.OUTPUT)
        refuse(store, batch, AlreadyExistsError, kind="event", index=2)

    @pytest.mark.parametrize(
        "path",
        [
            [],
            [0],
            ["0"],
            ["model", 0],
            [0, "model", 1, "x", 2],
            [-(2**63), 2**63 - 1],
            ["", "a.b", "é🧪", "__MLMD_NULL__"],
            list(range(100)),
            ["same", "same", "same"],
        ],
        ids=[
            "none",
            "index",
            "digit",
            "key and index",
            "five",
            "large numbers",
            "odd texts",
            "long",
            "repeated",
        ],
    )
    def test_paths(self, store: BaseMetadataStore, path: list[Any]) -> None:
        """A path comes back in order, indexes and keys kept apart. [5.3]

        On failure: store the position of each step, and indexes apart from keys, with 64 bits and a
        sign. If "same" comes only once, a unique key has the step and not the position;
        `Event.path` is a tuple.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT, path=["another", 7])
        batch.event(artifact, execution, EventType.OUTPUT, path=path)
        store.write(batch)
        first, second = events(store)
        assert first.path == ("another", 7)
        assert type(second.path) is tuple
        assert exact(second.path) == exact(path)

    @pytest.mark.parametrize("step", [None, 1.0, True, b"x", ["a"], 2**63, "\ud800"])
    def test_steps_of_paths(self, store: BaseMetadataStore, step: Any) -> None:
        """A step that is neither a 64-bit integer nor a text is InvalidError. [5.3]

        On failure: a `write` of your own wrote True or 1.0 as an index, or None as an empty key. A
        step is a str or an int of 64 bits that is no bool; ask for the class before you choose the
        column.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT)
        batch.event(artifact, execution, EventType.OUTPUT, path=["fine", step])
        refuse(store, batch, InvalidError, kind="event", index=1)

    def test_a_path_is_no_text(self) -> None:
        """A text given as a path, which would be a step a letter, is InvalidError. [5.3]

        On failure: no flavor is called here: `Batch.event` refuses this itself. Look for a fixture
        or plugin of your tests that patches `Batch`.
        """
        with pytest.raises(InvalidError):
            Batch().event(1, 1, EventType.OUTPUT, path="model")

    def test_times_of_events(self, store: BaseMetadataStore) -> None:
        """An event has the given time, or that of the write, in milliseconds. [5.4]

        On failure: write `NewEvent.time_ms` as it is: 0 is a time, which `if time` and a column's
        default replace by now. If the other time is far from now, something converts from seconds
        or microseconds, or loses a time zone.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        given = {EventType.INPUT: 1_500_000_000_123, EventType.OUTPUT: 0}
        for type, time in given.items():
            batch.event(artifact, execution, type, time_ms=time)
        batch.event(artifact, execution, EventType.DECLARED_INPUT)
        before = now_ms()
        store.write(batch)
        after = now_ms()
        found = {each.type: each for each in events(store)}
        assert {type: found[type].time_ms for type in given} == given
        assert was_between(before, found[EventType.DECLARED_INPUT].time_ms, after)

    @pytest.mark.parametrize("time", [1.5, "now", True, 2**63])
    def test_times_of_events_are_integers(self, store: BaseMetadataStore, time: Any) -> None:
        """A time that is no 64-bit integer is InvalidError. [1.10]

        On failure: the planner checks events as they are planned, after your last `lookup`. In a
        `write` of your own, check the time of each event as you check those of nodes; an encoder
        rounds 1.5.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT, time_ms=time)
        refuse(store, batch, InvalidError, kind="event", index=0)

    @pytest.mark.parametrize("type", [EventType.UNKNOWN, None, 0, 8, -1, True, 3.0, "INPUT", [3]])
    def test_events_need_a_type(self, store: BaseMetadataStore, type: Any) -> None:
        """An event without a type, or with an unknown one, is InvalidError. [5.1]

        On failure: an unset enumeration of protocol buffers is 0, which is UNKNOWN, and services
        store it. A `write` of your own takes only members of `EventType`, or their plain numbers,
        but for 0.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT)
        batch.event(artifact, execution, type)
        refuse(store, batch, InvalidError, kind="event", index=1)

    def test_types_may_be_numbers(self, store: BaseMetadataStore) -> None:
        """A type given as its number is that type. [1.12]

        On failure: `NewEvent.type` is an `EventType` already, with MLMD's numbers: 4 is OUTPUT. If
        another member came back, `apply` or `read_events` counts the types by position.
        """
        artifact, execution = _pair(store)
        number: Any = 4
        batch = Batch()
        batch.event(artifact, execution, number)
        store.write(batch)
        [event] = events(store)
        assert event.type is EventType.OUTPUT

    @pytest.mark.parametrize("id", [UNKNOWN_ID, 0, -1, 2**63, 2**80])
    def test_events_do_not_dangle(self, store: BaseMetadataStore, id: int) -> None:
        """An event of an artifact or execution that is not stored is NotFoundError. [5.1]

        On failure: `lookup` answers `questions.existing` with what was asked rather than with what
        is stored. Ids out of range are not asked for; a `write` of your own must look both ends up,
        as MLMD's server stores events that dangle.
        """
        artifact, execution = _pair(store)
        for ends in ((id, execution), (artifact, id)):
            batch = Batch()
            batch.event(artifact, execution, EventType.INPUT)
            batch.event(*ends, EventType.OUTPUT)
            refuse(store, batch, NotFoundError, kind="event", index=1)

    def test_ids_of_other_kinds_do_not_count(self, store: BaseMetadataStore) -> None:
        """An artifact's id is not an execution's: what is stored as another kind is not found.
        [1.3, 5.1]

        On failure: `questions.existing[EXECUTION]` was looked up among artifacts, or among nodes of
        all kinds. Where one table holds all kinds, the kind belongs into the condition.
        """
        prepare(store)
        artifacts = [put(store, ARTIFACT).id for _ in range(3)]
        execution = put(store, EXECUTION).id
        batch = Batch()
        batch.event(artifacts[0], max(artifacts), EventType.INPUT)
        assert max(artifacts) != execution
        refuse(store, batch, NotFoundError, kind="event", index=0)

    @pytest.mark.parametrize("end", [None, "1", 1.0, True, Ref(CONTEXT, 0), Ref(EXECUTION, 5)])
    def test_ends_of_events(self, store: BaseMetadataStore, end: Any) -> None:
        """An end that is no id, and a Ref to another kind or to no draft, is InvalidError. [5.1]

        On failure: a `write` of your own looks its `Ref` up without asking for kind and range:
        `Ref(EXECUTION, 5)` is an IndexError then. None is no id, and True is not 1.
        """
        artifact, execution = _pair(store)
        for draft in (
            EventDraft(end, execution, EventType.INPUT),
            EventDraft(artifact, end, EventType.INPUT),
        ):
            batch = Batch()
            batch.context("T", name="n")
            batch.events.append(draft)
            refuse(store, batch, InvalidError, kind="event", index=0)

    def test_refs_to_the_wrong_side(self, store: BaseMetadataStore) -> None:
        """A Ref to an artifact where an execution belongs, or the reverse, is
        InvalidError. [5.1]

        On failure: a `Ref` was used by its `index` alone, so that artifact 0 stood for execution 0.
        Compare `ref.kind` with the side of the event before you take the id.
        """
        prepare(store)
        batch = Batch()
        artifact, execution = batch.artifact("T"), batch.execution("T")
        batch.event(execution, artifact, EventType.INPUT)
        refuse(store, batch, InvalidError, kind="event", index=0)

    @pytest.mark.parametrize("side", ["artifact", "execution"])
    def test_events_take_no_refs_of_other_batches(
        self, store: BaseMetadataStore, side: str
    ) -> None:
        """A Ref that another batch returned, written or not, is InvalidError as the end of an
        event. [5.1]

        On failure: position and kind of the `Ref` fit a draft of this batch, so only `Ref.batch`
        tells that another one is meant. Compare it with `Batch.number` in the code that turns the
        ends of events into ids, too.
        """
        prepare(store)
        for is_written in (False, True):
            other = Batch()
            refs = {"artifact": other.artifact("T"), "execution": other.execution("T")}
            if is_written:
                store.write(other)
            batch = Batch()
            ends = {"artifact": batch.artifact("T"), "execution": batch.execution("T")}
            ends[side] = refs[side]
            batch.event(ends["artifact"], ends["execution"], EventType.INPUT)
            refuse(store, batch, InvalidError, kind="event", index=0)

    def test_an_event_changes_no_node(self, store: BaseMetadataStore) -> None:
        """Writing an event leaves the update times of its nodes as they are. [5.5]

        On failure: `Changes.updates` is empty here, so a trigger, a "touch" of related rows or a
        save of whole objects in the backend moved the update time. Turn it off for events.
        """
        artifact, execution = _pair(store)
        before = one(store, ARTIFACT, artifact), one(store, EXECUTION, execution)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT)
        store.write(batch)
        assert (one(store, ARTIFACT, artifact), one(store, EXECUTION, execution)) == before

    def test_events_are_read_by_their_ends(self, store: BaseMetadataStore) -> None:
        """An EventQuery gives events of one of the artifacts and one of the executions, by id.
        [8.14]

        On failure: `read_events` must apply both conditions at once, each as "one of these", and
        take an empty list for "nothing". Find the steps of a path by the event's id; drop ids
        beyond 64 bits before the driver sees them.
        """
        batch = batch_with()
        artifacts = [batch.artifact("T") for _ in range(3)]
        executions = [batch.execution("T") for _ in range(3)]
        pairs = [(2, 0), (0, 1), (1, 1), (0, 0), (2, 2)]
        for a, e in pairs:
            batch.event(artifacts[a], executions[e], EventType.INPUT, path=[f"{a}-{e}", 0])
        written = store.write(batch)
        a_ids = [written[ref].id for ref in artifacts]
        e_ids = [written[ref].id for ref in executions]

        def asked(**conditions: Any) -> list[tuple[int, int]]:
            found = events(store, **conditions)
            assert [each.id for each in found] == sorted(each.id for each in found)
            numbers = [
                (a_ids.index(each.artifact_id), e_ids.index(each.execution_id)) for each in found
            ]
            assert [each.path for each in found] == [(f"{a}-{e}", 0) for a, e in numbers]
            return numbers

        assert asked() == pairs
        assert asked(artifact_ids=[a_ids[0]]) == [(0, 1), (0, 0)]
        assert asked(execution_ids=[e_ids[1], e_ids[1], UNKNOWN_ID]) == [(0, 1), (1, 1)]
        assert asked(artifact_ids=[a_ids[0], a_ids[2]], execution_ids=[e_ids[0]]) == [
            (2, 0),
            (0, 0),
        ]
        assert asked(artifact_ids=[]) == asked(execution_ids=[]) == []
        assert asked(artifact_ids=[UNKNOWN_ID, 0, -1, 2**70]) == []
        assert asked(artifact_ids=a_ids, execution_ids=e_ids) == pairs

    def test_events_of_one_execution_with_many_artifacts(self, store: BaseMetadataStore) -> None:
        """Hundreds of events of one batch come back in order, each with its path. [1.4,
        5.3, 8.2]

        On failure: ids of events must rise in the order of `changes.events`: ids that the database
        returned for many rows may come in another order. If some paths are empty, the query for
        steps was cut at a limit.
        """
        batch = batch_with()
        execution = batch.execution("T")
        for number in range(300):
            made = batch.artifact("T")
            batch.event(made, execution, EventType.OUTPUT, path=["out", number])
        written = store.write(batch)
        found = events(store, execution_ids=[written[execution].id])
        assert [each.path for each in found] == [("out", number) for number in range(300)]
        assert [each.artifact_id for each in found] == [
            each.id for each in written.nodes[NodeKind.ARTIFACT]
        ]

    @pytest.mark.parametrize("time", [-1, -(2**63), 1, 2**53 + 1, 2**63 - 1])
    def test_times_of_events_of_64_bits(self, store: BaseMetadataStore, time: int) -> None:
        """A given time of an event may be any integer of 64 bits, also before 1970. [1.10, 5.4]

        On failure: look at the column that holds times of events: a type for points in time has a
        smaller range, one without sign no past, and a double no exact milliseconds.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT, time_ms=time)
        store.write(batch)
        assert [each.time_ms for each in events(store)] == [time]

    def test_events_come_by_id(self, store: BaseMetadataStore) -> None:
        """Events are ordered by id, or by time where the backend has no ids of events. [8.2]

        On failure: look at the order that the reading of events asks for. Without one, a backend is
        free to answer in the order of whatever index it uses.
        """
        artifact, execution = _pair(store)
        given = {EventType.INPUT: 30, EventType.OUTPUT: 10, EventType.INTERNAL_INPUT: 20}
        for type, time in given.items():
            batch = Batch()
            batch.event(artifact, execution, type, time_ms=time)
            store.write(batch)
        for conditions in ({}, {"artifact_ids": [artifact]}, {"execution_ids": [execution]}):
            found = events(store, **conditions)
            if all(each.id == 0 for each in found):
                assert [each.time_ms for each in found] == [10, 20, 30]
            else:
                assert [each.type for each in found] == list(given)
                assert len({each.id for each in found}) == 3

    def test_repeated_ends_repeat_nothing(self, store: BaseMetadataStore) -> None:
        """An id that a condition has twice gives its events once. [8.1, 8.14]

        On failure: make the ids of a condition a set before you read row by row, or page by page:
        what is asked for twice must not be read twice.
        """
        artifact, execution = _pair(store)
        batch = Batch()
        batch.event(artifact, execution, EventType.INPUT, path=["a", 0])
        store.write(batch)
        twice = {"artifact_ids": [artifact, artifact], "execution_ids": [execution, execution]}
        for conditions in (
            twice,
            {"artifact_ids": [artifact, UNKNOWN_ID, artifact]},
            {"execution_ids": [execution, UNKNOWN_ID, execution]},
            # Far enough apart to come into different statements.
            {"artifact_ids": [artifact, *range(10**6, 10**6 + 40_000), artifact]},
            {"execution_ids": [execution, *range(10**6, 10**6 + 40_000), execution]},
        ):
            assert [each.artifact_id for each in events(store, **conditions)] == [artifact]
