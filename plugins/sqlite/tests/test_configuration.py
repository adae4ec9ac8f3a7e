"""docs/configuration.md, as it stands; and strangers' flavors beside this one."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import metastore

from .helpers import connect, url_of

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "metastore", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the page does what it says, one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METASTORE_CONFIG", str(tmp_path / "config.toml"))
    text = PAGE.read_text(encoding="utf-8").replace("/data/runs.db", str(tmp_path / "runs.db"))
    with connect(tmp_path / "runs.db") as store, store.run("p"):
        pass
    lines = re.findall(r"^\$ metastore (.*)$", text, re.MULTILINE)
    assert len(lines) > 8
    for line in lines:
        done = run(*shlex.split(line, comments=True))
        # What SQLite stores do not have is said.
        expected = 1 if line.startswith("store up ") else 0
        assert done.returncode == expected, (line, done.stderr)


def test_the_config_file_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page shows as a config file is one, and its store opens."""
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "config.toml"
    path.write_text(block.replace("/data/runs.db", str(tmp_path / "runs.db")))
    assert tomllib.loads(path.read_text())["active"] == "prod"
    monkeypatch.setenv("METASTORE_CONFIG", str(path))
    with metastore.connect() as store:
        assert store.location.endswith("runs.db")


def test_a_project_names_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path in metastore.toml is one from where that file is."""
    monkeypatch.delenv("METASTORE_STORE", raising=False)
    (tmp_path / "metastore.toml").write_text('store = "sqlite:///runs/all.db"\n')
    (tmp_path / "runs").mkdir()
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")
    with metastore.connect() as store, store.run("p"):
        pass
    assert (tmp_path / "runs" / "all.db").is_file()
    assert json.loads(run("store", "status", "--json").stdout)["answers"] is True


def test_the_environment_does_not_change_what_a_url_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path in the environment is none for a URL that names a file, or memory."""
    monkeypatch.setenv("METASTORE_SQLITE__PATH", str(tmp_path / "other.db"))
    with metastore.connect(url_of(tmp_path / "this.db")) as store:
        assert store.location.endswith("this.db")
    with metastore.connect("sqlite://") as store:
        assert store.location == "sqlite://"
    assert not (tmp_path / "other.db").exists()


BAD = {
    "raises": "raise SystemExit('loaded')",
    "waits": "import threading\nthreading.Event().wait()",
    "ends": "import os\nos._exit(3)",
}


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_what_needs_no_other_flavor_loads_none(tmp_path: Path, source: str) -> None:
    """Whatever a stranger's plugin module would do, reading an SQLite store does not run it."""
    site = tmp_path / "site"
    info = site / "stranger-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: stranger\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[metastore.flavors]\nstranger = stranger_plugin\n")
    (site / "stranger_plugin.py").write_text(source)
    url = url_of(tmp_path / "runs.db")
    with metastore.connect(url) as store, store.run("p"):
        pass
    code = (
        "import sys\nfrom metastore.cli import cli\ntry:\n"
        "    cli.main(sys.argv[1:], prog_name='metastore')\nfinally:\n"
        "    assert 'stranger_plugin' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "list", "--store", url],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "COMPLETE" in done.stdout
