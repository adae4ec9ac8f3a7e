"""How fast a store is copied, exported and imported: rows a second, beside a plain copy of tables.

``python benchmarks/copying.py [--artifacts N] [--to sqlite mysql file]``; see README.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import report
from plain_sqlite import copy_rows

PROGRAM = """
import resource, sys, time
from pathlib import Path
import metastore
from metastore import transfer
source, target, file = sys.argv[1:4]
began = time.perf_counter()
if file:
    if target:
        with metastore.connect(target) as there:
            report = transfer.copy(transfer.read_export(Path(file)), there.backend)
            assert not report.differences, report.differences.first
    else:
        with metastore.connect(source, mode="r") as here:
            with transfer.written_text(Path(file)) as lines:
                transfer.export(here.backend, lines)
else:
    with metastore.connect(source, mode="r") as here, metastore.connect(target) as there:
        report = transfer.copy(here.backend, there.backend)
        assert not report.differences, report.differences.first
print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def fill(path: Path, artifacts: int) -> int:
    """A store of so many artifacts with 5 properties, and half as many executions.

    Returns how many rows a copy has to write: nodes, events and links.
    """
    import metastore
    from metastore import Batch, EventType, NodeKind, PropertyKind

    kinds = {"i": PropertyKind.INT, "d": PropertyKind.DOUBLE, "s": PropertyKind.STRING}
    rows = 0
    with metastore.connect(f"sqlite:///{path}") as store:
        head = Batch()
        head.type(NodeKind.ARTIFACT, "Data", kinds)
        head.type(NodeKind.EXECUTION, "Step")
        head.type(NodeKind.CONTEXT, "Run")
        store.write(head)
        number, last = 0, None
        while number < artifacts:
            batch = Batch()
            for _ in range(20):
                run = batch.context("Run", name=f"run {number}")
                rows += 1
                for _ in range(25):
                    step = batch.execution("Step")
                    batch.association(run, step)
                    for _ in range(2):
                        made = batch.artifact(
                            "Data",
                            uri=f"s3://bucket/{number}",
                            properties={"i": number, "d": number / 7, "s": f"text {number}"},
                            custom_properties={"note": "made", "more": True},
                        )
                        batch.attribution(run, made)
                        batch.event(made, step, EventType.OUTPUT, path=["out", 0])
                        rows += 3
                        number += 1
                    rows += 2
                    if last is not None:
                        batch.event(last, step, EventType.INPUT, path=["in", 0])
                        batch.event(made, step, EventType.INTERNAL_INPUT)
                        rows += 2
                    last = made
            last = None
            store.write(batch)
    return rows


def measured(source: str, target: str, file: str = "") -> tuple[float, int]:
    """Seconds, and the peak of memory in MiB, of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, source, target, file],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak) // 1024


def plain_copy(source: Path, target: Path) -> float:
    """Seconds of a plain copy of all tables with their indexes, nothing checked."""
    import metastore

    metastore.connect(f"sqlite:///{target}").close()
    began = time.perf_counter()
    copy_rows(source, target)
    return time.perf_counter() - began


@contextmanager
def databases() -> Iterator[Callable[[], str]]:
    """Makes empty databases of a private MariaDB server, and gives their URLs."""
    from on_mysql import private_server

    with private_server() as server:
        yield lambda: server.url(server.new_database())


def write(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=int, default=100_000)
    parser.add_argument("--to", nargs="+", default=["sqlite", "mysql", "file"])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.db"
        rows = fill(source, arguments.artifacts)
        write(f"{arguments.artifacts} artifacts, {rows} rows to write")
        url = f"sqlite:///{source}"
        works: dict[str, Callable[[], tuple[float, int]]] = {}
        if "sqlite" in arguments.to:
            works["copy sqlite -> sqlite"] = lambda: measured(url, f"sqlite:///{folder / 'a.db'}")
        if "file" in arguments.to:
            file = str(folder / "export.jsonl")
            works["export sqlite -> file"] = lambda: measured(url, "", file)
            works["import file -> sqlite"] = lambda: measured(
                "", f"sqlite:///{folder / 'b.db'}", file
            )
        results = {"plain copy of the tables": (plain_copy(source, folder / "plain.db"), 0)}
        for what, work in works.items():
            results[what] = work()
        with databases() if "mysql" in arguments.to else nullcontext(None) as new_database:
            if new_database is not None:
                results["copy sqlite -> MariaDB"] = measured(url, new_database())
        for what, (seconds, peak) in results.items():
            write(f"{what:26} {seconds:8.1f} s {rows / seconds:10,.0f} rows/s {peak:6} MiB")
        if arguments.json:
            content = {"about": report.about(), "rows": rows, "copies": results}
            report.write(arguments.json, content)


if __name__ == "__main__":
    main()
