"""A batch, written by calls that are one transaction each."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grpc import StatusCode

from metastore import (
    AlreadyExistsError,
    Batch,
    ClosedError,
    ConflictError,
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
from metastore_flavor_kubeflow.messages import is_id

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
    """Another writer was faster, and this call wrote nothing."""

    def __init__(self, error: CallError, *, in_doubt: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.in_doubt = in_doubt
        """Whether that writer may be an earlier try of the same call."""


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
            waits, outrun = Waits(self._service.channel.retry_timeout), 0
            in_doubt: CallError | None = None
            while True:
                planner = Planner(batch)
                try:
                    return self._write(planner)
                except _OutrunError as error:
                    told = self._service.channel.error_of(error.error)
                    in_doubt = error.error if error.in_doubt else in_doubt
                    # Others wrote meanwhile, perhaps to the same nodes: what is there is read anew.
                    if error.error.code is StatusCode.ABORTED:
                        goes_on = waits.pause()
                    else:
                        outrun += 1
                        goes_on = outrun < _PLANS
                    if not goes_on:
                        raise told if in_doubt is None else _unknown(told) from None
                except (AlreadyExistsError, ConflictError) as error:
                    if in_doubt is None:
                        raise
                    # What is in the way may be what an earlier try has written.
                    told = self._service.channel.error_of(in_doubt)
                    raise _unknown(told, f"; and now: {error.message}") from error

    def _write(self, planner: Planner) -> WrittenBatch:
        lookup = Lookup(self._nodes, self._types, self._edges)
        changes = planner.run(lookup)
        if not changes:
            return planner.written(Applied())
        if not self._service.is_ours:
            check_holdable(changes, lookup.stored)
        return planner.written(_Writing(self, self._service, changes, lookup).run())

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
            types = self._learnt(call, lambda: requests.learn_types(self._send(call, lambda: None)))
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
            ids = given[: len(positions)]
            if len(ids) < len(positions) or not all(map(is_id, ids)):
                raise self._garbled(call)
            self._requests.ids[kind].update(zip(positions, ids, strict=True))
        self._written.append(call.rpc)

    def _send(self, call: Call, confirmed: Callable[[], Any]) -> Any:
        """The response to a call, or what was found of a call whose answer did not arrive.

        Repeated where that cannot write anything twice.
        """
        waits, in_doubt = Waits(self._channel.retry_timeout), False
        while True:
            try:
                return self._channel.once(call.rpc, call.request)
            except ClosedError as error:
                if in_doubt or self._written:
                    raise self._unknown_for(error) from error
                raise
            except CallError as error:
                if not error.has_surely_failed:
                    in_doubt = True
                    if self._channel.is_closed or not self._may_repeat(call):
                        raise self._unknown(error) from None
                    goes_on = waits.pause()
                    found = self._looked_up(confirmed)
                    if found is not None:
                        return found
                    if not goes_on:
                        raise self._unknown(error) from None
                    continue
                if in_doubt and error.code in _OUTRUN:
                    found = self._looked_up(confirmed)
                    if found is not None:
                        return found
                is_aborted = error.code is StatusCode.ABORTED
                if not self._written and (error.code in _OUTRUN or (is_aborted and not in_doubt)):
                    raise _OutrunError(error, in_doubt=in_doubt) from None
                if not (error.may_pass and waits.pause()):
                    raise self._failed(error, in_doubt=in_doubt) from None

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
        except (StorageError, ClosedError) as error:
            raise self._unknown_for(error) from error

    # What became of a call.

    def _confirmed(self, call: Call) -> dict[NodeKind, list[int]] | None:
        """The ids of what a call inserted, where all that it writes is stored; else None."""
        found: dict[NodeKind, list[int]] = {}
        lookup, inserts = self._lookup, self._changes.inserts
        for kind in NODE_KINDS:
            ids = self._found(kind, [inserts[kind][at] for at in call.inserts.get(kind, ())])
            if ids is None:
                return None
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

    def _found(self, kind: NodeKind, inserts: Sequence[NodeInsert]) -> list[int] | None:
        """The stored nodes that inserts have made; None where one of them is not there."""
        lookup = self._lookup
        external_ids = {each.external_id for each in inserts if each.external_id}
        by_external_id = lookup.with_external_ids(kind, external_ids)
        keys = [
            None if each.external_id else (self._requests.type_id(each), each.name or "")
            for each in inserts
        ]
        by_name = lookup.named(kind, {key for key in keys if key is not None})
        found: list[int] = []
        for insert, key in zip(inserts, keys, strict=True):
            id = by_external_id.get(insert.external_id or "") if key is None else by_name.get(key)
            fields = (insert.name, insert.uri, insert.state, insert.external_id)
            values = (dict(insert.properties), dict(insert.custom_properties))
            if id is None or not self._is_same(lookup.stored[kind][id], fields, values):
                return None
            found.append(id)
        return found

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
        if self._channel.is_closed:
            closed = ClosedError(f"the store {self._channel.location} was closed meanwhile")
            return self._unknown_for(closed)
        return self._unknown_for(self._channel.error_of(error))

    def _unknown_for(self, error: MetastoreError) -> OutcomeUnknownError:
        return _unknown(error, before=self._written)

    def _garbled(self, call: Call) -> OutcomeUnknownError:
        return self._unknown_for(
            StorageError(
                f"the metadata service at {self._channel.location} answered {call.rpc} with other "
                "ids than one for each node or type"
            )
        )

    def _learnt(self, call: Call, learn: Callable[[], list[int]]) -> list[int]:
        try:
            types = learn()
        except StopIteration:
            types = [0]
        if not all(map(is_id, types)):
            raise self._garbled(call)
        return types


def _unknown(
    error: MetastoreError, behind: str = "", *, before: Sequence[str] = ()
) -> OutcomeUnknownError:
    had = f", but {' and '.join(before)} had written its part" if before else ""
    return OutcomeUnknownError(
        f"whether the batch was written is not known{had}: {error.message}{behind}",
        hint="look for it before writing again; nodes that all have a name or an external id "
        "are looked up by the store itself",
    )
