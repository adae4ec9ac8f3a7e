"""`copy`: from one store into another."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.capabilities import Capabilities
from metastore.errors import CapabilityError, InvalidError, Offender
from metastore.model import NodeKind
from metastore.query import NodeQuery, check_number
from metastore.transfer._compare import Comparison, Progress
from metastore.transfer._content import fingerprint
from metastore.transfer._dangling import Dangling
from metastore.transfer._journal import Journal
from metastore.transfer._nodes import NodeCopier
from metastore.transfer._parents import ParentCopier
from metastore.transfer._report import CopyReport
from metastore.transfer._selection import Selection, chunks
from metastore.transfer._strangers import Strangers
from metastore.transfer._types import TypePlan, types_of
from metastore.transfer._writer import Writer

__all__ = ["PAGE", "copy"]

PAGE = 2000
"""Nodes that are written by one batch."""

_CHECKED = 100
"""Nodes of each kind that show whether a journal fits the stores."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What `copy` was asked for."""

    since_ms: int | None
    contexts: Callable[[], Iterable[int]] | None
    merge: bool
    strict: bool
    dry_run: bool
    page_size: int
    progress: Progress | None
    told: Callable[[str], None] | None


def copy(
    source: BaseMetadataStore,
    target: BaseMetadataStore,
    *,
    since_ms: int | None = None,
    contexts: Callable[[], Iterable[int]] | None = None,
    merge: bool = False,
    strict: bool = False,
    dry_run: bool = False,
    journal: Path | None = None,
    names: tuple[str, str] | None = None,
    page_size: int = PAGE,
    map_to: Callable[[NodeKind, int, int], None] | None = None,
    progress: Progress | None = None,
    told: Callable[[str], None] | None = None,
    target_capabilities: Capabilities | None = None,
) -> CopyReport:
    """Copy what one store holds into another one, and compare the two.

    Ids are new ones; all else stays: types, nodes, properties, events, links, external ids, and
    times where the target can be given them.  What was copied before (the journal knows) is copied
    again only where it changed in the source since.  Memory is bounded by a page of nodes and some
    20 bytes for each node.

    Parameters
    ----------
    source:
        Read only, in one snapshot where its flavor has them.
    target:
        Open for writing, unless `dry_run`.
    since_ms, contexts:
        What of the source: see `Selection.of`; the ids of the contexts are asked for inside of the
        snapshot.
    merge:
        Whether a node of the target that is equal to one of the source and has its name or external
        id is taken for the same; otherwise it is refused, before a node is written.
    strict:
        Whether what the target cannot hold is an error instead of a note.
    dry_run:
        Whether to count only; nothing is written.
    journal:
        The file that remembers what was copied: with it a copy that was killed goes on, and the
        next one copies what is new or changed.  None: nothing is remembered.
    names:
        What the two stores are called in the journal; by default their locations.
    page_size:
        Nodes of a batch.
    map_to:
        Called for every node that is copied, at the end: kind, id in the source, id in the target.
    progress:
        Called with what is done, how much of it, and how much there is of it in all.
    told:
        Called with each note, before the first write.
    target_capabilities:
        Of the store that the target stands for, in a dry run; by default its own.

    Raises
    ------
    InvalidError
        Both are the same store; the target cannot hold something (`strict`, or a node that it does
        not take: the error names the source's); the journal is about other stores.
    AlreadyExistsError
        A type, or the name or external id of a node, is in the target already and is another one.
    BusyError, StorageError, OutcomeUnknownError ...
        As the stores raise them.  The same call with the same journal goes on where this one ended.
    """
    check_number(page_size, "the page of a copy is an integer from 1", 1)
    if target.is_same(source) or source.is_same(target):
        raise InvalidError(
            f"{source.location} would be copied into itself",
            hint="name another store to copy to",
            offender=Offender("store", name=target.location),
        )
    wanted = _Wanted(since_ms, contexts, merge, strict, dry_run, page_size, progress, told)
    capabilities = target_capabilities or target.CAPABILITIES
    kept = Journal(journal, write=not dry_run)
    with _snapshot(source), kept.opened(*(names or (source.location, target.location))):
        run = _Copy(source, target, wanted, kept, capabilities)
        run.run()
        if map_to is not None and not dry_run:
            for kind in _ORDER:
                for one, other in kept.ids[kind]:
                    map_to(kind, one, other)
        return run.report


_ORDER = (NodeKind.CONTEXT, NodeKind.ARTIFACT, NodeKind.EXECUTION)
"""Contexts first, so that what is in them is written together with its links."""


def _snapshot(store: BaseMetadataStore) -> AbstractContextManager[None]:
    return store.snapshot() if store.CAPABILITIES.snapshot else nullcontext()


