"""`metastore export` and `import` on files: byte by byte the same, also of real stores."""

from __future__ import annotations

import gzip
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from .helpers import connect, open_file, real_stores, url_of


def _metastore(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metastore", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _there_and_back(source: Path, folder: Path) -> None:
    first, second = folder / "first.jsonl", folder / "second.jsonl.gz"
    done = _metastore("export", url_of(source), str(first))
    assert done.returncode == 0, done.stderr
    done = _metastore("import", str(first), url_of(folder / "copy.db"))
    assert done.returncode == 0, done.stderr
    done = _metastore("export", url_of(folder / "copy.db"), str(second))
    assert done.returncode == 0, done.stderr
    assert gzip.decompress(second.read_bytes()) == first.read_bytes()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.mark.parametrize(
    "name",
    [
        *("tfx-chicago-taxi.sqlite", "iowa-liquor.sqlite", "sepsis.sqlite"),
        *("failed-runs.sqlite", "active-learning.sqlite"),
    ],
)
def test_real_stores(tmp_path: Path, name: str) -> None:
    """A real store, of whatever schema, comes back byte by byte."""
    _there_and_back(real_stores() / name, tmp_path)


def test_twice_is_once(tmp_path: Path) -> None:
    """The same file imported again writes nothing; a file that is there is not written over."""
    path, file = tmp_path / "store.db", tmp_path / "export.jsonl"
    with connect(path) as store, store.run("p") as run, run.step("s") as step:
        step.output("out", uri="/out")
    assert _metastore("export", url_of(path), str(file)).returncode == 0
    again = _metastore("export", url_of(path), str(file))
    assert again.returncode == 2
    assert "--force" in again.stderr
    target = tmp_path / "target.db"
    for _ in range(2):
        done = _metastore("import", str(file), url_of(target))
        assert done.returncode == 0, done.stderr
    with connect(target, "r") as store:
        assert len(store.runs()) == 1
        assert len(store.artifacts()) == 1


def test_nothing_of_a_damaged_file_is_written(tmp_path: Path) -> None:
    """A file with a wrong line is one line of error, and no store is made of it."""
    path, file = tmp_path / "store.db", tmp_path / "export.jsonl"
    with connect(path) as store, store.run("p"):
        pass
    assert _metastore("export", url_of(path), str(file)).returncode == 0
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines[:-2], "nonsense\n", lines[-1]]), encoding="utf-8")
    target = tmp_path / "target.db"
    done = _metastore("import", str(file), url_of(target))
    assert done.returncode != 0
    assert f"line {len(lines) - 1} of {file} is no JSON" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not target.exists()


def test_standard_output(tmp_path: Path) -> None:
    """To - the lines go to standard output, and nothing else does."""
    path = tmp_path / "store.db"
    with closing(open_file(path)):
        pass
    done = _metastore("export", url_of(path), "-")
    assert done.stdout == '{"format":"metastore-export","version":1}\n{"end":{}}\n'
