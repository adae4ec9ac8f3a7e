"""A disk that loses power: of what was asked of it, what it surely has, and what it may have.

A write is surely there once its file was synced, a name (of a file that was made, renamed or
removed) once its folder was.  Of all else any part may be there: nothing, all, some writes without
others that were before them, and of one write some of its sectors.  Names come in the order in
which they were changed, as with file systems that keep a journal of them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from faults.shim import Call, Sort

__all__ = ["SECTOR", "Disk", "Image"]

SECTOR = 512
"""Bytes that are written whole or not at all."""

Image = dict[str, bytes]
"""Files by name, as they are found after the power came back."""

Change = tuple[int, bytes | None]
"""Bytes from an offset on; None: the file is cut, or filled up with zeros, to that length."""


def _apply(content: bytearray, change: Change) -> None:
    at, data = change
    if data is None:
        del content[at:]
        content.extend(bytes(at - len(content)))
    else:
        content.extend(bytes(max(0, at - len(content))))
        content[at : at + len(data)] = data


@dataclass
class _File:
    synced: bytearray = field(default_factory=bytearray)
    """What it surely holds."""
    pending: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.synced, change)
        self.pending.clear()

    def content(self, changes: Iterable[Change]) -> bytes:
        found = bytearray(self.synced)
        for change in changes:
            _apply(found, change)
        return bytes(found)


Names = dict[str, _File]


@dataclass
class Disk:
    """One folder of a disk, and the calls that it has heard."""

    folder: Path
    _synced: Names = field(default_factory=dict)
    """The names that surely are in the folder."""
    _names: Names = field(default_factory=dict)
    """Those that the system shows."""
    _pending: list[Callable[[Names], object]] = field(default_factory=list)
    _open: dict[int, _File | None] = field(default_factory=dict)
    """By descriptor; None is the folder itself."""

    @classmethod
    def of(cls, folder: Path) -> Disk:
        """A disk on which all that is in the folder now is safe."""
        files = {each.name: _File(bytearray(each.read_bytes())) for each in folder.iterdir()}
        return cls(folder, dict(files), files)

    def hear(self, call: Call) -> None:
        """The next call."""
        if call.sort in (Sort.OPEN, Sort.MAKE):
            self._hear_open(call)
        elif call.sort in (Sort.WRITE, Sort.TRUNCATE):
            file = self._open[call.file]
            assert file is not None
            file.pending.append((call.offset, call.data if call.sort is Sort.WRITE else None))
        elif call.sort is Sort.SYNC:
            self._hear_sync(self._open[call.file])
        elif call.sort is Sort.UNLINK:
            name = self._name(call.data)
            self._rename(lambda names: names.pop(name, None))
        elif call.sort is Sort.RENAME:
            old, new = map(self._name, call.data.split(b"\0"))

            def rename(names: Names) -> None:
                if old in names:
                    names[new] = names.pop(old)

            self._rename(rename)
        elif call.sort is Sort.CLOSE:
            self._open.pop(call.file, None)

    def _hear_open(self, call: Call) -> None:
        if Path(os.fsdecode(call.data)) == self.folder:
            self._open[call.file] = None
            return
        name = self._name(call.data)
        if call.sort is Sort.MAKE:
            made = _File()
            self._rename(lambda names: names.update({name: made}))
        self._open[call.file] = self._names[name]

    def _hear_sync(self, file: _File | None) -> None:
        if file is not None:
            file.sync()
            return
        for change in self._pending:
            change(self._synced)
        self._pending.clear()

    def _rename(self, change: Callable[[Names], object]) -> None:
        change(self._names)
        self._pending.append(change)

    def _name(self, path: bytes) -> str:
        found = Path(os.fsdecode(path))
        assert found.parent == self.folder, found
        return found.name

    # What is found when the power comes back.

    def only_synced(self) -> Image:
        """Nothing that was not synced."""
        return {name: bytes(file.synced) for name, file in self._synced.items()}

    def everything(self) -> Image:
        """All that was asked for: what the death of the process alone leaves."""
        return {name: file.content(file.pending) for name, file in self._names.items()}

    def torn(self, chance: random.Random) -> Image:
        """Some of what was not synced."""
        names = dict(self._synced)
        for change in self._pending[: chance.randint(0, len(self._pending))]:
            change(names)
        return {name: file.content(_some(file.pending, chance)) for name, file in names.items()}


def _some(changes: list[Change], chance: random.Random) -> list[Change]:
    """The first ones, or any; of the last of the first ones, and of any, a part."""
    if chance.random() < 0.5:
        kept = changes[: chance.randint(0, len(changes))]
        return [*kept[:-1], *(part for last in kept[-1:] for part in _sectors(last, chance))]
    share = chance.random()
    return [
        part
        for change in changes
        if chance.random() < share
        for part in ([change] if chance.random() < 0.7 else _sectors(change, chance))
    ]


def _sectors(change: Change, chance: random.Random) -> list[Change]:
    """Some of the sectors that a write touches."""
    at, data = change
    if data is None:
        return [change]
    # Sectors are the disk's, not the write's.
    first = at - at % SECTOR
    edges = [max(at, each) for each in range(first, at + len(data), SECTOR)] + [at + len(data)]
    return [
        (begin, data[begin - at : end - at])
        for begin, end in pairwise(edges)
        if chance.random() < 0.5
    ]