class _Copy:
    """One copy."""

    def __init__(
        self,
        source: BaseMetadataStore,
        target: BaseMetadataStore,
        wanted: _Wanted,
        journal: Journal,
        capabilities: Capabilities,
    ) -> None:
        self.report = CopyReport(dry_run=wanted.dry_run)
        self._source, self._target = source, target
        self._wanted, self._journal = wanted, journal
        self._capabilities = capabilities
        self._writer = Writer(target, journal, capabilities, dry_run=wanted.dry_run)

    def run(self) -> None:
        """Look first, then write, then compare."""
        wanted, source, target = self._wanted, self._source, self._target
        contexts = None if wanted.contexts is None else sorted(set(wanted.contexts()))
        selection = Selection.of(source, since_ms=wanted.since_ms, contexts=contexts)
        plan = TypePlan(source, target)
        self._check_journal(plan)
        self._settle()
        self._say(plan)
        self._merge(selection, plan)
        self._write_types(plan)
        copier = NodeCopier(source, self._writer, self.report, plan)
        parents = ParentCopier(source, self._writer, self.report)
        dangling = Dangling(source, self.report) if selection.is_all else None
        done, total = 0, sum(map(selection.count, _ORDER))
        for kind in _ORDER:
            for page in selection.pages(kind, wanted.page_size):
                copier.copy(kind, page, is_part=not selection.is_all)
                if dangling:
                    dangling.see(kind, page)
                done += len(page)
                if wanted.progress:
                    wanted.progress("copy", done, total)
            if dangling:
                dangling.finish(kind)
            if kind is NodeKind.CONTEXT:
                parents.copy(wanted.page_size)
        if wanted.dry_run:
            return
        comparison = Comparison(
            source,
            target,
            self._journal.ids,
            progress=wanted.progress,
            lenient_types=plan.lenient,
            without_parents=parents.left_out,
            selection=selection,
        )
        comparison.run()
        self.report.differences = comparison.found

    def _check_journal(self, plan: TypePlan) -> None:
        """Raise where the journal is about a store that was made anew since.

        Some nodes of the beginning and of the end are looked at; all are, by the comparison.
        """
        keys = {each.id: each.key for each in types_of(self._target)}
        given = self._capabilities.given_times
        for kind in _ORDER:
            some = self._journal.ids[kind].ends(_CHECKED)
            if not some:
                continue
            here = self._source.read_nodes(NodeQuery(kind, ids=[*some]))
            there = self._target.read_nodes(NodeQuery(kind, ids=[*some.values()]))
            if not there:
                raise self._journal.refuse(f"none of its {kind.label}s is in the target")
            if not here:
                raise self._journal.refuse(f"none of its {kind.label}s is in the source")
            found = {node.id: node for node in there}
            merged = self._journal.ids[kind].merged
            for node in here:
                other = found.get(some[node.id])
                type = plan.by_id.get(node.type_id)
                if other is None or type is None:
                    continue
                if keys.get(other.type_id) != type.key or (
                    given and node.id not in merged and node.create_time_ms != other.create_time_ms
                ):
                    raise self._journal.refuse(
                        f"{kind.label} {node.id} of the source is not {kind.label} {other.id} of "
                        "the target"
                    )

    def _settle(self) -> None:
        """Find out whether the batch that was under way at a kill was written."""
        intent = self._journal.intent
        if intent is None:
            return
        # A server may still be at it: who may write next has waited for it.
        if not self._wanted.dry_run:
            with suppress(CapabilityError), self._target.transaction():
                pass
        ids = self._journal.ids[intent.kind]
        wanted = dict.fromkeys(intent.fingerprints)
        keys = {each.id: each.key for each in types_of(self._target)}
        behind: list[tuple[int, int]] = []
        for node in self._target.iterate(
            NodeQuery(intent.kind, after=self._writer.behind(ids.highest_target))
        ):
            number = fingerprint(
                node,
                keys.get(node.type_id),
                times=self._writer.times,
                exact_doubles=self._capabilities.exact_doubles,
            )
            if number in wanted:
                behind.append((number, node.id))
        found: list[int] = []
        left = iter(behind)
        for number in intent.fingerprints:
            for other, id in left:
                if other == number:
                    found.append(id)
                    break
        if len(found) == len(intent.sources):
            self._journal.acknowledge(intent.kind, [*zip(intent.sources, found, strict=True)])

    def _say(self, plan: TypePlan) -> None:
        """What the target cannot hold, before anything is written."""
        can, losses, notes = self._capabilities, [], []
        if not can.given_times:
            losses.append(
                "the target sets create and update times itself: all nodes get the time of the copy"
            )
        if not can.exact_doubles:
            losses.append("the target keeps doubles to six decimals")
        if can.atomic_batch == "nodes":
            notes.append("the target writes types and parent contexts apart from the rest")
        if not self._source.CAPABILITIES.snapshot:
            notes.append(
                "the source has no snapshots: what is written to it meanwhile may be missing, or "
                "be told as a difference"
            )
        if self._wanted.strict and (losses or plan.notes):
            raise InvalidError(
                "; ".join(losses + plan.notes),
                hint="nothing was written; without strict this is only said",
                offender=Offender("store", name=self._target.location),
            )
        self.report.notes = losses + notes + plan.notes
        for note in self.report.notes:
            if self._wanted.told:
                self._wanted.told(note)

    def _merge(self, selection: Selection, plan: TypePlan) -> None:
        strangers = Strangers(self._target, self._journal.ids, plan.by_id, merge=self._wanted.merge)
        same = strangers.found(selection, self._wanted.page_size)
        # All of them are looked for before one is remembered: others may stand in the way.
        kept = [
            (kind, array("q", (one for one, _ in pairs)), array("q", (one for _, one in pairs)))
            for kind, pairs in same
        ]
        for kind, sources, targets in kept:
            pairs = [*zip(sources, targets, strict=True)]
            self._journal.acknowledge(kind, pairs, merged=True)

    def _write_types(self, plan: TypePlan) -> None:
        self.report.unchanged["type"] += plan.unchanged
        for each in plan.drafts:
            what = self.report.updated if each.key in plan.known else self.report.created
            what["type"] += 1
        for some in chunks(range(len(plan.drafts))):
            batch = Batch()
            batch.types.extend(plan.drafts[at] for at in some)
            self._writer.write(batch)
