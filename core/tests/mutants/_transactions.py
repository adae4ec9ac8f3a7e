"""Sections 7 and 9 of the contract done wrong: batches, transactions and errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from metastore.base import OpenMode, Transaction
from metastore.batch import Batch, WrittenBatch
from metastore.changes import Answers, Applied, Changes, New, Questions
from metastore.errors import InvalidError, MetastoreError, NotFoundError, StorageError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import NodeKind

from ._mutant import mutant

# What is forgotten when a transaction fails.


class _Remembering(Tables):
    """Rolls back all tables but some."""

    def kept(self) -> list[Any]:
        """The tables that stay as they are."""
        return []

    def _put(self, table: dict[Any, Any], key: Any, row: Any) -> None:
        if any(table is each for each in self.kept()):
            table[key] = row
        else:
            super()._put(table, key, row)


@mutant("test_a_block_that_raises_leaves_nothing")
class KeepsTypesOfFailures(_Remembering):
    """Rolls nodes and links back, and leaves types: they are made outside the transaction."""

    def kept(self) -> list[Any]:
        return [self.types]


@mutant("test_a_block_that_raises_leaves_nothing")
class KeepsNodesOfFailures(_Remembering):
    """Rolls types and links back, and leaves nodes."""

    def kept(self) -> list[Any]:
        return [*self.nodes.values()]


@mutant("test_a_block_that_raises_leaves_nothing")
class KeepsLinksOfFailures(_Remembering):
    """Rolls types and nodes back, and leaves events and links."""

    def kept(self) -> list[Any]:
        return [self.events, *self.links.values()]


@mutant("test_a_block_that_raises_leaves_nothing")
class RollsInsertsBack(Tables):
    """Takes back what it inserted when a block fails, not what it updated."""

    def _put(self, table: dict[Any, Any], key: Any, row: Any) -> None:
        if key in table:
            table[key] = row
        else:
            super()._put(table, key, row)


@mutant("test_a_block_that_raises_leaves_nothing")
class WrapsExceptions(MemoryMetadataStore):
    """Takes every exception of a block for one of its backend."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as transaction:
            try:
                yield transaction
            except MetastoreError:
                raise
            except Exception as error:
                raise StorageError("the backend failed") from error


@mutant("test_a_batch_that_fails_leaves_nothing")
class WritesTypesFirst(MemoryMetadataStore):
    """Writes the types of a batch in a transaction of their own, before the rest."""

    def write(self, batch: Batch) -> WrittenBatch:
        first = Batch()
        first.types = batch.types
        types = super().write(first).types
        return replace(super().write(batch), types=types)


@mutant("test_a_batch_that_fails_leaves_nothing")
class WritesLinksInTheEnd(MemoryMetadataStore):
    """Writes events and links in a transaction of their own, after the rest."""

    def write(self, batch: Batch) -> WrittenBatch:
        first, second = Batch(), Batch()
        first.types, first.nodes = batch.types, batch.nodes
        written = super().write(first)

        def stored(end: Any) -> Any:
            return written.nodes[end.kind][end.index].id if hasattr(end, "kind") else end

        try:
            second.events = [
                each._replace(artifact=stored(each.artifact), execution=stored(each.execution))
                for each in batch.events
            ]
            for kind, links in batch.links.items():
                second.links[kind] = [
                    each._replace(context=stored(each.context), other=stored(each.other))
                    for each in links
                ]
        except LookupError:
            raise InvalidError("an end of an event or link is none") from None
        super().write(second)
        return replace(written, batch=batch.number)


# Batches.


@mutant("test_an_empty_batch")
class RefusesNothing(MemoryMetadataStore):
    """Refuses a batch that has nothing in it."""

    def write(self, batch: Batch) -> WrittenBatch:
        if not (
            batch.types or batch.events or any(batch.nodes.values()) or any(batch.links.values())
        ):
            raise InvalidError("the batch is empty")
        return super().write(batch)


@mutant("test_a_batch_can_be_written_again")
class EmptiesTheBatch(MemoryMetadataStore):
    """Takes the events out of the batch while it writes them."""

    def write(self, batch: Batch) -> WrittenBatch:
        written = super().write(batch)
        batch.events.clear()
        return written


