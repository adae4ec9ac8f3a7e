"""ML Metadata's own tests of its client, against `metastore serve`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing is served; `tox -e protobuf6` tests it here"
)

import ml_metadata.metadata_store as package

from .served import Served

SUITE = Path(package.__file__).with_name("metadata_store_test.py")

pytestmark = pytest.mark.skipif(
    not version("ml-metadata").startswith("1.17"), reason="the suite is that of ml-metadata 1.17"
)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite:///served.db", "memory://"])
def test_every_test_of_the_client_passes(
    serve: Callable[..., Served], tmp_path: Path, store: str
) -> None:
    """The suite of the wheel scores over us what it scores over its own engine."""
    check_suite(serve(store).port, tmp_path)


@pytest.mark.slow
def test_the_engine_behind_grpc_passes_too(engine_port: int, tmp_path: Path) -> None:
    """So the server around the wheel's engine, with which others are compared, is a right one."""
    check_suite(engine_port, tmp_path)


def check_suite(port: int, folder: Path) -> None:
    """Check that the suite passes, but for the two tests that its own engine fails, too."""
    command = [
        sys.executable, "-m", "pytest", str(SUITE), "-q", "-p", "no:cacheprovider",
        "-p", "mlmd_repairs", "--rootdir", str(folder), "-c", "/dev/null",
        "--use_grpc_backend", "--grpc_host", "127.0.0.1", "--grpc_port", str(port),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parent), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    counts = {what: int(number) for number, what in re.findall(r"(\d+) (\w+)", last)}
    counts = {what: counts[what] for what in counts if what not in ("warnings", "warning")}
    assert (counts.get("passed"), counts.get("xfailed")) == (106, 2), done.stdout[-5000:]
    assert not {"failed", "error", "errors", "skipped", "xpassed"} & counts.keys(), last
