"""Wrong stores that what is built on top shows: lineage, runs, lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metastore.batch import Batch, WrittenBatch
from metastore.changes import Answers, Applied, Changes, New, NodeInsert, NodeUpdate, Questions
from metastore.errors import NotFoundError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.model import AnyNode, Event, EventType, ExecutionState, LinkKind
from metastore.query import EventQuery, NodeQuery, WalkQuery, Way

from ._mutant import CONTEXT, EXECUTION, Asked, Rows, mutant

# Lineage.


@mutant("test_lineage_goes_up_and_down")
class InputsForOutputs(Tables):
    """Has the numbers of two types of events the wrong way round."""

    def read_events(self, query: EventQuery) -> list[Event]:
        turned = {EventType.INPUT: EventType.OUTPUT, EventType.OUTPUT: EventType.INPUT}
        found = super().read_events(query)
        return [event._replace(type=turned.get(event.type, event.type)) for event in found]


@mutant("test_lineage_goes_up_and_down")
class EventsOfTheFirst(Tables):
    """Reads the events of the first artifact that is asked for."""

    def read_events(self, query: EventQuery) -> list[Event]:
        if query.artifact_ids is not None:
            query = replace(query, artifact_ids=list(query.artifact_ids)[:1])
        return super().read_events(query)


@mutant("test_lineage_stops_after_hops")
class EventsOfNeighbours(Tables):
    """Reads with an artifact's events those of the artifacts one step further up."""

    def read_events(self, query: EventQuery) -> list[Event]:
        if query.artifact_ids is None or query.execution_ids is not None:
            return super().read_events(query)
        executions = {event.execution_id for event in super().read_events(query)}
        inputs = super().read_events(EventQuery(execution_ids=list(executions)))
        further = [event.artifact_id for event in inputs if event.type is EventType.INPUT]
        return super().read_events(EventQuery(artifact_ids=[*query.artifact_ids, *further]))


@mutant("test_walks_go_over_what_leads_on")
class WalksBothWays(MemoryMetadataStore):
    """Walks both ways, whichever is asked for."""

    def walk_events(self, query: WalkQuery) -> Sequence[Event]:
        return super().walk_events(replace(query, way=Way.ALL))


@mutant("test_walks_go_over_what_leads_on")
class HopsOfTwo(MemoryMetadataStore):
    """Takes the way from an artifact to an artifact for one hop."""

    def walk_events(self, query: WalkQuery) -> Sequence[Event]:
        hops = None if query.max_hops is None else 2 * query.max_hops
        return super().walk_events(replace(query, max_hops=hops))


@mutant("test_walks_go_over_what_leads_on")
class WalksBesideOneAnother(MemoryMetadataStore):
    """Gives an event once for each of the nodes that the walk began at and came over it from."""

    def walk_events(self, query: WalkQuery) -> Sequence[Event]:
        walks = [super().walk_events(replace(query, ids=[id])) for id in set(query.ids)]
        return [event for walk in walks for event in walk]


@mutant("test_walks_over_many_ways_end")
class GoesOnFromWhereItWas(MemoryMetadataStore):
    """Gives the events of a node once for each length of way that leads there."""

    def walk_events(self, query: WalkQuery) -> Sequence[Event]:
        if query.max_hops != 2 * 20:
            return super().walk_events(query)
        found = super().walk_events(query)
        return [*found, *super().walk_events(replace(query, max_hops=20))]


@mutant("test_lineage_is_drawn")
class NamesOfOne(Tables):
    """Reads nodes by a list of ids without their names, which are in a table of their own."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        found = super().read_nodes(query)
        if query.ids is None or len(query.ids) < 2:
            return found
        return [replace(node, name=None) for node in found]


# Recording.


@mutant("test_a_run_is_recorded_and_read")
class EventsOfTheFirstRow(Tables):
    """Gives every event of a batch the first new artifact of it."""

    def apply(self, changes: Changes) -> Applied:
        changes.events = [
            event._replace(artifact=New(0)) if isinstance(event.artifact, New) else event
            for event in changes.events
        ]
        return super().apply(changes)


@mutant("test_a_run_that_fails_is_recorded")
class StatesStay(Rows):
    """Writes the state of an execution when it is new, and not when it is updated."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        state: Any = getattr(stored, "state", None)
        return super().update(row, stored)._replace(state=state)


@mutant("test_a_run_that_fails_is_recorded")
class DropsWhatIsNotSaid(Rows):
    """Writes an update's properties in place of those that were there."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        others = frozenset(stored.custom_properties) - set(row.set_custom_properties)
        return super().update(row, stored)._replace(drop_custom_properties=others)


@mutant("test_a_run_is_seen_while_it_runs")
class KnowsNoRunning(Rows):
    """Keeps how an execution ended, and of one that runs nothing."""

    def insert(self, row: NodeInsert) -> NodeInsert:
        row = super().insert(row)
        running = row.state == ExecutionState.RUNNING and not row.uri
        return row._replace(state=None) if running else row


@mutant("test_pipelines_list_their_runs")
class ChildrenOfAll(Asked):
    """Reads all contexts that have a parent where the children of one are asked for."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        if query.children_of is None or len(query.children_of) != 1:
            return query
        parents = [parent for _, parent in self.links[LinkKind.PARENT]]
        return replace(query, children_of=parents)


@mutant("test_a_run_s_name_is_its_own")
class NamesWithinParents(Tables):
    """Takes names of contexts for taken only where they have the same parent."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        children = {child for child, _ in self.links[LinkKind.PARENT]}
        names = answers.names.get(CONTEXT, {})
        others = {key: id for key, id in names.items() if id not in children}
        answers.names = {**answers.names, CONTEXT: others}
        return answers


@mutant("test_a_run_s_name_is_its_own")
class TakenIsNotFound(MemoryMetadataStore):
    """Raises the error of the missing for what is there already."""

    def write(self, batch: Batch) -> WrittenBatch:
        from metastore.errors import AlreadyExistsError

        try:
            return super().write(batch)
        except AlreadyExistsError as error:
            if error.offender is not None and error.offender.kind == "context":
                raise NotFoundError(error.message, offender=error.offender) from error
            raise


@mutant("test_an_artifact_is_used_by_many_runs")
class EventsOfNewArtifacts(Tables):
    """Writes events with artifacts of the same batch, and with no others."""

    def apply(self, changes: Changes) -> Applied:
        changes.events = [event for event in changes.events if isinstance(event.artifact, New)]
        return super().apply(changes)


@mutant("test_lists_are_sequences")
class LastIsFirst(Asked):
    """Passes over the direction where one node is asked for."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        return replace(query, descending=False) if query.limit == 1 else query


@mutant("test_contexts_of_a_run_hold_its_nodes")
class ExecutionsOfAttributions(Asked):
    """Follows attributions where the executions of contexts are asked for."""

    def asked(self, query: NodeQuery) -> NodeQuery:
        if query.kind is not EXECUTION or query.context_ids is None:
            return query
        wanted = set(query.context_ids)
        links = self.links[LinkKind.ATTRIBUTION]
        found = [other for context, other in links if context in wanted]
        return replace(query, context_ids=None, ids=found)
