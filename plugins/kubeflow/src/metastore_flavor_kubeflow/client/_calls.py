"""What a batch changes, as calls: each is one transaction of the server's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from metastore import NodeKind
from metastore.changes import Changes, New, NodeInsert, NodeUpdate, Target
from metastore.model import NODE_KINDS, AnyNode, LinkKind, Type
from metastore_flavor_kubeflow.messages import (
    base_number,
    fill_fields,
    fill_path,
    fill_type_fields,
    fill_values,
)
from metastore_flavor_kubeflow.protocol import request_of
from metastore_flavor_kubeflow.said import FORCED

__all__ = ["Call", "Requests", "values_after"]

_ARTIFACT, _EXECUTION, _CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT

_MASKABLE = re.compile(r"[A-Za-z0-9_]+", re.ASCII)
_FIELDS = {
    _ARTIFACT: ("uri", "state", "external_id"),
    _EXECUTION: ("state", "external_id"),
    _CONTEXT: ("name", "external_id"),
}


@dataclass(slots=True)
class Call:
    """One call that writes, and what of the batch it writes.

    inserts:
        By kind, the positions in `Changes.inserts` of the nodes that stand first in the request.
    updates:
        By kind, the updates that stand behind them.
    events:
        Positions in `Changes.events`.
    links:
        By kind; the call repeated has the same effect.
    """

    rpc: str
    request: Any
    inserts: dict[NodeKind, list[int]] = field(default_factory=dict)
    updates: dict[NodeKind, list[NodeUpdate]] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)
    links: dict[LinkKind, list[tuple[Target, Target]]] = field(default_factory=dict)


class Requests:
    """Makes the calls of one batch.

    The protocol has one call that writes nodes of several kinds with events, PutLineageSubgraph,
    and it links every context in it with every artifact and execution in it.  So the contexts that
    are to be linked with all of them go along; other links follow in a call of their own.

    changes:
        Of the planner; ids of types are known (`type_ids`).
    stored, types:
        What was read to plan them.
    """

    def __init__(
        self,
        changes: Changes,
        stored: Mapping[NodeKind, Mapping[int, AnyNode]],
        types: Mapping[int, Type],
        *,
        forces: bool,
    ) -> None:
        self._changes = changes
        self._stored = stored
        self._types = types
        self.type_ids: Sequence[int] = ()
        self.ids: dict[NodeKind, dict[int, int]] = {kind: {} for kind in NODE_KINDS}
        """By position in `Changes.inserts`, once they are known."""
        self._forces = forces

    # Types.

    def put_types(self) -> Any:
        """The request for all that changes of types."""
        request = request_of("PutTypes")(can_add_fields=True, can_omit_fields=True)
        for insert in self._changes.type_inserts:
            message = getattr(request, f"{insert.key.kind.label}_types").add()
            base = None if insert.base_type is None else self._types[insert.base_type].name
            fill_type_fields(message, insert, base)
        for update in self._changes.type_updates:
            stored = self._types[update.id]
            message = getattr(request, f"{stored.kind.label}_types").add()
            message.name = stored.name
            if stored.version is not None:
                message.version = stored.version
            for key, kind in update.properties.items():
                message.properties[key] = kind
            if update.external_id is not None:
                message.external_id = update.external_id
            if update.base_type is not None:
                message.base_type = base_number(stored.kind, self._types[update.base_type].name)
        return request

    def learn_types(self, response: Any) -> list[int]:
        """The ids of the inserted types, in the order of `Changes.type_inserts`."""
        by_kind = {kind: iter(getattr(response, f"{kind.label}_type_ids")) for kind in NODE_KINDS}
        self.type_ids = [next(by_kind[each.key.kind]) for each in self._changes.type_inserts]
        return list(self.type_ids)

    # Nodes, events and links.

    def calls(self) -> Iterable[Callable[[], Call | None]]:
        """The calls in their order, each made when those before it have been answered."""
        changes = self._changes
        common = self._common_contexts()
        together = self._stand_together(common)
        yield lambda: self._contexts(set() if not together else common)
        for kind in NODE_KINDS:
            yield partial(self._forced, kind)
        yield lambda: self._nodes_and_events(common)
        rest = {
            kind: [
                (context, other)
                for context, other in changes.links[kind]
                if not (context in common and self._is_written(_other(kind), other))
            ]
            for kind in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION)
        }
        yield lambda: self._links(rest)
        yield self._parents

    def id_of(self, kind: NodeKind, target: Target) -> int:
        """The id of a node that is stored by now."""
        return self.ids[kind][target.position] if isinstance(target, New) else target

    def _common_contexts(self) -> set[Target]:
        """The contexts that are to be linked with every artifact and execution of the batch."""
        linked: dict[tuple[NodeKind, Target], set[Target]] = {
            (kind, target): set()
            for kind in (_ARTIFACT, _EXECUTION)
            for target in self._written(kind)
        }
        for kind in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION):
            for context, other in self._changes.links[kind]:
                if (_other(kind), other) in linked:
                    linked[_other(kind), other].add(context)
        return set.intersection(*linked.values()) if linked else set()

    def _stand_together(self, common: set[Target]) -> bool:
        """Whether the new ones among these contexts may be inserted along with the nodes.

        A stored context goes along by its name, to be reused, and then so would a new one be whose
        name somebody else takes at this moment.
        """
        return all(isinstance(context, New) for context in common)

    def _written(self, kind: NodeKind) -> list[Target]:
        """The nodes of a kind that are inserted or updated along with the others."""
        updates = (each.id for each in self._updates(kind))
        return [*map(New, range(len(self._changes.inserts[kind]))), *updates]

    def _updates(self, kind: NodeKind) -> list[NodeUpdate]:
        """The updates of a kind, but for those that are forced."""
        return [each for each in self._changes.updates[kind] if not self._is_forced(kind, each)]

    def _is_written(self, kind: NodeKind, target: Target) -> bool:
        return isinstance(target, New) or target in self._written(kind)

    def _is_forced(self, kind: NodeKind, update: NodeUpdate) -> bool:
        """Whether nothing changes but the update time, which our server does not do by itself."""
        return self._forces and not _mask(kind, update, self._stored[kind][update.id])

    def _contexts(self, along: set[Target]) -> Call | None:
        """The contexts that do not go along with the nodes."""
        inserts = self._changes.inserts[_CONTEXT]
        positions = [at for at in range(len(inserts)) if New(at) not in along]
        return self._put(_CONTEXT, positions, self._updates(_CONTEXT))

    def _forced(self, kind: NodeKind) -> Call | None:
        updates = [each for each in self._changes.updates[kind] if self._is_forced(kind, each)]
        return self._put(kind, [], updates)

    def _put(
        self, kind: NodeKind, positions: list[int], updates: Sequence[NodeUpdate]
    ) -> Call | None:
        """Nodes of one kind, without events and links."""
        if not positions and not updates:
            return None
        request = request_of(f"Put{kind.label.capitalize()}s")()
        messages = getattr(request, f"{kind.label}s")
        masks = {_masked(kind, each, self._stored[kind][each.id]) for each in updates}
        mask = masks.pop() if len(masks) == 1 and not positions else None
        for position in positions:
            self._fill_insert(messages.add(), kind, self._changes.inserts[kind][position])
        for update in updates:
            self._fill_update(messages.add(), kind, update)
        if mask is not None:
            # The server merges, so that nothing is lost of what others change at this moment.
            request.update_mask.paths.extend(mask)
        if kind is _ARTIFACT and updates:
            request.options.abort_if_latest_updated_time_changed = True
        return Call(
            f"Put{kind.label.capitalize()}s", request, {kind: positions}, {kind: list(updates)}
        )

    def _nodes_and_events(self, common: set[Target]) -> Call | None:
        changes = self._changes
        updates = {kind: self._updates(kind) for kind in (_ARTIFACT, _EXECUTION)}
        positions = {
            kind: list(range(len(changes.inserts[kind]))) for kind in (_ARTIFACT, _EXECUTION)
        }
        kinds = [kind for kind in updates if updates[kind] or positions[kind]]
        events = list(range(len(changes.events)))
        if not kinds:
            return self._put_events(events) if events else None
        if len(kinds) == 1 and not events and not common:
            return self._put(kinds[0], positions[kinds[0]], updates[kinds[0]])
        request = request_of("PutLineageSubgraph")()
        for kind in kinds:
            messages = getattr(request, f"{kind.label}s")
            for insert in changes.inserts[kind]:
                self._fill_insert(messages.add(), kind, insert)
            for update in updates[kind]:
                self._fill_update(messages.add(), kind, update)
        along = self._add_contexts(request, common)
        for event in changes.events:
            edge = request.event_edges.add()
            self._fill_event(edge.event, event)
            for kind, end in ((_ARTIFACT, event.artifact), (_EXECUTION, event.execution)):
                if isinstance(end, New):
                    setattr(edge, f"{kind.label}_index", end.position)
                else:
                    setattr(edge.event, f"{kind.label}_id", end)
        return Call(
            "PutLineageSubgraph", request, {**positions, _CONTEXT: along}, {**updates}, events
        )

    def _add_contexts(self, request: Any, common: set[Target]) -> list[int]:
        """Add the contexts that go along; the positions of those that are inserted."""
        if self._stand_together(common):
            along = sorted(target.position for target in common if isinstance(target, New))
            for position in along:
                insert = self._changes.inserts[_CONTEXT][position]
                self._fill_insert(request.contexts.add(), _CONTEXT, insert)
            return along
        request.options.reuse_context_if_already_exist = True
        for target in common:
            if isinstance(target, New):
                insert = self._changes.inserts[_CONTEXT][target.position]
                type_id, name = self._type_id(insert.type), insert.name
            else:
                stored = self._stored[_CONTEXT][target]
                type_id, name = stored.type_id, stored.name
            request.contexts.add(type_id=type_id, name=name)
        return []

    def _put_events(self, events: list[int]) -> Call:
        request = request_of("PutEvents")()
        for event in self._changes.events:
            message = request.events.add()
            self._fill_event(message, event)
            message.artifact_id = self.id_of(_ARTIFACT, event.artifact)
            message.execution_id = self.id_of(_EXECUTION, event.execution)
        return Call("PutEvents", request, events=events)

    def _links(self, links: Mapping[LinkKind, list[tuple[Target, Target]]]) -> Call | None:
        if not any(links.values()):
            return None
        request = request_of("PutAttributionsAndAssociations")()
        for kind, pairs in links.items():
            other = _other(kind)
            for context, target in pairs:
                message = getattr(request, f"{kind.label}s").add()
                message.context_id = self.id_of(_CONTEXT, context)
                setattr(message, f"{other.label}_id", self.id_of(other, target))
        return Call("PutAttributionsAndAssociations", request, links=dict(links))

    def _parents(self) -> Call | None:
        pairs = self._changes.links[LinkKind.PARENT]
        if not pairs:
            return None
        request = request_of("PutParentContexts")()
        for child, parent in pairs:
            request.parent_contexts.add(
                child_id=self.id_of(_CONTEXT, child), parent_id=self.id_of(_CONTEXT, parent)
            )
        return Call("PutParentContexts", request, links={LinkKind.PARENT: list(pairs)})

    # Messages.

    def type_id(self, insert: NodeInsert) -> int:
        """The id of the type of a node that is inserted."""
        return self._type_id(insert.type)

    def _type_id(self, target: Target) -> int:
        return self.type_ids[target.position] if isinstance(target, New) else target

    def _fill_insert(self, message: Any, kind: NodeKind, insert: NodeInsert) -> None:
        message.type_id = self._type_id(insert.type)
        uri = insert.uri if kind is _ARTIFACT else None
        fill_fields(message, insert.name, uri, insert.external_id, insert.state)
        fill_values(message.properties, insert.properties)
        fill_values(message.custom_properties, insert.custom_properties)

    def _fill_update(self, message: Any, kind: NodeKind, update: NodeUpdate) -> None:
        before = self._stored[kind][update.id]
        message.id, message.type_id = update.id, before.type_id
        uri = update.uri if kind is _ARTIFACT else None
        fill_fields(message, update.name, uri, update.external_id, update.state)
        message.last_update_time_since_epoch = before.update_time_ms
        properties, custom = values_after(update, before)
        fill_values(message.properties, properties)
        fill_values(message.custom_properties, custom)

    @staticmethod
    def _fill_event(message: Any, event: Any) -> None:
        message.type = event.type
        message.milliseconds_since_epoch = event.time_ms
        # Of an empty path, too, that it is there.
        message.path.SetInParent()
        fill_path(message, event.path)


def values_after(update: NodeUpdate, before: AnyNode) -> tuple[dict[str, Any], dict[str, Any]]:
    """The properties and custom properties of a node once it is updated."""
    properties = {
        key: value for key, value in before.properties.items() if key not in update.drop_properties
    }
    custom = {
        key: value
        for key, value in before.custom_properties.items()
        if key not in update.drop_custom_properties
    }
    return {**properties, **update.set_properties}, {**custom, **update.set_custom_properties}


def _mask(kind: NodeKind, update: NodeUpdate, before: AnyNode) -> list[str]:
    """What an update changes, as the paths of a mask."""
    paths = [
        "last_known_state" if (kind, name) == (_EXECUTION, "state") else name
        for name in _FIELDS[kind]
        if getattr(update, name) != getattr(before, name)
    ]
    for name, keys in (
        ("properties", update.set_properties.keys() | update.drop_properties),
        ("custom_properties", update.set_custom_properties.keys() | update.drop_custom_properties),
    ):
        paths += (f"{name}.{key}" for key in sorted(keys))
    return paths


def _masked(kind: NodeKind, update: NodeUpdate, before: AnyNode) -> tuple[str, ...] | None:
    """The mask of an update, None where a key stands in the way; of a forced one, that it is."""
    paths = _mask(kind, update, before)
    keys = (path.partition(".")[2] for path in paths if "." in path)
    if not all(_MASKABLE.fullmatch(key) for key in keys):
        return None
    return tuple(paths) or (FORCED,)


def _other(kind: LinkKind) -> NodeKind:
    return _ARTIFACT if kind is LinkKind.ATTRIBUTION else _EXECUTION
