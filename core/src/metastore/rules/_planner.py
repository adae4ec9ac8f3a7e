"""The planner's one class: it asks, in four rounds, and plans."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from metastore.batch import Batch, Outcome, Written, WrittenBatch
from metastore.changes import Answers, Applied, Changes, New, Questions, Target
from metastore.model import LinkKind, NodeKind
from metastore.rules import _links
from metastore.rules._nodes import NodePlanner
from metastore.rules._types import TypePlanner

_ORDER = (NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT)
"""In which nodes are planned, and so which of several errors is raised (contract 7.7)."""


class Planner:
    """Plans one batch.

    now_ms:
        The time of whatever has no time given, in milliseconds since the epoch; the clock's by
        default.
    """

    def __init__(self, batch: Batch, *, now_ms: int | None = None) -> None:
        self._batch = batch
        self._now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self._types = TypePlanner(batch.types)
        # Of each kind that the batch has nodes of.
        self._nodes = {
            kind: NodePlanner(kind, batch.nodes[kind], self._types)
            for kind in _ORDER
            if batch.nodes[kind]
        }

    def run(self, lookup: Callable[[Questions], Answers]) -> Changes:
        """The changes that the batch comes to; raises for a batch that breaks a rule.

        `lookup` is called at most four times: for types; for what the batch names by id, name,
        external id or uri; for what follows from those answers; for events and parent links.
        """
        batch, types = self._batch, self._types
        nodes = self._nodes.values()
        changes = Changes()

        def answers(questions: Questions) -> Answers:
            return lookup(questions) if questions else _NOTHING

        types.learn(answers(types.ask(batch.nodes)).types)
        types.plan(changes)

        questions = Questions()
        for planner in nodes:
            planner.ask(questions)
        _links.ask_existing(batch.events, batch.links.items(), questions)
        known = answers(questions)
        for planner in nodes:
            planner.learn(known)

        # Most batches only insert, of which no more is to be asked.
        updating = [planner for planner in nodes if planner.updates]
        if updating:
            questions = Questions()
            for planner in updating:
                planner.ask_next(questions)
            found = answers(questions)
            types.learn(found.types)
            for planner in updating:
                planner.learn(found)
        for planner in nodes:
            planner.plan(changes, self._now)

        if batch.events or any(batch.links.values()):
            self._plan_links(
                _links.Ends(known.existing, self._nodes, batch.number), changes, answers
            )
        return changes

    def _plan_links(
        self, ends: _links.Ends, changes: Changes, answers: Callable[[Questions], Answers]
    ) -> None:
        batch = self._batch
        events = _links.resolve_events(batch.events, ends)
        for kind in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION):
            links = _links.resolve_links(kind, batch.links[kind], ends)
            # They are sets: to write one twice is no error.
            changes.links[kind] = list(dict.fromkeys(links))
        parents = _links.resolve_links(LinkKind.PARENT, batch.links[LinkKind.PARENT], ends)
        # A node of this batch has neither events nor parents yet.
        pairs = {(a, e) for a, e, _ in events if type(a) is int and type(e) is int}
        contexts = {end for link in parents for end in link if type(end) is int}
        stored = _NOTHING
        if pairs or contexts:
            stored = answers(Questions(events=pairs, parents_of=contexts))
        _links.plan_events(batch.events, events, stored.events, changes, self._now)
        if parents:
            _links.plan_parents(parents, stored.parents, changes)

    def written(self, applied: Applied) -> WrittenBatch:
        """The result for the caller, from the ids of the rows that were inserted."""
        nodes: dict[NodeKind, list[Written]] = {kind: [] for kind in _ORDER}
        for kind, planner in self._nodes.items():
            ids = applied.nodes.get(kind, ())
            nodes[kind] = _results(planner.targets, planner.outcomes, ids)
        types = _results(self._types.targets, self._types.outcomes, applied.types)
        return WrittenBatch(types, nodes, self._batch.number)


def _results(
    targets: Iterable[Target], outcomes: Iterable[Outcome], ids: Sequence[int]
) -> list[Written]:
    return [
        Written(ids[target.position] if isinstance(target, New) else target, outcome)
        for target, outcome in zip(targets, outcomes, strict=True)
    ]


_NOTHING = Answers()
