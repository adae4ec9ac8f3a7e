"""Figures for people, on a terminal, and for programs, in a file."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from targets import Goal, Measured, Verdict


def about(**more: Any) -> dict[str, Any]:
    """What was measured, where and when, and the command that measures it again."""
    return {
        "command": _command(sys.argv),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "metastore-core": version("metastore-core"),
        **more,
    }


def version_of(distribution: str) -> str:
    """Its version, where it is installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _command(words: Sequence[str]) -> str:
    """The command from the top of a checkout, without the file that the figures went to."""
    kept: list[str] = []
    for before, word in pairwise(words):
        if before != "--json" and not word.startswith("--json"):
            kept.append(word)
    return shlex.join(["python", f"benchmarks/{Path(words[0]).name}", *kept])


def said(facts: dict[str, Any]) -> str:
    """The same in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if name != "command")


def show(title: str, goals: Iterable[Goal], measured: Measured, console: Console) -> list[Verdict]:
    """Two tables: what was measured, and what it means."""
    columns = ["candidate", "median ms", "min", "max"]
    if measured.worst:
        columns += ["operations a second", "slowest ms", "errors"]
    table = new_table(title, columns)
    medians = measured.medians()
    for name, found in measured.milliseconds.items():
        cells = [f"{figure:.3f}" for figure in (medians[name], min(found), max(found))]
        if measured.worst:
            cells += [f"{1000 / medians[name]:.0f}", f"{measured.worst[name]:.0f}"]
            cells.append(str(measured.errors[name]))
        table.add_row(name, *cells)
    console.print(table)
    verdicts = [goal.judge(measured) for goal in goals if goal.names <= medians.keys()]
    ratios = new_table(
        "times as fast (ratio of medians)", ["candidate", "against", "ratio", "target"]
    )
    ratios.add_column("")
    for verdict in verdicts:
        ratios.add_row(*verdict.shown())
    console.print(ratios)
    return verdicts


def new_table(title: str, columns: Iterable[str]) -> Table:
    """A table whose columns of words stand left, and those of numbers right."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="left" if column in {"candidate", "against"} else "right")
    return table


def summarise(found: dict[str, dict[str, list[Verdict]]], console: Console) -> None:
    """All targets in one table, by ground and work."""
    table = new_table("targets", ["ground", "work", "candidate", "against", "ratio", "target"])
    table.add_column("")
    for ground, works in found.items():
        for letter, verdicts in works.items():
            for verdict in verdicts:
                if verdict.met is not None:
                    table.add_row(ground, letter, *verdict.shown())
    console.print(table)


def as_json(title: str, measured: Measured, verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """A work, for a file."""
    figures = {
        name: [round(each, 4) for each in found] for name, found in measured.milliseconds.items()
    }
    content: dict[str, Any] = {"title": title, "milliseconds": figures}
    if measured.worst:
        content["slowest milliseconds"] = {
            name: round(each, 1) for name, each in measured.worst.items()
        }
        content["errors"] = measured.errors
    content["verdicts"] = [{**each._asdict(), "figure": round(each.figure, 3)} for each in verdicts]
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """A file of figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
