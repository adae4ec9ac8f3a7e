"""Connections and forks: a child never uses, ends or closes one of its parent's."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forked", "keep_for_ever", "watch_forks"]


class Forked(Protocol):
    """What has connections while its process forks."""

    def give_up_idle(self) -> None:
        """Close what no thread is using, before a fork.

        So a child inherits nothing that would hold a file's locks or a server's session.
        """

    def leave_parent(self) -> None:
        """Begin anew in a forked child, and leave alone what was in use."""


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch_forks(database: Forked) -> None:
    """Tell the database of forks from now on, for as long as it lives."""
    _watched.add(database)


def keep_for_ever(connections: object) -> None:
    """Keep them open until the process is gone: the end of Python would end them."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connections))


def _before_fork() -> None:
    for database in list(_watched):
        database.give_up_idle()


def _in_child() -> None:
    for database in list(_watched):
        database.leave_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
