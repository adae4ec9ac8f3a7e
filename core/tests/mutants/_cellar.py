"""A flavor whose stores are opened with settings, a secret among them, and opened again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any, ClassVar

from pydantic import Field

from metastore.base import BaseMetadataStore, Capabilities, OpenMode
from metastore.errors import OpenError, StoreNotFoundError
from metastore.memory import MemoryMetadataStore, Tables
from metastore.plugins._config import FlavorConfig, StoreURL
from metastore.plugins._secret import Secret

from ._mutant import Flavor, Mutant, Plugin

__all__ = ["PASSWORD", "UNMUTATED_CELLAR", "Cellar", "CellarConfig", "CellarStore"]

PASSWORD = "the password of the cellar"


class _Place:
    """What is kept where nothing is open."""

    def __init__(self, password: Secret) -> None:
        self.tables = Tables()
        self.password = password
        self.lock = threading.RLock()


_places: dict[str, _Place] = {}


class CellarConfig(FlavorConfig):
    """Which cellar."""

    place: str = Field(description="Where it is, with a leading slash.")
    shelves: int = Field(3, description="How many shelves it has.")
    password: Secret = Field(description="What opens its door.")

    @classmethod
    def from_url(cls, url: StoreURL) -> Any:
        """``cellar:///place``."""
        return cls.checked(url.scheme, {"place": url.path, **url.options})


class CellarStore(MemoryMetadataStore):
    """A store in memory that is still there when it was closed."""

    FLAVOR: ClassVar[str] = "cellar"
    MADE_BY: ClassVar[type[Flavor]]
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(snapshot=True, delete=True)

    def __init__(self, config: Any, tables: Tables, mode: OpenMode) -> None:
        super().__init__(tables, mode=mode)
        self._config = config
        self._location = f"cellar://{config.place}"

    @classmethod
    def open(cls, config: Any = None, *, mode: OpenMode = "rw", create: bool = True) -> CellarStore:
        """Open the cellar, or make it where it may be made."""
        place = _places.get(config.place)
        if place is None:
            if not cls.makes(mode, create=create):
                raise StoreNotFoundError(f"there is no cellar at {config.place}")
            place = _places[config.place] = _Place(config.password)
        cls.check(config, place)
        store = cls(config, place.tables, mode)
        store._lock = place.lock
        return store

    @classmethod
    def makes(cls, mode: OpenMode, *, create: bool) -> bool:
        """Whether a cellar that is not there is made."""
        return create and mode == "rw"

    @classmethod
    def check(cls, config: Any, place: _Place) -> None:
        """Refuse a wrong password."""
        if config.password != place.password:
            raise OpenError("the password is wrong")

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are of one place."""
        return isinstance(other, CellarStore) and other._config.place == self._config.place


class Cellar(Flavor):
    """Cellars of one test, each with a config of its own; opened again as the kit does it."""

    plugin = Plugin
    reopen: Any = None
    _numbers: ClassVar[Iterator[int]] = count()

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant)
        self._made: list[str] = []
        cls: Any = mutant.store
        self._cls = cls if issubclass(cls, CellarStore) else CellarStore

    def config(self) -> Any:
        """The config of the next store."""
        self._made.append(f"/{next(self._numbers)}")
        cls: Any = self._mutant.config or CellarConfig
        return cls(place=self._made[-1], password=Secret(PASSWORD))

    def make(self) -> BaseMetadataStore:
        """A new store."""
        return self._cls.open(self.config())

    def end(self) -> None:
        """Empty the cellars."""
        for place in self._made:
            _places.pop(place, None)


CellarStore.MADE_BY = Cellar

UNMUTATED_CELLAR = Mutant("unmutated-cellar", "Nothing.", "none", flavor=Cellar)
