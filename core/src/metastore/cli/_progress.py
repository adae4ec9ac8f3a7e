"""How far long work is: a bar on a terminal, a line now and then elsewhere; on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["shown_progress"]

_SECONDS = 10.0
"""Between two lines."""


@contextmanager
def shown_progress(counted: str = "nodes") -> Iterator[Callable[[str, int, int], None]]:
    """Gives what is to be called with what is done, how much of it, and how much there is."""
    if sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _lines(counted)


def _lines(
    counted: str = "nodes",
    now: Callable[[], float] = time.monotonic,
) -> Callable[[str, int, int], None]:
    from metastore.cli._output import remark

    said: dict[str, float] = {}
    began: dict[str, float] = {}

    def update(what: str, done: int, total: int) -> None:
        moment = now()
        start = began.setdefault(what, moment)
        if done < total and moment - said.setdefault(what, moment) < _SECONDS:
            return
        said[what] = moment
        seconds = moment - start
        rate = left = ""
        if seconds >= 1 and done:
            rate = f", {done / seconds:.0f} a second"
            left = f", {seconds / done * (total - done):.0f} s left" if done < total else ""
        remark(f"{what}: {done} of {total} {counted}{rate}{left}")

    return update


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )

    class Rate(TextColumn):
        """How many a second."""

        def __init__(self) -> None:
            super().__init__("")

        def render(self, task: Task) -> object:  # type: ignore[override]
            from rich.text import Text

            return Text(f"{task.speed:,.0f}/s" if task.speed else "")

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield update
