"""A store as lines of JSON: one file that any other store can be made of.

The form is documented in docs/exporting.md; a row is what `metastore.plain.record_of` makes of it,
with numbers of the file's own in the place of ids.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import secrets
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

from metastore.base import BaseMetadataStore
from metastore.errors import InvalidError, Offender, StorageError
from metastore.files import put_in_place
from metastore.model import SIMPLE_TYPES, LinkKind, NodeKind, Type
from metastore.plain import StoredLink, record_of
from metastore.query import EventQuery, LinkQuery, NodeQuery, TypeQuery

__all__ = ["FORMAT", "SIMPLE_NUMBERS", "VERSION", "export", "opened_text", "written_text"]

FORMAT, VERSION = "metastore-export", 1
"""What the first line says."""

SIMPLE_NUMBERS = {
    (kind, name): -number
    for number, (kind, name) in enumerate(
        sorted((kind, name) for kind, names in SIMPLE_TYPES.items() for name in names), 1
    )
}
"""Of the types that every store has, which no line is about."""

_PAGE = 1000
"""Nodes that are read at once."""
_ORDER = (NodeKind.CONTEXT, NodeKind.ARTIFACT, NodeKind.EXECUTION)

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and how much there is of it in all."""


def export(
    store: BaseMetadataStore, file: IO[str], *, progress: Progress | None = None
) -> Counter[str]:
    """Write all that a store holds; how much, by what it is.

    Stores that hold the same, whatever their ids, come to the same lines: types in the order of
    their names, nodes in that of their ids, events and links in that of their ends.  What a damaged
    store has that points at nothing is left out.  Memory holds a number for each node.

    Raises
    ------
    MetastoreError
        As the store raises it.
    """
    snapshot = store.snapshot() if store.CAPABILITIES.snapshot else nullcontext()
    with snapshot:
        return _Export(store, file, progress).run()


class _Export:
    def __init__(self, store: BaseMetadataStore, file: IO[str], progress: Progress | None) -> None:
        self._store = store
        self._file = file
        self._progress = progress
        self._counts = Counter[str]()
        self._types: dict[int, int] = {}
        self._ids = {kind: array("q") for kind in _ORDER}

    def run(self) -> Counter[str]:
        """Write head, rows and end."""
        self._write({"format": FORMAT, "version": VERSION})
        self._write_types()
        total = 0
        if self._progress:
            total = sum(self._store.count(NodeQuery(kind)) for kind in _ORDER)
        for kind in _ORDER:
            self._write_nodes(kind, total)
        self._write_events()
        for link in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION, LinkKind.PARENT):
            self._write_links(link)
        self._write({"end": dict(sorted(self._counts.items()))})
        return self._counts

    def _write(self, record: dict[str, Any]) -> None:
        text = json.dumps(
            record, ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":")
        )
        # Other programs take these for ends of lines.
        for odd in ("\x85", "\u2028", "\u2029"):
            text = text.replace(odd, f"\\u{ord(odd):04x}")
        self._file.write(f"{text}\n")

    def _row(self, what: str, record: dict[str, Any]) -> None:
        self._counts[what] += 1
        self._write(record)

    def _write_types(self) -> None:
        types = []
        for kind in NodeKind:
            for type in self._store.read_types(TypeQuery(kind)):
                if _is_simple(type):
                    self._types[type.id] = SIMPLE_NUMBERS[kind, type.name]
                else:
                    types.append(type)
        types.sort(key=lambda type: (type.kind, type.name, type.version or "", type.id))
        for number, type in enumerate(types, 1):
            self._types[type.id] = number
            self._row("type", record_of(replace(type, id=number)))

    def _write_nodes(self, kind: NodeKind, total: int) -> None:
        ids = self._ids[kind]
        for node in self._store.iterate(NodeQuery(kind), page_size=_PAGE):
            type_number = self._types.get(node.type_id)
            if type_number is None or (kind is NodeKind.CONTEXT and not node.name):
                continue
            ids.append(node.id)
            record = record_of(node)
            record["id"], record["type_id"] = len(ids), type_number
            self._row(kind.label, record)
            if self._progress and not len(ids) % _PAGE:
                self._progress("export", sum(map(len, self._ids.values())), total)

    def _number(self, kind: NodeKind, id: int) -> int | None:
        """The number of a node; None of one that is not there."""
        ids = self._ids[kind]
        at = bisect_left(ids, id)
        return at + 1 if at < len(ids) and ids[at] == id else None

    def _pages(self, kind: NodeKind) -> Iterator[Sequence[int]]:
        ids = self._ids[kind]
        for at in range(0, len(ids), _PAGE):
            yield ids[at : at + _PAGE].tolist()

    def _write_events(self) -> None:
        for page in self._pages(NodeKind.EXECUTION):
            found = {}
            for event in self._store.read_events(EventQuery(execution_ids=page)):
                artifact = self._number(NodeKind.ARTIFACT, event.artifact_id)
                execution = self._number(NodeKind.EXECUTION, event.execution_id)
                if artifact is None or execution is None or not event.type:
                    continue
                found[execution, artifact, int(event.type)] = event._replace(
                    artifact_id=artifact, execution_id=execution
                )
            for _, event in sorted(found.items()):
                record = record_of(event)
                del record["id"]
                self._row("event", record)

    def _write_links(self, kind: LinkKind) -> None:
        # By the end that is not the context of many; of parent links both are contexts.
        own = NodeKind.CONTEXT if kind is LinkKind.PARENT else kind.other
        for page in self._pages(own):
            query = (
                LinkQuery(kind, context_ids=page)
                if kind is LinkKind.PARENT
                else LinkQuery(kind, other_ids=page)
            )
            found = set()
            for link in self._store.read_links(query):
                context = self._number(NodeKind.CONTEXT, link.context_id)
                other = self._number(kind.other, link.other_id)
                if context is not None and other is not None:
                    ends = (context, other) if kind is LinkKind.PARENT else (other, context)
                    found.add(ends)
            for ends in sorted(found):
                context, other = ends if kind is LinkKind.PARENT else ends[::-1]
                self._row(kind.label, record_of(StoredLink(kind, context, other)))


