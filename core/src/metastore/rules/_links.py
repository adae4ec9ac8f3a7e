"""Rules for events, attributions, associations and parent contexts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from metastore.batch import EventDraft, LinkDraft, NodeRef
from metastore.changes import Changes, EventKey, NewEvent, Questions, Target
from metastore.errors import AlreadyExistsError, InvalidError, Offender
from metastore.model import EventType, LinkKind, NodeKind
from metastore.rules._checks import is_id, is_stored_id, milliseconds
from metastore.values import INT64_MAX, INT64_MIN, BadValueError, clean_text

Resolve = Callable[[NodeKind, NodeRef, Offender], Target]
"""A node that an event or a link names -> its id or row; raises for one that does not exist."""


def ask_existing(
    events: Iterable[EventDraft],
    links: Iterable[tuple[LinkKind, list[LinkDraft]]],
    questions: Questions,
) -> None:
    """Ask whether the stored ends of events and links exist."""
    existing: dict[NodeKind, set[int]] = {kind: set() for kind in NodeKind}
    for event in events:
        _ask(existing[NodeKind.ARTIFACT], event.artifact)
        _ask(existing[NodeKind.EXECUTION], event.execution)
    for kind, drafts in links:
        for context, other in drafts:
            _ask(existing[NodeKind.CONTEXT], context)
            _ask(existing[kind.other], other)
    questions.existing = existing


def _ask(ids: set[int], ref: NodeRef) -> None:
    if isinstance(ref, int) and is_stored_id(ref):
        ids.add(ref)


def resolve_events(
    drafts: list[EventDraft], resolve: Resolve
) -> list[tuple[Target, Target, EventType]]:
    """The ends of the events, checked."""
    resolved: list[tuple[Target, Target, EventType]] = []
    for index, draft in enumerate(drafts):
        offender = Offender("event", index)
        artifact = resolve(NodeKind.ARTIFACT, draft.artifact, offender)
        execution = resolve(NodeKind.EXECUTION, draft.execution, offender)
        type = _event_type(draft.type)
        if type is EventType.UNKNOWN:
            known = ", ".join(each.name for each in EventType if each)
            raise InvalidError(
                f"{offender} has no type", hint=f"use one of {known}", offender=offender
            )
        resolved.append((artifact, execution, type))
    return resolved


def _event_type(type: object) -> EventType:
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
        offender = Offender("event", index)
        if end in seen:
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
                now if time is None else milliseconds(time, offender),
                _path(draft.path, offender),
            )
        )


def _path(path: tuple[int | str, ...], offender: Offender) -> tuple[int | str, ...]:
    steps: list[int | str] = []
    for step in path:
        if type(step) is int and INT64_MIN <= step <= INT64_MAX:
            steps.append(step)
            continue
        try:
            steps.append(clean_text(step))
        except BadValueError:
            raise InvalidError(
                f"a step of the path of {offender} is neither an index nor a key",
                hint="a path is made of 64-bit integers and text",
                offender=offender,
            ) from None
    return tuple(steps)


def plan_links(
    kind: LinkKind, drafts: list[LinkDraft], resolve: Resolve, changes: Changes
) -> list[tuple[Target, Target]]:
    """Add attributions or associations once each; for parent links, only resolve them."""
    resolved: list[tuple[Target, Target]] = []
    for index, (context, other) in enumerate(drafts):
        offender = Offender(kind.value, index)
        resolved.append(
            (
                resolve(NodeKind.CONTEXT, context, offender),
                resolve(kind.other, other, offender),
            )
        )
    if kind is not LinkKind.PARENT:
        changes.links[kind] = list(dict.fromkeys(resolved))
    return resolved


def plan_parents(
    links: list[tuple[Target, Target]], stored: set[tuple[int, int]], changes: Changes
) -> None:
    """Add parent links; a repetition or a cycle is an error."""
    parents: dict[Target, list[Target]] = {}
    for link in stored:
        parents.setdefault(link[0], []).append(link[1])
    seen: set[tuple[Target, Target]] = set(stored)
    for index, (child, parent) in enumerate(links):
        offender = Offender(LinkKind.PARENT.value, index)
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
                    offender = Offender(LinkKind.PARENT.value, min(culprits))
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
