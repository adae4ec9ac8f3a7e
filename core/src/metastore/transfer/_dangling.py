"""What points at nodes that are not there: nobody meets it who goes from node to node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from metastore.base import BaseMetadataStore
from metastore.model import AnyNode, LinkKind, NodeKind
from metastore.query import EventQuery, LinkQuery
from metastore.transfer._report import CopyReport
from metastore.transfer._selection import chunks

__all__ = ["Dangling"]

_MOST = 10_000
"""Ids that are looked at in one gap, and behind the last node."""
_AT_ONCE = 2_000


class Dangling:
    """Counts links and events of artifacts and executions that a damaged source has not.

    Ids of the source have no order but that of writing, and a store gives them one after the other:
    what is missing is a gap.
    """

    def __init__(self, source: BaseMetadataStore, report: CopyReport) -> None:
        self._source, self._report = source, report
        self._last: dict[NodeKind, int] = {}
        self._gaps: dict[NodeKind, list[range]] = {}

    def see(self, kind: NodeKind, page: Sequence[AnyNode]) -> None:
        """These are there; the ids between them are not."""
        gaps = self._gaps.setdefault(kind, [])
        last = self._last.get(kind, 0)
        for node in page:
            if node.id > last + 1:
                gaps.append(range(last + 1, min(node.id, last + _MOST)))
            last = node.id
        self._last[kind] = last
        if sum(map(len, gaps)) >= _AT_ONCE:
            self._look(kind)

    def finish(self, kind: NodeKind) -> None:
        """All nodes of the kind were seen."""
        if self._source.CAPABILITIES.snapshot:
            # Without, nodes may have been written there meanwhile.
            last = self._last.get(kind, 0)
            self._gaps.setdefault(kind, []).append(range(last + 1, last + _MOST))
        self._look(kind)

    def _look(self, kind: NodeKind) -> None:
        if kind is NodeKind.CONTEXT:
            # Their links are read from the other end.
            self._gaps[kind] = []
            return
        link_kind = LinkKind.ATTRIBUTION if kind is NodeKind.ARTIFACT else LinkKind.ASSOCIATION
        for chunk in self._chunks(kind):
            for link in self._source.read_links(LinkQuery(link_kind, other_ids=chunk)):
                self._report.leave_out(
                    f"{link_kind.label}s of nodes that are not there",
                    f"context {link.context_id} and {kind.label} {link.other_id}",
                )
            if kind is NodeKind.EXECUTION:
                # Those of an artifact that is not there were met at their execution.
                for event in self._source.read_events(EventQuery(execution_ids=chunk)):
                    self._report.leave_out(
                        "events of nodes that are not there",
                        f"artifact {event.artifact_id} and execution {event.execution_id}",
                    )

    def _chunks(self, kind: NodeKind) -> Iterator[list[int]]:
        gaps, self._gaps[kind] = self._gaps.get(kind, []), []
        return chunks(chain.from_iterable(gaps), _AT_ONCE)
