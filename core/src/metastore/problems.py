"""What is wrong with the rows of a store: a damaged one reads as far as it can, and this says why.

Whoever writes through `BaseMetadataStore.write` cannot make such rows; other programs, restored
backups and hands can.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from metastore.model import (
    LINK_KINDS,
    NODE_KINDS,
    AnyNode,
    Event,
    EventType,
    Link,
    LinkKind,
    NodeKind,
    Type,
)
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery
from metastore.values import kind_of

__all__ = ["EXAMPLES", "Problem", "Rows", "cycles", "lineage_cycles", "problems_of"]

EXAMPLES = 10
"""Of the rows of one problem, so many are named."""

_OTHER = {
    LinkKind.ATTRIBUTION: NodeKind.ARTIFACT,
    LinkKind.ASSOCIATION: NodeKind.EXECUTION,
    LinkKind.PARENT: NodeKind.CONTEXT,
}


class Problem(NamedTuple):
    """One sort of problem, and how many rows have it."""

    kind: str
    """What programs know it by, such as ``"event-without-artifact"``; always the same."""
    what: str
    """What people are told: it follows a number."""
    number: int
    """How many rows; exact."""
    examples: tuple[str, ...]
    """The first of them, at most `EXAMPLES`: ids and names, no values of properties."""


class Rows(Protocol):
    """A store that is looked at."""

    def read_types(self, query: TypeQuery) -> Sequence[Type]:
        """Types."""

    def iterate(self, query: NodeQuery) -> Iterator[AnyNode]:
        """Nodes, page by page."""

    def read_events(self, query: EventQuery) -> Sequence[Event]:
        """Events."""

    def read_links(self, query: LinkQuery) -> Sequence[Link]:
        """Links."""


class _Counted:
    """Problems as they are found."""

    def __init__(self) -> None:
        self._numbers = Counter[str]()
        self._whats: dict[str, str] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, what: str, example: str) -> None:
        """One more row."""
        self._numbers[kind] += 1
        self._whats[kind] = what
        examples = self._examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(example)

    def problems(self) -> Iterator[Problem]:
        """All, in the order in which they were first met."""
        for kind, number in self._numbers.items():
            yield Problem(kind, self._whats[kind], number, tuple(self._examples[kind]))


def problems_of(store: Rows) -> Iterator[Problem]:
    """What can be seen to be wrong by reading, of a store whose tables cannot be asked."""
    found = _Counted()
    types: dict[int, Type] = {}
    for kind in NODE_KINDS:
        of_kind = store.read_types(TypeQuery(kind))
        types |= {type.id: type for type in of_kind}
        for key, number in Counter(type.key for type in of_kind).items():
            if number > 1:
                what = f"{kind.label} types that are stored several times"
                found.add(f"{kind.label}-type-repeated", what, str(key))
    ids = {kind: _check_nodes(store, kind, types, found) for kind in NODE_KINDS}
    events = store.read_events(EventQuery())
    for event in events:
        _check_event(event, ids, found)
    for link_kind in LINK_KINDS:
        links = store.read_links(LinkQuery(link_kind))
        for link in links:
            _check_link(link_kind, link, ids, found)
        if link_kind is LinkKind.PARENT:
            _check_parents(links, found)
    yield from found.problems()
    yield from lineage_cycles(
        (event.artifact_id, event.execution_id, event.type) for event in events
    )


def _check_nodes(store: Rows, kind: NodeKind, types: dict[int, Type], found: _Counted) -> set[int]:
    ids = set()
    label = kind.label
    for node in store.iterate(NodeQuery(kind)):
        ids.add(node.id)
        example = f"{label} {node.id}"
        type = types.get(node.type_id)
        if type is None or type.kind is not kind:
            found.add(f"{label}-without-type", f"{label}s whose type is not there", example)
        else:
            for key, value in node.properties.items():
                declared = type.properties.get(key)
                if declared is None:
                    what = f"properties of {label}s that their type does not declare"
                    found.add(f"{label}-property-undeclared", what, f"{key!r} of {example}")
                elif declared is not kind_of(value):
                    what = f"properties of {label}s of another kind than their type declares"
                    found.add(f"{label}-property-of-another-kind", what, f"{key!r} of {example}")
        if not 0 <= node.create_time_ms <= node.update_time_ms:
            what = f"{label}s that were updated before they were made, or made before 1970"
            found.add(f"{label}-time", what, example)
    return ids


def _check_event(event: Event, ids: dict[NodeKind, set[int]], found: _Counted) -> None:
    example = f"{event.type.name} of artifact {event.artifact_id}, execution {event.execution_id}"
    if event.artifact_id not in ids[NodeKind.ARTIFACT]:
        found.add("event-without-artifact", "events whose artifact is not there", example)
    if event.execution_id not in ids[NodeKind.EXECUTION]:
        found.add("event-without-execution", "events whose execution is not there", example)
    if event.type is EventType.UNKNOWN:
        found.add("event-type", "events of no type", example)
    if event.time_ms < 0:
        found.add("event-time", "events from before 1970", example)


def _check_link(kind: LinkKind, link: Link, ids: dict[NodeKind, set[int]], found: _Counted) -> None:
    label, other = kind.label, _OTHER[kind]
    called = "parent" if kind is LinkKind.PARENT else other.label
    example = f"context {link.context_id}, {called} {link.other_id}"
    slug = label.replace(" ", "-")
    if link.context_id not in ids[NodeKind.CONTEXT]:
        found.add(f"{slug}-without-context", f"{label}s whose context is not there", example)
    if link.other_id not in ids[other]:
        found.add(f"{slug}-without-{called}", f"{label}s whose {called} is not there", example)


def _check_parents(links: Sequence[Link], found: _Counted) -> None:
    for context in cycles(links):
        what = "contexts that are among their own ancestors"
        found.add("parent-cycle", what, f"context {context}")


# Cycles.


def lineage_cycles(events: Iterable[tuple[int, int, EventType]]) -> Iterator[Problem]:
    """The artifacts that were made, in some steps, from themselves."""
    # Artifacts and executions have ids of their own: even numbers, odd numbers.
    edges = (
        (2 * execution + 1, 2 * artifact) if type.is_output else (2 * artifact, 2 * execution + 1)
        for artifact, execution, type in events
        if type.is_output or type.is_input
    )
    found = [each // 2 for each in cycles(edges) if each % 2 == 0]
    if found:
        examples = tuple(f"artifact {id}" for id in found[:EXAMPLES])
        yield Problem(
            "lineage-cycle", "artifacts that were made from themselves", len(found), examples
        )


def cycles(edges: Iterable[tuple[int, int]]) -> list[int]:
    """The nodes of a graph from which a way leads back to them, or to others that are such.

    Edges are kept as numbers in arrays, 24 bytes each: there may be many millions.
    """
    heads, tails = array("q"), array("q")
    for head, tail in edges:
        heads.append(head)
        tails.append(tail)
    left = _without_ends(heads, tails)
    # Of what is left, what a cycle leads to hangs on, too: it is taken off from the other side.
    kept = [(heads[at], tails[at]) for at in range(len(heads)) if heads[at] in left]
    return sorted(_without_ends(array("q", (t for _, t in kept)), array("q", (h for h, _ in kept))))


def _without_ends(heads: Sequence[int], tails: Sequence[int]) -> set[int]:
    """The nodes that stay when those that no edge leads to are taken away, again and again."""
    number: dict[int, int] = {}
    for each in (heads, tails):
        for node in each:
            number.setdefault(node, len(number))
    counts = array("q", bytes(8 * len(number)))
    begins = array("q", bytes(8 * (len(number) + 1)))
    for head, tail in zip(heads, tails, strict=True):
        counts[number[tail]] += 1
        begins[number[head] + 1] += 1
    for at in range(len(number)):
        begins[at + 1] += begins[at]
    places = array("q", begins)
    leads = array("q", bytes(8 * len(heads)))
    for head, tail in zip(heads, tails, strict=True):
        place = places[number[head]]
        leads[place] = number[tail]
        places[number[head]] = place + 1
    free = [at for at, count in enumerate(counts) if not count]
    gone = bytearray(len(number))
    while free:
        at = free.pop()
        gone[at] = 1
        for other in leads[begins[at] : begins[at + 1]]:
            counts[other] -= 1
            if not counts[other]:
                free.append(other)
    return {node for node, at in number.items() if not gone[at]}
