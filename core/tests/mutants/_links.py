"""Sections 5 and 6 of the contract done wrong: events and links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metastore.changes import Answers, Applied, Changes, NewEvent, Questions
from metastore.errors import StorageError
from metastore.memory import Tables
from metastore.model import AnyNode, Event, EventType, Link, LinkKind, NodeKind
from metastore.query import EventQuery, LinkQuery, NodeQuery

from ._mutant import ARTIFACT, CONTEXT, EXECUTION, Asked, Rows, mutant

# Events.


@mutant("test_paths")
class LosesPaths(Rows):
    """Writes events without their paths."""

    def event(self, row: NewEvent) -> NewEvent:
        return row._replace(path=())


@mutant("test_paths")
class SortsPaths(Rows):
    """Reads the steps of a path without asking for an order."""

    def event(self, row: NewEvent) -> NewEvent:
        return row._replace(path=tuple(sorted(row.path, key=str)))


@mutant("test_paths")
class DigitsAreIndexes(Rows):
    """Writes a path as one text, and reads a step of digits as an index."""

    def event(self, row: NewEvent) -> NewEvent:
        steps = (int(each) if str(each).lstrip("-").isdigit() else each for each in row.path)
        return row._replace(path=tuple(steps))


@mutant("test_texts_of_types_and_paths")
class LosesEmptySteps(Rows):
    """Leaves out steps of a path that are empty texts."""

    def event(self, row: NewEvent) -> NewEvent:
        return row._replace(path=tuple(each for each in row.path if each != ""))


@mutant("test_times_of_events")
class EventsAreNow(Rows):
    """Gives every event the time of the write."""

    def event(self, row: NewEvent) -> NewEvent:
        return row._replace(time_ms=1_700_000_000_000)


@mutant("test_times_of_events_of_64_bits")
class EventsSinceTheEpoch(Rows):
    """Keeps times of events in a column without sign."""

    def event(self, row: NewEvent) -> NewEvent:
        return row._replace(time_ms=max(row.time_ms, 0))


@mutant("test_every_type_of_event")
class OneEventOfAPair(Tables):
    """Has a primary key of artifact and execution: the latest event of the two replaces others."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        latest = {(event.artifact_id, event.execution_id): event for event in self.events.values()}
        kept = {id(event) for event in latest.values()}
        for key in [key for key, event in self.events.items() if id(event) not in kept]:
            del self.events[key]
        return applied


@mutant("test_every_type_of_event")
class InputsAndOutputs(Rows):
    """Knows two types of events only, the one for all inputs and the one for all outputs."""

    def event(self, row: NewEvent) -> NewEvent:
        return row._replace(type=EventType.INPUT if row.type.is_input else EventType.OUTPUT)


@mutant("test_every_type_of_event")
class TypesOfEventsAsNumbers(Tables):
    """Reads types of events as the numbers that are stored."""

    def read_events(self, query: EventQuery) -> list[Event]:
        number: Any = int
        return [event._replace(type=number(event.type)) for event in super().read_events(query)]


@mutant("test_events_are_written_once")
class EventsTwice(Tables):
    """Does not look for events that are there already, and writes over them."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        answers.events = set()
        return answers


@mutant("test_events_are_read_by_their_ends")
class EventsOfEither(Tables):
    """Reads events of one of the artifacts or of one of the executions."""

    def read_events(self, query: EventQuery) -> list[Event]:
        artifacts, executions = query.artifact_ids, query.execution_ids
        if artifacts is None or executions is None:
            return super().read_events(query)
        return [
            event
            for event in super().read_events(EventQuery())
            if event.artifact_id in artifacts or event.execution_id in executions
        ]


@mutant("test_events_come_by_id")
class EventsByTime(Tables):
    """Reads events in the order of their times, though they have ids."""

    def read_events(self, query: EventQuery) -> list[Event]:
        return sorted(super().read_events(query), key=lambda event: event.time_ms)


@mutant("test_repeated_ends_repeat_nothing")
class EventsForEachId(Tables):
    """Reads the events of one artifact after the other, of one that is asked for twice too."""

    def read_events(self, query: EventQuery) -> list[Event]:
        if query.artifact_ids is None:
            return super().read_events(query)
        found = super().read_events(query)
        wanted = list(query.artifact_ids)
        repeated = {id for id in wanted if wanted.count(id) > 1} if len(wanted) < 100 else set()
        return [event for event in found for _ in range(2 if event.artifact_id in repeated else 1)]


@mutant("test_events_of_one_execution_with_many_artifacts")
class PathsOfAHundred(Tables):
    """Reads the paths of a hundred events at once, and of no more."""

    def read_events(self, query: EventQuery) -> list[Event]:
        found = super().read_events(query)
        return [event if at < 100 else event._replace(path=()) for at, event in enumerate(found)]


@mutant("test_an_event_changes_no_node")
class EventsTouchTheirNodes(Tables):
    """Sets the update time of an execution that has a new event, by a trigger."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        for event in changes.events:
            id = event.execution
            if isinstance(id, int) and not hasattr(id, "position"):
                node: Any = self.nodes[EXECUTION][id]
                self.nodes[EXECUTION][id] = replace(node, update_time_ms=node.update_time_ms + 1)
        return applied


