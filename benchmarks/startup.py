"""How long it takes to start, over a bare interpreter, in the same run.

Usage: startup.py [--rounds N] [--distributions N]

Beside the installed flavors there are so many other distributions on the path, each with entry
points of other groups, as an environment for machine learning has them.  The candidates take turns;
shown are medians of wall time less that of the bare interpreter, and the bounds of the design.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CANDIDATES: dict[str, tuple[list[str], float | None]] = {
    "a bare interpreter": (["-c", "pass"], None),
    "import metastore": (["-c", "import metastore"], 100.0),
    "metastore --version": (["-m", "metastore", "--version"], None),
    "metastore --help": (["-m", "metastore", "--help"], None),
    "metastore flavor list": (["-m", "metastore", "flavor", "list"], 150.0),
    "metastore run list, of one run": (
        ["-m", "metastore", "run", "list", "--store", "{store}"],
        None,
    ),
}


def main(arguments: list[str]) -> int:
    """Measure, and print a table; 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--distributions", type=int, default=200)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = os.environ | {
            "PYTHONPATH": str(strangers(folder / "site", options.distributions)),
            "METASTORE_CONFIG": str(folder / "config.toml"),
        }
        environment.pop("METASTORE_STORE", None)
        store = f"sqlite:///{folder / 'runs.db'}"
        record = f"import metastore\nwith metastore.connect({store!r}).run('p'): pass"
        subprocess.run([sys.executable, "-c", record], env=environment, check=True)
        times: dict[str, list[float]] = {each: [] for each in CANDIDATES}
        for turn in range(options.rounds + 1):
            for each, (command, _) in CANDIDATES.items():
                command = [sys.executable, *(part.format(store=store) for part in command)]
                begin = time.perf_counter()
                subprocess.run(command, env=environment, check=True, capture_output=True)
                # The first round compiles.
                if turn:
                    times[each].append((time.perf_counter() - begin) * 1000)
    bare = statistics.median(times["a bare interpreter"])
    print(f"{options.distributions} others installed, {options.rounds} rounds, bare {bare:.0f} ms")
    missed = False
    for each, (_, bound) in CANDIDATES.items():
        over = statistics.median(times[each]) - bare
        spread = max(times[each]) - min(times[each])
        said = ""
        if bound is not None:
            missed |= over > bound
            said = f"  bound {bound:.0f}: {'MISSED' if over > bound else 'met'}"
        print(f"{each:32} {over:6.0f} ms over bare (spread {spread:.0f}){said}")
    return int(missed)


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
