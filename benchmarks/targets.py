"""What is to be reached (design, section 12), and whether it was."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


@dataclass
class Measured:
    """What a work took, by the names of candidates."""

    milliseconds: dict[str, list[float]]
    """Of one operation; a figure a round."""
    worst: dict[str, float] = field(default_factory=dict)
    """Milliseconds of the slowest operation of all, where several writers ask for it."""
    errors: dict[str, int] = field(default_factory=dict)
    """How often a writer was refused and had to ask again."""

    def medians(self) -> Mapping[str, float]:
        """The middle one of each candidate's figures."""
        return {name: statistics.median(found) for name, found in self.milliseconds.items()}


class Verdict(NamedTuple):
    """A figure beside its target."""

    candidate: str
    against: str
    figure: float
    target: float | None
    met: bool | None
    """None where there is no target."""

    def shown(self) -> tuple[str, ...]:
        """The cells of a row."""
        said = {None: "", True: "met", False: "MISSED"}[self.met]
        target = "" if self.target is None else f"{self.target:g}"
        return self.candidate, self.against, f"{self.figure:.2f}", target, said


class Goal(Protocol):
    """Something to be reached."""

    @property
    def names(self) -> set[str]:
        """The candidates that it speaks of."""

    def judge(self, measured: Measured) -> Verdict:
        """Whether it is."""


class Target(NamedTuple):
    """How many times as fast as its peer a candidate is to be; None: a ratio without a target."""

    candidate: str
    peer: str
    ratio: float | None = None

    @property
    def names(self) -> set[str]:
        """The two of them."""
        return {self.candidate, self.peer}

    def judge(self, measured: Measured) -> Verdict:
        """The ratio of medians."""
        medians = measured.medians()
        found = medians[self.peer] / medians[self.candidate]
        met = None if self.ratio is None else found >= self.ratio
        return Verdict(self.candidate, self.peer, found, self.ratio, met)


class Bound(NamedTuple):
    """How many milliseconds a candidate may take at most."""

    candidate: str
    milliseconds: float

    @property
    def names(self) -> set[str]:
        """The one."""
        return {self.candidate}

    def judge(self, measured: Measured) -> Verdict:
        """The median."""
        found = measured.medians()[self.candidate]
        met = found <= self.milliseconds
        return Verdict(self.candidate, "(milliseconds)", found, self.milliseconds, met)


class NoErrors(NamedTuple):
    """A candidate whose writers are never refused."""

    candidate: str

    @property
    def names(self) -> set[str]:
        """The one."""
        return {self.candidate}

    def judge(self, measured: Measured) -> Verdict:
        """The number of errors."""
        found = measured.errors[self.candidate]
        return Verdict(self.candidate, "(errors)", found, 0, found == 0)