@mutant("test_events_do_not_dangle")
class BelievesInEveryId(Tables):
    """Answers that every id exists, and leaves it to foreign keys that it does not have."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        answers.existing = {kind: set(ids) for kind, ids in questions.existing.items()}
        return answers


@mutant("test_ids_of_other_kinds_do_not_count")
class IdsOfWhateverKind(Tables):
    """Asks whether an id exists without asking for the kind."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        everything = {id for nodes in self.nodes.values() for id in nodes}
        answers.existing = {kind: ids & everything for kind, ids in questions.existing.items()}
        return answers


# Links.


class _Links(Tables):
    """Reads other links than there are."""

    def links_of(self, kind: LinkKind, found: list[Link]) -> list[Link]:
        """What is read of the links."""
        return found

    def read_links(self, query: LinkQuery) -> list[Link]:
        return self.links_of(query.kind, super().read_links(query))


@mutant("test_groups_take_a_member_once")
class AttributionsTwice(Tables):
    """Has no unique index of links: one that is written again is there twice."""

    def __init__(self) -> None:
        super().__init__()
        self._again: list[tuple[Any, ...]] = []

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        for kind, links in changes.links.items():
            self._again += [(kind, *ends) for ends in links if set(map(type, ends)) == {int}]
        return applied

    def read_links(self, query: LinkQuery) -> list[Link]:
        return [
            link
            for link in super().read_links(query)
            for _ in range(max(1, self._again.count((query.kind, *link))))
        ]


@mutant("test_stored_groups_are_passed_over")
class AttributionsOnce(Tables):
    """Refuses a link that is there already, as its unique index does."""

    def apply(self, changes: Changes) -> Applied:
        for link in changes.links[LinkKind.ATTRIBUTION]:
            if link in self.links[LinkKind.ATTRIBUTION]:
                raise StorageError("UNIQUE constraint failed: Attribution")
        return super().apply(changes)


@mutant("test_links_of_stored_nodes")
class OneTableOfMembers(Tables):
    """Has one table for attributions and associations, and reads both as either."""

    def read_links(self, query: LinkQuery) -> list[Link]:
        if query.kind is LinkKind.PARENT:
            return super().read_links(query)
        both = (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION)
        return sorted(
            {
                link
                for kind in both
                for link in super(OneTableOfMembers, self).read_links(replace(query, kind=kind))
            }
        )


