"""Nodes, page by page, each with its events and links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, NodeDraft, NodeRef, Replace
from metastore.model import AnyNode, Event, EventType, LinkKind, NodeKind, TypeKey
from metastore.query import EventQuery, LinkQuery, NodeQuery
from metastore.transfer._content import differing, repaired
from metastore.transfer._report import CopyReport
from metastore.transfer._types import TypePlan
from metastore.transfer._writer import Writer

__all__ = ["NodeCopier"]

_MOST_EVENTS = 20_000
"""Events of one batch, where it has more than one execution."""


class NodeCopier:
    """Copies nodes, with attributions, associations and events; contexts must be there before."""

    def __init__(
        self, source: BaseMetadataStore, writer: Writer, report: CopyReport, plan: TypePlan
    ) -> None:
        self._source, self._writer, self._report = source, writer, report
        self._types = plan.by_id
        self._times, self._exact = writer.times, writer.exact_doubles
        self._event_ends: list[int] = []

    def copy(self, kind: NodeKind, page: Sequence[AnyNode], *, is_part: bool) -> None:
        """Write what of these nodes is new or changed, in one batch where that is not too much.

        is_part:
            Whether nodes that these hang on may be left aside on purpose.
        """
        events: Sequence[Event] = ()
        if kind is NodeKind.EXECUTION:
            events = self._source.read_events(EventQuery(execution_ids=[each.id for each in page]))
            if len(events) > _MOST_EVENTS and len(page) > 1:
                del events
                half = len(page) // 2
                self.copy(kind, page[:half], is_part=is_part)
                self.copy(kind, page[half:], is_part=is_part)
                return
        batch = Batch()
        ids = self._writer.ids[kind]
        known = {node.id: id for node in page if (id := ids.get(node.id)) is not None}
        stored: dict[int, AnyNode] = {}
        if known:
            query = NodeQuery(kind, ids=[*known.values()])
            stored = {node.id: node for node in self._writer.target.read_nodes(query)}
            # What somebody deleted in the target since is new there.
            known = {source: id for source, id in known.items() if id in stored}
        refs: dict[int, NodeRef] = dict(known)
        new = self._add_new(kind, page, batch, refs)
        sources = [node.id for node, _ in new]
        if known:
            sources += self._add_changed(kind, page, batch, known, stored)
        self._event_ends = []
        if kind is not NodeKind.CONTEXT:
            self._add_links(kind, page, batch, refs, known, is_part=is_part)
        if kind is NodeKind.EXECUTION:
            self._add_events(events, batch, refs, known)
        if new or batch.nodes[kind] or batch.events or any(batch.links.values()):
            self._writer.write_nodes(kind, batch, new, sources, self._event_ends)

    def _add_new(
        self, kind: NodeKind, page: Sequence[AnyNode], batch: Batch, refs: dict[int, NodeRef]
    ) -> list[tuple[AnyNode, TypeKey]]:
        new = []
        for node in page:
            if node.id in refs:
                continue
            label = f"{kind.label} {node.id}"
            type = self._types.get(node.type_id)
            if type is None or type.kind is not kind:
                self._report.leave_out(f"{kind.label}s of a type that is not there", label)
                continue
            if kind is NodeKind.CONTEXT and not node.name:
                self._report.leave_out("contexts without a name", label)
                continue
            node = self._repaired(node, kind)
            refs[node.id] = batch.add(kind, _draft(node, type.key, times=self._writer.times))
            new.append((node, type.key))
        self._report.created[kind.label] += len(new)
        return new

    def _repaired(self, node: AnyNode, kind: NodeKind) -> AnyNode:
        whole, dropped = repaired(node, self._types[node.type_id])
        if dropped:
            self._report.leave_out(
                "properties that their type does not declare, or that are no number",
                f"{dropped[0]!r} of {kind.label} {node.id}",
                len(dropped),
            )
        return whole

    def _add_changed(
        self,
        kind: NodeKind,
        page: Sequence[AnyNode],
        batch: Batch,
        known: dict[int, int],
        stored: dict[int, AnyNode],
    ) -> list[int]:
        """Add what was copied before and is newer in the source; its source ids."""
        changed: list[int] = []
        merged = self._writer.ids[kind].merged
        for node in page:
            there = stored.get(known.get(node.id, 0))
            if there is None or node.type_id not in self._types:
                continue
            node = self._repaired(node, kind)
            times = self._times and node.id not in merged
            differs = differing(node, there, times=times, exact_doubles=self._exact)
            # Who changed it last is right, where that can be told.
            if not differs or (self._times and node.update_time_ms <= there.update_time_ms):
                self._report.unchanged[kind.label] += 1
                continue
            draft = _draft(node, None, times=self._writer.times)
            draft.mode = Replace(there.id, force_update=differs == ["update time"])
            draft.create_time_ms = None
            batch.add(kind, draft)
            changed.append(node.id)
        self._report.updated[kind.label] += len(changed)
        return changed

    def _add_links(
        self,
        kind: NodeKind,
        page: Sequence[AnyNode],
        batch: Batch,
        refs: dict[int, NodeRef],
        known: dict[int, int],
        *,
        is_part: bool,
    ) -> None:
        link_kind = LinkKind.ATTRIBUTION if kind is NodeKind.ARTIFACT else LinkKind.ASSOCIATION
        add = batch.attribution if kind is NodeKind.ARTIFACT else batch.association
        contexts = self._writer.ids[NodeKind.CONTEXT]
        links = self._source.read_links(LinkQuery(link_kind, other_ids=[each.id for each in page]))
        stored: set[tuple[Any, ...]] = set()
        if known and links:
            query = LinkQuery(link_kind, other_ids=[*known.values()])
            stored = {tuple(link) for link in self._writer.target.read_links(query)}
        for link in dict.fromkeys(links):
            context, other = contexts.get(link.context_id), refs.get(link.other_id)
            if context is None or other is None:
                if not is_part:
                    self._report.leave_out(
                        f"{link_kind.label}s of nodes that are not there",
                        f"context {link.context_id} and {kind.label} {link.other_id}",
                    )
                continue
            if (context, other) in stored:
                self._report.unchanged[link_kind.label] += 1
                continue
            add(context, other)
            self._report.created[link_kind.label] += 1

    def _add_events(
        self,
        events: Sequence[Event],
        batch: Batch,
        refs: dict[int, NodeRef],
        known: dict[int, int],
    ) -> None:
        artifacts = self._writer.ids[NodeKind.ARTIFACT]
        seen: set[tuple[NodeRef, NodeRef, EventType]] = set()
        if known and events:
            query = EventQuery(execution_ids=[*known.values()])
            stored = self._writer.target.read_events(query)
            seen = {(each.artifact_id, each.execution_id, each.type) for each in stored}
        written: set[tuple[NodeRef, NodeRef, EventType]] = set()
        for event in events:
            artifact, execution = artifacts.get(event.artifact_id), refs.get(event.execution_id)
            label = f"artifact {event.artifact_id} and execution {event.execution_id}"
            if artifact is None or execution is None:
                self._report.leave_out("events of nodes that are not there", label)
                continue
            if not event.type:
                self._report.leave_out("events of an unknown type", label)
                continue
            key = (artifact, execution, event.type)
            if key in written:
                self._report.leave_out("events that are there twice", label)
            elif key in seen:
                self._report.unchanged["event"] += 1
            else:
                batch.event(artifact, execution, event.type, path=event.path, time_ms=event.time_ms)
                self._event_ends.append(event.execution_id)
                self._report.created["event"] += 1
            written.add(key)


def _draft(node: AnyNode, key: TypeKey | None, *, times: bool) -> NodeDraft:
    return NodeDraft(
        key,
        node.name,
        getattr(node, "uri", ""),
        getattr(node, "state", None),
        node.external_id,
        node.properties,
        node.custom_properties,
        create_time_ms=node.create_time_ms if times else None,
        update_time_ms=node.update_time_ms if times else None,
    )
