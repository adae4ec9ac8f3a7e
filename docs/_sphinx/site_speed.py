"""What was measured, from the files of benchmarks/results."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["NAMES", "speed"]

NAMES = {
    "ours": "metastore",
    "ours-delete": "metastore, rollback journal",
    "ours-foreign": "metastore, file of ml-metadata",
    "mlmd": "ml-metadata",
    "mlmd-wal": "ml-metadata, write-ahead log",
    "mlmd-subgraph": "ml-metadata, by subgraphs",
    "mlmd-foreign": "ml-metadata, its own file",
    "mlmd-whole": "ml-metadata, as people ask it",
    "plain": "plain code of the driver",
    "plain-delete": "plain code, rollback journal",
}
"""Candidates, in the order of columns; of any other, rows say its own name."""


def speed(root: Path, name: str) -> str:
    """Markdown: how it was measured, and a table of times and one of targets, or of growth."""
    content = json.loads((root / "benchmarks" / "results" / name).read_text("utf-8"))
    about = content["about"]
    facts = ", ".join(f"{key} {value}" for key, value in about.items() if key not in _APART)
    parts = [
        f"Measured on {about['date']}, on {about['cores']} cores: {facts}. To repeat it:",
        f"```console\n{about['command']}\n```",
    ]
    for works in content.get("grounds", {}).values():
        parts += [_times(works), _targets(works)]
    grown = {**content.get("growth", {}), **content.get("lineage", {})}
    parts += [_grown(work) for work in grown.values()]
    return "\n\n".join(parts)


BOUNDS = {"(milliseconds)": "nobody: milliseconds, at most", "(errors)": "nobody: errors, at most"}
"""Targets that are no ratio."""
_APART = {"command", "date", "cores"}


def _times(works: Mapping[str, Any]) -> str:
    measured = {candidate for work in works.values() for candidate in work["milliseconds"]}
    columns = [each for each in NAMES if each in measured]
    rows = [
        [
            work["title"],
            *(
                _number(statistics.median(work["milliseconds"][each]))
                if each in work["milliseconds"]
                else ""
                for each in columns
            ),
        ]
        for work in works.values()
    ]
    return "Milliseconds, the median of all rounds:\n\n" + _table(
        ["work", *(NAMES[each] for each in columns)], rows
    )


def _targets(works: Mapping[str, Any]) -> str:
    rows = [
        [
            work["title"],
            NAMES.get(verdict["candidate"], verdict["candidate"]),
            BOUNDS.get(verdict["against"]) or NAMES.get(verdict["against"], verdict["against"]),
            f"{verdict['figure']:.2f}",
            f"{verdict['target']:g}",
            "met" if verdict["met"] else "missed",
        ]
        for work in works.values()
        for verdict in work["verdicts"]
        if verdict["target"] is not None
    ]
    return "Times as fast, beside the targets:\n\n" + _table(
        ["work", "who", "beside", "times as fast", "target", ""], rows, words=3
    )


def _grown(work: Mapping[str, Any]) -> str:
    sizes = [*next(iter(work["milliseconds"].values()))]
    most = f"; at most {work['at most']:g} wanted" if "at most" in work else ""
    rows = [
        [
            NAMES.get(candidate, candidate),
            *(_number(statistics.median(figures[size])) for size in sizes),
            f"{work['ratio'][candidate]:.2f}",
        ]
        for candidate, figures in work["milliseconds"].items()
    ]
    columns = ["", *(f"{int(size):,}" for size in sizes), "last / first"]
    return f"{work['title']}{most}:\n\n" + _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table whose first columns are words, and the others numbers."""
    shown = [list(columns), ["---"] * words + ["---:"] * (len(columns) - words), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)


def _number(milliseconds: float) -> str:
    """Three digits are what such a figure has."""
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
