"""What forked children do with their parent's connections, and when a parent may fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

__all__ = ["Forked", "carrying", "connecting", "keep_for_ever", "watch_forks"]

_PATIENCE = 2.0
"""Seconds that a fork waits for connections that are being made."""


class Forked(Protocol):
    """What has connections, locks or threads while its process forks.

    `give_up_idle`, where there is one, is called before the fork: it closes what no thread is
    using, so that a child inherits nothing that would hold a file's locks or a server's session.
    """

    def leave_parent(self) -> None:
        """Begin anew in a forked child: leave alone what the parent uses, without its locks."""


class _Gate:
    """Keeps forks and handshakes apart.

    OpenSSL has locks for the whole process.  A child that is forked while another thread of its
    parent holds one waits for ever in its own first handshake.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False
        self._mine = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        depth: int = getattr(self._mine, "depth", 0)
        if not depth:
            with self._changed:
                self._changed.wait_for(lambda: not self._shut)
                self._inside += 1
        self._mine.depth = depth + 1
        try:
            yield
        finally:
            self._mine.depth = depth
            if not depth:
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()

    def shut(self) -> None:
        """Before a fork: let nobody in, and wait for those inside, but not for ever."""
        # Whoever forks in the middle of its own connection does not wait for itself.
        mine = bool(getattr(self._mine, "depth", 0))
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: self._inside <= mine, _PATIENCE)

    def open(self) -> None:
        """After it, in the parent."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()
_connecting, _carrying = _Gate(), _Gate()


def watch_forks(thing: Forked) -> None:
    """Tell it of forks from now on, for as long as it lives."""
    _watched.add(thing)


def keep_for_ever(thing: object) -> None:
    """Keep it until the process is gone: the end of Python would end the connections in it."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def connecting() -> AbstractContextManager[None]:
    """Around whatever may make a connection: forks wait for its end, 2 seconds at most."""
    return _connecting.passed()


def carrying() -> AbstractContextManager[None]:
    """As `connecting`, for a connection that carries others: theirs may wait for this one."""
    return _carrying.passed()


def _before() -> None:
    _connecting.shut()
    for each in list(_watched):
        give_up_idle: Callable[[], None] | None = getattr(each, "give_up_idle", None)
        if give_up_idle is not None:
            give_up_idle()
    # Now nobody waits for a tunnel any more.
    _carrying.shut()


def _in_parent() -> None:
    _carrying.open()
    _connecting.open()


def _in_child() -> None:
    global _connecting, _carrying
    _connecting, _carrying = _Gate(), _Gate()
    for each in list(_watched):
        each.leave_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
