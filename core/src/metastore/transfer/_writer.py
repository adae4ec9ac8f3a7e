"""Batches on their way into the target: announced, written, acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, WrittenBatch
from metastore.capabilities import Capabilities
from metastore.errors import MetastoreError, Offender
from metastore.model import AnyNode, LinkKind, NodeKind, TypeKey
from metastore.query import Cursor
from metastore.transfer._content import fingerprint
from metastore.transfer._ids import Ids
from metastore.transfer._journal import Intent, Journal

__all__ = ["Writer"]


class Writer:
    """Writes batches, and remembers what became of their nodes; in a dry run it only counts."""

    def __init__(
        self,
        target: BaseMetadataStore,
        journal: Journal,
        capabilities: Capabilities,
        *,
        dry_run: bool,
    ) -> None:
        self.target = target
        self.times = capabilities.given_times
        """Whether times can be given."""
        self.exact_doubles = capabilities.exact_doubles
        self._journal = journal
        self._dry_run = dry_run
        self._invented = 0

    @property
    def ids(self) -> Ids:
        """What was written."""
        return self._journal.ids

    @staticmethod
    def behind(id: int) -> Cursor | None:
        """The cursor behind an id."""
        return Cursor(id, id) if id > 0 else None

    def write(self, batch: Batch) -> WrittenBatch | None:
        """Write a batch without new nodes."""
        return None if self._dry_run else self.target.write(batch)

    def write_nodes(
        self,
        kind: NodeKind,
        batch: Batch,
        new: Sequence[tuple[AnyNode, TypeKey]],
        sources: Sequence[int],
        events: Sequence[int],
    ) -> None:
        """Write a batch in which these nodes are new; they come first in its list of nodes.

        sources, events:
            Source ids of all nodes in the batch, and of the execution of each event: for errors.
        """
        if self._dry_run:
            for node, _ in new:
                self._invented -= 1
                self.ids[kind].add(node.id, self._invented)
            return
        if new:
            numbers = [
                fingerprint(node, key, times=self.times, exact_doubles=self.exact_doubles)
                for node, key in new
            ]
            self._journal.intend(Intent(kind, [node.id for node, _ in new], numbers))
        try:
            written = self.target.write(batch)
        except MetastoreError as error:
            raise _retold(error, kind, sources, events) from error
        if new:
            pairs = [
                (node.id, each.id)
                for (node, _), each in zip(new, written.nodes[kind], strict=False)
            ]
            self._journal.acknowledge(kind, pairs)


def _retold(
    error: MetastoreError, kind: NodeKind, sources: Sequence[int], events: Sequence[int]
) -> MetastoreError:
    """The error about the source's node instead of a position in a batch that nobody has seen."""
    offender = error.offender
    if offender is None or offender.index is None:
        return error
    id, what = None, offender.kind or kind.label
    if what == kind.label and offender.index < len(sources):
        id = sources[offender.index]
    elif what == "event" and offender.index < len(events):
        id, what = events[offender.index], "event of execution"
    elif what in {each.label for each in LinkKind}:
        what = f"{what} of {kind.label}s"
    hint = "the target cannot take it; mend it in the source, or copy to a store of another flavor"
    told = Offender(f"the source's {what}", id=id, property=offender.property)
    return error.about(told, hint=f"{hint}; what was written before stays, and is not repeated")
