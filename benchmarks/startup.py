"""How long it takes to start, over a bare interpreter: ``python benchmarks/startup.py --help``.

Beside the installed flavors there are so many other distributions on the path, each with entry
points of other groups, as an environment for machine learning has them.  The candidates take turns;
shown are medians of wall time less that of the bare interpreter, and the bounds of the design.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import report
from rich.console import Console

BARE = "a bare interpreter"
FLAVORS = {"memory", "sqlite", "mysql", "kubeflow", "kubernetes"}
"""Those that are to be installed: the figures are of all of them."""
DRIVERS = re.compile(
    r"\b(sqlite3|sqlalchemy|pymysql|grpc|google\.protobuf|ml_metadata|kubernetes)$"
)
"""What a flavor imports when it is used, and not before."""


class Start(NamedTuple):
    """What an interpreter is told to do, and how many milliseconds over bare that may take."""

    arguments: Sequence[str]
    bound: float | None = None
    driver_free: bool = False
    """Whether it must do without the modules of `DRIVERS`."""


STARTS = {
    BARE: Start(("-c", "pass")),
    "import metastore": Start(("-c", "import metastore"), 100.0, driver_free=True),
    "metastore --version": Start(("-m", "metastore", "--version"), driver_free=True),
    "metastore --help": Start(("-m", "metastore", "--help"), driver_free=True),
    "metastore flavor list": Start(("-m", "metastore", "flavor", "list"), 150.0, driver_free=True),
    "metastore run list, of one run": Start(
        ("-m", "metastore", "run", "list", "--store", "{store}")
    ),
}
PEER = {
    "import ml_metadata": Start(("-c", "from ml_metadata import metadata_store")),
}


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a table; 1 where a bound is missed or a driver imported."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count (default 15)")
    parser.add_argument("--distributions", type=int, default=200)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    console = Console()
    starts = STARTS if find_spec("ml_metadata") is None else STARTS | PEER
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _environment(folder, options.distributions)
        store = f"sqlite:///{folder / 'runs.db'}"
        record = f"import metastore\nwith metastore.connect({store!r}).run('p'): pass"
        _run(["-c", record], environment)
        commands = {
            each: [part.format(store=store) for part in start.arguments]
            for each, start in starts.items()
        }
        flavors = _flavors(environment)
        drivers = {
            each: _drivers(commands[each], environment)
            for each, start in starts.items()
            if start.driver_free
        }
        times = _measure(commands, environment, options.rounds)
    facts = report.about(
        **{
            "flavors": sorted(flavors),
            "other distributions": options.distributions,
            "rounds": options.rounds,
            "ml-metadata": report.version_of("ml-metadata"),
        }
    )
    console.print(report.said(facts))
    if missing := FLAVORS - flavors:
        console.print(f"not installed, so that this says less: {', '.join(sorted(missing))}")
    failed = _show(starts, times, console)
    for each, found in drivers.items():
        if found:
            console.print(f"{each} imports {', '.join(sorted(found))}")
            failed = True
    if options.json:
        report.write(options.json, {"about": facts, "startup": times})
    return int(failed)


def _environment(folder: Path, distributions: int) -> Mapping[str, str]:
    """The environment of all candidates: compiled modules are kept, and it is our own config."""
    environment = os.environ | {
        "PYTHONPATH": str(strangers(folder / "site", distributions)),
        # Where everything can be written, however Python itself is installed.
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "METASTORE_CONFIG": str(folder / "config.toml"),
    }
    # With the first of these it would be compiling that is measured.
    for each in ("PYTHONDONTWRITEBYTECODE", "METASTORE_STORE", "METASTORE_FLAVORS"):
        environment.pop(each, None)
    return environment


def _run(
    arguments: Sequence[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True
    )


def _flavors(environment: Mapping[str, str]) -> set[str]:
    told = _run(["-m", "metastore", "flavor", "list", "--json"], environment).stdout
    return {each["name"] for each in json.loads(told)}


def _drivers(arguments: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """The modules of drivers that it imports."""
    told = _run(["-X", "importtime", *arguments], environment).stderr
    names = (line.rpartition("|")[2].strip() for line in told.splitlines())
    return {name for name in names if DRIVERS.match(name)}


def _measure(
    commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds; the first round compiles, and does not count."""
    times: dict[str, list[float]] = {each: [] for each in commands}
    names = list(commands)
    for turn in range(rounds + 1):
        first = turn % len(names)
        for each in names[first:] + names[:first]:
            begin = time.perf_counter()
            _run(commands[each], environment)
            if turn:
                times[each].append(round((time.perf_counter() - begin) * 1000, 2))
    return times


def _show(starts: Mapping[str, Start], times: dict[str, list[float]], console: Console) -> bool:
    """Print a table; whether a bound is missed."""
    bare = statistics.median(times[BARE])
    columns = ["candidate", "median ms over bare", "min", "max", "at most", ""]
    table = report.new_table(f"start-up; {BARE} takes {bare:.0f} ms", columns)
    missed = False
    for each, start in starts.items():
        if each == BARE:
            continue
        over = statistics.median(times[each]) - bare
        cells = [
            f"{figure:.0f}" for figure in (over, min(times[each]) - bare, max(times[each]) - bare)
        ]
        if start.bound is None:
            cells += ["", ""]
        else:
            missed |= over > start.bound
            cells += [f"{start.bound:.0f}", "MISSED" if over > start.bound else "met"]
        table.add_row(each, *cells)
    console.print(table)
    return missed


def strangers(site: Path, count: int) -> Path:
    """A folder with the metadata of so many distributions."""
    for number in range(count):
        info = site / f"stranger_{number}-1.{number}.dist-info"
        info.mkdir(parents=True)
        header = f"Metadata-Version: 2.1\nName: stranger-{number}\nVersion: 1.{number}\n"
        (info / "METADATA").write_text(header + "Requires-Dist: x\n" * 40)
        (info / "RECORD").write_text("a,b,c\n" * 500)
        points = f"[console_scripts]\nstranger{number} = stranger:main\n"
        (info / "entry_points.txt").write_text(points)
    return site


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
