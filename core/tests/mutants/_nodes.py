"""Section 4 of the contract done wrong: nodes inserted, updated and reused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from metastore.batch import Batch, Merge, Outcome, Replace, Written, WrittenBatch
from metastore.changes import (
    Answers,
    Applied,
    Changes,
    New,
    NodeInsert,
    NodeUpdate,
    Questions,
    Target,
)
from metastore.errors import AlreadyExistsError, StorageError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import AnyNode, NodeKind
from metastore.query import NodeQuery

from ._mutant import ARTIFACT, CONTEXT, EXECUTION, Read, Rows, mutant

_T = TypeVar("_T")


# Ids.


@mutant("test_ids_are_positive_and_ascend")
class InsertsBackwards(Tables):
    """Inserts the nodes of a batch from the last to the first; the ids it says are right."""

    def apply(self, changes: Changes) -> Applied:
        last = {kind: len(rows) - 1 for kind, rows in changes.inserts.items()}

        def turned(kind: NodeKind, target: Target) -> Target:
            return New(last[kind] - target.position) if isinstance(target, New) else target

        for kind, rows in changes.inserts.items():
            changes.inserts[kind] = rows[::-1]
        changes.events = [
            row._replace(
                artifact=turned(ARTIFACT, row.artifact), execution=turned(EXECUTION, row.execution)
            )
            for row in changes.events
        ]
        for link, ends in changes.links.items():
            changes.links[link] = [
                (turned(CONTEXT, context), turned(link.other, other)) for context, other in ends
            ]
        applied = super().apply(changes)
        return Applied(applied.types, {kind: ids[::-1] for kind, ids in applied.nodes.items()})


@mutant("test_results_are_aligned")
class IdsInAnyOrder(Tables):
    """Says the ids of the inserted nodes in the order in which the backend returns them."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        nodes = {
            kind: sorted(ids, key=lambda id: str(self.nodes[kind][id].name))
            for kind, ids in applied.nodes.items()
        }
        return Applied(applied.types, nodes)


@mutant("test_a_large_batch")
class InsertsAThousand(Tables):
    """Inserts in pages of a thousand rows, and counts the ids of each page from its first."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        nodes = {
            kind: [ids[number % 1000] for number in range(len(ids))]
            for kind, ids in applied.nodes.items()
        }
        return Applied(applied.types, nodes)


# What a node has.


@mutant("test_what_a_node_leaves_out_is_none")
class NoNameIsEmpty(Read):
    """Reads the name of a node that has none as an empty text."""

    def node(self, node: Any) -> Any:
        return replace(node, name=node.name or "")


@mutant("test_nodes_without_name_do_not_collide")
class OneNodeWithoutName(Tables):
    """Has a unique index of type and name in which two NULLs are the same, as SQL Server does."""

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = super()._insert(kind, row, type_ids)
        new = self.nodes[kind][id]
        if row.name is None and len(self.nodes[kind]) > 1:
            last = self.nodes[kind][id - 1]
            if (last.name, last.type_id) == (None, new.type_id):
                raise AlreadyExistsError("two nodes of a type have no name")
        return id


@mutant("test_every_state")
class UnknownIsNone(Read):
    """Reads the state UNKNOWN as none, as a message of protocol buffers does."""

    def node(self, node: Any) -> Any:
        return node if getattr(node, "state", None) else _with(node, state=None)


@mutant("test_a_node_comes_back_whole")
class StatesAsNumbers(Read):
    """Reads states as the numbers that are stored."""

    def node(self, node: Any) -> Any:
        state = getattr(node, "state", None)
        return node if state is None else replace(node, state=int(state))


@mutant("test_types_by_name_key_and_id")
class NamesTypesWithVersion(Tables):
    """Reads the type of a node as name and version in one text."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        return [
            replace(node, type=str(self.types[node.type_id].key))
            for node in super().read_nodes(query)
        ]


@mutant("test_given_times_are_kept")
class TimesInSeconds(Rows):
    """Keeps times as whole seconds."""

    def insert(self, row: NodeInsert) -> NodeInsert:
        return row._replace(
            create_time_ms=row.create_time_ms // 1000 * 1000,
            update_time_ms=row.update_time_ms // 1000 * 1000,
        )


@mutant("test_given_times_are_kept")
class TheEpochIsNoTime(Rows):
    """Takes a time of zero for one that is not given."""

    def insert(self, row: NodeInsert) -> NodeInsert:
        now = 1_700_000_000_000
        return row._replace(
            create_time_ms=row.create_time_ms or now, update_time_ms=row.update_time_ms or now
        )


@mutant("test_the_last_time_of_all")
class TimesAsDoubles(Rows):
    """Keeps times as doubles."""

    def insert(self, row: NodeInsert) -> NodeInsert:
        return row._replace(update_time_ms=int(float(row.update_time_ms)))

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(update_time_ms=int(float(row.update_time_ms)))


# Who has a name, an external id, a uri.