def _is_simple(type: Type) -> bool:
    """Whether it is one of the types that every store has, and nothing was added to it."""
    return (
        type.name in SIMPLE_TYPES[type.kind]
        and type.version is None
        and not type.properties
        and type.external_id is None
    )


# Files, compressed as their names say.


_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@contextmanager
def opened_text(path: Path) -> Iterator[IO[str]]:
    """A file to read, decompressed as its name says.

    Raises
    ------
    InvalidError
        It cannot be opened.
    """
    opener = _OPENERS.get(path.suffix, open)
    try:
        file = cast("IO[str]", opener(path, "rt", encoding="utf-8", newline="\n"))
    except OSError as error:
        raise InvalidError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="check the path, and its rights",
            offender=Offender("file", name=str(path)),
        ) from error
    with file:
        yield file


@contextmanager
def written_text(path: Path) -> Iterator[IO[str]]:
    """A file to write, compressed as its name says; it is there when all of it is, and not before.

    Raises
    ------
    StorageError
        It cannot be written; what was there is there.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise StorageError(
            f"{path} is no file, and would be replaced by one",
            hint="name another one, or write - for the standard output",
            offender=Offender("file", name=str(path)),
        )
    # A name that nobody can have put a link under.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part{path.suffix}")
    try:
        # This user's alone: it holds all that the store does.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            if path.suffix == ".gz":
                # Without name and time, so that equal stores come to equal files.
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    yield from _as_text(packed)
            elif path.suffix in _OPENERS:
                with _OPENERS[path.suffix](raw, "wb") as packed:
                    yield from _as_text(packed)
            else:
                yield from _as_text(raw)
            raw.flush()
            os.fsync(raw.fileno())
        put_in_place(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="check the path, and whether there is room",
            offender=Offender("file", name=str(path)),
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _as_text(file: Any) -> Iterator[IO[str]]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
    yield text
    text.flush()
    text.detach()
