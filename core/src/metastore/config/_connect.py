"""`connect`: from a URL to an open store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from metastore.base import BaseMetadataStore, OpenMode
from metastore.errors import InvalidError, NotFoundError, Offender, OpenError
from metastore.store import Store

if TYPE_CHECKING:
    from metastore.plugins._config import FlavorConfig

__all__ = ["DEFAULT_STORE_URL", "connect", "open_store"]

DEFAULT_STORE_URL = "sqlite:///{user_data}/metastore.db"
"""Where runs go when nothing else is said; the only place in core that names a flavor."""


def connect(url: str | None = None, *, mode: OpenMode = "rw", create: bool | None = None) -> Store:
    """Open a store.

    Parameters
    ----------
    url:
        ``flavor://...``, such as ``sqlite:///runs.db`` (relative) or ``sqlite:////data/runs.db``.
        None: the environment variable ``METASTORE_STORE``, else an SQLite file in the user's data
        folder.
    mode:
        ``"r"`` never writes and never creates anything; ``"rw"`` does both.
    create:
        Whether a store that is not there is made; by default with ``"rw"``.

    Raises
    ------
    InvalidError
        The URL is none, or holds settings that the flavor does not know.
    FlavorNotFoundError, FlavorError
        The flavor is not installed, or does not load.
    OpenError
        There is no store, or it cannot be opened.
    """
    return Store(open_store(url, mode=mode, create=create))


def open_store(
    url: str | None = None, *, mode: OpenMode = "rw", create: bool | None = None
) -> BaseMetadataStore:
    """As `connect`, without a `Store` around it: what a flavor itself offers."""
    # Imported here, because pydantic and pluggy take their time and a URL may be wrong already.
    from metastore.plugins._config import StoreURL
    from metastore.plugins._loader import load_flavor

    if mode not in ("r", "rw"):
        raise InvalidError("a store is opened with mode 'r' or 'rw'", offender=Offender("store"))
    if url is not None and not isinstance(url, str):
        raise _no_url(url)
    create = mode == "rw" if create is None else create
    given = url if url is not None else os.environ.get("METASTORE_STORE") or None
    parsed = StoreURL.parse(_url_of(_default_url() if given is None else given))
    flavor = load_flavor(parsed.scheme)
    config: FlavorConfig = flavor.load_config_class().from_url(parsed)
    store_class = flavor.load_store_class()
    if given is None and create and mode == "rw":
        _make_user_folder()
    return store_class.open(config, mode=mode, create=create)


def _url_of(text: str) -> str:
    if "://" in text:
        return text
    suffixes = (".db", ".sqlite", ".sqlite3", ".sqlite.db", ".mlmd")
    if text.endswith(suffixes) or "/" in text or os.sep in text or Path(text).exists():
        raise _is_path(text)
    raise NotFoundError(
        f"no store is called {text!r}",
        hint=f"give its URL, such as {DEFAULT_STORE_URL.partition(':')[0]}:///{text}.db",
        offender=Offender("store", name=text),
    )


def _no_url(given: object) -> InvalidError:
    if isinstance(given, os.PathLike):
        return _is_path(os.fsdecode(given))
    return InvalidError(
        f"a store is named by its URL, a text, not by a {type(given).__name__}",
        hint=f"such as {DEFAULT_STORE_URL.partition(':')[0]}:///runs.db",
        offender=Offender("store"),
    )


def _is_path(path: str) -> InvalidError:
    return InvalidError(
        f"{path!r} is a path, and a store is named by its URL",
        hint=f"write {DEFAULT_STORE_URL.partition(':')[0]}:///{_quoted(path)}",
        offender=Offender("store", name=path),
    )


def _default_url() -> str:
    return DEFAULT_STORE_URL.format(user_data=_quoted(_user_folder().as_posix()))


def _user_folder() -> Path:
    from platformdirs import user_data_path

    return user_data_path("metastore")


def _make_user_folder() -> None:
    folder = _user_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpenError(
            f"the folder {str(folder)!r} for your own store cannot be made ({error.strerror})",
            hint="name another store, such as sqlite:///runs.db",
            offender=Offender("store", name=str(folder)),
        ) from error


def _quoted(path: str) -> str:
    """The path as it stands in a URL; only what would be read as another path is quoted."""
    from urllib.parse import quote

    return "".join(quote(each) if each in "%?" or each < " " else each for each in path)
