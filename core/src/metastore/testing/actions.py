"""What random histories are made of: steps, as plain data that can be read and pasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from metastore.model import EventType, LinkKind, NodeKind, PropertyKind, Proto
from metastore.query import OrderBy

__all__ = [
    "BEGINNING",
    "NOBODY",
    "STEPS",
    "Action",
    "History",
    "OpenAgain",
    "Put",
    "PutEvent",
    "PutLink",
    "PutType",
    "ReadPages",
    "RollBack",
    "Step",
    "histories",
]


class _Brief:
    """Prints what differs from the defaults only."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """So that hypothesis, too, prints no more."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        said = []
        for each in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, each.name)
            if each.default is MISSING or value != each.default:
                said.append(f"{each.name}={value!r}")
        return f"{type(self).__name__}({', '.join(said)})"


# What a batch is made of.  A number stands for a node: 0, 1 ... for stored ones by rank, around
# and around, 9 for none, -1, -2 ... for those of the same batch, the latest first, where there are
# so many.


@dataclass(frozen=True, repr=False)
class PutType(_Brief):
    """A draft of a type."""

    kind: NodeKind
    name: str
    properties: tuple[tuple[str, PropertyKind], ...] = ()
    version: str | None = None
    base_type: str | None = None
    external_id: str | None = None
    can_add: bool = False
    can_omit: bool = False


@dataclass(frozen=True, repr=False)
class Put(_Brief):
    """A draft of a node.

    how:
        insert, replace, merge, keep (and update by: reuse), reuse-replace, reuse-merge.
    target:
        The node to replace or merge.
    by:
        What to reuse by.
    expect:
        Whether the update time that is expected is the right one; None expects nothing.
    """

    kind: NodeKind
    type: str | None = "T"
    how: str = "insert"
    target: int = 0
    by: str = "name"
    name: str | None = None
    uri: str = ""
    state: int | None = None
    external_id: str | None = None
    properties: tuple[tuple[str, Any], ...] = ()
    custom: tuple[tuple[str, Any], ...] = ()
    fields: tuple[str, ...] = ()
    keys: tuple[str, ...] | str | None = None
    expect: bool | None = None
    force: bool = False


@dataclass(frozen=True, repr=False)
class PutEvent(_Brief):
    """A draft of an event."""

    artifact: int
    execution: int
    type: EventType = EventType.INPUT
    path: tuple[int | str, ...] = ()


@dataclass(frozen=True, repr=False)
class PutLink(_Brief):
    """A draft of a link."""

    kind: LinkKind
    context: int
    other: int


Action: TypeAlias = "PutType | Put | PutEvent | PutLink"


# Steps besides a batch.


@dataclass(frozen=True, repr=False)
class RollBack(_Brief):
    """A batch that is applied in a transaction which then fails."""

    actions: Sequence[Action]


@dataclass(frozen=True, repr=False)
class ReadPages(_Brief):
    """All nodes of a kind, page by page."""

    kind: NodeKind
    order_by: OrderBy = OrderBy.ID
    descending: bool = False
    size: int = 1


@dataclass(frozen=True, repr=False)
class OpenAgain(_Brief):
    """The store is closed and opened."""


Step: TypeAlias = "Sequence[Action] | RollBack | ReadPages | OpenAgain"
History: TypeAlias = "Sequence[Step]"

_PROPERTIES = (("a", PropertyKind.INT), ("b", PropertyKind.STRING), ("c", PropertyKind.STRUCT))
BEGINNING: list[list[Action]] = [
    [PutType(kind, name, _PROPERTIES) for kind in NodeKind for name in ("T", "U")],
    [Put(kind, name="m", properties=(("a", 0),)) for kind in NodeKind],
    [
        Put(kind, name="o", custom=(("a", 5e-324), ("z", -0.0), ("y", True), ("x", {"k": [{}]})))
        for kind in NodeKind
    ],
]
"""Types and nodes that every history begins with, so that most of a history can be written."""

# Histories, generated.  Small pools, so that drafts meet one another; mostly valid ones.

NOBODY = 9
_stored = st.sampled_from([0, 1, 2, 3, 0, 1, 2, NOBODY])
_numbers = _stored | st.sampled_from([-1, -2])
_names = st.sampled_from([None, None, "n", "m", "é", ""])
_external_ids = st.sampled_from([None, None, None, "x", "y"])
_values = st.sampled_from(
    [0, 1, True, 1.0, 0.0, -0.0, "", "1", "t\0", "mlmd-struct::x", 2**63 - 1, 5e-324]
) | st.builds(Proto, st.just("t"), st.binary(max_size=2))
_structs = st.sampled_from([{}, {"k": 1.0}, {"k": True}, {"k": [None, {}, []]}])


