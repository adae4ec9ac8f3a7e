"""Rules for events, attributions, associations and parent contexts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import pairwise
from typing import Any

from metastore.batch import EventDraft, LinkDraft, NodeRef, Ref
from metastore.changes import Changes, EventKey, NewEvent, Questions, Target
from metastore.errors import AlreadyExistsError, InvalidError, NotFoundError, Offender
from metastore.model import NODE_KINDS, EventType, LinkKind, NodeKind
from metastore.rules._checks import is_id, milliseconds
from metastore.values import INT64_MAX, INT64_MIN, BadValueError, clean_text

_NONE: frozenset[int] = frozenset()


class Ends:
    """What events and links may name: stored ids that exist, and the drafts of the batch.

    `find` gives the id or row of a reference, or raises the error that says what is wrong with it;
    only then is an offender made, because a batch has many references and most are right.
    """

    def __init__(
        self, existing: Mapping[NodeKind, Set[int]], drafts: Mapping[NodeKind, Any], batch: int
    ) -> None:
        self._batches = (batch, 0)
        self._existing = {kind: existing.get(kind, _NONE) for kind in NODE_KINDS}
        self._targets: dict[NodeKind, Sequence[Target]] = {
            kind: drafts[kind].targets if kind in drafts else () for kind in NODE_KINDS
        }

    def find(self, kind: NodeKind, ref: NodeRef, what: str, index: int) -> Target:
        """The id or row that the end of an event or a link stands for."""
        if type(ref) is int:
            if ref in self._existing[kind]:
                return ref
        elif type(ref) is Ref:
            of_kind, place, batch = ref
            if of_kind is kind and batch in self._batches:
                targets = self._targets[kind]
                if type(place) is int and 0 <= place < len(targets):
                    return targets[place]
        raise self._error(kind, ref, Offender(what, index))

    def _error(
        self, kind: NodeKind, ref: NodeRef, offender: Offender
    ) -> InvalidError | NotFoundError:
        if isinstance(ref, Ref):
            if ref.batch not in self._batches:
                return InvalidError(
                    f"{offender} names {_an(kind)} of another batch",
                    hint="write that batch first, and use the id that it got",
                    offender=offender,
                )
            return InvalidError(
                f"{offender} wants {_an(kind)} of this batch, and names another thing",
                hint="use the Ref that this batch returned for it",
                offender=offender,
            )
        if not is_id(ref):
            return InvalidError(
                f"{offender} has no {kind.label}",
                hint="give a stored id, or a Ref of this batch",
                offender=offender,
            )
        return NotFoundError(
            f"there is no {kind.label} with id {ref}, which {offender} names",
            hint="correct the id, or add the node to the batch and use its Ref",
            offender=offender,
        )


def _an(kind: NodeKind) -> str:
    return f"a{'n' if kind is not NodeKind.CONTEXT else ''} {kind.label}"


def ask_existing(
    events: list[EventDraft],
    links: Iterable[tuple[LinkKind, list[LinkDraft]]],
    questions: Questions,
) -> None:
    """Ask whether the stored ends of events and links exist."""
    named: dict[NodeKind, list[NodeRef]] = {kind: [] for kind in NODE_KINDS}
    if events:
        named[NodeKind.ARTIFACT] += [event.artifact for event in events]
        named[NodeKind.EXECUTION] += [event.execution for event in events]
    for kind, drafts in links:
        if drafts:
            named[NodeKind.CONTEXT] += [draft.context for draft in drafts]
            named[kind.other] += [draft.other for draft in drafts]
    questions.existing = {
        kind: {ref for ref in refs if type(ref) is int and 0 < ref <= INT64_MAX}
        for kind, refs in named.items()
        if refs
    }


def resolve_events(drafts: list[EventDraft], ends: Ends) -> list[tuple[Target, Target, EventType]]:
    """The ends of the events, checked."""
    resolved: list[tuple[Target, Target, EventType]] = []
    for index, draft in enumerate(drafts):
        artifact = ends.find(NodeKind.ARTIFACT, draft.artifact, "event", index)
        execution = ends.find(NodeKind.EXECUTION, draft.execution, "event", index)
        type = _event_type(draft.type)
        if type is EventType.UNKNOWN:
            offender = Offender("event", index)
            known = ", ".join(each.name for each in EventType if each)
            raise InvalidError(
                f"{offender} has no type", hint=f"use one of {known}", offender=offender
            )
        resolved.append((artifact, execution, type))
    return resolved


def _event_type(type: object) -> EventType:
    if isinstance(type, EventType):
        return type
    # True and 1.0 are equal to 1, but surely not meant as DECLARED_OUTPUT.
    if isinstance(type, int) and is_id(type):
        try:
            return EventType(type)
        except ValueError:
            pass
    return EventType.UNKNOWN


def plan_events(
    drafts: list[EventDraft],
    ends: list[tuple[Target, Target, EventType]],
    stored: set[EventKey],
    changes: Changes,
    now: int,
) -> None:
    """Add the events; one that exists already is an error."""
    seen: set[tuple[Target, Target, EventType]] = set(stored)
    for index, (draft, end) in enumerate(zip(drafts, ends, strict=True)):
        if end in seen:
            offender = Offender("event", index)
            raise AlreadyExistsError(
                f"{offender} exists already: the same artifact, execution and type",
                hint="events are written once and never change",
                offender=offender,
            )
        seen.add(end)
        time = draft.time_ms
        changes.events.append(
            NewEvent(
                *end,
                now if time is None else milliseconds(time, Offender("event", index)),
                _path(draft.path, index),
            )
        )


def _path(path: tuple[int | str, ...], index: int) -> tuple[int | str, ...]:
    steps: list[int | str] = []
    for step in path:
        if type(step) is int and INT64_MIN <= step <= INT64_MAX:
            steps.append(step)
            continue
        try:
            steps.append(clean_text(step))
        except BadValueError:
            offender = Offender("event", index)
            raise InvalidError(
                f"a step of the path of {offender} is neither an index nor a key",
                hint="a path is made of 64-bit integers and text",
                offender=offender,
            ) from None
    return tuple(steps)


def resolve_links(
    kind: LinkKind, drafts: list[LinkDraft], ends: Ends
) -> list[tuple[Target, Target]]:
    """The ends of the links, checked."""
    find, label, other_kind = ends.find, kind.label, kind.other
    return [
        (
            find(NodeKind.CONTEXT, context, label, index),
            find(other_kind, other, label, index),
        )
        for index, (context, other) in enumerate(drafts)
    ]


def plan_parents(
    links: list[tuple[Target, Target]], stored: set[tuple[int, int]], changes: Changes
) -> None:
    """Add parent links; a repetition or a cycle is an error."""
    parents: dict[Target, list[Target]] = {}
    for link in stored:
        parents.setdefault(link[0], []).append(link[1])
    seen: set[tuple[Target, Target]] = set(stored)
    for index, (child, parent) in enumerate(links):
        offender = Offender(LinkKind.PARENT.label, index)
        if child == parent:
            raise InvalidError(
                f"{offender} makes a context its own parent",
                hint="name another context, or leave the link out",
                offender=offender,
            )
        if (child, parent) in seen:
            raise AlreadyExistsError(
                f"{offender} exists already",
                hint="read the links first, and leave this one out",
                offender=offender,
            )
        seen.add((child, parent))
        parents.setdefault(child, []).append(parent)
    _refuse_cycles(links, parents)
    changes.links[LinkKind.PARENT] = links


def _refuse_cycles(links: list[tuple[Target, Target]], parents: dict[Target, list[Target]]) -> None:
    """Raise for the first new link that lies on a cycle; each context is visited once.

    A depth-first walk upwards: a link that leads back to a context on the current path closes a
    cycle.  A damaged store may hold cycles of its own, which are not this batch's fault.
    """
    new = {link: index for index, link in reversed(list(enumerate(links)))}
    done: set[Target] = set()
    for start, _ in links:
        path: list[Target] = []
        on_path: dict[Target, int] = {}
        stack: list[tuple[Target, bool]] = [(start, True)]
        while stack:
            context, entering = stack.pop()
            if not entering:
                path.pop()
                del on_path[context]
                done.add(context)
                continue
            if context in on_path:
                cycle = [*path[on_path[context] :], context]
                culprits = [new[edge] for edge in pairwise(cycle) if edge in new]
                if culprits:
                    offender = Offender(LinkKind.PARENT.label, min(culprits))
                    raise InvalidError(
                        f"{offender} closes a cycle of parent contexts",
                        hint="a context cannot be among its own ancestors",
                        offender=offender,
                    )
                continue
            if context in done:
                continue
            on_path[context] = len(path)
            path.append(context)
            stack.append((context, False))
            stack.extend((parent, True) for parent in parents.get(context, ()))
