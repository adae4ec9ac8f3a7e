"""A file that takes the place of another one, also on the disk."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["put_in_place"]


def put_in_place(written: Path | str, path: Path) -> None:
    """Give a file, whose content is synced, the name of another one, which it replaces.

    Until it returns, a loss of power leaves the old file or the new one; from then on, the new one.

    Raises
    ------
    OSError
        As the system says: the old one is there, or the new one is and may be lost with the power.
    """
    os.replace(written, path)
    if os.name != "posix":
        # A folder cannot be opened there.
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
