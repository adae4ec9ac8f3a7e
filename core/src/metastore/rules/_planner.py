"""The planner's one class: it asks, in four rounds, and plans."""

from __future__ import annotations

import time
from collections.abc import Callable

from metastore.batch import Batch, NodeRef, Outcome, Ref, Written, WrittenBatch
from metastore.changes import Answers, Applied, Changes, New, Questions, Target
from metastore.errors import InvalidError, NotFoundError, Offender
from metastore.model import LinkKind, NodeKind
from metastore.rules import _links
from metastore.rules._checks import is_id
from metastore.rules._nodes import NodePlanner
from metastore.rules._types import TypePlanner


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
        self._nodes = {
            kind: NodePlanner(kind, drafts, self._types) for kind, drafts in batch.nodes.items()
        }
        self._existing: dict[NodeKind, set[int]] = {}

    def run(self, lookup: Callable[[Questions], Answers]) -> Changes:
        """The changes that the batch comes to; raises for a batch that breaks a rule.

        `lookup` is called at most four times: for types; for what the batch names by id, name,
        external id or uri; for what follows from those answers; for events and parent links.
        """
        batch, types, nodes = self._batch, self._types, self._nodes
        changes = Changes()

        def answers(questions: Questions) -> Answers:
            return lookup(questions) if questions else Answers()

        types.learn(
            answers(
                types.ask(
                    (kind, index, draft.type)
                    for kind, drafts in batch.nodes.items()
                    for index, draft in enumerate(drafts)
                    if draft.type is not None
                )
            ).types
        )
        types.plan(changes)

        questions = Questions()
        for planner in nodes.values():
            planner.ask(questions)
        _links.ask_existing(batch.events, batch.links.items(), questions)
        self._learn(answers(questions))

        questions = Questions()
        for planner in nodes.values():
            planner.ask_next(questions)
        found = answers(questions) if questions else Answers()
        types.learn(found.types)
        self._learn(found)
        for planner in nodes.values():
            planner.plan(changes, self._now)

        ends = _links.resolve_events(batch.events, self._resolve)
        for kind in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION):
            _links.plan_links(kind, batch.links[kind], self._resolve, changes)
        parents = _links.plan_links(
            LinkKind.PARENT, batch.links[LinkKind.PARENT], self._resolve, changes
        )
        questions = Questions(
            events={(a, e) for a, e, _ in ends if isinstance(a, int) and isinstance(e, int)},
            parents_of={end for link in parents for end in link if isinstance(end, int)},
        )
        stored = answers(questions)
        _links.plan_events(batch.events, ends, stored.events, changes, self._now)
        _links.plan_parents(parents, stored.parents, changes)
        return changes

    def written(self, applied: Applied) -> WrittenBatch:
        """The result for the caller, from the ids of the rows that were inserted."""

        def results(outcomes: list[tuple[Target, Outcome]], ids: object) -> list[Written]:
            return [
                Written(ids[target.position] if isinstance(target, New) else target, outcome)  # type: ignore[index]
                for target, outcome in outcomes
            ]

        return WrittenBatch(
            results(self._types.outcomes, applied.types),
            {
                kind: results(planner.outcomes, applied.nodes.get(kind, ()))
                for kind, planner in self._nodes.items()
            },
        )

    def _learn(self, answers: Answers) -> None:
        for kind, ids in answers.existing.items():
            self._existing.setdefault(kind, set()).update(ids)
        for kind, planner in self._nodes.items():
            planner.learn(
                answers.nodes.get(kind, {}),
                answers.names.get(kind, {}),
                answers.external_ids.get(kind, {}),
                answers.uris,
            )

    def _resolve(self, kind: NodeKind, ref: NodeRef, offender: Offender) -> Target:
        if isinstance(ref, Ref):
            outcomes = self._nodes[kind].outcomes
            if ref.kind is not kind or not 0 <= ref.index < len(outcomes):
                raise InvalidError(
                    f"{offender} wants {_an(kind)} of this batch, and names another thing",
                    hint="use the Ref that this batch returned for it",
                    offender=offender,
                )
            return outcomes[ref.index][0]
        if not is_id(ref):
            raise InvalidError(
                f"{offender} has no {kind.label}",
                hint="give a stored id, or a Ref of this batch",
                offender=offender,
            )
        if ref not in self._existing.get(kind, ()):
            raise NotFoundError(
                f"there is no {kind.label} with id {ref}, which {offender} names",
                hint="correct the id, or add the node to the batch and use its Ref",
                offender=offender,
            )
        return ref


def _an(kind: NodeKind) -> str:
    return f"a{'n' if kind is not NodeKind.CONTEXT else ''} {kind.label}"
