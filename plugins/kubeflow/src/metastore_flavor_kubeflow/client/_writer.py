"""A batch, written by calls that are one transaction each."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any

from grpc import StatusCode

from metastore import (
    Batch,
    MetastoreError,
    NodeKind,
    OutcomeUnknownError,
    StorageError,
    WrittenBatch,
)
from metastore.changes import Applied, Changes, NodeInsert
from metastore.model import NODE_KINDS, AnyNode, LinkKind
from metastore.query import LinkQuery
from metastore.rules import Planner
from metastore.values import same_value
from metastore_flavor_kubeflow.client._calls import Call, Requests, values_after
from metastore_flavor_kubeflow.client._channel import CallError, Waits
from metastore_flavor_kubeflow.client._edges import Edges
from metastore_flavor_kubeflow.client._limits import check_holdable
from metastore_flavor_kubeflow.client._lookup import Lookup
from metastore_flavor_kubeflow.client._nodes import Nodes
from metastore_flavor_kubeflow.client._service import Service
from metastore_flavor_kubeflow.client._types import Types

__all__ = ["Writer"]

_PLANS = 5
"""How often a batch is planned whose names or nodes others were faster with."""

_OUTRUN = frozenset(
    {StatusCode.ALREADY_EXISTS, StatusCode.FAILED_PRECONDITION, StatusCode.NOT_FOUND}
)
"""How the server says that something is not as it was when the batch was planned."""

_HALF = 0.5e-6
"""Half of the last of the six decimals that ML Metadata writes."""


class _OutrunError(Exception):
    """Another writer was faster, and nothing of the batch is written."""

    def __init__(self, error: CallError) -> None:
        super().__init__(str(error))
        self.error = error


class Writer:
    """Writes batches; the threads of a store take turns."""

    def __init__(self, service: Service, nodes: Nodes, types: Types, edges: Edges) -> None:
        self._service = service
        self._nodes = nodes
        self._types = types
        self._edges = edges
        self._turn = threading.Lock()

    def write(self, batch: Batch) -> WrittenBatch:
        """Plan, check and write; raises what `BaseMetadataStore.write` does."""
        with self._turn:
            for plan in range(1, _PLANS + 1):
                planner = Planner(batch)
                lookup = Lookup(self._nodes, self._types, self._edges)
                changes = planner.run(lookup)
                if not changes:
                    return planner.written(Applied())
                if not self._service.is_ours:
                    check_holdable(changes, lookup.stored)
                try:
                    return planner.written(_Writing(self, self._service, changes, lookup).run())
                except _OutrunError as outrun:
                    if plan == _PLANS:
                        raise self._service.channel.error_of(outrun.error) from None
            raise AssertionError("a plan was written or failed")

    def now(self, kind: NodeKind, ids: list[int]) -> dict[int, AnyNode]:
        """The nodes as they are by now."""
        return {node.id: node for node in self._nodes.by_ids(kind, ids)}

    def parents(self, pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """Those of the pairs of child and parent that are stored."""
        children = sorted({child for child, _ in pairs})
        links = self._edges.links(LinkQuery(LinkKind.PARENT, context_ids=children))
        return {(link.context_id, link.other_id) for link in links} & pairs


class _Writing:
    """One batch on its way."""

    def __init__(self, writer: Writer, service: Service, changes: Changes, lookup: Lookup) -> None:
        self._writer = writer
        self._channel = service.channel
        self._is_exact = service.has_exact_doubles
        self._changes = changes
        self._lookup = lookup
        self._requests = Requests(changes, lookup.stored, lookup.types, forces=service.is_ours)
        self._written: list[str] = []
        """The calls that were answered, of types aside: what is written is not planned again."""

    def run(self) -> Applied:
        """Make the calls in their order; the ids of what was inserted."""
        changes, requests = self._changes, self._requests
        types: list[int] = []
        if changes.type_inserts or changes.type_updates:
            # It may be repeated: what is there already is found, and widened by what it lacks.
            call = Call("PutTypes", requests.put_types())
            types = requests.learn_types(self._send(call, lambda: None))
        for make in requests.calls():
            call_or_none = make()
            if call_or_none is not None:
                self._make(call_or_none)
        ids = requests.ids
        return Applied(
            types,
            {
                kind: [ids[kind][at] for at in range(len(changes.inserts[kind]))]
                for kind in NODE_KINDS
            },
        )

    def _make(self, call: Call) -> None:
        response = self._send(call, lambda: self._confirmed(call))
        for kind, positions in call.inserts.items():
            given = (
                response.get(kind, ())
                if isinstance(response, dict)
                else getattr(response, f"{kind.label}_ids")
            )
            self._requests.ids[kind].update(zip(positions, given, strict=False))
        self._written.append(call.rpc)

    def _send(self, call: Call, confirmed: Callable[[], Any]) -> Any:
        """The response to a call, or what was found of a call whose answer did not arrive.

        Repeated where that cannot write anything twice.
        """
        waits, in_doubt = Waits(self._channel.retry_timeout), False
        while True:
            try:
                return self._channel.once(call.rpc, call.request)
            except CallError as error:
                if error.has_surely_failed:
                    if in_doubt and error.code in _OUTRUN:
                        found = self._looked_up(confirmed)
                        if found is not None:
                            return found
                    if not self._written and error.code in _OUTRUN:
                        raise _OutrunError(error) from None
                    if not (error.may_pass and waits.pause()):
                        raise self._failed(error, in_doubt=in_doubt) from None
                    if error.code is StatusCode.ABORTED and not self._written and not in_doubt:
                        # Others wrote meanwhile, perhaps to the same nodes.
                        raise _OutrunError(error) from None
                    continue
                if not self._may_repeat(call):
                    raise self._unknown(error) from None
                in_doubt = True
                if not waits.pause():
                    raise self._unknown(error) from None
                found = self._looked_up(confirmed)
                if found is not None:
                    return found

    def _may_repeat(self, call: Call) -> bool:
        """Whether the call, made twice, writes nothing twice: names and external ids see to it.

        One transaction is one for all of its nodes; but of those without either, nobody could
        tell which they are.
        """
        return all(
            insert.name or insert.external_id
            for kind, positions in call.inserts.items()
            for insert in (self._changes.inserts[kind][at] for at in positions)
        )

    def _looked_up(self, confirmed: Callable[[], Any]) -> Any:
        try:
            return confirmed()
        except StorageError as error:
            raise self._unknown_for(error) from error

    # What became of a call.

    def _confirmed(self, call: Call) -> dict[NodeKind, list[int]] | None:
        """The ids of what a call inserted, where all that it writes is stored; else None."""
        found: dict[NodeKind, list[int]] = {}
        lookup = self._lookup
        for kind in NODE_KINDS:
            ids: list[int] = []
            for at in call.inserts.get(kind, ()):
                id = self._found(kind, self._changes.inserts[kind][at])
                if id is None:
                    return None
                ids.append(id)
            found[kind] = ids
            updates = call.updates.get(kind, ())
            now = self._writer.now(kind, [update.id for update in updates])
            for update in updates:
                before, after = lookup.stored[kind][update.id], now.get(update.id)
                values = values_after(update, before)
                fields = (update.name, getattr(update, "uri", ""), update.state, update.external_id)
                if after is None or not self._is_same(after, fields, values):
                    return None
        if not self._has_events(call, found):
            return None
        parents = {
            (
                self._requests.id_of(NodeKind.CONTEXT, child),
                self._requests.id_of(NodeKind.CONTEXT, parent),
            )
            for child, parent in call.links.get(LinkKind.PARENT, ())
        }
        if parents and self._writer.parents(parents) != parents:
            return None
        is_told = any(found.values()) or any(call.updates.values()) or call.events or parents
        return found if is_told else None

    def _found(self, kind: NodeKind, insert: NodeInsert) -> int | None:
        """The stored node that an insert has made, if it has."""
        lookup = self._lookup
        if insert.external_id:
            id = lookup.with_external_ids(kind, [insert.external_id]).get(insert.external_id)
        else:
            key = (self._requests.type_id(insert), insert.name or "")
            id = lookup.named(kind, [key]).get(key)
        if id is None:
            return None
        fields = (insert.name, insert.uri, insert.state, insert.external_id)
        values = (dict(insert.properties), dict(insert.custom_properties))
        return id if self._is_same(lookup.stored[kind][id], fields, values) else None

    def _has_events(self, call: Call, found: Mapping[NodeKind, list[int]]) -> bool:
        keys = set()
        for at in call.events:
            event = self._changes.events[at]
            ends = []
            for kind, end in (
                (NodeKind.ARTIFACT, event.artifact),
                (NodeKind.EXECUTION, event.execution),
            ):
                inserted = call.inserts.get(kind, [])
                if isinstance(end, int):
                    ends.append(end)
                elif end.position in inserted:
                    ends.append(found[kind][inserted.index(end.position)])
                else:
                    ends.append(self._requests.id_of(kind, end))
            keys.add((ends[0], ends[1], event.type))
        return self._lookup.events({(a, e) for a, e, _ in keys}) >= keys

    def _is_same(
        self, node: AnyNode, fields: tuple[Any, ...], values: tuple[Mapping[str, Any], ...]
    ) -> bool:
        stored = (
            node.name,
            getattr(node, "uri", ""),
            getattr(node, "state", None),
            node.external_id,
        )
        pairs = ((node.properties, values[0]), (node.custom_properties, values[1]))
        return stored == fields and all(
            left.keys() == right.keys()
            and all(self._is_same_value(left[key], right[key]) for key in left)
            for left, right in pairs
        )

    def _is_same_value(self, stored: Any, written: Any) -> bool:
        if same_value(stored, written):
            return True
        is_double = isinstance(stored, float) and isinstance(written, float)
        return (
            is_double
            and not self._is_exact
            and math.isclose(stored, written, rel_tol=1e-12, abs_tol=_HALF)
        )

    # Errors.

    def _failed(self, error: CallError, *, in_doubt: bool) -> MetastoreError:
        if in_doubt:
            return self._unknown(error)
        told = self._channel.error_of(error)
        if self._written:
            return OutcomeUnknownError(
                f"{told.message}; of the batch, what {' and '.join(self._written)} wrote is there, "
                "and the rest is not",
                hint="read what is there, and write what is missing",
            )
        return told

    def _unknown(self, error: CallError) -> OutcomeUnknownError:
        told = self._unknown_for(self._channel.error_of(error))
        told.__cause__ = None
        return told

    def _unknown_for(self, error: MetastoreError) -> OutcomeUnknownError:
        had = " and ".join(self._written)
        before = f", but {had} had written its part" if had else ""
        return OutcomeUnknownError(
            f"whether the batch was written is not known{before}: {error.message}",
            hint="look for it before writing again; nodes that all have a name or an external id "
            "are looked up by the store itself",
        )
