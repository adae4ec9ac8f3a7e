"""A stand-in for tox: it looks at what an environment would run, and runs none of it.

An environment that is named must be in tox.ini.  What follows ``--`` must choose tests there, or be
options of the script that is run.
"""

from __future__ import annotations

import argparse
import configparser
import shlex
import subprocess
import sys

from docs_tests.blocks import ROOT


def main() -> int:
    """Look at what the command line says."""
    words = sys.argv[1:]
    given: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, given = words[:at], words[at + 1 :]
    parser = argparse.ArgumentParser("tox", allow_abbrev=False)
    parser.add_argument("-e", dest="environment")
    name = parser.parse_args(words).environment
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    if name is None:
        return 0
    if f"testenv:{name}" not in config:
        sys.exit(f"tox.ini has no environment {name}")
    commands = config[f"testenv:{name}"]["commands"].strip().splitlines()
    return _look(commands[-1].replace("\\", ""), given) if given else 0


def _look(command: str, given: list[str]) -> int:
    words = [word for word in shlex.split(command) if not word.startswith("{posargs")]
    if words[0] == "pytest":
        # One process: the plugin for several need not be here.
        words = [word for word in words[1:] if word not in ("-n", "2")]
        words = ["-m", "pytest", *words, *given, "--collect-only", "-q", "-p", "no:cacheprovider"]
        return subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode
    words = [*words[1:], *given, "--help"]
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE
    )
    unknown = [each for each in given if each.startswith("--") and each not in done.stdout]
    if unknown:
        sys.exit(f"{command}: there is no option {unknown[0]}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
