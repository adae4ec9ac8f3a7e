"""The flavor, held to the contract; and what is its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from urllib.parse import quote

import metastore
import pytest
from filelock import FileLock
from metastore.testing import StoreContract

from {{cookiecutter.__package}}.config import {{cookiecutter.__class}}Config
from {{cookiecutter.__package}}.store import {{cookiecutter.__class}}MetadataStore


class Test{{cookiecutter.__class}}(StoreContract):
    """The whole contract."""

    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], metastore.BaseMetadataStore]:
        """A new, empty store a call."""
        numbers = count()

        def make() -> metastore.BaseMetadataStore:
            config = {{cookiecutter.__class}}Config(path=tmp_path / f"{next(numbers)}.jsonl")
            return {{cookiecutter.__class}}MetadataStore.open(config)

        return make


def _record(url: str, name: str) -> None:
    with metastore.connect(url) as store, store.run("train", name=name):
        pass


def test_a_store_is_opened_by_its_url(tmp_path: Path) -> None:
    """What is recorded under a URL is read under it."""
    path = quote((tmp_path / "runs 100%.jsonl").as_posix())
    url = f"{{cookiecutter.name}}:///{path}"
    _record(url, "first")
    with metastore.connect(url, mode="r") as store:
        assert [run.name for run in store.runs()] == ["first"]
        assert metastore.connect(store.location, mode="r").find_run("first")


def test_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    """What a writer who was killed left behind is no part of the store, and is written over."""
    path = tmp_path / "runs.jsonl"
    url = f"{{cookiecutter.name}}:///{path.as_posix()}"
    _record(url, "first")
    with path.open("ab") as file:
        file.write(b'[{"row": "artifact", "id')
    _record(url, "second")
    with metastore.connect(url, mode="r") as store:
        assert [run.name for run in store.runs()] == ["first", "second"]


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    """Where another one keeps the file locked, a write is BusyError when the time is up."""
    path = tmp_path / "runs.jsonl"
    url = f"{{cookiecutter.name}}:///{path.as_posix()}"
    _record(url, "first")
    with metastore.connect(f"{url}?lock_timeout=0") as store:
        with FileLock(f"{path}.lock"), pytest.raises(metastore.BusyError):
            store.write(metastore.Batch())
        assert [run.name for run in store.runs()] == ["first"]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_is_gone_takes_no_writes(tmp_path: Path, how: str) -> None:
    """Nothing is written where nobody would find it, nor into a file that took its place."""
    path, other = tmp_path / "runs.jsonl", tmp_path / "other.jsonl"
    _record(f"{{cookiecutter.name}}:///{other.as_posix()}", "other")
    with metastore.connect(f"{{cookiecutter.name}}:///{path.as_posix()}") as store:
        if how == "removed":
            path.unlink()
        else:
            other.replace(path)
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(metastore.StorageError), store.run("train"):
            pass
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A path with a mistake in it is an error, and makes nothing."""
    with pytest.raises(metastore.StoreNotFoundError):
        metastore.connect(f"{{cookiecutter.name}}:///{tmp_path.as_posix()}/no/such/runs.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", [b"[{}]\n", b"{\n", b'[{"row": "artifact"}]\n', b"\xff\n"])
def test_a_damaged_file_is_an_error(tmp_path: Path, line: bytes) -> None:
    """A line that is none of ours is an error that says where, not a wrong answer."""
    path = tmp_path / "runs.jsonl"
    url = f"{{cookiecutter.name}}:///{path.as_posix()}"
    _record(url, "first")
    with path.open("ab") as file:
        file.write(line)
    with metastore.connect(url, mode="r") as store, pytest.raises(metastore.StorageError):
        store.runs()[0]


@pytest.mark.parametrize("url", ["", "host/file", "/", "/file?path=x", "/file?nothing=1"])
def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    """A URL that says too little, or what nobody knows, is InvalidError."""
    with pytest.raises(metastore.InvalidError):
        metastore.connect(f"{{cookiecutter.name}}://{url}")


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    """A file of something else, and a folder, are refused and not touched."""
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    for each in (path, tmp_path):
        with pytest.raises(metastore.OpenError):
            metastore.connect(f"{{cookiecutter.name}}:///{each.as_posix()}")
    assert path.read_text() == "my notes\n"
