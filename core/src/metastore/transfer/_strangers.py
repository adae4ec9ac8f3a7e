"""What the target holds already that the source has, too: by name, external id, or all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from metastore.base import BaseMetadataStore
from metastore.errors import AlreadyExistsError, Offender
from metastore.model import NODE_KINDS, AnyNode, NodeKind, Type, TypeKey
from metastore.query import NodeQuery
from metastore.transfer._content import differing, fingerprint
from metastore.transfer._ids import Ids
from metastore.transfer._selection import Selection
from metastore.transfer._types import types_of

__all__ = ["Strangers"]


@dataclass(slots=True)
class _Refused:
    """Nodes that stand in the way."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.first) < 3:
            self.first.append(text)


class Strangers:
    """Nodes of the target that no copy from this source made.

    Without `merge`, one that has the name (and type) or the external id of a node that is to be
    copied is refused.  With it, an equal one is taken for the same node: times aside where it is
    found by name or external id; times included where it has neither, and the target keeps times.
    """

    def __init__(
        self,
        target: BaseMetadataStore,
        ids: Ids,
        types: dict[int, Type],
        *,
        merge: bool,
    ) -> None:
        self._target, self._ids = target, ids
        self._types, self._merge = types, merge
        self._keys = {each.id: each.key for each in types_of(target)}
        self._exact = target.CAPABILITIES.exact_doubles
        self._times = target.CAPABILITIES.given_times
        self._taken = _Refused()
        self._unequal = _Refused()

    def found(
        self, selection: Selection, page_size: int
    ) -> Iterator[tuple[NodeKind, list[tuple[int, int]]]]:
        """Nodes that are the same, page by page: source id, target id.

        Raises
        ------
        AlreadyExistsError
            Nodes stand in the way; raised at the end, with how many there are.
        """
        for kind in NODE_KINDS:
            if self._target.count(NodeQuery(kind)) <= len(self._ids[kind]):
                continue
            nameless = self._nameless(kind) if self._merge and self._times else {}
            for page in selection.pages(kind, page_size):
                new = [
                    node
                    for node in page
                    if node.type_id in self._types and self._ids[kind].get(node.id) is None
                ]
                pairs = self._same(kind, new, nameless)
                if pairs:
                    yield kind, pairs
        self._raise()

    def _same(
        self, kind: NodeKind, nodes: Sequence[AnyNode], nameless: dict[int, list[int]]
    ) -> list[tuple[int, int]]:
        by_name, by_external_id = self._by_name(kind, nodes), self._by_external_id(kind, nodes)
        pairs = []
        for node in nodes:
            key = self._types[node.type_id].key
            there = by_name.get((key, node.name)) or by_external_id.get(node.external_id)
            if there is None:
                if nameless and node.name is None and node.external_id is None:
                    same = nameless.get(self._fingerprint(node, key))
                    if same:
                        pairs.append((node.id, same.pop()))
                continue
            label = f"{kind.label} {node.name or node.external_id!r} (id {node.id})"
            if not self._merge:
                self._taken.add(label)
                continue
            differs = differing(node, there, times=False, exact_doubles=self._exact)
            if self._keys.get(there.type_id) != key:
                differs.append("type")
            if differs:
                self._unequal.add(f"{label}, which differs in {', '.join(differs[:3])}")
            else:
                pairs.append((node.id, there.id))
        return pairs

    def _by_name(
        self, kind: NodeKind, nodes: Sequence[AnyNode]
    ) -> dict[tuple[TypeKey, str | None], AnyNode]:
        names: dict[TypeKey, list[str]] = {}
        for node in nodes:
            if node.name is not None:
                names.setdefault(self._types[node.type_id].key, []).append(node.name)
        return {
            (key, node.name): node
            for key, wanted in names.items()
            for node in self._target.read_nodes(NodeQuery(kind, type=key, names=wanted))
        }

    def _by_external_id(
        self, kind: NodeKind, nodes: Sequence[AnyNode]
    ) -> dict[str | None, AnyNode]:
        wanted = [node.external_id for node in nodes if node.external_id is not None]
        if not wanted:
            return {}
        found = self._target.read_nodes(NodeQuery(kind, external_ids=wanted))
        return {node.external_id: node for node in found}

    def _nameless(self, kind: NodeKind) -> dict[int, list[int]]:
        """Ids of the target's nodes without a name, by what they are; the first one last."""
        found: dict[int, list[int]] = {}
        for node in self._target.iterate(NodeQuery(kind)):
            if (
                node.name is None
                and node.external_id is None
                and not self._ids[kind].has_target(node.id)
            ):
                key = self._keys.get(node.type_id)
                found.setdefault(self._fingerprint(node, key), []).append(node.id)
        for each in found.values():
            each.reverse()
        return found

    def _fingerprint(self, node: AnyNode, key: TypeKey | None) -> int:
        return fingerprint(node, key, times=True, exact_doubles=self._exact)

    def _raise(self) -> None:
        for refused, why, hint in (
            (
                self._taken,
                "have a name or an external id that the target has already",
                "if they are the same, take equal ones for one another (--merge); otherwise copy "
                "into a store of its own",
            ),
            (
                self._unequal,
                "have a name or an external id that another, unequal node of the target has",
                "copy into a store of its own",
            ),
        ):
            if refused.count:
                raise AlreadyExistsError(
                    f"{refused.count} nodes of the source {why}, such as "
                    f"{'; '.join(refused.first)}; no node was written",
                    hint=hint,
                    offender=Offender("store", name=self._target.location),
                )
