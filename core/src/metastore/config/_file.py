"""The user's config file: read, and changed without losing what anybody wrote."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastore.errors import BusyError, InvalidError, MetastoreError, Offender, StorageError
from metastore.files import put_in_place

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

__all__ = ["ConfigFile", "read_toml", "section", "table_of"]

CONFIG_VARIABLE = "METASTORE_CONFIG"
_LOCK_SECONDS = 60.0


class ConfigFile:
    """One TOML file, of this user alone.

    What is written is written whole (a new file takes the place of the old one) and under a lock;
    comments stay.  A file that cannot be read is never written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_user(cls) -> ConfigFile:
        """The one that `METASTORE_CONFIG` names, else the user's ``metastore/config.toml``."""
        named = os.environ.get(CONFIG_VARIABLE)
        if named:
            return cls(Path(named).expanduser().absolute())
        from platformdirs import user_config_path

        return cls(user_config_path("metastore") / "config.toml")

    @property
    def folder(self) -> Path:
        """Where it lies, and what belongs to it."""
        return self.path.parent

    def read(self) -> dict[str, Any]:
        """What it says; nothing where there is no file.

        Raises
        ------
        InvalidError
            It is no TOML; the error gives line and column.
        StorageError
            It cannot be read.
        """
        return read_toml(self.path)

    @contextmanager
    def changed(self) -> Iterator[TOMLDocument]:
        """The file as a document to change; written when the block ends, unless it raises.

        Raises
        ------
        InvalidError, StorageError
            As for `read`; or it cannot be written.
        BusyError
            Another process has kept it locked for a minute.
        """
        import tomlkit
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # What stands there may be a link: whoever comes by whichever name takes one lock.
            target = Path(os.path.realpath(self.path))
            lock = FileLock(target.with_name(f"{target.name}.lock"), mode=0o600)
            _check_is_file(target)
            with lock.acquire(timeout=_LOCK_SECONDS):
                # Checked by the same parser as for reading, which says line and column.
                read_toml(target)
                before = target.read_bytes().decode("utf-8") if target.exists() else ""
                document = _parsed(before.removeprefix(_BOM), target)
                yield document
                _write(target, _checked(tomlkit.dumps(document), document.unwrap(), before))
        except MetastoreError:
            # Some of ours are an OSError too.
            raise
        except Timeout as error:
            raise BusyError(
                f"another process keeps {self.path} locked",
                hint="wait for it, or end it",
            ) from error
        except OSError as error:
            raise _unusable(self.path, error, "written") from error


_BOM = "\ufeff"


def _parsed(text: str, path: Path) -> TOMLDocument:
    import tomlkit

    try:
        return tomlkit.parse(text)
    except RecursionError:
        raise _beyond(path, "is nested too deeply") from None


def _check_is_file(target: Path) -> None:
    """A device or a pipe must not be replaced by a file."""
    if target.exists() and not target.is_file():
        raise StorageError(
            f"{target} is no file, and cannot hold settings",
            hint=f"name another one with {CONFIG_VARIABLE}",
            offender=Offender("configuration", name=str(target)),
        )


def _checked(text: str, wanted: Any, before: str) -> str:
    """The new text, with the mark and the line ends of the one before; if it says what is wanted.

    A table that is added between keys with dots would take those behind it.
    """
    if _pruned(tomllib.loads(text)) != _pruned(wanted):
        raise InvalidError(
            "the config file is written in a way that cannot be changed here",
            hint="write [stores.NAME] tables instead of keys with dots; nothing was changed",
        )
    if "\r\n" in before:
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    return _BOM + text if before.startswith(_BOM) else text


def _pruned(content: Any) -> Any:
    """The content without empty tables, which need not be written."""
    if not isinstance(content, dict):
        return content
    pruned = {key: _pruned(value) for key, value in content.items()}
    return {key: value for key, value in pruned.items() if value != {}}


def _write(target: Path, text: str) -> None:
    try:
        written = text.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidError(
            "a setting is no text: it holds half of a character, or a file name that is none",
            hint="give it another name",
            offender=Offender("configuration", name=str(target)),
        ) from None
    # Of a process that was killed while it wrote; the lock says that no other one is at it.
    for left in target.parent.glob(f".{target.name}.*.new"):
        with suppress(OSError):
            left.unlink()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent)
    try:
        # mkstemp makes it 0600.
        with os.fdopen(handle, "wb") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says; nothing where there is no file.

    Raises
    ------
    InvalidError, StorageError
        It is no TOML, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            # What has no end, such as a device, is not read to it.
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _beyond(path, f"has more than {_MOST_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            # The parser takes memory with the square of its parts.
            raise _beyond(path, "has a key of more than 30 parts")
        found: dict[str, Any] = tomllib.loads(text)
        return found
    except FileNotFoundError:
        return {}
    except RecursionError:
        raise _beyond(path, "is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        # Its message gives line and column, and none of the text.
        raise InvalidError(
            f"{path} is no TOML: {error}",
            hint="correct it by hand; nothing was changed",
            offender=Offender("configuration", name=str(path)),
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidError(
            f"{path} is no text in UTF-8 (byte {error.start})",
            hint="correct it by hand; nothing was changed",
            offender=Offender("configuration", name=str(path)),
        ) from None
    except OSError as error:
        raise _unusable(path, error, "read") from error


_MOST_BYTES = 1 << 20
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{30}}")


def _beyond(path: Path, what: str) -> InvalidError:
    return InvalidError(
        f"{path} {what}",
        hint="correct it by hand; nothing was changed",
        offender=Offender("configuration", name=str(path)),
    )


def table_of(content: Mapping[str, Any], path: Path, *keys: str) -> dict[str, Any]:
    """A table of the content, empty where there is none; `InvalidError` where it is none."""
    found: Any = content
    for at, key in enumerate(keys):
        found = found.get(key, {})
        if not isinstance(found, Mapping):
            raise InvalidError(
                f"{'.'.join(keys[: at + 1])!r} in {path} is no table",
                hint="correct it by hand; nothing was changed",
                offender=Offender("configuration", name=str(path)),
            )
    return dict(found)


def section(document: MutableMapping[str, Any], key: str) -> MutableMapping[str, Any]:
    """The table of that name, made where it is not there."""
    import tomlkit
    import tomlkit.items

    if key not in document:
        document[key] = tomlkit.table(is_super_table=True)
    found = document[key]
    if isinstance(found, tomlkit.items.InlineTable):
        raise InvalidError(
            f"{key!r} in the config file stands on one line, where nothing can be added",
            hint=f"write [{key}....] tables by hand; nothing was changed",
        )
    if not isinstance(found, MutableMapping):
        raise InvalidError(
            f"{key!r} in the config file is no table",
            hint="correct it by hand; nothing was changed",
        )
    return found


def _unusable(path: Path, error: OSError, what: str) -> StorageError:
    return StorageError(
        f"{path} cannot be {what} ({error.strerror or type(error).__name__})",
        hint=f"check its permissions, or name another file with {CONFIG_VARIABLE}",
        offender=Offender("configuration", name=str(path)),
    )
