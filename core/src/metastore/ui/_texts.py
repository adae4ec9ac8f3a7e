"""Text from a store, which anybody may have written, as a page shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from markupsafe import Markup, escape

from metastore.display import brief
from metastore.model import Proto, Value

__all__ = [
    "MOST",
    "flat",
    "long_value",
    "middle",
    "sentence",
    "shortly",
    "shown",
    "some_values",
    "state_word",
    "value_line",
]

MOST = 500
"""Properties, inputs, types on a page; JSON has all of them."""
_LONGEST = 20_000
"""Characters of a value on the page that is about it; JSON has all of them."""


def shown(text: object, *, whole: bool = False, lines: bool = False) -> Markup:
    r"""The text, isolated, with everything that does not print written out: ``\u202e``.

    Isolated, so that writing from right to left does not turn around what stands beside it.

    Parameters
    ----------
    whole:
        Whether it keeps its middle; beyond 20,000 characters it loses its end all the same.
    lines:
        Whether line ends and tabs stay what they are.
    """
    said = str(text)
    said = _cut(said) if whole else brief(said)
    if said.isprintable():
        return Markup("<bdi>%s</bdi>") % said
    keep = "\n\t" if lines else ""
    parts = [
        escape(each)
        if each.isprintable() or each in keep
        else Markup('<span class="code">%s</span>') % _written_out(each)
        for each in said
    ]
    return Markup("<bdi>%s</bdi>") % Markup("").join(parts)


def flat(text: object) -> str:
    """The same where there is no markup: in titles, tooltips, menus."""
    said = brief(str(text))
    return "".join(each if each.isprintable() else _written_out(each) for each in said)


def _written_out(each: str) -> str:
    return each.encode("unicode_escape", "surrogatepass").decode("ascii")


def sentence(text: str) -> str:
    """A sentence as one: errors begin without a capital, and end without a full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def shortly(text: str, most: int = 60) -> str:
    """The beginning of a text, on one line, where there is little room for it."""
    line = " ".join(text[: most * 2].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def value_line(value: Value) -> str:
    """A property's value on one line, with all of its digits that say something."""
    if isinstance(value, Proto):
        return f"{value.type_url} ({len(value.value)} bytes)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    if text.startswith(("{", "[")):
        text = " ".join(text.split())
    return text


def _number(value: float) -> str:
    """All digits of a double, but not those of 0.1 + 0.2 where nobody compares."""
    return f"{value:g}" if value == float(f"{value:g}") else repr(value)


def long_value(value: Value) -> str:
    """A property's value with its lines, cut where it is longer than anybody reads."""
    text = value_line(value)
    if isinstance(value, dict):
        text = json.dumps(value, ensure_ascii=False, indent=2)
    elif isinstance(value, str):
        text = _laid_out(value)
    return _cut(text)


def some_values(
    values: Mapping[str, Value], most: int = MOST, room: int = 200_000
) -> list[tuple[str, Value, str]]:
    """The first of many properties, each with its text: as many as a page has room for.

    Parameters
    ----------
    most:
        Properties.
    room:
        Characters of all their texts; the first is given even where it has more.
    """
    found: list[tuple[str, Value, str]] = []
    for key, value in islice(values.items(), most):
        text = long_value(value)
        room -= min(len(text), _LONGEST)
        if found and room < 0:
            break
        found.append((key, value, text))
    return found


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} … ({len(text)} characters; JSON has all of them)"


def _laid_out(text: str) -> str:
    """Text that is JSON, in lines; any other as it is."""
    if len(text) > _LONGEST or not text.startswith(("{", "[")):
        return text
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return (
        json.dumps(found, ensure_ascii=False, indent=2) if isinstance(found, dict | list) else text
    )


def middle(text: str, most: int = 36) -> str:
    """Its beginning and its end: names often differ at their ends."""
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"


_STATES = {
    "COMPLETE": ("good", "done"),
    "CACHED": ("good", "cached"),
    "FAILED": ("bad", "failed"),
    "RUNNING": ("busy", "running"),
    "NEW": ("busy", "new"),
    "CANCELED": ("off", "canceled"),
}


def state_word(state: object) -> tuple[str, str]:
    """The look of a state, and the name of its sign."""
    return _STATES.get(str(state), ("off", "unknown"))
