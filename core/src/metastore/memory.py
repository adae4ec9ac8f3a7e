"""The `memory` flavor: a store in the process, gone when it is closed.

It is the reference for the contract, and for users' own tests.
"""

from __future__ import annotations

from typing import Any, ClassVar

from metastore.base import OpenMode
from metastore.plain import PlainMetadataStore, Tables

__all__ = ["MemoryMetadataStore", "Tables"]


class MemoryMetadataStore(PlainMetadataStore):
    """A store in the memory of this process."""

    FLAVOR: ClassVar[str] = "memory"

    def __init__(self, tables: Tables | None = None, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, location="memory://", mode=mode)

    @classmethod
    def open(
        cls,
        config: Any = None,  # noqa: ARG003 - there is nothing to configure
        *,
        mode: OpenMode = "rw",
        create: bool = True,  # noqa: ARG003 - there is nothing that could be there already
    ) -> MemoryMetadataStore:
        """A new, empty store."""
        return cls(mode=mode)
