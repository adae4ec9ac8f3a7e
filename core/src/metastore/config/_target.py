"""Which store is meant: by name, by URL, or by nothing at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from metastore.config._file import ConfigFile, read_toml
from metastore.config._flavors import registry_of
from metastore.config._stores import Stores
from metastore.display import harmless
from metastore.errors import InvalidError, NotFoundError, Offender, StorageError
from metastore.plugins._classes import config_class
from metastore.plugins._config import FlavorConfig, StoreURL
from metastore.plugins._flavor import Flavor
from metastore.plugins._registry import FlavorRegistry
from metastore.plugins._secret import Masked

__all__ = ["DEFAULT_STORE_URL", "Target", "find_project_file", "target_of", "user_folder"]

DEFAULT_STORE_URL = "sqlite:///{user_data}/metastore.db"
"""Where runs go when nothing else is said; the only place in core that names a flavor."""

STORE_VARIABLE = "METASTORE_STORE"
PROJECT_FILE = "metastore.toml"


class Target(NamedTuple):
    """A store that is meant, and how it came to that."""

    flavor: Flavor
    config: FlavorConfig
    said_by: str
    """What named it, for people."""
    is_default: bool = False
    """Whether nothing named it."""


def target_of(which: str | None = None) -> Target:
    """The store of that name or URL.

    None: what the environment variable `METASTORE_STORE` says; else ``store`` in the
    ``metastore.toml`` of this folder, or of the nearest one above it that has such a file; else the
    one that ``metastore store use`` named; else an SQLite file in the user's data folder.

    Raises
    ------
    NotFoundError
        No store has that name.
    FlavorNotFoundError, FlavorError
        The flavor is not installed, or cannot be used.
    InvalidError
        The URL is none, a setting is wrong, or a config file is damaged.
    """
    if which is not None:
        return _named(Masked(which), "what was given")
    variable = Masked(os.environ.get(STORE_VARIABLE, ""))
    if variable:
        return _named(variable, _BY_VARIABLE)
    project = find_project_file()
    if project is not None:
        return _of_project(project)
    active = Stores.of_user().active
    if active is not None:
        return _named(active, _BY_USE)
    url = DEFAULT_STORE_URL.format(user_data=quoted(user_folder().as_posix()))
    return _of_url(url, "default")._replace(is_default=True)


_BY_VARIABLE = f"the environment variable {STORE_VARIABLE}"
_BY_USE = "'metastore store use'"


def said_by() -> str | None:
    """What names the store that is meant where none is given; None where nothing does."""
    if os.environ.get(STORE_VARIABLE):
        return _BY_VARIABLE
    project = find_project_file()
    if project is not None:
        return str(project)
    return None if Stores.of_user().active is None else _BY_USE


def find_project_file(folder: Path | None = None) -> Path | None:
    """The ``metastore.toml`` of a folder (default: the current one), or of the nearest above it."""
    try:
        start = Path.cwd() if folder is None else folder.absolute()
    except OSError:
        # The current folder was removed.
        return None
    for each in (start, *start.parents):
        # Whatever it is, even a folder or a link that leads nowhere: it is not passed over.
        if os.path.lexists(each / PROJECT_FILE):
            return each / PROJECT_FILE
    return None


def user_folder() -> Path:
    """Where the user's own store is, when nothing else is said."""
    from platformdirs import user_data_path

    return user_data_path("metastore")


def quoted(path: str) -> str:
    """The path as it stands in a URL; only what would be read as another path is quoted."""
    from urllib.parse import quote

    return "".join(quote(each) if each in "%?" or each < " " else each for each in path)


def _of_project(path: Path) -> Target:
    if not path.is_file():
        raise InvalidError(
            f"{path} is no file, and would name the store",
            hint="correct or remove it, or name a store",
            offender=Offender("configuration", name=str(path)),
        )
    found = read_toml(path).get("store")
    found = Masked(found) if isinstance(found, str) else None
    if not found:
        raise InvalidError(
            f"{path} names no store",
            hint='write store = "name", or store = "flavor://..."',
            offender=Offender("configuration", name=str(path)),
        )
    target = _named(found, str(path))
    # A path in it is one from where the file is, wherever the command is run.
    return target._replace(config=target.config.relative_to(path.parent))


def _named(text: str, said_by: str) -> Target:
    if "://" in text:
        return _of_url(text, said_by)
    if not text:
        raise InvalidError(
            "an empty text names no store",
            hint=f"give a name, or a URL such as {DEFAULT_STORE_URL.partition(':')[0]}:///runs.db",
            offender=Offender("store"),
        )
    try:
        store = Stores.of_user().get(text)
    except NotFoundError:
        if _is_path(text):
            raise InvalidError(
                f"{harmless(text)} is a path, and a store is named by its name or its URL",
                hint=f"write {DEFAULT_STORE_URL.partition(':')[0]}:///"
                f"{quoted(text) if harmless(text) == repr(str(text)) else 'file.db'}",
                offender=Offender("store"),
            ) from None
        raise
    flavor = _registry(store.flavor).get(store.flavor)
    # Who writes a relative path into the file by hand means one from there.
    config = store.config(config_class(flavor)).relative_to(ConfigFile.of_user().folder)
    return Target(flavor, config, said_by)


def _of_url(text: str, said_by: str) -> Target:
    url = StoreURL.parse(text)
    flavor = _registry(url.scheme).get(url.scheme)
    return Target(flavor, config_class(flavor).from_url(url), said_by)


def _registry(name: str) -> FlavorRegistry:
    """The flavors; a config file that is damaged stands in the way of those alone that need it."""
    try:
        return registry_of(ConfigFile.of_user())
    except (InvalidError, StorageError):
        plain = FlavorRegistry.discover()
        if plain.is_unique(name):
            return plain
        raise


def _is_path(text: str) -> bool:
    suffixes = (".db", ".sqlite", ".sqlite3", ".mlmd")
    if text.endswith(suffixes) or "/" in text or os.sep in text:
        return True
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
