"""Paths of databases in files: checked before they are opened, and as they stand in a URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from metastore.errors import NotAStoreError, Offender, OpenError, StoreNotFoundError

__all__ = ["check_path", "path_in_url"]


def path_in_url(path: Path) -> str:
    """The path as it stands in a URL; only what would be read as another path is quoted."""
    return "".join(quote(each) if each in "%?" or each < " " else each for each in path.as_posix())


def check_path(path: Path, *, creating: bool) -> None:
    """Refuse a path that cannot be one, before the database says less about it.

    Raises
    ------
    NotAStoreError
        It is that of a device or a pipe.
    StoreNotFoundError
        There is no file, or, when `creating`, no folder for it.
    OpenError
        It is that of a folder, or cannot be reached.
    """
    offender = Offender("store", name=str(path))
    if "\0" in str(path):
        raise OpenError("the path of the store holds a NUL", offender=offender)
    try:
        if path.is_dir():
            raise OpenError(
                f"{str(path)!r} is a folder, not a file",
                hint="name a file in it",
                offender=offender,
            )
        if path.exists():
            if not path.is_file():
                raise NotAStoreError(
                    f"{str(path)!r} is a device or a pipe, not a file",
                    hint="correct the path",
                    offender=offender,
                )
            return
        if not creating:
            raise StoreNotFoundError(
                f"there is no file {str(path)!r}",
                hint="correct the path; reading never creates a store",
                offender=offender,
            )
        if not path.parent.is_dir():
            raise StoreNotFoundError(
                f"there is no folder {str(path.parent)!r} for the store",
                hint="make the folder, or correct the path",
                offender=offender,
            )
    except OSError as error:
        if isinstance(error, OpenError):
            raise
        raise OpenError(
            f"the path {str(path)!r} cannot be reached ({error.strerror})",
            hint="check the path and its permissions",
            offender=offender,
        ) from error
