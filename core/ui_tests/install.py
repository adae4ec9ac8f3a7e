"""Bring the browser that the tests need, as root on Debian: Chromium, and a font.

``python ui_tests/install.py``; what is there already is left alone.  Without it the tests that need
a browser are skipped, and say so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

__all__ = ["browser"]

_PACKAGES = ("chromium", "fonts-dejavu-core")
_MINUTES = 10


def browser() -> str | None:
    """The path of a browser: the one that ``METASTORE_TEST_BROWSER`` names, or Chromium."""
    named = os.environ.get("METASTORE_TEST_BROWSER")
    if named:
        return named
    known = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, known) if path), None)


def main() -> int:
    """Install what is missing; 0 even where that fails: the tests say what they lack."""
    if browser() is not None:
        return 0
    if shutil.which("apt-get") is None:
        sys.stderr.write("there is no browser, and no apt-get\n")
        return 0
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "--yes", "-qq", "--no-install-recommends", *_PACKAGES],
    ):
        try:
            subprocess.run(
                command,
                check=True,
                timeout=60 * _MINUTES,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdout=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"the browser could not be installed: {error}\n")
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
