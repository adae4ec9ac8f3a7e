"""Measure: ``python benchmarks/run.py --help``.  See README.md beside this file."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import report
from rich.console import Console
from targets import Verdict
from workers import GROUNDS, measure, together
from works import WORK

ALL = ("sqlite", "sqlite-memory", "mysql")


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--on",
        nargs="+",
        choices=[*GROUNDS, "all"],
        default=["sqlite", "sqlite-memory"],
        help=f"the databases (default: sqlite sqlite-memory; all: {' '.join(ALL)})",
    )
    parser.add_argument("--work", help="letters, such as B,C; F is F1,F2,F3; all by default")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that count (default 7)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    # Told to end, it puts away its files and its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    grounds = list(ALL) if "all" in arguments.on else arguments.on
    try:
        letters = {ground: _letters(ground, arguments.work) for ground in grounds}
    except ValueError as error:
        parser.error(str(error))
    facts = report.about(
        **{name: each for ground in grounds for name, each in GROUNDS[ground].about().items()},
        **{"ml-metadata": report.version_of("ml-metadata"), "rounds": arguments.rounds},
    )
    console.print(report.said(facts))
    content: dict[str, Any] = {"about": facts, "grounds": {}}
    verdicts: dict[str, dict[str, list[Verdict]]] = {}
    for ground in grounds:
        console.rule(f"on {ground}")
        content["grounds"][ground] = {}
        verdicts[ground] = {}
        for group in together(letters[ground]):
            for letter, measured in measure(ground, group, arguments.rounds, console).items():
                title = f"{letter}: {WORK[letter].title}"
                found = report.show(title, GROUNDS[ground].goals[letter], measured, console)
                verdicts[ground][letter] = found
                content["grounds"][ground][letter] = report.as_json(title, measured, found)
                if arguments.json:
                    # Now: the next one may take long, or be given up.
                    report.write(arguments.json, content)
    report.summarise(verdicts, console)


def _letters(ground: str, asked: str | None) -> Sequence[str]:
    """The works that are measured on a ground, of those that are asked for."""
    known = list(GROUNDS[ground].goals)
    if asked is None:
        return known
    found = [each for one in asked.split(",") for each in known if each == one or each[:-1] == one]
    if not found:
        raise ValueError(f"on {ground}, {', '.join(known)} are measured")
    return found


if __name__ == "__main__":
    main()
