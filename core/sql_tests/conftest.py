"""For all tests: a server, and nobody's own stores and settings in reach."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .places import FilePlace, Place, ServerPlace
from .server import Server, find_programs, running


@pytest.fixture(autouse=True, scope="session")
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Other processes that a test starts get the same environment."""
    for name in [name for name in os.environ if name.startswith(("METASTORE_", "PG"))]:
        if not name.startswith("METASTORE_TEST_"):
            del os.environ[name]
    config: Path = tmp_path_factory.mktemp("config") / "config.toml"
    os.environ["METASTORE_CONFIG"] = str(config)


@pytest.fixture(autouse=True, scope="session")
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The two flavors of these tests are found, as if their distributions were installed."""
    site = tmp_path_factory.mktemp("site")
    for name in ("box", "warehouse"):
        info = site / f"metastore_flavor_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: metastore-flavor-{name}\nVersion: 1.0\n")
        entry = f"[metastore.flavors]\n{name} = sql_tests.{name}.plugin\n"
        (info / "entry_points.txt").write_text(entry)
    # The second is for processes that tests start.
    added = [str(site), str(Path(__file__).parents[1])]
    sys.path[:0] = added
    yield
    for each in added:
        sys.path.remove(each)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL server of this test process's own."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: lost is the proof on a real server")
    with running(programs) as server:
        yield server


@pytest.fixture(params=["file", "log", "server"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a store may be made, and nothing is yet.

    A file, an empty one with a write-ahead log, and a user's part of the server.
    """
    if request.param != "server":
        place = FilePlace(tmp_path / "store.db")
        if request.param == "log":
            place.run("PRAGMA journal_mode = WAL")
        return place
    return ServerPlace(request.getfixturevalue("server"))
