"""What a copy says: before it, while it runs, and when it is done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["CopyReport", "Differences", "LeftOut"]

_FIRST = 20
"""Differences that are kept as text."""
_EXAMPLES = 3
"""Examples that are kept of what was left out for one reason."""


@dataclass(slots=True)
class Differences:
    """What two stores hold differently: how much, and the first of it in sentences."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, text: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < _FIRST:
            self.first.append(text)


@dataclass(slots=True)
class LeftOut:
    """What of the source was not copied, for one reason."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str, count: int = 1) -> None:
        """One more, or several of which this is one."""
        self.count += count
        if len(self.examples) < _EXAMPLES and example not in self.examples:
            self.examples.append(example)


@dataclass(slots=True)
class CopyReport:
    """What became of a copy.

    The counts are by what it is: ``"type"``, ``"artifact"``, ``"execution"``, ``"context"``,
    ``"event"``, ``"attribution"``, ``"association"``, ``"parent context"``.
    """

    dry_run: bool = False
    """Whether nothing was written; the counts are then what would be."""
    created: Counter[str] = field(default_factory=Counter)
    """What is new in the target."""
    updated: Counter[str] = field(default_factory=Counter)
    """What had been copied before, and was changed in the source since."""
    unchanged: Counter[str] = field(default_factory=Counter)
    """What had been copied before, or was in the target for other reasons."""
    notes: list[str] = field(default_factory=list)
    """What the target cannot hold, and what else was said before the first write."""
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    """What a damaged source holds that no store takes, by the reason."""
    differences: Differences = field(default_factory=Differences)
    """What the comparison at the end found; empty in a dry run, where there is none."""

    def leave_out(self, reason: str, example: str, count: int = 1) -> None:
        """Count what is not copied."""
        self.left_out.setdefault(reason, LeftOut()).add(example, count)
