"""An export read: checked line by line, and all of it before anything is written anywhere."""

from __future__ import annotations

import json
import lzma
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from metastore.errors import InvalidError, Offender, StorageError
from metastore.memory import MemoryMetadataStore
from metastore.model import (
    AnyNode,
    Artifact,
    Context,
    Event,
    Execution,
    LinkKind,
    NodeKind,
    Type,
)
from metastore.plain import Row, StoredLink, Tables, row_of
from metastore.transfer._export import FORMAT, SIMPLE_NUMBERS, VERSION, opened_text
from metastore.transfer._rows import Uniques, checked_row
from metastore.values import BadValueError, kind_of

__all__ = ["read_export"]

_KINDS: dict[type[Any], NodeKind] = {
    Artifact: NodeKind.ARTIFACT,
    Execution: NodeKind.EXECUTION,
    Context: NodeKind.CONTEXT,
}
_EVERY = 20_000
"""Lines between two reports."""


def read_export(
    path: Path, *, progress: Callable[[str, int, int], None] | None = None
) -> MemoryMetadataStore:
    """The store that a file holds, in memory, with the file's numbers as ids.

    To write it anywhere is to copy it.

    Raises
    ------
    InvalidError
        The file cannot be opened, is of another format or version, or is damaged; the message
        names the line.
    """
    reader = _Reader(path)
    line = 0
    try:
        with opened_text(path) as file:
            for line, text in enumerate(file, 1):
                reader.take(line, text)
                if progress and not line % _EVERY:
                    progress("read", line, line)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, UnicodeDecodeError) as error:
        if isinstance(error, InvalidError):
            raise
        raise reader.wrong(line + 1, f"cannot be read ({type(error).__name__})") from error
    return reader.finished(line)


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables = Tables()
        self._counts = Counter[str]()
        self._end: dict[str, int] | None = None
        self._types: dict[int, Type] = {}
        self._uniques = Uniques()
        for type in self._tables.types.values():
            self._types[SIMPLE_NUMBERS[type.kind, type.name]] = type
        self._last_simple = max(self._tables.types)

    def wrong(self, line: int, what: str) -> InvalidError:
        """The error about a line."""
        return InvalidError(
            f"line {line} of {self._path} {what}; nothing of the file was written",
            hint="the file is damaged, or no export of metastore: export the store again",
            offender=Offender("line", line - 1, name=str(self._path)),
        )

    def take(self, line: int, text: str) -> None:
        """One line."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            raise self.wrong(line, "is no JSON") from None
        if not isinstance(record, dict):
            raise self.wrong(line, "is no object of JSON")
        if line == 1:
            self._head(record)
        elif self._end is not None:
            raise self.wrong(line, "stands behind the end")
        elif "end" in record:
            self._end = record["end"]
        elif not text.endswith("\n"):
            raise self.wrong(line, "is cut off")
        else:
            try:
                row = checked_row(row_of(record))
            except (StorageError, BadValueError):
                raise self.wrong(line, "is no row of a store") from None
            self._counts[str(record["row"])] += 1
            self._load(line, row)

    def _head(self, record: dict[str, Any]) -> None:
        if record.get("format") != FORMAT:
            raise self.wrong(1, f'does not say that this is an export ("format": "{FORMAT}")')
        if record.get("version") != VERSION:
            raise InvalidError(
                f"{self._path} is an export of version {record.get('version')!r}, and this release "
                f"reads {VERSION}",
                hint="upgrade metastore-core",
                offender=Offender("file", name=str(self._path)),
            )

    def _load(self, line: int, row: Row) -> None:
        if isinstance(row, Type):
            row = self._type(line, row)
        elif isinstance(row, Event):
            self._check_end(line, NodeKind.ARTIFACT, row.artifact_id)
            self._check_end(line, NodeKind.EXECUTION, row.execution_id)
            row = row._replace(id=self._counts["event"])
        elif isinstance(row, StoredLink):
            self._check_end(line, NodeKind.CONTEXT, row.context_id)
            self._check_end(line, row.kind.other, row.other_id)
            if row.kind is LinkKind.PARENT and self._uniques.is_circle(
                row.context_id, row.other_id
            ):
                raise self.wrong(line, "makes a context its own ancestor")
        else:
            row = self._node(line, row)
        twice = self._uniques.twice(row, _KINDS.get(type(row)))
        if twice is not None:
            raise self.wrong(line, f"has the {twice} of a line above")
        self._tables.load([row])

    def _type(self, line: int, row: Type) -> Type:
        if row.id != self._counts["type"] or not row.name:
            raise self.wrong(line, "is a type without a name, or not in its place")
        self._types[row.id] = replace(
            row, id=self._last_simple + row.id, version=row.version or None
        )
        return self._types[row.id]

    def _node(self, line: int, row: AnyNode) -> AnyNode:
        kind = _KINDS[type(row)]
        found = self._types.get(row.type_id)
        if found is None or found.kind is not kind:
            raise self.wrong(line, f"is of a type that is no {kind.label} type of the file")
        if row.id != self._counts[kind.label] or (kind is NodeKind.CONTEXT and not row.name):
            raise self.wrong(line, "is a node without a name, or not in its place")
        for key, value in row.properties.items():
            if kind_of(value) is not found.properties.get(key):
                raise self.wrong(line, f"has the property {key!r}, which its type does not")
        return replace(row, type_id=found.id, type=found.name)

    def _check_end(self, line: int, kind: NodeKind, id: int) -> None:
        if id not in self._tables.nodes[kind]:
            raise self.wrong(line, f"names {kind.label} {id}, which does not stand above it")

    def finished(self, lines: int) -> MemoryMetadataStore:
        """The store, where all of it was there."""
        if not lines:
            raise self.wrong(1, "is missing: the file is empty")
        if self._end is None:
            raise self.wrong(lines + 1, "is missing: the file ends before its end")
        if self._end != dict(self._counts):
            raise self.wrong(lines, "tells other numbers than there are rows: some are missing")
        return MemoryMetadataStore(self._tables)