class _Owners(Tables):
    """Finds the owners of names, external ids and uris in another way."""

    def fold(self, key: Any) -> Any:
        """What is compared."""
        return key

    def _owners(
        self, kind: NodeKind, key: Callable[[AnyNode], Any], wanted: set[_T]
    ) -> dict[_T, int]:
        if not wanted:
            return {}
        found = {self.fold(key(node)): node.id for node in self.nodes[kind].values()}
        return {each: found[self.fold(each)] for each in wanted if self.fold(each) in found}


def _lower(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_lower, key))
    return key.lower() if isinstance(key, str) else key


@mutant("test_names_are_unique_in_a_type")
class NamesOfAKind(_Owners):
    """Has names that are unique in a kind of nodes instead of in a type."""

    def fold(self, key: Any) -> Any:
        return key[1] if isinstance(key, tuple) and key[1] else key


@mutant("test_texts_that_differ_are_not_taken")
class OwnersWhateverTheCase(_Owners):
    """Finds names and external ids that are taken with a collation that knows no upper case."""

    def fold(self, key: Any) -> Any:
        return _lower(key)


@mutant("test_texts_that_differ_are_not_taken")
class OwnersWhateverTheSpaces(_Owners):
    """Finds names and external ids that are taken as SQL pads texts: spaces at the end are none."""

    def fold(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(map(self.fold, key))
        return key.rstrip(" ") if isinstance(key, str) else key


@mutant("test_kinds_have_external_ids_of_their_own")
class ExternalIdsOfAllKinds(Tables):
    """Has one unique index of external ids for nodes of all kinds."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        found: dict[NodeKind, Mapping[str, int]] = {}
        for kind, wanted in questions.external_ids.items():
            everywhere = {
                node.external_id: node.id
                for nodes in self.nodes.values()
                for node in nodes.values()
            }
            found[kind] = {each: everywhere[each] for each in wanted if each in everywhere}
        answers.external_ids = found
        return answers

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        if row.external_id is not None and any(
            node.external_id == row.external_id
            for nodes in self.nodes.values()
            for node in nodes.values()
        ):
            raise AlreadyExistsError("the external id is taken")
        return super()._insert(kind, row, type_ids)


@mutant("test_external_ids_taken_away_are_not_free_in_the_batch")
class ExternalIdsForEver(Tables):
    """Has an index of external ids from which an update removes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._index: dict[tuple[NodeKind, str], int] = {}

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = super()._insert(kind, row, type_ids)
        if row.external_id is not None:
            self._put(self._index, (kind, row.external_id), id)
        return id

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        found = dict(answers.external_ids)
        for kind, wanted in questions.external_ids.items():
            indexed = {
                each: self._index[kind, each] for each in wanted if (kind, each) in self._index
            }
            found[kind] = {**found[kind], **indexed}
        answers.external_ids = found
        return answers


@mutant("test_reuse_by_uri_finds_the_newest")
class TheOldestUri(Tables):
    """Answers the first artifact that has the uri, not the newest."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        oldest: dict[tuple[int, str], int] = {}
        for node in self.nodes[ARTIFACT].values():
            oldest.setdefault((node.type_id, getattr(node, "uri")), node.id)  # noqa: B009
        answers.uris = {each: oldest[each] for each in questions.uris if each in oldest}
        return answers


# Updates.


def _with(node: Any, **fields: Any) -> Any:
    """The node with those of the fields that it has."""
    return replace(node, **{key: value for key, value in fields.items() if hasattr(node, key)})


@mutant("test_an_update_needs_a_stored_node")
class UnknownIdsAreKeyErrors(Tables):
    """Looks nodes up by their ids without expecting that there may be none."""

    def lookup(self, questions: Questions) -> Answers:
        for kind, wanted in questions.nodes.items():
            for id in wanted:
                self.nodes[kind][id]
        return super().lookup(questions)


@mutant("test_an_update_needs_a_stored_node")
class ChecksIdsOfWhateverKind(Tables):
    """Asks whether an id is there without asking for the kind, and then reads it as that kind."""

    def lookup(self, questions: Questions) -> Answers:
        everything = {id for nodes in self.nodes.values() for id in nodes}
        for kind, wanted in questions.nodes.items():
            for id in wanted & everything:
                self.nodes[kind][id]
        return super().lookup(questions)


@mutant("test_an_update_keeps_the_rest")
class UpdatesSetTheCreateTime(Tables):
    """Replaces the whole row at an update, the create time included."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        for kind, rows in changes.updates.items():
            for row in rows:
                node: Any = replace(self.nodes[kind][row.id], create_time_ms=row.update_time_ms)
                self._put(self.nodes[kind], row.id, node)
        return applied


@mutant("test_a_change_has_a_later_time")
class KeepsUpdateTimes(Rows):
    """Leaves the update time at an update."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(update_time_ms=stored.update_time_ms)


@mutant("test_forced_updates")
class NothingToUpdate(Rows):
    """Passes over an update that changes no field and no property, its time included."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        changed = (
            (row.name, row.external_id) != (stored.name, stored.external_id)
            or (row.uri, row.state) != (getattr(stored, "uri", ""), getattr(stored, "state", None))
            or row.set_properties
            or row.set_custom_properties
            or row.drop_properties
            or row.drop_custom_properties
        )
        return row if changed else row._replace(update_time_ms=stored.update_time_ms)


