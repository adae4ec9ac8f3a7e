"""The author's own fixture, before anything is proved with it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from metastore.base import BaseMetadataStore
from metastore.model import NodeKind
from metastore.testing._base import ARTIFACT, ContractBase, MakeStore, ids, prepare, put
from metastore.testing._contents import contents

_DESCRIPTORS = Path("/dev/fd")
_ROUNDS = 8


class FixtureContract(ContractBase):
    """`make_store` gives new, empty stores that have nothing in common, and leave nothing open."""

    @pytest.mark.parametrize("time", ["first", "second"])
    def test_no_test_sees_what_another_wrote(self, store: BaseMetadataStore, time: str) -> None:
        """A store that the fixture makes is empty, also after another test wrote to its own. [1.11]

        On failure: `make_store` gives a store that an earlier test has used.  Make a new file,
        database or name at each call, from a fixture of function scope, or count the calls.
        """
        for kind in NodeKind:
            assert ids(store, kind) == []
        prepare(store, time)
        for kind in NodeKind:
            put(store, kind, time, name="the name is the same in both", external_id="and this too")

    def test_two_stores_have_nothing_in_common(self, new_store: MakeStore) -> None:
        """Two stores that the fixture makes for one test hold each what was written to it. [10.8]

        On failure: `make_store` opens the same data twice; or the flavor keeps rows, connections
        or types in an attribute of the class or the module, which all stores share.
        """
        first, second = new_store(), new_store()
        assert first is not second
        prepare(first)
        put(first, ARTIFACT, name="of the first")
        assert ids(second, ARTIFACT) == []
        prepare(second)
        put(second, ARTIFACT, name="of the second")
        put(second, ARTIFACT, name="and another")
        assert len(ids(first, ARTIFACT)) == 1
        first.close()
        assert len(ids(second, ARTIFACT)) == 2

    def test_the_store_can_be_written(self, store: BaseMetadataStore) -> None:
        """A store that the fixture makes is open, in mode "rw". [10.1]

        On failure: `make_store` has to call `open` with ``mode="rw"``, and must not close the
        store that it returns: no ``with`` around it.
        """
        before = contents(store)
        prepare(store)
        assert contents(store) != before

    @pytest.mark.skipif(not _DESCRIPTORS.is_dir(), reason="open files cannot be counted here")
    def test_closed_stores_leave_nothing_open(self, make_store: MakeStore) -> None:
        """Opened, used and closed many times, stores leave no file, socket or thread behind. [10.3]

        On failure: `close` must close every connection, also those of a pool and those that other
        threads used; what belongs to the fixture (a client, a server's log) is made once, not at
        each call of `make_store`.
        """

        def use() -> None:
            store = make_store()
            prepare(store)
            put(store, ARTIFACT)
            ids(store, ARTIFACT)
            store.close()

        for _ in range(2):
            # What is opened once and kept: libraries, logs, random numbers.
            use()
        before = _open()
        for _ in range(_ROUNDS):
            use()
        files, threads = (after - was for after, was in zip(_open(), before, strict=True))
        assert files < _ROUNDS, f"{_ROUNDS} stores left {files} files or sockets open"
        assert threads < _ROUNDS, f"{_ROUNDS} stores left {threads} threads"


def _open() -> tuple[int, int]:
    """How many files and sockets, and how many threads, this process has."""
    return len(os.listdir(_DESCRIPTORS)), threading.active_count()
