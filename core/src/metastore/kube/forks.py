"""What a forked child does with what its parent had open, and when a parent may fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["connecting", "keep_for_ever", "watch_forks"]

_PATIENCE = 2.0
"""Seconds that a fork waits for connections that are being made."""


class Forked(Protocol):
    """What has locks, threads or sockets while its process forks."""

    def leave_parent(self) -> None:
        """In the child: let go of the parent's, without a lock and without a word on the wire."""


class _Gate:
    """Keeps forks and handshakes apart.

    OpenSSL has locks for the whole process.  A child that is forked while another thread of its
    parent holds one waits for ever in its own first handshake.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._shut = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """For as long as a connection is being made, or anything asked that may make one."""
        with self._changed:
            self._changed.wait_for(lambda: not self._shut)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Before a fork: let nobody in, and wait for those inside, but not for ever."""
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: not self._inside, _PATIENCE)

    def open(self) -> None:
        """After it, in the parent."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()
_kept: list[object] = []
_gate = _Gate()


def watch_forks(thing: Forked) -> None:
    """Tell it of forks from now on, for as long as it lives."""
    _watched.add(thing)


def keep_for_ever(thing: object) -> None:
    """Never let go of it: whatever it does then may need a lock that a parent's thread held."""
    _kept.append(thing)


@contextmanager
def connecting() -> Iterator[None]:
    """Around whatever may make a connection: forks wait for its end, a few seconds at most."""
    # The gate of now: in a child it is another one.
    with _gate.passed():
        yield


def _before() -> None:
    _gate.shut()


def _in_parent() -> None:
    _gate.open()


def _in_child() -> None:
    global _gate  # noqa: PLW0603 - the old one's lock may be held by a thread that is not here
    _gate = _Gate()
    for each in list(_watched):
        each.leave_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
