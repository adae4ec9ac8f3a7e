"""Take the pictures of docs/ui.md: pages of a generated store, in a browser without a window.

Usage, in core/: python -m ui_tests.screenshots [FOLDER], by default docs/images; it wants what the
tests here want, and pillow, which makes the files small.
"""

from __future__ import annotations

import importlib
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import metastore

from .generated import fill
from .shown import Watched, browsing, served

ROOT = Path(__file__).resolve().parents[2]
MOST = 200_000
"""Bytes of a picture."""


class Shot(NamedTuple):
    """A picture: its name, the page, how wide and high, light or dark."""

    name: str
    path: str
    width: int
    height: int
    scheme: str = "light"


SHOTS = (
    Shot("overview", "/", 1180, 925),
    Shot("run", "/runs/163", 1280, 800),
    Shot("run-dark", "/runs/163", 1280, 800, "dark"),
    Shot("pipeline", "/pipelines/1", 1280, 560),
    Shot("lineage", "/lineage/799?depth=6&highlight=794", 1280, 640),
    Shot("phone", "/runs/163", 390, 780),
)


def main(arguments: list[str]) -> int:
    """Take them all; return the exit status."""
    folder = Path(arguments[0]) if arguments else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        url = f"sqlite:///{temporary}/runs.db"
        with metastore.connect(url) as store:
            fill(store, 160, now=time.time_ns() // 1_000_000)
        with (
            metastore.connect(url, mode="r") as store,
            served(store, name="prod") as address,
            browsing() as browser,
        ):
            for shot in SHOTS:
                size = {"width": shot.width, "height": shot.height}
                watched = Watched(browser, address, viewport=size, color_scheme=shot.scheme)
                picture = watched.open(shot.path).screenshot()
                watched.close()
                if watched.faults:
                    sys.stderr.write(f"{shot.name}: {watched.faults}\n")
                    return 1
                small = smaller(picture)
                if len(small) > MOST:
                    sys.stderr.write(f"{shot.name} has {len(small)} bytes\n")
                    return 1
                (folder / f"{shot.name}.png").write_bytes(small)
                sys.stdout.write(f"{shot.name}.png: {len(small)} bytes\n")
    return 0


def smaller(picture: bytes) -> bytes:
    """The same, to the pixel, in fewer bytes."""
    pil: Any = importlib.import_module("PIL.Image")
    out = io.BytesIO()
    pil.open(io.BytesIO(picture)).convert("RGB").save(out, "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
