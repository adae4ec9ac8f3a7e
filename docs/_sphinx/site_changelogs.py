"""The changelogs of all distributions, one below the other."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["changelogs"]

TITLE = re.compile(r"^# Changelog of (\S+)\n.*?(?=^## )", re.MULTILINE | re.DOTALL)


def changelogs(root: Path) -> str:
    """Each with its headings a level lower, and without what they say of their form."""
    paths = [root / "core" / "CHANGELOG.md", *sorted(root.glob("plugins/*/CHANGELOG.md"))]
    return "\n\n".join(_lowered(path.read_text("utf-8")) for path in paths)


def _lowered(text: str) -> str:
    title = TITLE.match(text)
    if title is None:
        raise ValueError("a changelog begins with '# Changelog of NAME', and then has a section")
    body = re.sub(r"^#", "##", text[title.end() :], flags=re.MULTILINE)
    return f"## {title[1]}\n\n{body}"
