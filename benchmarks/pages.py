"""How long the pages of `metastore ui` take as a store grows, and how much memory the server.

``python benchmarks/pages.py [--runs 1000 10000 100000] [--folder FOLDER] [--rounds N]
[--requests N]``; see README.md.  What counts is the ratio: the processor time of a page on
the largest store, over the smallest.  With ``--requests`` the server is asked for so many more
pages of all sorts, by four clients, and the memory that it has before and after them is told.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "core"))


class Took(NamedTuple):
    """What a page takes, in milliseconds."""

    shortest: float
    processor: float
    """Of the server's process, on average: hardly more on a machine that is busy."""


def pages(runs: int) -> dict[str, str]:
    """A page of every sort, of a store of so many runs; ids as `fill` gives them."""
    # Contexts 1 to 3 are the pipelines.
    last = runs + 3
    return {
        "overview": "/",
        "runs": "/runs",
        "runs, failed ones": "/runs?state=FAILED",
        "runs, none of that name": "/runs?name=nothing-of-the-sort",
        "runs, by a parameter": "/runs?key=seed&value=7",
        "runs, of one pipeline": "/runs?pipeline=1",
        "runs, by a step": "/runs?where=executions_e.last_known_state+%3D+FAILED",
        "pipelines": "/pipelines",
        "pipeline": "/pipelines/1",
        "run": f"/runs/{last - 1}",
        "step": f"/executions/{runs}",
        "compare": f"/compare?run={last - 1}&run={last - 2}",
        "artifacts": "/artifacts",
        "artifacts, last changed": "/artifacts?sort=changed",
        "executions": "/executions",
        "contexts": "/contexts",
        "artifact": f"/artifacts/{runs}",
        "artifact, read by all runs": "/artifacts/1",
        "context of a pipeline": "/contexts/1",
        "lineage": f"/lineage/{runs}?depth=6",
        "lineage, read by all runs": "/lineage/1",
        "types": "/types",
    }


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument(
        "--folder", type=Path, help="where stores are kept from one time to another"
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=0)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    columns: list[dict[str, Took]] = []
    memory = []
    grown: list[tuple[float, float]] = []
    for runs in options.runs:
        store = _made(folder / f"{runs}.db", runs)
        with _served(store) as (port, process):
            columns.append(
                {
                    name: _took(port, process, path, options.rounds)
                    for name, path in pages(runs).items()
                }
            )
            memory.append(_memory(process))
            if options.requests:
                grown.append(_grown(port, process, [*pages(runs).values()], options.requests))
    heads = "".join(f"{runs:>16,}" for runs in options.runs)
    lines = [f"{'ms: shortest, processor':28}{heads}   ratio"]
    for name in columns[0]:
        took = [each[name] for each in columns]
        times = "".join(f"{each.shortest:10.1f} {each.processor:5.1f}" for each in took)
        lines.append(f"{name:28}{times}{took[-1].processor / max(took[0].processor, 1):8.1f}")
    most = "".join(f"{each:16.0f}" for each in memory)
    lines.append(f"{'memory of the server, MiB':28}{most}")
    if grown:
        both = "".join(f"{before:10.0f} {after:5.0f}" for before, after in grown)
        lines.append(f"{f'before, after {options.requests:,} more':28}{both}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _made(path: Path, runs: int) -> str:
    from ui_tests.generated import fill

    import metastore

    url = f"sqlite:///{path}"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with metastore.connect(f"sqlite:///{unfinished}") as store:
            fill(store, runs, shared=True, together=500)
        unfinished.rename(path)
    return url


@contextmanager
def _served(store: str) -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "metastore", "ui", store, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"http://[^/]*:(\d+)/", line)
        try:
            if found is None:
                raise SystemExit("the server did not start")
            yield int(found[1]), server.pid
        finally:
            server.terminate()


def _took(port: int, process: int, path: str, rounds: int) -> Took:
    shortest = float("inf")
    _ask(port, path)  # Warms up.
    before = _processor(process)
    for _ in range(rounds):
        began = time.perf_counter()
        _ask(port, path)
        # What else the machine has to do only ever adds to it.
        shortest = min(shortest, 1000 * (time.perf_counter() - began))
    return Took(shortest, (_processor(process) - before) / rounds)


def _ask(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path} is answered with {answer.status}")


def _processor(process: int) -> float:
    """Milliseconds of processor that it has used; of Linux alone."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.exists():
        return float("nan")
    fields = stat.read_text().rpartition(") ")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _grown(port: int, process: int, paths: Sequence[str], requests: int) -> tuple[float, float]:
    """The memory that it has, in MiB, before and after so many requests of four clients."""

    def ask(number: int) -> None:
        _ask(port, paths[number % len(paths)])

    with ThreadPoolExecutor(4) as clients:
        # So that all of its threads are there, and have had all pages.
        list(clients.map(ask, range(4 * len(paths))))
        before = _memory(process, "VmRSS")
        list(clients.map(ask, range(requests)))
    return before, _memory(process, "VmRSS")


def _memory(process: int, which: str = "VmHWM") -> float:
    """The most that it ever had, in MiB; or what it has."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return float("nan")
    line = next(each for each in status.read_text().splitlines() if each.startswith(which))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
