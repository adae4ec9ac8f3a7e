"""Section 7 of the contract: what the planner and a flavor say to one another.

A flavor that overrides `write`, because its backend has rules of its own, raises `CapabilityError`
from `transaction`; these tests are skipped there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge
from metastore.changes import (
    Answers,
    Changes,
    New,
    NewEvent,
    NodeInsert,
    NodeUpdate,
    Questions,
    TypeInsert,
    TypeUpdate,
)
from metastore.errors import AlreadyExistsError, BusyError
from metastore.model import ArtifactState, EventType, ExecutionState, LinkKind, NodeKind, TypeKey
from metastore.rules import Planner
from metastore.testing._base import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    STRING,
    UNKNOWN_ID,
    ContractBase,
    artifact,
    batch_with,
    chain,
    events,
    execution,
    ids,
    links,
    needs_transaction,
    one,
    one_type,
    prepare,
    put,
    read,
    types,
)
from metastore.testing._contents import contents, exact


class _StopError(Exception):
    """What a test raises to end a transaction."""


class TransactionContract(ContractBase):
    """A transaction answers questions and applies changes."""

    @pytest.fixture
    def engine(self, store: BaseMetadataStore) -> BaseMetadataStore:
        """A store whose flavor has transactions, with type T for every kind."""
        needs_transaction(store)
        prepare(store, a=INT)
        return store

    def _ask(self, store: BaseMetadataStore, questions: Questions) -> Answers:
        with store.transaction() as transaction:
            return transaction.lookup(questions)

    def test_nothing_asked_nothing_answered(self, engine: BaseMetadataStore) -> None:
        """Empty questions have empty answers. [7.9]

        On failure: `lookup` takes an empty set for "no condition" and answers with all there is.
        Skip every part of `Questions` that is empty.
        """
        put(engine, ARTIFACT, name="n")
        answers = self._ask(engine, Questions())
        assert not list(answers.types)
        for part in (answers.nodes, answers.existing, answers.names, answers.external_ids):
            assert not any(part.values())
        assert not answers.uris
        assert not answers.events
        assert not answers.parents

    def test_types_are_answered(self, engine: BaseMetadataStore) -> None:
        """Types are answered by key, by id and by external id, of whatever kind. [7.9]

        On failure: `lookup` has three ways to a type: key, id and external id, the last two
        whatever the kind. The types must equal those of `read_types`, base type and external id
        included; build them with the same code.
        """
        batch = Batch()
        batch.type(ARTIFACT, "A", {"x": INT}, version="1", external_id="e")
        batch.type(EXECUTION, "B", base_type="mlmd.Train")
        engine.write(batch)
        by_id = one_type(engine, EXECUTION, "B")
        for questions in (
            Questions(types={TypeKey(ARTIFACT, "A", "1"), TypeKey(ARTIFACT, "A")}),
            Questions(type_external_ids={"e", "none"}),
        ):
            answers = self._ask(engine, questions)
            assert [each for each in answers.types if each.name == "A"] == [
                one_type(engine, ARTIFACT, "A", "1")
            ]
        answers = self._ask(engine, Questions(type_ids={by_id.id, UNKNOWN_ID}))
        assert by_id in answers.types

    def test_nodes_are_answered(self, engine: BaseMetadataStore) -> None:
        """Nodes that are wanted whole, or whose existence matters, are answered by id. [7.9]

        On failure: `Answers.nodes` has whole nodes by id, equal to those of `read_nodes`, and
        `Answers.existing` ids only. Leave unknown ids out, rather than mapping them to None.
        """
        for kind in NodeKind:
            written = put(engine, kind, name="n", properties={"a": 1}, custom_properties={"b": 2})
            answers = self._ask(engine, Questions(nodes={kind: {written.id, UNKNOWN_ID}}))
            assert dict(answers.nodes[kind]) == {written.id: one(engine, kind, written.id)}
            assert not any(found for other, found in answers.nodes.items() if other is not kind)
            answers = self._ask(engine, Questions(existing={kind: {written.id, UNKNOWN_ID}}))
            assert set(answers.existing[kind]) == {written.id}

    def test_owners_are_answered(self, engine: BaseMetadataStore) -> None:
        """Names of a type and external ids of a kind are answered exactly. [7.9]

        On failure: the keys of `Answers.names` are the pairs that were asked for.
        `type_id IN (...) AND name IN (...)` finds other pairs as well: drop them, as (U, "n") here.
        """
        prepare(engine, "U")
        for kind in NodeKind:
            first = put(engine, kind, "T", name="n", external_id="x")
            second = put(engine, kind, "U", name="n", external_id="y")
            type_id = one_type(engine, kind, "T").id
            other_id = one_type(engine, kind, "U").id
            answers = self._ask(
                engine,
                Questions(
                    names={kind: {(type_id, "n"), (other_id, "m"), (UNKNOWN_ID, "n")}},
                    external_ids={kind: {"x", "y", "z"}},
                ),
            )
            assert dict(answers.names[kind]) == {(type_id, "n"): first.id}
            assert dict(answers.external_ids[kind]) == {"x": first.id, "y": second.id}

    def test_the_newest_uri_is_answered(self, engine: BaseMetadataStore) -> None:
        """Of artifacts of one type and uri, the one with the highest id is answered. [7.9]

        On failure: group by type and uri, and take the highest id. An artifact of type U with the
        same uri is no answer for T, and nor is an older one with a later update time.
        """
        prepare(engine, "U")
        put(engine, ARTIFACT, "T", uri="x")
        newest = put(engine, ARTIFACT, "T", uri="x")
        put(engine, ARTIFACT, "U", uri="x")
        type_id = one_type(engine, ARTIFACT, "T").id
        answers = self._ask(engine, Questions(uris={(type_id, "x"), (type_id, "y")}))
        assert dict(answers.uris) == {(type_id, "x"): newest.id}

    def test_events_are_answered(self, engine: BaseMetadataStore) -> None:
        """Events are answered for pairs of artifact and execution that are asked for, and for no
        others. [7.9]

        On failure: `questions.events` has pairs: answer every event of a pair, of all types, as
        (artifact id, execution id, `EventType`). A condition on the artifact alone, or on a list of
        artifacts and a list of executions, finds pairs that were not asked for: drop them.
        """
        artifacts = [put(engine, ARTIFACT).id for _ in range(2)]
        executions = [put(engine, EXECUTION).id for _ in range(2)]
        batch = Batch()
        for a in artifacts:
            for e in executions:
                batch.event(a, e, EventType.INPUT)
        batch.event(artifacts[0], executions[0], EventType.OUTPUT)
        engine.write(batch)
        pairs = {(artifacts[0], executions[0]), (artifacts[1], executions[1])}
        answers = self._ask(engine, Questions(events=pairs))
        assert set(answers.events) == {
            (artifacts[0], executions[0], EventType.INPUT),
            (artifacts[0], executions[0], EventType.OUTPUT),
            (artifacts[1], executions[1], EventType.INPUT),
        }

    def test_ancestors_are_answered(self, engine: BaseMetadataStore) -> None:
        """Parent links are answered all the way up, and not down. [7.9]

        On failure: follow the links upwards, from child to parent, and on from each parent. If
        links below the context came, the recursive part joins the wrong column; if only one came,
        it does not recurse.
        """
        contexts, _ = chain(engine, 12)
        up = list(pairwise(contexts))
        answers = self._ask(engine, Questions(parents_of={contexts[4]}))
        assert set(answers.parents) == set(up[4:])

    def test_changes_are_applied(self, engine: BaseMetadataStore) -> None:
        """All sorts of changes are written as they are, with ids aligned with the
        inserts. [7.11]

        On failure: this calls `apply` without the planner, and the line that fails says which list
        of `Changes` is written wrongly. `New(1)` as a type counts `type_inserts`, as the end of an
        event or link it counts inserts of that kind.
        """
        old = put(engine, ARTIFACT, name="old", properties={"a": 1}, custom_properties={"b": 2}).id
        created = artifact(engine, old).create_time_ms
        group = put(engine, CONTEXT, name="group").id
        type_id = one_type(engine, ARTIFACT, "T").id
        changes = Changes()
        changes.type_inserts = [
            TypeInsert(TypeKey(EXECUTION, "E"), {"s": STRING}, "d", None, "x", None, None),
            TypeInsert(TypeKey(ARTIFACT, "A", "1"), {}, None, None, None, None, None),
        ]
        changes.type_updates = [TypeUpdate(type_id, {"new": STRING}, "t", None)]
        changes.inserts[ARTIFACT] = [
            NodeInsert(New(1), "first", "u", 2, "y", {}, {"c": True}, 5, 6),
            NodeInsert(type_id, None, "", None, None, {"a": 7}, {}, 7, 8),
        ]
        changes.inserts[EXECUTION] = [NodeInsert(New(0), None, "", 3, None, {"s": "v"}, {}, 9, 10)]
        changes.updates[ARTIFACT] = [
            NodeUpdate(old, "old", "v", 1, "z", 11, {"a": 3}, {"d": 4}, frozenset(), frozenset("b"))
        ]
        changes.events = [NewEvent(New(1), New(0), EventType.OUTPUT, 12, ("p", 0))]
        changes.links[LinkKind.ATTRIBUTION] = [(group, New(0)), (group, old)]
        changes.links[LinkKind.ASSOCIATION] = [(group, New(0))]
        with engine.transaction() as transaction:
            applied = transaction.apply(changes)
        e_type, a_type = applied.types
        first, second = applied.nodes[ARTIFACT]
        [ran] = applied.nodes[EXECUTION]
        found = one_type(engine, EXECUTION, "E")
        assert (found.id, found.description, found.external_id) == (e_type, "d", "x")
        assert dict(found.properties) == {"s": STRING}
        assert one_type(engine, ARTIFACT, "A", "1").id == a_type
        assert dict(one_type(engine, ARTIFACT, "T").properties) == {"a": INT, "new": STRING}
        assert one_type(engine, ARTIFACT, "T").external_id == "t"
        node = artifact(engine, first)
        assert (node.type_id, node.name, node.uri, node.external_id) == (a_type, "first", "u", "y")
        assert node.state is ArtifactState.LIVE
        assert exact(node.custom_properties) == exact({"c": True})
        assert (artifact(engine, second).name, artifact(engine, second).properties) == (
            None,
            {"a": 7},
        )
        node = artifact(engine, old)
        assert (node.uri, node.external_id, node.properties) == ("v", "z", {"a": 3})
        assert (node.state, node.custom_properties) == (ArtifactState.PENDING, {"d": 4})
        of_the_run = execution(engine, ran)
        assert (of_the_run.state, of_the_run.properties) == (ExecutionState.COMPLETE, {"s": "v"})
        [event] = events(engine)
        assert (event.artifact_id, event.execution_id, event.path) == (second, ran, ("p", 0))
        assert (event.type, event.time_ms) == (EventType.OUTPUT, 12)
        if engine.CAPABILITIES.given_times:
            nodes = [one(engine, ARTIFACT, first), one(engine, ARTIFACT, second), of_the_run]
            times = [(each.create_time_ms, each.update_time_ms) for each in nodes]
            assert times == [(5, 6), (7, 8), (9, 10)]
            assert (node.create_time_ms, node.update_time_ms) == (created, 11)
        assert links(engine, LinkKind.ATTRIBUTION) == sorted([(group, old), (group, first)])
        assert links(engine, LinkKind.ASSOCIATION) == [(group, ran)]

    @pytest.mark.parametrize(
        "kind", [LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION], ids=lambda kind: kind.label
    )
    def test_stored_groups_are_passed_over(self, engine: BaseMetadataStore, kind: LinkKind) -> None:
        """An attribution or association that is stored already is applied without effect. [7.11]

        On failure: `apply` inserts the link a second time: the unique key raises, or without one
        there are two rows. Use the statement of your backend that ignores a row which is there.
        """
        group = put(engine, CONTEXT, name="group").id
        member, new = put(engine, kind.other).id, put(engine, kind.other).id
        changes = Changes()
        for pairs in ([(group, member)], [(group, member)], [(group, member), (group, new)]):
            changes.links[kind] = [*pairs]
            with engine.transaction() as transaction:
                transaction.apply(changes)
        assert links(engine, kind) == [(group, member), (group, new)]

    @pytest.mark.parametrize("applied", [True, False], ids=["applied", "asked"])
    def test_a_block_that_raises_leaves_nothing(
        self, engine: BaseMetadataStore, applied: bool
    ) -> None:
        """When the block raises, what it applied is gone, and the exception goes on up. [7.12]

        On failure: some writes are not rolled back: autocommit, a statement that commits by itself
        (DDL in MySQL), an index or cache in memory. The exception must come out as it is, so
        `__exit__` returns nothing and wraps nothing.
        """
        old = put(engine, ARTIFACT, name="old", properties={"a": 1}, custom_properties={"b": 2}).id
        run = put(engine, EXECUTION).id
        group = put(engine, CONTEXT, name="group").id
        whole = contents(engine)
        type_id = one_type(engine, ARTIFACT, "T").id
        changes = Changes()
        changes.type_inserts = [
            TypeInsert(TypeKey(ARTIFACT, "A"), {"s": INT}, None, None, None, None, None)
        ]
        changes.type_updates = [TypeUpdate(type_id, {"new": STRING}, "t", None)]
        changes.inserts[ARTIFACT] = [NodeInsert(New(0), "n", "", None, "x", {"s": 1}, {}, 5, 6)]
        changes.updates[ARTIFACT] = [
            NodeUpdate(old, "old", "v", 1, "z", 11, {"a": 3}, {"d": 4}, frozenset(), frozenset("b"))
        ]
        changes.events = [NewEvent(old, run, EventType.OUTPUT, 12, ("p",))]
        changes.links[LinkKind.ATTRIBUTION] = [(group, New(0))]

        def fail() -> None:
            with engine.transaction() as transaction:
                transaction.lookup(Questions(existing={ARTIFACT: {old}}))
                if applied:
                    transaction.apply(changes)
                raise _StopError

        with pytest.raises(_StopError):
            fail()
        assert contents(engine) == whole
        put(engine, ARTIFACT, name="n", external_id="x")
        assert "A" not in types(engine, ARTIFACT)

    def test_an_error_of_the_planner_ends_the_transaction(self, engine: BaseMetadataStore) -> None:
        """An error that the planner raises in the middle of a transaction goes on up, and the store
        works on, in other threads too. [7.12, 9.6]

        On failure: the lock or the connection was taken when the block was entered, and an
        exception between `lookup` and `apply` left it taken. Give it back in a `finally` around the
        `yield`; what `lookup` remembers of the batch goes with it.
        """
        put(engine, ARTIFACT, name="n")
        before = contents(engine)
        batch = batch_with("New")
        batch.artifact("New", name="fine")
        batch.artifact("T", name="n")

        def fail() -> None:
            with engine.transaction() as transaction:
                Planner(batch).run(transaction.lookup)

        for _ in range(20):
            with pytest.raises(AlreadyExistsError):
                fail()
        assert contents(engine) == before
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(put, engine, ARTIFACT, name="of another thread").result()
        new = batch_with("New")
        new.artifact("New", name="fine")
        written = engine.write(new)
        assert ids(engine, ARTIFACT)[1:] == [other.id, written.artifacts[0].id]

    def test_writers_do_not_overtake_one_another(self, engine: BaseMetadataStore) -> None:
        """Nothing that was answered changes before the transaction ends: no update is
        lost. [7.10]

        On failure: `lookup` read before the transaction held its lock. Lock at its start
        (`BEGIN IMMEDIATE`), lock what is read (`SELECT ... FOR UPDATE`), or compare at the end and
        raise `BusyError`, after which this test tries again.
        """
        counter = put(engine, ARTIFACT, properties={"a": 0}).id

        def count_up() -> None:
            for _ in range(10):
                while True:
                    try:
                        with engine.transaction() as transaction:
                            answers = transaction.lookup(Questions(nodes={ARTIFACT: {counter}}))
                            node = answers.nodes[ARTIFACT][counter]
                            seen = node.properties["a"]
                            assert isinstance(seen, int)
                            update = NodeUpdate(
                                counter, None, "", None, None, node.update_time_ms + 1,
                                {"a": seen + 1}, {}, frozenset(), frozenset(),
                            )  # fmt: skip
                            changes = Changes()
                            changes.updates[ARTIFACT] = [update]
                            transaction.apply(changes)
                    except BusyError:
                        continue
                    break

        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(count_up) for _ in range(4)]:
                future.result()
        assert artifact(engine, counter).properties == {"a": 40}

    def test_a_read_may_happen_between(self, engine: BaseMetadataStore) -> None:
        """Reads and writes work again after a transaction that did nothing. [7.12]

        On failure: a transaction in which nothing was applied must end like any other: commit or
        roll back, and give lock and connection back. One that only begins at `apply` may never end
        what `lookup` began.
        """
        with engine.transaction():
            pass
        id = put(engine, ARTIFACT).id
        with engine.transaction() as transaction:
            transaction.lookup(Questions(existing={ARTIFACT: {id}}))
        assert ids(engine, ARTIFACT) == [id]
        batch = Batch()
        batch.artifact(mode=Merge(id), properties={"a": 1})
        engine.write(batch)
        assert [node.properties for node in read(engine, ARTIFACT)] == [{"a": 1}]

    def test_lookups_follow_one_another(self, engine: BaseMetadataStore) -> None:
        """One transaction answers four times, each time what is asked then, and applies once.
        [7.8]

        On failure: the second `lookup` found a cursor, a portion of an answer or a temporary table
        of the first. Read every answer to its end, and drop what a `lookup` makes for itself before
        it returns.
        """
        old = put(engine, ARTIFACT, name="old", external_id="x", properties={"a": 1}).id
        type_id = one_type(engine, ARTIFACT, "T").id
        changes = Changes()
        changes.inserts[ARTIFACT] = [NodeInsert(type_id, "new", "", None, None, {}, {}, 5, 6)]
        with engine.transaction() as transaction:
            first = transaction.lookup(Questions(types={TypeKey(ARTIFACT, "T")}))
            second = transaction.lookup(Questions(names={ARTIFACT: {(type_id, "old")}}))
            third = transaction.lookup(Questions(external_ids={ARTIFACT: {"x", "y"}}))
            fourth = transaction.lookup(Questions(nodes={ARTIFACT: {old}}))
            applied = transaction.apply(changes)
        assert [each.id for each in first.types] == [type_id]
        assert dict(second.names[ARTIFACT]) == {(type_id, "old"): old}
        assert dict(third.external_ids[ARTIFACT]) == {"x": old}
        assert fourth.nodes[ARTIFACT][old] == one(engine, ARTIFACT, old)
        for answers in (second, third, fourth):
            assert not list(answers.types)
        assert ids(engine, ARTIFACT) == [old, *applied.nodes[ARTIFACT]]

    def test_many_questions(self, engine: BaseMetadataStore) -> None:
        """Questions may be many at once, and most of them without an answer. [7.9, 8.1]

        On failure: `lookup` binds one variable a value, and the driver's limit is lower: ask in
        portions, or bind the list as one (an array, JSON, a temporary table). If it takes minutes,
        a search by name or uri has no index, or every artifact is tried with every execution.
        """
        batch = batch_with("U")
        ran = batch.execution("U")
        for number in range(50):
            made = batch.artifact(
                "U", name=f"n{number}", external_id=f"x{number}", uri=f"u{number}"
            )
            batch.event(made, ran, EventType.OUTPUT)
        result = engine.write(batch)
        written = [each.id for each in result.artifacts]
        pairs = {(id, result[ran].id) for id in written}
        type_id = one_type(engine, ARTIFACT, "U").id
        many = range(40_000)
        answers = self._ask(
            engine,
            Questions(
                existing={ARTIFACT: {*written, *(UNKNOWN_ID + each for each in many)}},
                names={ARTIFACT: {(type_id, f"n{each}") for each in many}},
                external_ids={ARTIFACT: {f"x{each}" for each in many}},
                uris={(type_id, f"u{each}") for each in many},
                events=pairs | {(UNKNOWN_ID + each, UNKNOWN_ID + each) for each in many},
            ),
        )
        assert {key[:2] for key in answers.events} == pairs
        assert set(answers.existing[ARTIFACT]) == set(written)
        assert sorted(answers.names[ARTIFACT].values()) == written
        assert sorted(answers.external_ids[ARTIFACT].values()) == written
        assert sorted(answers.uris.values()) == written

    def test_many_questions_of_all_sorts(self, engine: BaseMetadataStore) -> None:
        """Questions for whole nodes, types, events and ancestors may be many at once too. [7.9]

        On failure: look at the statement behind the question whose answer is short. It takes a
        limited number of variables, so that long lists are to be cut into several.
        """
        count = 1100
        batch = batch_with("U")
        ran = batch.execution("U")
        for number in range(count):
            batch.event(batch.artifact("U"), ran, EventType.INPUT)
            batch.type(ARTIFACT, f"V{number}", external_id=f"v{number}")
        written = engine.write(batch)
        made = {each.id for each in written.artifacts}
        types_made = {each.id for each in written.types}
        pairs = {(id, written[ran].id) for id in made}
        many = {UNKNOWN_ID + each for each in range(33_000)}
        answers = self._ask(
            engine,
            Questions(
                nodes={ARTIFACT: made | many},
                type_ids=types_made | many,
                events=pairs | {(id, UNKNOWN_ID) for id in many},
                parents_of=many,
            ),
        )
        assert set(answers.nodes[ARTIFACT]) == made
        assert types_made <= {each.id for each in answers.types}
        assert {key[:2] for key in answers.events} == pairs
        assert not answers.parents
        names = {TypeKey(ARTIFACT, f"V{number}") for number in range(33_000)}
        external_ids = {f"v{number}" for number in range(33_000)}
        for questions in (Questions(types=names), Questions(type_external_ids=external_ids)):
            found = self._ask(engine, questions).types
            assert len([each for each in found if each.name.startswith("V")]) == count
