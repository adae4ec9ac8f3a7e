"""Unpack the protocol modules of ml-metadata 1.21, without the extension that may not load here.

Usage: unpack_protocol.py FOLDER; it is then what PYTHONPATH names.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

_WHEEL = ["--python-version", "311", "--platform", "manylinux_2_39_x86_64"]
"""Any will do: the modules are plain Python."""


def main(arguments: list[str]) -> int:
    """Download the wheel, and unpack ``ml_metadata/proto``; return the exit status."""
    if len(arguments) != 1:
        print("usage: unpack_protocol.py FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, *_WHEEL, "-d", str(folder), "ml-metadata==1.21.0"], check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("ml_metadata/proto/"):
                archive.extract(name, folder)
    wheel.unlink()
    print(f"ml_metadata/proto of {wheel.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
