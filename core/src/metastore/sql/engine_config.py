"""Configs of stores on a SQLAlchemy URL: of a file, and on a server."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import quote

from pydantic import Field

from metastore.errors import InvalidError, Offender
from metastore.plugins._config import FlavorConfig, Hidden, StoreURL
from metastore.plugins._secret import Masked, Secret
from metastore.sql.paths import check_path, path_in_url

if TYPE_CHECKING:
    from sqlalchemy import URL
    from typing_extensions import Self

__all__ = ["EngineConfig", "FileConfig", "ServerConfig"]


class EngineConfig(FlavorConfig):
    """Where a database is that SQLAlchemy has a dialect for.

    A flavor derives from `FileConfig` or `ServerConfig`, and from this class where its databases
    are neither.
    """

    DRIVER: ClassVar[str]
    """SQLAlchemy's name of the dialect and the driver, such as ``"postgresql+psycopg"``."""

    busy_timeout: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds in which a read or a write is tried again that others, or a lost "
        "connection, kept from happening.",
    )

    @abstractmethod
    def url(self) -> URL:
        """What to connect to; the password in it, where there is one, is revealed."""

    @abstractmethod
    def location(self, flavor: str) -> str:
        """The store's URL, for people: without secrets."""

    @abstractmethod
    def identity(self) -> Hashable:
        """What two configs have in common only if they are of one store; None: nobody knows.

        Asked once the store is open.
        """

    def engine_options(self) -> dict[str, Any]:
        """More arguments of `sqlalchemy.create_engine`, such as ``connect_args``; no secrets."""
        return {}

    def check(self, *, creating: bool) -> None:
        """Raise an `OpenError` for what can be seen to be no store before connecting to it."""


class FileConfig(EngineConfig):
    """A database in a file."""

    path: Path = Field(description="The file.")

    @classmethod
    def from_url(cls, url: StoreURL) -> Self:
        """``name:///runs.db`` is relative, ``name:////data/runs.db`` absolute."""
        forms = f"write {url.scheme}:///file.db (relative) or {url.scheme}:////folder/file.db"
        if url.authority:
            # Without what was given, which may hold a password.
            raise InvalidError(
                "something stands where a host would, and a file has none",
                hint=f"{forms} (absolute)",
                offender=Offender("store"),
            )
        if "path" in url.options:
            raise InvalidError(
                f"the path stands behind {url.scheme}:///, not among the options",
                hint=f"write {url.scheme}:///file.db",
                offender=Offender("store", property="path"),
            )
        path = url.path.removeprefix("/")
        if not path:
            raise InvalidError(
                "the URL of the store ends where a file would stand",
                hint=f"{forms} (absolute)",
                offender=Offender("store"),
            )
        return cls.checked(url.scheme, {**url.options, "path": path})

    def url(self) -> URL:
        """The file, by its whole path: the process may change its folder."""
        from sqlalchemy import URL

        return URL.create(self.DRIVER, database=str(self.path.absolute()))

    def location(self, flavor: str) -> str:
        """The path as it was given."""
        return f"{flavor}:///{path_in_url(self.path)}"

    def identity(self) -> Hashable:
        """Which file it is, by whatever path: device and inode."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def check(self, *, creating: bool) -> None:
        """Refuse a path that cannot be one, before the driver says less about it."""
        check_path(self.path, creating=creating)


class ServerConfig(EngineConfig):
    """A database on a server."""

    host: str = Field(min_length=1, description="The server.")
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port; the driver's where none is given."
    )
    user: str | None = Field(default=None, description="Who logs in.")
    password: Secret | None = Field(default=None, description="With which password.")
    database: str = Field(min_length=1, description="The database on the server.")

    @classmethod
    def from_url(cls, url: StoreURL) -> Self:
        """``name://user@host:port/database?password=env:PW``.

        A password may stand in the URL itself, behind the user.
        """
        form = f"write {url.scheme}://user@host:port/database?password=env:VARIABLE"
        if "@" in url.path and "@" not in url.authority:
            # Not a word of it: it may be the rest of a password.
            raise InvalidError(
                "the URL of the store holds an @ behind the first / or ?, where no host can be",
                hint="percent-encode user and password (/ is %2F, ? is %3F), or give a reference: "
                f"{form}",
                offender=Offender("store"),
            )
        # Hidden from tracebacks: where the @ and the host are missing, a password is the port.
        given = Hidden((name, text) for name, text in _Login.parse(url)._asdict().items() if text)
        twice = sorted(given.keys() & url.options.keys())
        if twice:
            raise InvalidError(
                f"the URL of the store gives the {twice[0]} twice",
                hint=form,
                offender=Offender("store", property=twice[0]),
            )
        for name, what in (("host", "no server"), ("database", "no database")):
            if name not in given and cls.model_fields[name].is_required():
                raise InvalidError(
                    f"the URL of the store names {what}",
                    hint=form,
                    offender=Offender("store", property=name),
                )
        return cls.checked(url.scheme, {**url.options, **given})

    def url(self) -> URL:
        """Host, port, user, password and database."""
        from sqlalchemy import URL

        return URL.create(
            self.DRIVER,
            username=self.user,
            password=None if self.password is None else self.password.reveal(),
            host=self.host,
            port=self.port,
            database=self.database,
        )

    def location(self, flavor: str) -> str:
        """All but the password."""
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{flavor}://{user}{host}{port}/{quote(self.database, safe='')}"

    def identity(self) -> Hashable:
        """Host, port, database, and the user, whose own schema the tables may be in."""
        return self.host.lower(), self.port, self.database, self.user


class _Login(NamedTuple):
    """What a server's URL says before its options; None of it is shown."""

    user: Masked
    password: Secret | None
    host: str
    port: str
    database: str

    def __repr__(self) -> str:
        return "<login>"

    @classmethod
    def parse(cls, url: StoreURL) -> _Login:
        """The parts; what is missing is empty."""
        # A password may hold an @ or a colon, a host and a user may not.
        person, _, server = map(Masked, url.authority.rpartition("@"))
        user, colon, _ = map(Masked, person.partition(":"))
        password = Secret(person[len(user) + 1 :]) if colon else None
        host: str
        port: str
        host, bracket, behind = server.partition("]")
        if "," in server:
            # Several servers, each with the port of its own.
            host, port = server, Masked()
        elif bracket:
            host, port = host.removeprefix("["), behind.removeprefix(":")
        else:
            host, _, port = server.partition(":")
        return cls(user, password, str(host), str(port), url.path.removeprefix("/"))
