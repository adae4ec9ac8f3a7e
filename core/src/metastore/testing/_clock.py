"""Whether a time is that of a write."""

from __future__ import annotations

import time

__all__ = ["now_ms", "was_between"]

_ALLOWED_MS = 10_000
"""By so much a backend's own clock may be wrong."""


def now_ms() -> int:
    """The time of this process, in milliseconds."""
    return time.time_ns() // 1_000_000


def was_between(before: int, time_ms: int, after: int) -> bool:
    """Whether something happened after the one time and before the other, by whatever clock."""
    return before - _ALLOWED_MS <= time_ms <= after + _ALLOWED_MS
