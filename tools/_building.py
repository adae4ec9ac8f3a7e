"""What the tools share: our distributions, how they are built, and used as a user would."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

HAS_MLMD = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 12)
"""Whether the kubeflow flavor brings ml-metadata here."""


class CheckError(Exception):
    """Something a user would trip over."""


class Distribution(NamedTuple):
    """One distribution of this repository."""

    folder: str
    package: str


class Environment(NamedTuple):
    """A virtual environment, and the home of who uses it."""

    python: str
    metastore: str
    home: Path


CORE = Distribution("core", "metastore")
SQLITE = Distribution("plugins/sqlite", "metastore_flavor_sqlite")
MYSQL = Distribution("plugins/mysql", "metastore_flavor_mysql")
KUBEFLOW = Distribution("plugins/kubeflow", "metastore_flavor_kubeflow")
KUBERNETES = Distribution("plugins/kubernetes", "metastore_flavor_kubernetes")


def copy(which: Distribution, target: Path, root: Path = ROOT) -> Path:
    """Copy the sources of a distribution, to build them without a trace of other builds."""
    # So that neither an old build/ gets into the wheel nor a new one into the work tree.
    shutil.copytree(
        root / which.folder,
        target,
        ignore=shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__", ".*"),
    )
    return target


def build(source: Path, out: Path, *options: str) -> None:
    """Build what is in a folder: by default an sdist, and a wheel from that sdist."""
    run([sys.executable, "-m", "build", "--outdir", str(out), *options, str(source)])


def new_environment(folder: Path) -> Environment:
    """Make a virtual environment, and a home, in a folder."""
    home = folder / "home"
    home.mkdir(parents=True)
    venv.create(folder / "environment", with_pip=True)
    scripts = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
    return Environment(str(scripts / "python"), str(scripts / "metastore"), home)


def use(command: list[str], home: Path) -> str:
    """Run a command as a user would who has no configuration yet; return what it printed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("METASTORE_", "PYTHON", "XDG_"))
    }
    say("$ " + " ".join([Path(command[0]).name, *command[1:]]))
    printed = run(command, cwd=home, env=environment | {"HOME": str(home)})
    if not printed.strip():
        raise CheckError(f"{' '.join(command)} printed nothing")
    return printed


def run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; return its standard output."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise CheckError(
            f"exit status {done.returncode} of {' '.join(command)}\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def expect_flavors(listing: str, names: set[str]) -> None:
    """Check that `flavor list --json` names these flavors, each of them in order."""
    states = {row["name"]: row["state"] for row in json.loads(listing)}
    if states != dict.fromkeys(names, "ok"):
        raise CheckError(f"`metastore flavor list` says {states}, not {sorted(names)}, all ok")


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a folder that has such a name."""
    (found,) = folder.glob(pattern)
    return found


def say(line: str) -> None:
    """Print a line at once, so that a slow step is seen while it runs."""
    print(line, flush=True)