@mutant("test_links_of_stored_nodes")
class LinksTouchTheirContexts(Tables):
    """Sets the update time of a context that gets a member, by a trigger."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        for links in changes.links.values():
            for id, _ in links:
                if isinstance(id, int):
                    node: Any = self.nodes[CONTEXT][id]
                    self.nodes[CONTEXT][id] = replace(node, update_time_ms=node.update_time_ms + 1)
        return applied


@mutant("test_links_are_read_by_their_ends")
class LinksInAnyOrder(_Links):
    """Reads links in the order in which they were written."""

    def links_of(self, kind: LinkKind, found: list[Link]) -> list[Link]:
        order = {link: at for at, link in enumerate(self.links[kind])}
        return sorted(found, key=lambda link: order[link[0], link[1]])


@mutant("test_links_are_read_by_their_ends")
class PassesOverTheOtherEnd(Tables):
    """Reads links by their contexts, whatever the other end is to be."""

    def read_links(self, query: LinkQuery) -> list[Link]:
        return super().read_links(
            replace(query, other_ids=None if query.context_ids else query.other_ids)
        )


@mutant("test_many_links_in_a_batch")
class LinksOfAThousand(Tables):
    """Writes links in pages of a thousand, and forgets the last page, which is not full."""

    def apply(self, changes: Changes) -> Applied:
        for kind, links in changes.links.items():
            if len(links) > 1000:
                changes.links[kind] = links[: len(links) // 1000 * 1000]
        return super().apply(changes)


@mutant("test_cycles_over_stored_links")
class OneHopUp(Tables):
    """Answers the parents of the contexts that are asked for, not those of their parents."""

    def _ancestor_links(self, contexts: set[int]) -> set[tuple[int, int]]:
        return {link for link in self.links[LinkKind.PARENT] if link[0] in contexts}


@mutant("test_ancestors_are_answered")
class UpAndDown(Tables):
    """Answers all links of the tree, also those below."""

    def _ancestor_links(self, contexts: set[int]) -> set[tuple[int, int]]:
        return set(self.links[LinkKind.PARENT]) if contexts else set()


@mutant("test_a_stored_cycle_does_no_harm")
class WalksInCircles(Tables):
    """Walks up from parent to parent without noticing where it has been, up to some depth."""

    def _ancestor_links(self, contexts: set[int]) -> set[tuple[int, int]]:
        found: set[tuple[int, int]] = set()
        frontier = contexts
        for _ in range(200):
            links = {link for link in self.links[LinkKind.PARENT] if link[0] in frontier}
            if not links:
                return found
            found |= links
            frontier = {parent for _, parent in links}
        raise StorageError("maximum recursion 200 has been exhausted")


@mutant("test_parents_and_children")
class ChildrenAreParents(Asked):
    """Has the two ends of parent links the wrong way round where it reads nodes."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        return replace(query, parents_of=query.children_of, children_of=query.parents_of)


@mutant("test_grandparents_are_no_parents")
class AllAncestors(Tables):
    """Reads all ancestors where the parents are asked for."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        if query.parents_of is not None:
            links = self._ancestor_links(set(query.parents_of))
            query = replace(query, parents_of=[*query.parents_of, *(child for child, _ in links)])
        return super().read_nodes(query)


class _Joined(Tables):
    """Reads the members of contexts by a join, which has a row for each link."""

    def links_of(self, query: NodeQuery, node: AnyNode) -> int:
        """How many links lead from the contexts of the query to the node."""
        kinds: Mapping[NodeKind, LinkKind] = {
            ARTIFACT: LinkKind.ATTRIBUTION,
            EXECUTION: LinkKind.ASSOCIATION,
        }
        if query.context_ids is None:
            return 1
        links = self.links[kinds[query.kind]]
        return sum((context, node.id) in links for context in set(query.context_ids))


@mutant("test_members_of_contexts")
class MembersForEachLink(_Joined):
    """Reads a node as often as there are links that lead to it."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = super().read_nodes(query)
        return [node for node in found for _ in range(self.links_of(query, node))]


@mutant("test_members_over_several_links")
class CountsLinks(_Joined):
    """Counts the links that lead to nodes, not the nodes."""

    def count(self, query: NodeQuery) -> int:
        return sum(self.links_of(query, node) for node in self._matching(query))


@mutant("test_members_over_several_links")
class PagesOfLinks(_Joined):
    """Cuts a page of the rows of the join, and only then takes repeated nodes out."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        everything = super().read_nodes(replace(query, limit=None))
        rows = [node for node in everything for _ in range(self.links_of(query, node))]
        return list({node.id: node for node in rows[: query.limit]}.values())


@mutant("test_parents_are_written_once")
class ParentsTwice(Tables):
    """Answers the links above the parents, not those of the contexts themselves."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        answers.parents = {link for link in answers.parents if link[0] not in questions.parents_of}
        return answers
