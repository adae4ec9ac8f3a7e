"""What `metastore serve` says of itself, so that our own client knows what it may rely on.

Trailing metadata of every answer; ML Metadata's clients take no notice of it.
"""

from __future__ import annotations

__all__ = ["EXACT_DOUBLES", "FORCED", "SAID", "words_of"]

SAID = "metastore-serve"
"""The key; its value is a list of words, separated by blanks."""

EXACT_DOUBLES = "exact-doubles"
"""The word of a store that keeps doubles bit for bit."""

FORCED = "last_update_time_since_epoch"
"""In an update mask: the update time is to be a new one, whether or not something changes.

ML Metadata does so for every path that it does not know.
"""


def words_of(*, exact_doubles: bool) -> str:
    """What a server says of itself."""
    return " ".join(["1", *([EXACT_DOUBLES] if exact_doubles else [])])
