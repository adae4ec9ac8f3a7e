"""Section 8 of the contract done wrong: conditions, order, pages, counts, filters, snapshots."""

from __future__ import annotations

import fnmatch
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

from metastore.base import Capabilities, OpenMode, cursor_of
from metastore.batch import Batch, WrittenBatch
from metastore.errors import StorageError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import AnyNode, Event, Link, NodeKind
from metastore.query import EventQuery, LinkQuery, NodeQuery, OrderBy
from metastore.query._evaluate import _Evaluation
from metastore.query.tree import Pattern

from ._mutant import PATIENCE, Asked, UnlockedReads, by_a_second_thread, mutant

# Conditions.


@mutant("test_empty_conditions")
class NoNamesIsAnyName(Asked):
    """Takes an empty list of names for no condition."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        return replace(query, names=query.names or None)


@mutant("test_conditions_of_a_query")
class NodesForEachId(Tables):
    """Reads one id after the other, one that is asked for twice too."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = super().read_nodes(query)
        if query.ids is None or len(query.ids) > 100:
            return found
        return [node for node in found for _ in range([*query.ids].count(node.id))]


@mutant("test_conditions_of_a_query")
class NamesOrExternalIds(Tables):
    """Reads nodes with one of the names or one of the external ids where both are asked for."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.names is None or query.external_ids is None:
            return super().read_nodes(query)
        either = [
            *super().read_nodes(replace(query, names=None)),
            *super().read_nodes(replace(query, external_ids=None)),
        ]
        return sorted({node.id: node for node in either}.values(), key=lambda node: node.id)


@mutant("test_conditions_may_be_long")
class FewVariables(Tables):
    """Reads with a statement that takes 32766 variables, and fails where there are more."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        for wanted in (query.ids, query.names, query.external_ids, query.uris):
            if wanted is not None and len(wanted) > 32766:
                raise StorageError("too many SQL variables")
        return super().read_nodes(query)


@mutant("test_integers_that_are_no_ids")
class IdsMustFit(Tables):
    """Fails at ids that its backend's integers cannot hold."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.ids is not None and any(not -(2**63) <= id < 2**63 for id in query.ids):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return super().read_nodes(query)


@mutant("test_lists_may_be_other_sequences")
class ListsOnly(Tables):
    """Appends to a list that is given as a condition, which a tuple or range does not let it."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.ids is not None:
            no_ids: Any = []
            query = replace(query, ids=query.ids + no_ids)
        return super().read_nodes(query)


@mutant("test_types_as_conditions")
class TypesOfAnyVersion(Asked):
    """Reads nodes of all versions of the type that is asked for."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        if query.type is None or query.type_names is not None:
            return query
        return replace(query, type=None, type_names=[query.type.name])


@mutant("test_types_as_conditions")
class UnknownTypesAreNoCondition(Asked):
    """Looks the type up first, and passes over the condition where it is not there."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        stored = {each.key for each in self.types.values()}
        return query if query.type in stored else replace(query, type=None)


class _Compared(Tables):
    """Compares names in another way."""

    def fold(self, text: str) -> str:
        """What is compared."""
        return text

    def _matching(self, query: NodeQuery) -> Iterator[AnyNode]:
        if query.names is None:
            yield from super()._matching(query)
            return
        names = {self.fold(name) for name in query.names}
        for node in super()._matching(replace(query, names=None)):
            if node.name is not None and self.fold(node.name) in names:
                yield node


@mutant("test_texts_are_compared_exactly")
class NamesWhateverTheCase(_Compared):
    """Finds names whatever their case."""

    def fold(self, text: str) -> str:
        return text.lower()


@mutant("test_texts_are_compared_exactly")
class NamesWhateverTheForm(_Compared):
    """Finds names whatever their normal form in Unicode."""

    def fold(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)


@mutant("test_hostile_texts")
class NamesAreWords(_Compared):
    """Asks a language of queries for names, in which a star stands for any text."""

    def _matching(self, query: NodeQuery) -> Iterator[AnyNode]:
        stars = [name for name in query.names or () if name == "*"]
        if not stars:
            yield from super()._matching(query)
            return
        for node in super()._matching(replace(query, names=None)):
            if node.name is not None and fnmatch.fnmatch(node.name, "*"):
                yield node


# Order and pages.


@mutant("test_order")
class TiesById(Tables):
    """Orders nodes of one time by id ascending, whatever the direction."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.order_by is OrderBy.ID or query.after is not None or not query.descending:
            return super().read_nodes(query)
        found = super().read_nodes(replace(query, descending=False, limit=None))
        found.sort(key=lambda node: -cursor_of(node, query.order_by).value)
        return found[: query.limit]


@mutant("test_order")
class OneOrderOfTimes(Asked):
    """Orders by create time where the update time is asked for."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        by_update = query.order_by is OrderBy.UPDATE_TIME and query.after is None
        return replace(query, order_by=OrderBy.CREATE_TIME) if by_update else query


