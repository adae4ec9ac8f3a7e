"""A flavor with settings of every sort, a password among them; its stores are in memory."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from metastore import FlavorConfig, MemoryMetadataStore, OpenMode, Secret
from metastore.capabilities import Capabilities

__all__ = ["VaultConfig", "VaultStore"]


class VaultConfig(FlavorConfig):
    """Where the vault is."""

    host: str
    port: int = 3306
    user: str | None = None
    password: Secret | None = None
    ssl: bool = False
    ca: Path | None = None
    level: Literal["low", "high"] = "low"
    tags: tuple[str, ...] = ()


class VaultStore(MemoryMetadataStore):
    """Opens nothing but itself, and remembers for whom."""

    FLAVOR = "vault"
    CONFIG = VaultConfig
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True, provision=True)
    services: ClassVar[set[str]] = set()
    password: str | None = None
    config: VaultConfig

    @classmethod
    def open(cls, config: Any = None, *, mode: OpenMode = "rw", create: bool = True) -> VaultStore:
        """A store in memory that knows its config."""
        store = cls(mode=mode)
        store.config = config
        if config.password is not None:
            store.password = config.password.reveal()
        return store

    @property
    def location(self) -> str:
        """The host and port."""
        return f"vault://{self.config.host}:{self.config.port}"

    @classmethod
    def provision(cls, config: Any) -> None:
        """Bring it up."""
        logging.getLogger("metastore.service").info("the door of %s opens", config.host)
        cls.services.add(config.host)

    @classmethod
    def deprovision(cls, config: Any, *, delete_data: bool = False) -> None:
        """Take it down."""
        cls.services.discard(config.host)

    @classmethod
    def is_provisioned(cls, config: Any) -> bool:
        """Whether it is up."""
        return config.host in cls.services

    is_running = is_provisioned

    @classmethod
    def manifest(cls, config: Any) -> Mapping[str, str]:
        """Two files."""
        return {"door.yaml": f"door: {config.host}\n", "wall.yaml": "wall: thick\n"}

    @classmethod
    def describe_service(cls, config: Any) -> Sequence[tuple[str, str]]:
        """Its door."""
        return [("door", "open" if config.host in cls.services else "shut")]