@mutant("test_merge_changes_nothing_unnamed")
class LosesTheUri(Rows):
    """Writes an update without the uri where properties are all that it sets."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(uri="") if row.set_custom_properties else row


@mutant("test_merge_fields")
class KeepsTheUri(Rows):
    """Leaves the uri at an update."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(uri=getattr(stored, "uri", ""))


@mutant("test_replace_renames_contexts")
class KeepsTheNameOfContexts(Rows):
    """Leaves the name at an update, of contexts too."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(name=stored.name)


@mutant("test_merge_clears_fields")
class NothingLeavesTheState(Rows):
    """Updates with COALESCE: where there is to be no state, the old one stays."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(
            state=getattr(stored, "state", None) if row.state is None else row.state
        )


@mutant("test_replace_removes_what_is_left_out")
class DropsNoProperties(Rows):
    """Sets properties at an update, and removes none."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        return row._replace(drop_properties=frozenset(), drop_custom_properties=frozenset())


@mutant("test_merge_changes_nothing_unnamed")
class UpdatesReplaceTheMap(Rows):
    """Removes all custom properties before it writes those that an update sets."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        if not row.set_custom_properties:
            return row
        return row._replace(drop_custom_properties=frozenset(stored.custom_properties))


@mutant("test_many_updates_in_a_batch")
class UpdatesAHundred(Tables):
    """Updates in a page of a hundred rows, and forgets the others."""

    def apply(self, changes: Changes) -> Applied:
        for kind, rows in changes.updates.items():
            changes.updates[kind] = rows[:100]
        return super().apply(changes)


@mutant("test_updated_fields_are_found")
class KeepsTheIndexOfUris(Tables):
    """Has an index of artifacts by uri, to which it adds at insert only."""

    def __init__(self) -> None:
        super().__init__()
        self._inserted: dict[int, str] = {}

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = super()._insert(kind, row, type_ids)
        if kind is ARTIFACT:
            self._put(self._inserted, id, row.uri)
        return id

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.uris is None:
            return super().read_nodes(query)
        found = [id for id, uri in self._inserted.items() if uri in set(query.uris)]
        ids = found if query.ids is None else [id for id in found if id in query.ids]
        return super().read_nodes(replace(query, uris=None, ids=ids))


@mutant("test_an_update_moves_a_node_in_the_order")
class KeepsTheIndexOfTimes(Tables):
    """Has an index of nodes by update time, to which it adds at insert only."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = super().read_nodes(query)
        if query.order_by.value != "update_time" or query.after is not None:
            return found
        return sorted(
            found,
            key=lambda node: (self._inserted[query.kind, node.id], node.id),
            reverse=query.descending,
        )

    def __init__(self) -> None:
        super().__init__()
        self._inserted: dict[tuple[NodeKind, int], int] = {}

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = super()._insert(kind, row, type_ids)
        self._put(self._inserted, (kind, id), row.update_time_ms)
        return id


# Stores that write in their own way.


@mutant("test_expected_update_times")
class TheLastOneWins(MemoryMetadataStore):
    """Does not ask which update time is expected."""

    def write(self, batch: Batch) -> WrittenBatch:
        own = Batch()
        own.number, own.types = batch.number, batch.types
        own.events, own.links = batch.events, batch.links
        for kind, drafts in batch.nodes.items():
            own.nodes[kind] = [
                replace(draft, mode=replace(draft.mode, expected_update_time_ms=None))
                if isinstance(draft.mode, Replace | Merge)
                else draft
                for draft in drafts
            ]
        return super().write(own)


@mutant("test_an_update_that_changes_nothing")
class EveryUpdateIsOne(MemoryMetadataStore):
    """Says of every update that it changed something."""

    def write(self, batch: Batch) -> WrittenBatch:
        written = super().write(batch)
        nodes = {
            kind: [
                Written(id, Outcome.UPDATED if isinstance(draft.mode, Replace | Merge) else outcome)
                for draft, (id, outcome) in zip(batch.nodes[kind], results, strict=True)
            ]
            for kind, results in written.nodes.items()
        }
        return replace(written, nodes=nodes)


@mutant("test_names_are_unique_in_a_type")
class TakenNamesAreStorageErrors(MemoryMetadataStore):
    """Reports a name that is taken as its database does, as an error of integrity."""

    def write(self, batch: Batch) -> WrittenBatch:
        try:
            return super().write(batch)
        except AlreadyExistsError as error:
            if error.offender is not None and error.offender.name is not None:
                raise StorageError("UNIQUE constraint failed", offender=error.offender) from error
            raise


@mutant("test_a_context_cannot_take_a_taken_name")
class RenamesToTakenNames(Tables):
    """Looks up the names of contexts only where a batch inserts; a rename asks nothing."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        # What a row is to be called is asked together with the row's type.
        if questions.type_ids and not questions.types:
            answers.names = {
                kind: {} if kind is CONTEXT else n for kind, n in answers.names.items()
            }
        return answers
