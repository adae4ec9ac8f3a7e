"""`connect`: from a name or URL to an open store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from metastore.base import BaseMetadataStore, OpenMode
from metastore.errors import InvalidError, Offender, OpenError
from metastore.plugins._secret import Masked
from metastore.store import Store

if TYPE_CHECKING:
    from metastore.config._target import Target

__all__ = ["connect", "open_store", "open_target"]


def connect(
    store: str | None = None, *, mode: OpenMode = "rw", create: bool | None = None
) -> Store:
    """Open a store.

    Parameters
    ----------
    store:
        The name of a registered one; or its URL, ``flavor://...``, such as ``sqlite:///runs.db``
        (relative) or ``sqlite:////data/runs.db`` (absolute).
        None: what the environment variable ``METASTORE_STORE`` says, else what the project's
        ``metastore.toml`` says, else the one that ``metastore store use`` named, else an SQLite
        file in the user's data folder.
    mode:
        ``"r"`` never writes and never creates anything; ``"rw"`` does both.
    create:
        Whether a store that is not there is made; by default with ``"rw"``.

    Raises
    ------
    NotFoundError
        No store has that name.
    InvalidError
        The URL is none, or holds settings that the flavor does not know.
    FlavorNotFoundError, FlavorError
        The flavor is not installed, or cannot be used.
    OpenError
        There is no store, or it cannot be opened.
    """
    store = _masked(store)
    return Store(open_store(store, mode=mode, create=create))


def open_store(
    store: str | None = None, *, mode: OpenMode = "rw", create: bool | None = None
) -> BaseMetadataStore:
    """As `connect`, without a `Store` around it: what a flavor itself offers."""
    # Imported here, because pydantic and pluggy take their time, and the rest may be wrong already.
    from metastore.config._target import target_of

    if mode not in ("r", "rw"):
        raise InvalidError("a store is opened with mode 'r' or 'rw'", offender=Offender("store"))
    store = _masked(store)
    return open_target(target_of(store), mode=mode, create=create)


def open_target(
    target: Target, *, mode: OpenMode = "rw", create: bool | None = None
) -> BaseMetadataStore:
    """Open the store that is meant."""
    from metastore.plugins._classes import store_class

    create = mode == "rw" if create is None else create
    opened = store_class(target.flavor)
    if target.is_default and create and mode == "rw":
        _make_user_folder()
    return opened.open(target.config, mode=mode, create=create)


def _masked(store: str | None) -> str | None:
    """The name or URL, which a traceback with its variables will not show; the only texts here."""
    if store is None:
        return None
    if not isinstance(store, str):
        raise _no_name(store)
    return Masked(store)


def _no_name(given: object) -> InvalidError:
    from metastore.config._target import DEFAULT_STORE_URL, quoted

    scheme = DEFAULT_STORE_URL.partition(":")[0]
    if isinstance(given, os.PathLike):
        path = os.fsdecode(given)
        return InvalidError(
            f"{path!r} is a path, and a store is named by its name or its URL",
            hint=f"write {scheme}:///{quoted(path)}",
            offender=Offender("store", name=path),
        )
    return InvalidError(
        f"a store is named by its name or URL, a text, not by a {type(given).__name__}",
        hint=f"such as {scheme}:///runs.db",
        offender=Offender("store"),
    )


def _make_user_folder() -> None:
    from metastore.config._target import user_folder

    folder = user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpenError(
            f"the folder {str(folder)!r} for your own store cannot be made ({error.strerror})",
            hint="name another store, such as sqlite:///runs.db",
            offender=Offender("store", name=str(folder)),
        ) from error
