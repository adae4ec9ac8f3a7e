"""What a forked child does with what its parent had open."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["watch_forks"]


class Forked(Protocol):
    """What has locks, threads or sockets while its process forks."""

    def leave_parent(self) -> None:
        """In the child: let go of the parent's, without a lock and without a word on the wire."""


_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch_forks(thing: Forked) -> None:
    """Tell it of forks from now on, for as long as it lives."""
    _watched.add(thing)


def _in_child() -> None:
    for each in list(_watched):
        each.leave_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
