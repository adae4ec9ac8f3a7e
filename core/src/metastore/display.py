"""Times, durations and values as text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from metastore.model import Proto, Value, time_of

__all__ = [
    "brief",
    "duration",
    "harmless",
    "is_cut",
    "iso",
    "minute",
    "pairs",
    "second",
    "value_text",
]

LONG = 300


def iso(milliseconds: int | None) -> str | None:
    """ISO 8601 in UTC with milliseconds; None where the store does not say (0 is not a time)."""
    if not milliseconds:
        return None
    return time_of(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def minute(milliseconds: int | None) -> str:
    """To the minute, for tables."""
    return (iso(milliseconds) or "")[:16].replace("T", " ")


def second(milliseconds: int | None) -> str:
    """To the second, and that it is UTC."""
    text = (iso(milliseconds) or "")[:19].replace("T", " ")
    return f"{text} UTC" if text else ""


def duration(start: int | None, end: int | None) -> str:
    """From start to end; empty where one is not known.  In milliseconds, both."""
    if start is None or end is None or end < start:
        return ""
    milliseconds = end - start
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def value_text(value: Value) -> str:
    """A property's value on one line, cut where it is very long."""
    if isinstance(value, Proto):
        return f"{brief(value.type_url)} ({len(value.value)} bytes)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return brief(json.dumps(value, ensure_ascii=False))
    text = str(value)
    if text.startswith(("{", "[")):
        # JSON, most likely, and laid out in lines: what it says is not in its blanks.
        text = " ".join(text.split())
    return brief(text)


def pairs(values: Mapping[str, Value]) -> list[str]:
    """``key = value``, a line each."""
    return [f"{brief(key)} = {value_text(value)}" for key, value in values.items()]


def brief(text: str) -> str:
    """The text, without the middle where it is very long: JSON output has all of it."""
    if len(text) <= LONG:
        return text
    return f"{text[: LONG // 2]} … {text[-LONG // 2 :]} ({len(text)} characters)"


def is_cut(text: str) -> bool:
    """Whether a text has lost its middle in `brief`."""
    return len(text) > LONG and text.endswith(" characters)")


def harmless(text: str) -> str:
    """A text as it may be shown: quoted, or without what may be a secret in a URL."""
    if any(each in text for each in ("://", ":/", "@", "=")):
        return f"{text.partition(':')[0]}:..." if ":" in text else "..."
    return repr(str(text))
