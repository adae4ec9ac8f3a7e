"""``--json``: how it is written.

A list is an array with one object a line, written as it is read; one thing is one object.  Output
is ASCII, so that no terminal and no encoding gets in its way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["write_list", "write_object"]


def write_list(items: Iterable[Mapping[str, Any]]) -> None:
    """An array, item by item: a store may hold more than memory does."""
    before = "[\n"
    for item in items:
        sys.stdout.write(f"{before}{json.dumps(item, allow_nan=False)}")
        before = ",\n"
    sys.stdout.write("\n]\n" if before == ",\n" else "[]\n")


def write_object(item: Mapping[str, Any]) -> None:
    """One object, for people too."""
    sys.stdout.write(f"{json.dumps(item, allow_nan=False, indent=2)}\n")
