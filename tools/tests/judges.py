"""Those who judge workflows: programs that are installed beside this Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from _building import ROOT

__all__ = ["check_form", "check_safety"]


def check_form(workflows: Iterable[Path]) -> None:
    """Check that GitHub would read them."""
    _judge("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, workflows))


def check_safety(workflows: Iterable[Path]) -> None:
    """Check that zizmor finds nothing, not even what it only suspects (persona auditor)."""
    options = ["--offline", "--no-progress", "--strict-collection", "--persona", "auditor"]
    _judge("zizmor", *options, *map(str, workflows))


def _judge(*command: str) -> None:
    """Run a judge that is installed beside this Python; show what it says if it finds fault."""
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [str(program), *command[1:]], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
