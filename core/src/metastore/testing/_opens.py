"""Which config each store of a test was opened with: from it the kit opens stores of its own.

So that an author gives no more than a function that makes a store: to open it again, in another
mode, with another secret or where nothing is, needs what ``open`` was given, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from metastore.base import BaseMetadataStore, OpenMode

__all__ = ["Opens"]


class Opens:
    """The configs that were handed to ``open`` of any flavor, while it is installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._configs: list[tuple[BaseMetadataStore, Any]] = []
        self._stops = False
        for cls in list(_with_own_open(BaseMetadataStore)):  # type: ignore[type-abstract]  # only asked
            self._watch(cls)

    def _watch(self, cls: type[BaseMetadataStore]) -> None:
        original = vars(cls)["open"]

        def open(owner: type[BaseMetadataStore], *args: Any, **words: Any) -> BaseMetadataStore:
            config = args[0] if args else words.get("config")
            if self._stops:
                raise _StoppedError(owner, config)
            store: BaseMetadataStore = original.__get__(None, owner)(*args, **words)
            self._configs.append((store, config))
            return store

        self._monkeypatch.setattr(cls, "open", classmethod(open))

    def config_of(self, store: BaseMetadataStore) -> Any:
        """What the store was opened with; skips the test where it was made in another way."""
        for each, config in self._configs:
            if each is store:
                return config
        pytest.skip(f"the fixture make_store does not use {type(store).__name__}.open")

    def again(self, store: BaseMetadataStore, mode: OpenMode) -> BaseMetadataStore:
        """The store's data, opened once more."""
        return type(store).open(self.config_of(store), mode=mode, create=False)

    def unopened(self, make_store: Callable[[], BaseMetadataStore]) -> tuple[type[Any], Any]:
        """The class and the config of the store that `make_store` would open next."""
        self._stops = True
        try:
            store = make_store()
        except _StoppedError as stopped:
            return stopped.owner, stopped.config
        finally:
            self._stops = False
        store.close()
        pytest.skip(f"the fixture make_store does not use {type(store).__name__}.open")


class _StoppedError(BaseException):
    """Not an Exception, so that no handler on the way takes it for a failed open."""

    def __init__(self, owner: type[BaseMetadataStore], config: Any) -> None:
        super().__init__()
        self.owner = owner
        self.config = config


def _with_own_open(cls: type[BaseMetadataStore]) -> Iterator[type[BaseMetadataStore]]:
    for each in cls.__subclasses__():
        if "open" in vars(each):
            yield each
        yield from _with_own_open(each)