@mutant("test_order")
class AlwaysAscending(Asked):
    """Passes over the direction where there is no limit."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        whole = query.limit is None and query.after is None
        return replace(query, descending=False) if whole else query


@mutant("test_limits")
class NoLimitOfZero(Asked):
    """Takes a limit of 0 for none."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        return replace(query, limit=query.limit or None)


@mutant("test_pages_with_conditions")
class LimitsFirst(Tables):
    """Takes the first nodes up to the limit, and of those the ones that fulfil the conditions."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.context_ids is None:
            return super().read_nodes(query)
        first = super().read_nodes(replace(query, context_ids=None))
        return super().read_nodes(replace(query, ids=[node.id for node in first]))


@mutant("test_pages")
class CursorsOfTimes(Tables):
    """Reads on behind the cursor's time, past the nodes of the same time."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        after = query.after
        if after is None or query.order_by is OrderBy.ID:
            return super().read_nodes(query)
        found = super().read_nodes(replace(query, limit=None))
        others = [node for node in found if cursor_of(node, query.order_by).value != after.value]
        return others[: query.limit]


@mutant("test_a_cursor_needs_no_node")
class CursorsAreNodes(Tables):
    """Looks for the node of the cursor, and begins at the first one where it is gone."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.after is not None and query.after.id not in self.nodes[query.kind]:
            query = replace(query, after=None)
        return super().read_nodes(query)


@mutant("test_pages_stay_put_while_others_write")
class CursorsAreOffsets(Tables):
    """Counts how many nodes it has answered, and skips as many when it is asked for more."""

    def __init__(self) -> None:
        super().__init__()
        self._answered: dict[Any, int] = {}

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        # A cursor that is its own stands for an offset; of others it makes the best.
        offset = self._answered.get((query.kind, query.order_by, query.descending, query.after))
        if query.after is None or offset is None:
            offset = 0
            found = super().read_nodes(query)
        else:
            everything = super().read_nodes(replace(query, after=None, limit=None))
            end = None if query.limit is None else offset + query.limit
            found = everything[offset:end]
        if found and query.limit is not None:
            cursor = cursor_of(found[-1], query.order_by)
            key = (query.kind, query.order_by, query.descending, cursor)
            self._answered[key] = offset + len(found)
        return found


@mutant("test_large_pages_are_whole")
class PagesOfAThousand(Tables):
    """Answers at most a thousand nodes, whatever the limit, as services do."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        return super().read_nodes(query)[:1000]


@mutant("test_large_pages_are_whole")
class PropertiesOfAThousand(Tables):
    """Reads the properties of the first thousand nodes of a page."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = super().read_nodes(query)
        return [*found[:1000], *(replace(node, properties={}) for node in found[1000:])]


class _Inclusive(Tables):
    """Begins a page with the node behind which it should begin."""

    def begins(self, query: NodeQuery) -> bool:
        """Whether it does so for this query."""
        return query.after is not None

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if not self.begins(query):
            return super().read_nodes(query)
        after = query.after
        found = super().read_nodes(replace(query, after=None, limit=None))
        places = [cursor_of(node, query.order_by) for node in found]
        at = places.index(after) if after in places else None
        return super().read_nodes(query) if at is None else found[at:][: query.limit]


@mutant("test_pages")
class CursorsAreIncluded(_Inclusive):
    """Compares a cursor with >= where it should with >."""


@mutant("test_iterating")
class PagesOfOneForEver(_Inclusive):
    """Begins a page of one node with the node that was the last one, again and again."""

    def begins(self, query: NodeQuery) -> bool:
        return query.after is not None and query.limit == 1


# Counting and iterating.


@mutant("test_counts")
class CountsThePage(Tables):
    """Counts the nodes of the page that is asked for."""

    def count(self, query: NodeQuery) -> int:
        return len(self.read_nodes(query))


@mutant("test_counts")
class CountsTheTable(Tables):
    """Counts nodes whatever their names."""

    def count(self, query: NodeQuery) -> int:
        return super().count(replace(query, names=query.names and None))


@mutant("test_iterating")
class IteratesOn(MemoryMetadataStore):
    """Takes the limit of a query for that of a page, and iterates over all nodes."""

    def iterate(self, query: NodeQuery, *, page_size: int = 1000) -> Iterator[AnyNode]:
        return super().iterate(replace(query, limit=None), page_size=page_size)


# Filters.


class _Evaluating(MemoryMetadataStore):
    """Has filters of its own, which it says."""

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True, native_filter=True)

    def evaluation(self, query: NodeQuery) -> Any:
        """What tells whether a node fulfils the filter; without neighbours."""
        return _Evaluation(query.filter, {})  # type: ignore[arg-type]  # it is asked for with one

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.filter is None:
            return super().read_nodes(query)
        if "_" in str(_names(query)):
            # Neighbours are another matter.
            return list(MemoryMetadataStore(self._tables).find_nodes(query))
        evaluation = self.evaluation(query)
        everything = super().read_nodes(replace(query, filter=None, limit=None))
        found = [node for node in everything if evaluation.of(node, query.filter.condition)]
        return found[: query.limit]

    def count(self, query: NodeQuery) -> int:
        return len(self.read_nodes(replace(query, after=None, limit=None)))


def _names(query: NodeQuery) -> set[str]:
    """The names of neighbours in a filter."""
    words = "" if query.filter is None else query.filter.text
    kinds = ("contexts_", "artifacts_", "executions_", "events_")
    return {kind for kind in kinds if kind in words}


@mutant("test_filters")
class NotOfNullIsTrue(_Evaluating):
    """Evaluates filters with two values: what is NULL is false, and NOT of it true."""

    def evaluation(self, query: NodeQuery) -> Any:
        class TwoValued(_Evaluation):
            def _predicate(self, predicate: Any) -> bool | None:
                return bool(super()._predicate(predicate))

        return TwoValued(query.filter, {})  # type: ignore[arg-type]


@mutant("test_filters")
class PatternsKnowTheCase(_Evaluating):
    """Compares patterns of LIKE with upper and lower case apart, as PostgreSQL does."""

    def evaluation(self, query: NodeQuery) -> Any:
        class Strict(_Evaluation):
            def _predicate(self, predicate: Any) -> bool | None:
                found = super()._predicate(predicate)
                if isinstance(predicate, Pattern) and found:
                    text, pattern = self._value(predicate.term), self._value(predicate.pattern)
                    wanted = {each for each in pattern if each.isalpha()}
                    return all(each in text for each in wanted)
                return found

        return Strict(query.filter, {})  # type: ignore[arg-type]


@mutant("test_a_filter_comes_before_the_limit")
class FiltersThePage(_Evaluating):
    """Reads a page, and takes those out of it for which the filter does not hold."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.filter is None:
            return super().read_nodes(query)
        page = {node.id for node in super().read_nodes(replace(query, filter=None))}
        return [node for node in super().read_nodes(query) if node.id in page]