def _entries(keys: list[str], values: SearchStrategy[Any]) -> SearchStrategy[Any]:
    entry = st.tuples(st.sampled_from(keys), values)
    return st.lists(entry, max_size=2, unique_by=lambda each: each[0]).map(tuple)


_declared = st.one_of(
    _entries(["a"], st.integers(0, 2)),
    _entries(["b"], st.sampled_from(["", "v", "w"])),
    _entries(["c"], _structs),
    # Now and then one that the type may not have.
    _entries(["a", "b", "d"], st.sampled_from([1, "v"])),
)
_custom = _entries(["a", "z"], _values | _structs)

_types = st.builds(
    PutType,
    kind=st.sampled_from(NodeKind),
    name=st.sampled_from(["T", "U", "V"]),
    properties=st.sampled_from([_PROPERTIES, _PROPERTIES[:1], (), (("d", PropertyKind.INT),)])
    | st.just((("a", PropertyKind.DOUBLE),)),
    version=st.sampled_from([None, None, "1"]),
    base_type=st.sampled_from([None, None, "mlmd.Model", "mlmd.Train"]),
    external_id=st.sampled_from([None, None, "x", "y"]),
    can_add=st.booleans(),
    can_omit=st.booleans(),
)
_events = st.builds(
    PutEvent,
    artifact=_numbers,
    execution=_numbers,
    type=st.sampled_from([EventType.INPUT, EventType.OUTPUT, EventType.DECLARED_OUTPUT]),
    path=st.sampled_from([(), ("k", 0), (0, "0")]),
)
_links = st.builds(PutLink, st.sampled_from(LinkKind), context=_numbers, other=_numbers)


_HOW = ["insert", "insert", "replace", "merge", "keep", "reuse-replace", "reuse-merge"]


@st.composite
def _nodes(draw: st.DrawFn, *, insert: bool = False) -> Put:
    kind = draw(st.sampled_from(NodeKind))
    how = "insert" if insert else draw(st.sampled_from(_HOW))
    names = st.sampled_from(["n", "m", "o", ""]) if kind is NodeKind.CONTEXT else _names
    uris = st.sampled_from(["", "", "u", "v"]) if kind is NodeKind.ARTIFACT else st.just("")
    states = st.none() if kind is NodeKind.CONTEXT else st.sampled_from([None, 0, 2])
    updates = how in ("replace", "merge")
    reuses = how in ("keep", "reuse-replace", "reuse-merge")
    return Put(
        kind,
        type=draw(st.sampled_from([None, "T", "T", "U"] if updates else ["T"] * 5 + ["U", "V"])),
        how=how,
        target=draw(_stored) if updates else 0,
        by=draw(st.sampled_from(["name", "external_id", "uri"])) if reuses else "name",
        name=draw(names),
        uri=draw(uris),
        state=draw(states),
        external_id=draw(_external_ids),
        properties=draw(_declared),
        custom=draw(_custom),
        fields=tuple(
            draw(st.lists(st.sampled_from(["uri", "state", "external_id", "name"]), unique=True))
        )
        if how == "merge"
        else (),
        keys=draw(st.sampled_from([None, (), ("a",), ("a", "z"), "all"]))
        if how == "merge"
        else None,
        expect=draw(st.sampled_from([None, None, True, False])) if updates else None,
        force=draw(st.booleans()) if updates else False,
    )


_actions: SearchStrategy[Action] = st.one_of(
    _nodes(), _nodes(), _nodes(), _events, _events, _links, _links, _types
)
# Short ones: of a long one something is wrong nearly always, and nothing of it is written.
_batches = st.lists(_actions, min_size=1, max_size=2)


_new_nodes = st.lists(_nodes(insert=True), min_size=1, max_size=3)
_connections = st.lists(_events | _links, min_size=1, max_size=3)
_pages = st.builds(
    ReadPages,
    st.sampled_from(NodeKind),
    order_by=st.sampled_from(OrderBy),
    descending=st.booleans(),
    size=st.integers(1, 3),
)

STEPS: SearchStrategy[Step] = st.one_of(
    _batches,
    _new_nodes,
    _connections,
    _batches.map(RollBack),
    _pages,
    st.just(OpenAgain()),
)
"""Steps of every sort; some of them break rules."""


def histories(*, max_steps: int = 12) -> SearchStrategy[History]:
    """Histories: lists of steps."""
    return st.lists(STEPS, min_size=1, max_size=max_steps)
