"""Where the stores of the tests are, and what the tests do there behind the store's back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from metastore import Batch, NodeKind, NodeQuery, OpenMode, PropertyKind
from metastore.sql import EngineConfig, EngineMetadataStore

from .box.config import BoxConfig
from .box.store import BoxMetadataStore
from .server import Server
from .warehouse.store import WarehouseMetadataStore

ARTIFACT = NodeKind.ARTIFACT


class Place(ABC):
    """A place for one store."""

    STORE: type[EngineMetadataStore]

    @abstractmethod
    def config(self, **fields: Any) -> EngineConfig:
        """The config of the store."""

    @abstractmethod
    def run(self, *statements: str) -> list[Any]:
        """Run statements there without the store; the rows of the last one."""

    @abstractmethod
    def tables(self) -> int:
        """How many tables there are."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """For `opened` in another process."""

    def open(
        self, mode: OpenMode = "rw", *, create: bool = True, **fields: Any
    ) -> EngineMetadataStore:
        """The store."""
        return self.STORE.open(self.config(**fields), mode=mode, create=create)


class FilePlace(Place):
    """An SQLite file."""

    STORE = BoxMetadataStore

    def __init__(self, path: Path) -> None:
        self.path = path

    def config(self, **fields: Any) -> EngineConfig:
        """The file."""
        return BoxConfig(path=self.path, **fields)

    def run(self, *statements: str) -> list[Any]:
        """Run them on the file."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            rows: list[Any] = []
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            return rows
        finally:
            connection.close()

    def tables(self) -> int:
        """Those of the file; where there is none, none."""
        found = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
        return int(self.run(found)[0][0]) if self.path.exists() else 0

    def arguments(self) -> list[str]:
        """The path."""
        return ["file", str(self.path)]


class ServerPlace(Place):
    """A user's own schema."""

    STORE = WarehouseMetadataStore

    def __init__(self, server: Server, user: str | None = None) -> None:
        self.server = server
        self.user = user or server.new_user()

    def config(self, **fields: Any) -> EngineConfig:
        """The server and the user."""
        return self.server.config(self.user, **fields)

    def run(self, *statements: str) -> list[Any]:
        """Run them as the administrator."""
        return self.server.run(f"SET search_path = {self.user}", *statements)

    def tables(self) -> int:
        """Those of the user's schema."""
        found = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"
        return int(self.run(found)[0][0])

    def arguments(self) -> list[str]:
        """Port and user; the password goes by the environment."""
        return ["server", str(self.server.port), self.user]

    def kill(self) -> int:
        """End the server's processes that serve the user; how many."""
        return len(
            self.server.run(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                f" WHERE usename = '{self.user}'"
            )
        )


def opened(arguments: list[str]) -> Place:
    """The place that another process meant by its arguments."""
    if arguments[0] == "file":
        return FilePlace(Path(arguments[1]))
    server = Server(int(arguments[1]), os.environ["TEST_PASSWORD"])
    return ServerPlace(server, arguments[2])


def artifacts(count: int, prefix: str = "", **fields: Any) -> Batch:
    """A batch of artifacts of type T."""
    batch = Batch()
    batch.type(ARTIFACT, "T", {"n": PropertyKind.INT})
    for number in range(count):
        batch.artifact("T", name=f"{prefix}{number}", properties={"n": number}, **fields)
    return batch


def names(store: EngineMetadataStore) -> list[str | None]:
    """The names of all artifacts."""
    return [node.name for node in store.read_nodes(NodeQuery(ARTIFACT))]


def start(action: str, place: Place, *arguments: object) -> subprocess.Popen[str]:
    """Start a worker of workers.py: a fresh interpreter, which inherits nothing of pytest's."""
    environment = dict(os.environ)
    if isinstance(place, ServerPlace):
        environment["TEST_PASSWORD"] = place.server.password
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "error", "-m", f"{__package__}.workers", action),
            *(*map(str, arguments), "--", *place.arguments()),
        ],
        cwd=Path(__file__).parents[1],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