@mutant("test_filters")
class DeclaresFilters(MemoryMetadataStore):
    """Declares filters of its own, of which it knows nothing."""

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True, native_filter=True)


@mutant("test_filters")
class CountsWithoutTheFilter(MemoryMetadataStore):
    """Counts nodes whatever the filter."""

    def count(self, query: NodeQuery) -> int:
        return super().count(replace(query, filter=None))


@mutant("test_counts_of_filters_and_other_conditions")
class CountsTheFilterAlone(MemoryMetadataStore):
    """Counts the nodes for which a filter holds, whatever else is asked for."""

    def count(self, query: NodeQuery) -> int:
        if query.filter is None:
            return super().count(query)
        return super().count(NodeQuery(query.kind, filter=query.filter))


# Snapshots, and what readers see of writers.


@mutant("test_a_snapshot_is_one_state")
class SnapshotsOfNothing(UnlockedReads):
    """Declares snapshots, and lets reads inside see whatever is written meanwhile."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._written = threading.Event()
        self._reads: int | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._reads = 0
        yield
        self._reads = None

    def write(self, batch: Batch) -> WrittenBatch:
        written = super().write(batch)
        if self._reads is not None:
            self._written.set()
        return written

    def _waited(self) -> None:
        # From the second read on, so that there is a writer by then.
        if self._reads is not None:
            self._reads += 1
            if self._reads > 1:
                self._written.wait(PATIENCE)

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        self._waited()
        return super().read_nodes(query)


@mutant("test_a_snapshot_holds_links_too")
class SnapshotsOfNodes(SnapshotsOfNothing):
    """Holds the nodes of a snapshot, and reads events and links as they are by now."""

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, mode=mode)
        self._there: dict[NodeKind, set[int]] | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        assert self._tables is not None
        self._there = {kind: set(nodes) for kind, nodes in self._tables.nodes.items()}
        with super().snapshot():
            yield
        self._there = None

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = MemoryMetadataStore.read_nodes(self, query)
        there = self._there
        inside = there is not None and not by_a_second_thread()
        return [node for node in found if not inside or node.id in (there or {})[query.kind]]

    def count(self, query: NodeQuery) -> int:
        return len(self.read_nodes(replace(query, after=None, limit=None)))

    def read_events(self, query: EventQuery) -> list[Event]:
        self._waited()
        return super().read_events(query)

    def read_links(self, query: LinkQuery) -> list[Link]:
        return super().read_links(query)


@mutant("test_a_snapshot_is_one_state", tables=Tables)
class DeclaresSnapshots(MemoryMetadataStore):
    """Declares snapshots, and has none."""

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        raise NotImplementedError("a snapshot")
        yield


@mutant("test_a_snapshot_needs_the_capability")
class DeclaresNoSnapshots(MemoryMetadataStore):
    """Declares to have no snapshots, and lets a block begin that is none."""

    CAPABILITIES: ClassVar[Capabilities] = Capabilities()