@mutant("test_drafts_are_not_changed")
class CleansTheDrafts(MemoryMetadataStore):
    """Makes the numbers of structs doubles in the draft itself."""

    def write(self, batch: Batch) -> WrittenBatch:
        for drafts in batch.nodes.values():
            for draft in drafts:
                for value in _values(draft.properties):
                    if isinstance(value, dict):
                        numbers = {k: float(v) for k, v in value.items() if type(v) is int}
                        value.update(numbers)
        return super().write(batch)


def _values(properties: Any) -> list[Any]:
    return list(properties.values()) if isinstance(properties, dict) else []


# What a transaction answers.


@mutant("test_nodes_are_answered")
class AnswersAllKinds(Tables):
    """Answers what is asked of one kind of nodes for all of them."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        for wanted in list(questions.nodes.values()):
            answers.nodes = {
                kind: {id: node for id, node in nodes.items() if id in wanted}
                for kind, nodes in self.nodes.items()
            }
        return answers


@mutant("test_nothing_asked_nothing_answered")
class NothingAskedIsAll(Tables):
    """Answers all uris where none are asked for: its condition is empty."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        if not questions.uris:
            everything: list[Any] = [*self.nodes[NodeKind.ARTIFACT].values()]
            answers.uris = {(node.type_id, node.uri): node.id for node in everything}
        return answers


@mutant("test_many_questions")
class AsksAThousandNames(Tables):
    """Asks for names with a statement of at most 999 variables, and no further."""

    def lookup(self, questions: Questions) -> Answers:
        questions.names = {
            kind: set(sorted(names, reverse=True)[:999]) for kind, names in questions.names.items()
        }
        return super().lookup(questions)


@mutant("test_many_questions_of_all_sorts")
class AsksAThousandNodes(Tables):
    """Asks for whole nodes with a statement of at most 999 variables, and no further."""

    def lookup(self, questions: Questions) -> Answers:
        questions.nodes = {
            kind: set(sorted(ids, reverse=True)[:999]) for kind, ids in questions.nodes.items()
        }
        return super().lookup(questions)


@mutant("test_many_questions_of_all_sorts")
class AsksAThousandEvents(Tables):
    """Asks for events with a statement of at most 999 pairs, and no further."""

    def lookup(self, questions: Questions) -> Answers:
        questions.events = set(sorted(questions.events, reverse=True)[:999])
        return super().lookup(questions)


@mutant("test_changes_are_applied")
class NewRowsOfNoKind(Tables):
    """Counts new rows in one list of all kinds of nodes, in which attributions look them up."""

    def apply(self, changes: Changes) -> Applied:
        for kind, links in changes.links.items():
            size = len(changes.inserts[kind.other])
            changes.links[kind] = [
                (
                    context,
                    other._replace(position=size - 1 - other.position)
                    if isinstance(other, New)
                    else other,
                )
                for context, other in links
            ]
        return super().apply(changes)


# Errors.


@mutant("test_undeclared_properties")
class NamesNoProperty(MemoryMetadataStore):
    """Raises errors of its own that say what is wrong, and not of which property."""

    def write(self, batch: Batch) -> WrittenBatch:
        try:
            return super().write(batch)
        except InvalidError as error:
            if error.offender is not None and error.offender.property is not None:
                offender = error.offender._replace(property=None)
                raise InvalidError(error.message, offender=offender) from error
            raise


@mutant("test_errors_show_no_values")
class ShowsTheBatch(MemoryMetadataStore):
    """Raises errors whose cause shows the statement and its parameters."""

    def write(self, batch: Batch) -> WrittenBatch:
        try:
            return super().write(batch)
        except MetastoreError as error:
            raise error from ValueError(f"INSERT INTO Artifact: {batch.nodes[NodeKind.ARTIFACT]}")


@mutant("test_the_store_works_on_after_errors")
class StaysInError(MemoryMetadataStore):
    """Does not roll its connection back: the next write after a refused one fails."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._failed = False

    def write(self, batch: Batch) -> WrittenBatch:
        if self._failed:
            self._failed = False
            raise StorageError("current transaction is aborted")
        try:
            return super().write(batch)
        except NotFoundError:
            self._failed = True
            raise
