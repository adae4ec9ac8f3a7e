"""The `memory` flavor: a store in the process, gone when it is closed.

It is the reference for the contract, and for users' own tests.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from metastore.base import Deleted, OpenMode
from metastore.capabilities import Capabilities
from metastore.errors import InvalidError
from metastore.model import NodeKind
from metastore.plain import PlainMetadataStore, Tables

__all__ = ["MemoryMetadataStore", "Tables"]


class MemoryMetadataStore(PlainMetadataStore):
    """A store in the memory of this process."""

    FLAVOR: ClassVar[str] = "memory"
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True, delete=True)

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

    def delete(self, nodes: Mapping[NodeKind, Collection[int]]) -> Deleted:
        """Delete nodes with everything that hangs on them."""
        if not self.CAPABILITIES.delete:
            # Of a class that derives from this one.
            return super().delete(nodes)
        with self._own_lock():
            tables = self._writable()
            if tables.is_changing or self._held:
                raise InvalidError(
                    "nodes of memory:// are deleted inside a transaction or snapshot of this store",
                    hint="delete before or after it",
                )
            return tables.delete(nodes)
