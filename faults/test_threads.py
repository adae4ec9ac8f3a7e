"""One store in many hands: nothing is lost, nothing there twice, nothing by halves, no hang."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import Figures

if TYPE_CHECKING:
    from plugins.mysql.tests.servers import Server

Size = Callable[[int, int], int]


@pytest.fixture
def url_of(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The URL of a new store of a flavor."""

    def found(flavor: str) -> str:
        if flavor == "mysql":
            server: Server = request.getfixturevalue("mariadb")
            return server.url(server.new_database())
        return {
            "memory": "memory://",
            "sqlite": f"sqlite:///{tmp_path}/s.db",
            "sqlite_in_memory": "sqlite://",
        }[flavor]

    return found


def _done(work: str, url: str, **how: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "faults.hostile.sharing"],
        input=json.dumps({"work": work, "url": url, **how}),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["raised"] == [], how
    assert found["wrong"] == [], how
    return found


@pytest.mark.parametrize("flavor", ["memory", "sqlite", "sqlite_in_memory", "mysql"])
def test_threads_share(
    flavor: str, url_of: Callable[[str], str], size: Size, figures: Figures
) -> None:
    """32 threads write, update, filter, list and walk with one store: each batch is there once and
    whole, no update is lost, and each thread sees what it wrote.
    """
    found = _done("shared", url_of(flavor), seed=1, threads=32, each=size(4, 100))
    assert found["counter"] == found["counted"]
    assert found["batches"] > 32
    figures(seed=1, threads=32, batches=found["batches"], updates=found["counted"])


@pytest.mark.parametrize("flavor", ["memory", "sqlite", "mysql"])
def test_forks(flavor: str, url_of: Callable[[str], str], size: Size, figures: Figures) -> None:
    """Forked while threads write, children, theirs and the parent go on with the store, or are
    told that they cannot; a child that closes it closes it for nobody else.
    """
    url = url_of(flavor)
    if flavor == "memory":
        # A child has a copy of its own: what it writes is its own, and the parent's is untouched.
        figures(**_memory_after_fork())
        return
    found = _done("forks", url, seed=2, rounds=size(2, 40), children=4)
    said: dict[str, int] = found["said"]
    assert said.get("wrote", 0) + said.get("ForkError", 0) > 10
    assert said.get("closed", 0) > 0
    assert set(said) <= {"wrote", "ForkError", "closed"}
    figures(seed=2, batches=found["batches"], **said)


def _memory_after_fork() -> dict[str, object]:
    code = (
        "import os, metastore\n"
        "from faults.hostile.sharing import prepare, put, lost\n"
        "with metastore.connect('memory://') as view:\n"
        "    prepare(view.backend)\n"
        "    put(view.backend, 'before')\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        try:\n"
        "            put(view.backend, 'child')\n"
        "            code = 0 if not lost(view.backend, ['before', 'child']) else 3\n"
        "        except metastore.ForkError:\n"
        "            code = 0\n"
        "        os._exit(code)\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "    put(view.backend, 'after')\n"
        "    assert not lost(view.backend, ['before', 'after'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"children": 1}


@pytest.mark.parametrize("flavor", ["sqlite", "mysql"])
def test_pools(flavor: str, url_of: Callable[[str], str], size: Size, figures: Figures) -> None:
    """The workers of a forked `multiprocessing` pool use the store of their parent, which writes
    meanwhile: every batch that was acknowledged is there once.
    """
    found = _done("pools", url_of(flavor), seed=3, tasks=size(30, 2000), workers=6)
    figures(seed=3, workers=6, batches=found["batches"], **found["said"])


@pytest.mark.parametrize("flavor", ["memory", "sqlite", "mysql"])
def test_closed_in_use(
    flavor: str, url_of: Callable[[str], str], size: Size, figures: Figures
) -> None:
    """Closed by two threads at once under the hands of 16: their calls complete or end with
    `ClosedError`; what was acknowledged is there, and nothing by halves.
    """
    found = _done("closing_in_use", url_of(flavor), seed=4, rounds=size(3, 100), threads=16)
    assert set(found["ends"]) == {"ClosedError"}
    figures(seed=4, batches=found["batches"], **found["ends"])
