"""Parent links of contexts: all contexts are there before."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.model import LinkKind, NodeKind
from metastore.query import LinkQuery
from metastore.transfer._report import CopyReport
from metastore.transfer._writer import Writer

__all__ = ["ParentCopier"]


class ParentCopier:
    """Copies the parent links of the contexts that were copied."""

    def __init__(self, source: BaseMetadataStore, writer: Writer, report: CopyReport) -> None:
        self._source, self._writer, self._report = source, writer, report
        self.left_out: set[tuple[int, int]] = set()
        """Links that no store takes."""

    def copy(self, page_size: int) -> None:
        """Write those that are new."""
        contexts = self._writer.ids[NodeKind.CONTEXT]
        self.left_out = set(self._closing())
        for link in sorted(self.left_out):
            self._report.leave_out(
                "parent links that close a cycle", f"context {link[0]} and its parent {link[1]}"
            )
        for pairs in contexts.pages(page_size):
            links = self._links(self._source, [one for one, _ in pairs])
            # In a dry run ids are invented: what is not there has no links.
            there = [other for _, other in pairs if other > 0]
            stored = self._links(self._writer.target, there) if links and there else set()
            batch = Batch()
            for link in sorted(links - self.left_out):
                context, parent = contexts.get(link[0]), contexts.get(link[1])
                if context is None or parent is None:
                    self._report.leave_out(
                        "parent contexts of nodes that are not there",
                        f"context {link[0]} and its parent {link[1]}",
                    )
                elif (context, parent) in stored:
                    self._report.unchanged[LinkKind.PARENT.label] += 1
                else:
                    batch.parent(context, parent)
                    self._report.created[LinkKind.PARENT.label] += 1
            if batch.links[LinkKind.PARENT]:
                self._writer.write(batch)

    @staticmethod
    def _links(store: BaseMetadataStore, ids: list[int]) -> set[tuple[int, int]]:
        query = LinkQuery(LinkKind.PARENT, context_ids=ids)
        return {(link.context_id, link.other_id) for link in store.read_links(query)}

    def _all(self) -> Iterator[tuple[int, int]]:
        for pairs in self._writer.ids[NodeKind.CONTEXT].pages(1000):
            yield from sorted(self._links(self._source, [one for one, _ in pairs]))

    def _closing(self) -> Iterator[tuple[int, int]]:
        """Links that lead back to where a way upwards came from; a damaged store may have some.

        Who goes through them in the same order leaves out the same ones.
        """
        older = newer = False
        for link in self._all():
            if link[0] == link[1]:
                yield link
            older = older or link[1] < link[0]
            newer = newer or link[1] > link[0]
        if not (older and newer):
            # Parents are older than their children nearly everywhere; then no way leads back.
            return
        parents: dict[int, array[int]] = {}
        for link in self._all():
            if link[0] != link[1]:
                parents.setdefault(link[0], array("q")).append(link[1])
        done: set[int] = set()
        for start in parents:
            if start in done:
                continue
            way, on_way = [(start, 0)], {start}
            while way:
                context, at = way.pop()
                above = parents.get(context)
                if above is None or at == len(above):
                    on_way.discard(context)
                    done.add(context)
                    continue
                way.append((context, at + 1))
                parent = above[at]
                if parent in on_way:
                    yield context, parent
                elif parent not in done:
                    way.append((parent, 0))
                    on_way.add(parent)
