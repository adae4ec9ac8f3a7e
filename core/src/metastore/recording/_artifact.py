"""Artifacts that stand for themselves: what steps are given, and what they give back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metastore.base import BaseMetadataStore
from metastore.errors import InvalidError, Offender

__all__ = ["RecordedArtifact", "StoredArtifact"]


class StoredArtifact:
    """An artifact of one store, which a step of that store may read or write.

    It knows its store, because an id alone would name another artifact in another store.
    """

    __slots__ = ()
    _backend: BaseMetadataStore

    @property
    def id(self) -> int:
        """The stored id."""
        raise NotImplementedError


class RecordedArtifact(StoredArtifact):
    """An artifact that a step recorded; it has an id as soon as its step has ended."""

    def __init__(
        self,
        backend: BaseMetadataStore,
        type: str,
        uri: str,
        name: str | None,
        read: Callable[[int], Any],
        where: str,
    ) -> None:
        self.type = type
        """The name of its type."""
        self.uri = uri
        """Where the data is; empty when that was not said."""
        self.name = name
        """Its name, where it was given one."""
        self._backend = backend
        self._id: int | None = None
        self._read = read
        self._where = where
        self._refused = False

    def __repr__(self) -> str:
        known = f"id {self._id}"
        if self._id is None:
            known = "could not be recorded" if self._refused else "not recorded yet"
        return f"<RecordedArtifact {self.type} {self.uri or self.name or ''} ({known})>"

    @property
    def id(self) -> int:
        """The stored id; raises `InvalidError` before the step has ended."""
        if self._id is None:
            offender = Offender("artifact", name=self.name or self.uri or None)
            if self._refused:
                raise InvalidError(
                    f"the {offender} has no id: {self._where} could not record it",
                    offender=offender,
                )
            raise InvalidError(
                f"the {offender} is not recorded yet: {self._where} has not ended",
                hint="use it after the step's with block",
                offender=offender,
            )
        return self._id

    def _settle(self, id: int | None) -> None:
        """For the step: this is the id; None where the store refused the artifact."""
        self._id, self._refused = id, id is None

    def read(self) -> Any:
        """The artifact as the store holds it now."""
        return self._read(self.id)

    def lineage(self, **options: Any) -> Any:
        """As `ArtifactView.lineage`."""
        return self.read().lineage(**options)
