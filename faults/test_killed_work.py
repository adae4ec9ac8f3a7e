"""All that is killed and is no plain write: schemas made and upgraded, copies, prunes, settings."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from plugins.mysql.tests.servers import Server

import metastore
from faults.batches import batch_of, check
from faults.conftest import Figures
from faults.forking import Forks
from faults.killing import Writer
from faults.older import make_older, needs_mlmd
from faults.stores import lines_of, set_journal, url_of, whole
from faults.works import STEPS, history, pruned, selection
from metastore import (
    LinkKind,
    LinkQuery,
    NodeKind,
    NodeQuery,
    OpenError,
    SchemaVersionError,
    pruning,
)
from metastore.config._file import ConfigFile
from metastore.config._stores import NamedStore, Stores
from metastore.transfer import copy
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

Size = Callable[[int, int], int]

_JOURNALS = ("wal", "delete")
_HALF = "left it half done"
"""Of a kill: something was done, and not all."""
_COMMENT = "# what somebody wrote by hand\n"


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """What starts the processes."""
    flavors = ("metastore_flavor_sqlite.store", "metastore_flavor_mysql.store")
    with Forks.of(tmp_path_factory.mktemp("forks"), "faults.works", *flavors) as found:
        yield found


class Kills:
    """Kills of one sort of work, each at a random moment of it."""

    def __init__(self, forks: Forks, chance: random.Random) -> None:
        self._forks = forks
        self._chance = chance
        self._longest = 0.1
        self.found = Counter[str]()
        """What the kills left, by what it is called in the figures."""

    def kill(self, action: str, **arguments: Any) -> bool:
        """Do it, and kill it on the way; False where it was done before."""
        work = self._forks.start(f"faults.works:{action}", **arguments)
        time.sleep(self._chance.uniform(0, self._longest))
        work.kill()
        killed = work.wait() != 0
        self.found["kills"] += killed
        # Nobody knows how long it takes here and now: so that some three of four are killed, the
        # moments being all that it lasts.
        self._longest *= 1.1 if killed else 0.75
        return killed


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """A folder for one kill."""
    folder = parent / "one"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def _usable(url: str) -> None:
    """A batch is written and found."""
    with metastore.connect(url, create=False) as store:
        store.write(batch_of("after"))
        check(store.backend, acknowledged=["after"], begun=["after"])


def test_kills_while_a_file_is_made(
    forks: Forks, tmp_path: Path, chance: random.Random, size: Size, figures: Figures
) -> None:
    """A process that is killed while it makes a store leaves none, or a whole one; where it left
    none, the next one makes it, and a reader is told that there is none.
    """
    kills = Kills(forks, chance)
    while kills.found["kills"] < size(12, 400):
        with _folder(tmp_path) as folder:
            path = folder / "store.db"
            kills.kill("made", url=url_of(path))
            kills.found["left files"] += any(folder.iterdir())
            try:
                metastore.connect(url_of(path), mode="r").close()
                kills.found["left a whole store"] += 1
            except OpenError:
                kills.found["left no store"] += 1
            metastore.connect(url_of(path)).close()
            _usable(url_of(path))
            whole(path)
    figures(**kills.found)


def test_kills_while_a_database_is_made(
    mariadb: Server,
    forks: Forks,
    chance: random.Random,
    size: Size,
    figures: Figures,
) -> None:
    """The same holds of a database, whose tables the server commits one by one."""
    kills = Kills(forks, chance)
    while kills.found["kills"] < size(4, 60):
        url = mariadb.url(mariadb.new_database())
        kills.kill("made", url=url)
        try:
            metastore.connect(url, mode="r").close()
            kills.found["left a whole store"] += 1
        except OpenError:
            kills.found["left no store"] += 1
        metastore.connect(url).close()
        _usable(url)
    figures(**kills.found)


@needs_mlmd
@pytest.mark.parametrize("journal", _JOURNALS)
def test_kills_while_a_file_is_upgraded(
    journal: str,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Size,
    figures: Figures,
) -> None:
    """An upgrade that is killed leaves the store of before or that of after, which hold the same,
    and the next upgrade brings it to its end.
    """
    old = tmp_path / "old.db"
    make_older(old, 6, journal, 100)
    expected = lines_of(url_of(old))
    kills = Kills(forks, chance)
    while kills.found["kills"] < size(6, 150):
        with _folder(tmp_path) as folder:
            path = Path(shutil.copy(old, folder / "store.db"))
            kills.kill("upgraded", path=str(path))
            kills.found["left a backup"] += any(folder.glob("*.before-schema-10.*"))
            assert lines_of(url_of(path)) == expected
            try:
                metastore.connect(url_of(path), create=False).close()
                kills.found["left schema 10"] += 1
            except SchemaVersionError:
                SQLiteMetadataStore.upgrade(SQLiteConfig(path=path))
                kills.found["left schema 6"] += 1
            assert lines_of(url_of(path)) == expected
            whole(path)
    figures(**kills.found)


@pytest.mark.parametrize("journal", _JOURNALS)
def test_kills_of_copies(
    journal: str,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Size,
    long: bool,
    figures: Figures,
) -> None:
    """A copy that is killed, and begun again with its journal, comes to the same lines as the
    original: nothing is missing and nothing doubled.
    """
    source = tmp_path / "source.db"
    with metastore.connect(url_of(source)) as store:
        history(store, 150)
    expected = lines_of(url_of(source))
    kills = Kills(forks, chance)
    total = 150 * STEPS
    while kills.found["kills"] < size(6, 150):
        with _folder(tmp_path) as folder:
            path, notes = folder / "target.db", folder / "journal"
            metastore.connect(url_of(path)).close()
            set_journal(path, journal)
            arguments = {"target": url_of(path), "journal": str(notes)}
            kills.kill("copied", source=url_of(source), **arguments)
            with (
                metastore.connect(url_of(source), mode="r") as here,
                metastore.connect(url_of(path), create=False) as there,
            ):
                assert list(there.backend.problems()) == []
                kills.found[_HALF] += 0 < there.backend.count(NodeQuery(NodeKind.ARTIFACT)) < total
                copy(here.backend, there.backend, journal=notes, page_size=50)
            assert lines_of(url_of(path)) == expected
            whole(path)
    assert kills.found[_HALF] or not long
    figures(**kills.found)


def _runs_are_whole(store: metastore.BaseMetadataStore, pipeline: str = "old") -> int:
    """Each run that is there has all its steps; how many there are."""
    runs = [each for each in store.iterate(NodeQuery(NodeKind.CONTEXT)) if each.name != pipeline]
    found = Counter(
        link.context_id
        for kind in (LinkKind.ASSOCIATION, LinkKind.ATTRIBUTION)
        for link in store.read_links(LinkQuery(kind))
    )
    assert found == {each.id: 2 * STEPS for each in runs}
    assert store.count(NodeQuery(NodeKind.EXECUTION)) == STEPS * len(runs)
    assert store.count(NodeQuery(NodeKind.ARTIFACT)) == STEPS * len(runs)
    return len(runs)


@pytest.mark.parametrize("journal", _JOURNALS)
def test_kills_of_prunes(
    journal: str,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Size,
    long: bool,
    figures: Figures,
) -> None:
    """A prune that is killed leaves each run whole or gone, and the next one ends what it began."""
    full = tmp_path / "full.db"
    with metastore.connect(url_of(full)) as store:
        history(store, 200)
    set_journal(full, journal)
    first = url_of(Path(shutil.copy(full, tmp_path / "first.db")))
    pruned(first)
    kills = Kills(forks, chance)
    expected = lines_of(first)
    while kills.found["kills"] < size(6, 150):
        with _folder(tmp_path) as folder:
            path = Path(shutil.copy(full, folder / "store.db"))
            kills.kill("pruned", url=url_of(path))
            with metastore.connect(url_of(path), create=False) as store:
                assert list(store.backend.problems()) == []
                kills.found[_HALF] += 0 < _runs_are_whole(store.backend) < 200
                pruning.plan(store.backend, selection()).run()
            assert lines_of(url_of(path)) == expected
            whole(path)
    assert kills.found[_HALF] or not long
    figures(**kills.found)


@pytest.mark.parametrize("journal", _JOURNALS)
def test_kills_while_room_is_given_back(
    journal: str,
    forks: Forks,
    tmp_path: Path,
    chance: random.Random,
    size: Size,
    figures: Figures,
) -> None:
    """A file that is written anew without the room of what was deleted holds the same, whenever
    the process is killed.
    """
    full = tmp_path / "full.db"
    with metastore.connect(url_of(full)) as store:
        history(store, 200)
        history(store, 200, "new")
        pruning.plan(store.backend, selection()).run()
    set_journal(full, journal)
    expected = lines_of(url_of(full))
    kills = Kills(forks, chance)
    while kills.found["kills"] < size(6, 150):
        with _folder(tmp_path) as folder:
            path = Path(shutil.copy(full, folder / "store.db"))
            kills.kill("shrunk", url=url_of(path))
            logs = [each for each in folder.iterdir() if each != path]
            kills.found["left a log or a journal"] += any(each.stat().st_size for each in logs)
            assert lines_of(url_of(path)) == expected
            whole(path)
    figures(**kills.found)


def test_kills_of_exports(
    forks: Forks, tmp_path: Path, chance: random.Random, size: Size, figures: Figures
) -> None:
    """The file that an export writes is the one of before, or all of the new one."""
    source = url_of(tmp_path / "source.db")
    with metastore.connect(source) as store:
        history(store, 100)
    expected = lines_of(source)
    kills = Kills(forks, chance)
    while kills.found["kills"] < size(6, 200):
        with _folder(tmp_path) as folder:
            file = folder / "store.jsonl"
            file.write_text("before")
            kills.kill("exported", url=source, file=str(file))
            found = file.read_text()
            assert found in {"before", expected}
            kills.found["left the file of before"] += found == "before"
            kills.found["left a part beside it"] += len([*folder.iterdir()]) > 1
    figures(**kills.found)


def test_kills_while_settings_are_written(
    forks: Forks, tmp_path: Path, chance: random.Random, size: Size, figures: Figures
) -> None:
    """The config file has every named store that was registered, and what was in it before, and
    is never half written, whenever one of two processes that write it is killed.
    """
    found = Counter[str]()
    while found["kills"] < size(10, 400):
        with _folder(tmp_path) as folder:
            path = folder / "config.toml"
            path.write_text(_COMMENT)
            action = "faults.works:registered"
            pair = [
                Writer(forks, folder, name, action=action, path=str(path))
                for name in (f"a{found['kills']}", f"b{found['kills']}")
            ]
            for writer in pair:
                # The one of two that lives goes on, also with a lock that the dead one held.
                writer.wait_for_begin(writer.ledger.get("begun") + 2)
                time.sleep(chance.uniform(0, 0.01))
                writer.kill()
                found["kills"] += 1
                _check_settings(path, pair, found)
            stores = Stores(ConfigFile(path))
            stores.register(NamedStore("after", "sqlite", {"path": "/after.db"}))
            assert sorted(os.listdir(folder)) == sorted(
                ["config.toml", "config.toml.lock", *(each.ledger.path.name for each in pair)]
            )
            for writer in pair:
                writer.ledger.close()
    figures(**found)


def _check_settings(path: Path, writers: list[Writer], found: Counter[str]) -> None:
    acknowledged = {label for each in writers for label in each.labels("acknowledged")}
    text = path.read_text()
    named = {store.name for store in Stores(ConfigFile(path)).all()}
    begun = {label for each in writers for label in each.labels("begun")}
    assert text.startswith(_COMMENT)
    assert acknowledged <= named <= begun
    found["left a new file beside it"] += any(path.parent.glob(f".{path.name}.*.new"))
