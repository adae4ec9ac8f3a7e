"""The settings of a store on MySQL."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple
from urllib.parse import quote

from pydantic import Field, model_validator

from metastore.sql import ServerConfig

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Host", "MySQLConfig"]

_PORT = 3306


class Host(NamedTuple):
    """One of the servers."""

    name: str
    port: int

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port == _PORT else f"{name}:{self.port}"


class MySQLConfig(ServerConfig):
    """Where the servers are, who logs in, and how the connections are made and kept."""

    DRIVER: ClassVar[str] = "mysql+pymysql"

    host: str = Field(
        default="localhost",
        min_length=1,
        description="The server; or several of one cluster, host:port,host:port, of which the "
        "first that answers is used.",
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="The port of hosts without one; 3306 by default."
    )
    socket: Path | None = Field(
        default=None, description="The socket file of a server on this machine, instead of a port."
    )
    create_database: bool = Field(
        default=False, description="Whether a database that is not there is made."
    )
    tls: bool | None = Field(
        default=None,
        description="Whether connections are encrypted, and the server's certificate and name "
        "checked. Without it they are encrypted where the server can, and nothing is checked.",
    )
    tls_ca: Path | None = Field(
        default=None, description="The file of the CA; the system's CAs where none is given."
    )
    tls_cert: Path | None = Field(default=None, description="The file of a client certificate.")
    tls_key: Path | None = Field(default=None, description="The file of its key.")
    tls_verify: Literal["full", "ca", "none"] | None = Field(
        default=None,
        description="What is checked of the server: CA and host name (full, which is the "
        "default), the CA, or nothing.",
    )
    text: Literal["auto", "utf8", "mlmd"] = Field(
        default="auto",
        description="How text beyond ASCII is stored: as it is (utf8), or as ML Metadata's client "
        "writes it (mlmd), so that ML Metadata reads it. By default, mlmd in stores that ML "
        "Metadata made.",
    )
    pool_size: int = Field(
        default=10, ge=1, le=1000, description="Connections that this process has at most."
    )
    connect_timeout: float = Field(
        default=10.0, gt=0, le=3600, allow_inf_nan=False, description="Seconds to wait for a host."
    )
    timeout: float = Field(
        default=600.0,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds to wait for the answer to a statement.",
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        hosts = self.hosts()
        if self.tls is False and self.wants_tls:
            raise ValueError("tls is false, and another tls setting asks for it")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        if self.socket is not None and (self.wants_tls or len(hosts) > 1):
            raise ValueError("a socket file is one server on this machine, and needs no TLS")
        return self

    @property
    def wants_tls(self) -> bool:
        """Whether TLS was asked for, by whatever setting."""
        given = (self.tls_ca, self.tls_cert, self.tls_key)
        return bool(self.tls or self.tls_verify) or any(each is not None for each in given)

    def hosts(self) -> list[Host]:
        """The servers in the order in which they are tried."""
        found = []
        for each in self.host.split(","):
            host, bracket, behind = each.strip().partition("]")
            if bracket:
                name, port = host.removeprefix("["), behind.removeprefix(":")
            elif each.count(":") > 1:
                name, port = each.strip(), ""
            else:
                name, _, port = host.partition(":")
            if not name or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
                raise ValueError("host is no list of host:port,host:port")
            found.append(Host(name, int(port) if port else self.port or _PORT))
        return found

    def engine_options(self) -> dict[str, Any]:
        """As many connections as are wanted, which wait for one another."""
        return {
            "pool_size": self.pool_size,
            "max_overflow": 0,
            # `busy_timeout` in all: see `EngineDatabase`.
            "pool_timeout": min(self.busy_timeout, 0.5),
            "pool_use_lifo": True,
            # Our own, for connections that were idle; and whoever gives one back has ended what
            # it was used for.
            "pool_pre_ping": False,
            "pool_reset_on_return": None,
        }

    def location(self, flavor: str) -> str:
        """All but the password."""
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        hosts = ",".join(map(str, self.hosts()))
        return f"{flavor}://{user}{hosts}/{quote(self.database, safe='')}"

    def identity(self) -> Hashable:
        """The hosts, and the database: it is the same one for every user."""
        where = self.socket or frozenset((host.name.lower(), host.port) for host in self.hosts())
        return where, self.database
