"""Runs side by side: what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from metastore import json_fields
from metastore.display import duration, second
from metastore.errors import InvalidError
from metastore.model import Value
from metastore.ui._page import Page, Rows, Shown, View
from metastore.ui._run import runs_by_id
from metastore.ui._texts import MOST, value_line
from metastore.views import Run, Step

__all__ = ["COMPARE"]

_MOST = 10
"""Runs: more columns nobody reads."""


class Cell(NamedTuple):
    """A value; None where the run has none."""

    text: str | None
    delta: str | None = None
    """How much more or less than that of the first run it is."""


class Line(NamedTuple):
    """One thing of each run."""

    label: str
    cells: list[Cell]
    values: list[Any]
    """As JSON."""

    @property
    def differs(self) -> bool:
        """Whether it is not the same in all runs."""
        return any(each.text != self.cells[0].text for each in self.cells)


class Section(NamedTuple):
    """What belongs together: the run itself, its parameters, one of its steps."""

    title: str
    lines: list[Line]


def _asked(view: View) -> list[int]:
    given = view.query.get("run", [])
    # A form with a free field gives several in one.
    words = [word for each in given for word in each.replace(",", " ").split()]
    ids = list(dict.fromkeys(words))
    if len(ids) > _MOST:
        raise InvalidError(f"at most {_MOST} runs can be compared", hint="choose fewer")
    for word in ids:
        if not (word.isascii() and word.isdigit() and 0 < int(word[:20]) < 2**63):
            raise InvalidError(f"{word!r} is no id of a run", hint="ids are integers from 1")
    return [*map(int, ids)]


def _compared(runs: Sequence[Run]) -> list[Section]:
    sections = [
        Section("Run", [_texts(label, map_) for label, map_ in _of_runs(runs)]),
        Section("Parameters", _values([each.parameters for each in runs])),
    ]
    steps = [_last_tries(each) for each in runs]
    sections += [
        Section(f"Step {name}", _of_steps([found.get(name) for found in steps]))
        for name in dict.fromkeys(name for found in steps for name in found)
    ]
    return sections


def _of_runs(runs: Sequence[Run]) -> list[tuple[str, list[str | None]]]:
    return [
        ("pipeline", [each.pipeline for each in runs]),
        ("state", [each.state.name for each in runs]),
        ("started", [second(each.record.started_ms) or None for each in runs]),
        ("duration", [_took(each) for each in runs]),
        ("host", [each.host for each in runs]),
        ("error", [each.error for each in runs]),
    ]


def _took(each: Run | Step) -> str | None:
    return duration(each.record.started_ms, each.record.finished_ms) or None


def _last_tries(run: Run) -> dict[str, Step]:
    return {step.name: step for step in run.steps}


def _of_steps(steps: Sequence[Step | None]) -> list[Line]:
    state = _texts("state", ["not there" if each is None else each.state.name for each in steps])
    if sum(each is not None for each in steps) < 2:
        # There is nothing to compare it with.
        return [state]
    lines = [
        state,
        _texts("duration", [None if each is None else _took(each) for each in steps]),
        _texts("error", [None if each is None else each.error for each in steps]),
    ]
    for what, values in (
        ("", [{} if each is None else each.parameters for each in steps]),
        ("metric ", [{} if each is None else each.metrics for each in steps]),
    ):
        lines += _values(values, what)
    return lines


def _texts(label: str, texts: Sequence[str | None]) -> Line:
    return Line(label, [Cell(each) for each in texts], list(texts))


def _values(maps: Sequence[Mapping[str, Value]], what: str = "") -> list[Line]:
    lines = []
    for key in dict.fromkeys(key for each in maps for key in each):
        found = [each.get(key) for each in maps]
        cells = [Cell(None if v is None else value_line(v), _delta(found[0], v)) for v in found]
        lines.append(Line(f"{what}{key}", cells, [json_fields.value(each) for each in found]))
    return lines


def _delta(first: object, value: object) -> str | None:
    if isinstance(first, bool) or isinstance(value, bool) or first == value:
        return None
    if isinstance(first, int | float) and isinstance(value, int | float):
        return f"{value - first:+.4g}"
    return None


def _show(view: View) -> Shown:
    ids = _asked(view)
    runs = runs_by_id(view, ids)
    everything = view.choice("show", ("all", "differences"), "differences") == "all"
    sections = _compared(runs) if len(runs) > 1 else []
    shown = [
        Section(each.title, [line for line in each.lines if everything or line.differs])
        for each in sections
    ]
    hidden = sum(len(each.lines) for each in sections) - sum(len(each.lines) for each in shown)
    shown = [each for each in shown if each.lines]
    return Shown(
        "compare.html",
        "Compare runs",
        {
            "runs": runs,
            "sections": shown,
            "everything": everything,
            "hidden": hidden,
            "too_many": sum(max(len(each.lines) - MOST, 0) for each in shown),
        },
        lambda: {
            "runs": [json_fields.run(each) for each in runs],
            "differences": {
                each.title: {line.label: line.values for line in each.lines} for each in shown
            },
        },
        has_rows=len(runs) > 1,
    )


def _rows(view: View) -> Rows:
    runs = runs_by_id(view, _asked(view))
    everything = view.choice("show", ("all", "differences"), "differences") == "all"
    return Rows(
        ("of", "what", *(f"{each.name} ({each.id})" for each in runs)),
        (
            [section.title, line.label, *line.values]
            for section in (_compared(runs) if len(runs) > 1 else [])
            for line in section.lines
            if everything or line.differs
        ),
    )


COMPARE = Page("/compare", _show, _rows, place="runs")
