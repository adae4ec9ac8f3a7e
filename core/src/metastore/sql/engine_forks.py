"""Connections and forks: a child never uses, ends or closes one of its parent's."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore.sql.engine import EngineDatabase

__all__ = ["keep_for_ever", "watch"]

_databases: weakref.WeakSet[EngineDatabase] = weakref.WeakSet()


def watch(database: EngineDatabase) -> None:
    """Tell the database of forks from now on.

    Before one it closes what is idle, so that a child inherits nothing that would hold a file's
    locks or a server's session; in the child it leaves alone what was in use.
    """
    _databases.add(database)


def keep_for_ever(connections: object) -> None:
    """Keep them open until the process is gone: the end of Python would end them."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connections))


def _before_fork() -> None:
    for database in list(_databases):
        database.give_up_idle()


def _in_child() -> None:
    for database in list(_databases):
        database.leave_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
