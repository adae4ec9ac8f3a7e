"""When the steps of a run went on, as bars of one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metastore.display import duration
from metastore.views import Step

__all__ = ["Mark", "Span", "Timeline", "timeline"]

WIDE = 1000
"""Of the whole."""
_NARROWEST = 4


class Span(NamedTuple):
    """A bar, in thousandths of the whole."""

    left: int
    width: int
    is_open: bool
    """Whether it has not ended."""


class Mark(NamedTuple):
    """A place on the scale."""

    left: int
    text: str


class Timeline(NamedTuple):
    """The bars, by the step's id, and the scale above them."""

    spans: dict[int, Span]
    marks: list[Mark]


_NICE = tuple(
    unit * each
    for unit, factors in (
        (1, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1000, (1, 2, 5, 10, 20, 30)),
        (60_000, (1, 2, 5, 10, 20, 30)),
        (3_600_000, (1, 2, 4, 6, 12)),
        (86_400_000, (1, 2, 5, 10, 30, 100, 300, 1000, 3000)),
    )
    for each in factors
)
"""Milliseconds between marks that people can read."""


def timeline(steps: Sequence[Step], now_ms: int) -> Timeline | None:
    """The bars of steps; None where no step says when it began."""
    times = {}
    for step in steps:
        started, finished = step.record.started_ms, step.record.finished_ms
        if started:
            # What runs for longer than its clock may say runs for nothing.
            end = finished if finished is not None else now_ms if _runs(step) else started
            times[step.id] = (started, max(end, started), finished is None and _runs(step))
    if not times:
        return None
    first = min(started for started, _, _ in times.values())
    last = max(end for _, end, _ in times.values())
    whole = max(last - first, 1)

    def place(moment: int) -> int:
        return WIDE * (moment - first) // whole

    spans = {}
    for id, (started, end, is_open) in times.items():
        width = max(place(end) - place(started), _NARROWEST)
        spans[id] = Span(min(place(started), WIDE - width), width, is_open)
    apart = next((each for each in _NICE if whole / each <= 5), whole)
    marks = [
        Mark(WIDE * at // whole, "0" if at == 0 else _scale(at))
        for at in range(0, whole * 22 // 25 + 1, apart)
    ]
    return Timeline(spans, marks)


def _runs(step: Step) -> bool:
    return step.state.name in ("RUNNING", "NEW") and not step.is_abandoned


def _scale(milliseconds: int) -> str:
    """As a duration, without what is zero."""
    days, rest = divmod(milliseconds, 86_400_000)
    if days and not rest:
        return f"{days} d"
    text = duration(0, milliseconds)
    return text.replace(".0 s", " s").replace(" 00 s", "").replace(" 00 min", "")
