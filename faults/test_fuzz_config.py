"""Config files of every sort: read, or refused by an error of ours; never lost, never widened."""

from __future__ import annotations

import os
import random
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import metastore
from metastore import InvalidError, MetastoreError, StorageError
from metastore.config._file import ConfigFile
from metastore.config._flavors import registry_of
from metastore.config._stores import NamedStore, Stores
from metastore.config._target import target_of

from .conftest import Figures
from .hostile.damage import Outcomes, cpu_limit, damaged_bytes, noise_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Size = Callable[[int, int], int]

_GOOD = b"""\
active = "prod"   # the one that counts
typed_secrets = ["file:/home/me/secrets/x"]

[stores.prod]
flavor = "sqlite"
path = "/data/runs.db"   # stays
busy_timeout = 5

[stores."team-1"]
flavor = "mysql"
host = "db.example"
user = "me"
database = "metadata"
password = "env:DB_PASSWORD"
tls = true

[stores.cluster]
flavor = "kubernetes"
namespace = "ml"
name = "metastore"
labels = { team = "a" }

[flavors.preferred]
sqlite = "metastore-flavor-sqlite"

[flavors.registered]
mine = "/home/me/mine.py:MyStore"
"""
_ALL_THE_SAME = 0o600


@pytest.fixture
def file() -> Path:
    """The user's config file, which is not there; its folder is."""
    path = ConfigFile.of_user().path
    path.parent.mkdir(parents=True)
    return path


def _read_all() -> list[str]:
    """Every way to read the file; the names of its stores."""
    stores = Stores.of_user()
    names = [each.name for each in stores.all()]
    for each in (lambda: stores.active, lambda: registry_of(stores.file).names):
        each()
    for name in names:
        try:
            target_of(name)
        except MetastoreError:
            pass
    return names


def _without(name: str, content: bytes) -> dict[str, Any]:
    found = tomllib.loads(content.decode("utf-8-sig"))
    found.setdefault("stores", {}).pop(name, None)
    return {key: value for key, value in found.items() if value != {}}


@pytest.mark.parametrize("part", range(2))
def test_config_files(part: int, file: Path, size: Size, figures: Figures) -> None:
    """A damaged file is read as TOML or refused, and never written; one that is read is changed in
    nothing but what was to be changed.
    """
    chance, reads, changes = random.Random(part), Outcomes(), Outcomes()
    for number in range(size(400, 30_000)):
        content = noise_bytes(chance) if chance.random() < 0.1 else damaged_bytes(chance, _GOOD)
        file.write_bytes(content)

        def shown(content: bytes = content, number: int = number) -> str:
            return f"input {number} of seed {part}: {content!r}"

        with cpu_limit(10, shown):
            names = reads.of(_read_all, shown)

        def change() -> bool:
            Stores.of_user().register(NamedStore("added", "sqlite", {"path": "/x"}))
            return True

        with cpu_limit(10, shown):
            done = changes.of(change, shown)
        if not done:
            assert file.read_bytes() == content, shown()
        else:
            after = file.read_bytes()
            assert _without("added", after) == _without("added", content), shown()
            assert Stores.of_user().get("added").fields == {"path": "/x"}, shown()
            assert stat.S_IMODE(file.stat().st_mode) == _ALL_THE_SAME
            if names is not None:
                assert {*_read_all()} == {*names, "added"}, shown()
    assert reads.right > 20
    left = {each.name for each in file.parent.iterdir()} - {file.name, f"{file.name}.lock"}
    assert left == set()
    figures(seed=part, reads=reads.figures(), changes=changes.figures())


@pytest.mark.parametrize(
    "written",
    [
        "stores = 3",
        "stores = []",
        "[[stores]]\nflavor = 'sqlite'",
        "[stores]\nprod = 3",
        "[stores]\nprod = 'sqlite'",
        "[stores.prod]\nflavor = 3",
        "[stores.prod]\nflavor = ['sqlite']",
        "[stores.prod]\nflavor = 'sqlite'\npath = 3",
        "[stores.prod]\nflavor = 'sqlite'\npath = ['a']",
        "[stores.prod]\nflavor = 'sqlite'\npath = 1979-05-27",
        "[stores.prod]\nflavor = 'sqlite'\npath = ''\nbusy_timeout = nan",
        "[stores.prod]\nflavor = 'sqlite'\nbusy_timeout = inf",
        "[stores.prod]\nflavor = 'sqlite'\npath = \"a\\u0000b\"",
        "[stores.prod]\nflavor = 'mysql'\nport = 99999999999999999999999",
        "[stores.prod]\nflavor = 'mysql'\npassword = {env = 'A'}",
        "[stores.prod]\nflavor = 'mysql'\npassword = 1",
        "[stores.prod]\nflavor = '../../etc'",
        "[stores.prod]\nflavor = ''",
        "[stores.prod]\n'' = 1\nflavor = 'sqlite'",
        "active = 3",
        "active = ''",
        "active = ['prod']",
        "flavors = 3",
        "[flavors]\npreferred = 3",
        "[flavors]\nregistered = ['a']",
        "[flavors.registered]\nprod = 3",
        "[flavors.registered]\nsqlite = ''",
        "[flavors.registered]\nsqlite = 'os.system'",
        "[flavors.preferred]\nsqlite = 3",
        "typed_secrets = 3",
    ],
)
def test_wrong_kinds(written: str, file: Path) -> None:
    """What has another kind than it should is said, by an error of ours."""
    file.write_text(written)
    refused = 0
    for work in (
        lambda: Stores.of_user().all(),
        lambda: Stores.of_user().active,
        lambda: registry_of(ConfigFile.of_user()).statuses(),
        lambda: metastore.connect("prod", mode="r"),
        lambda: metastore.connect(mode="r"),
        lambda: Stores.of_user().update("prod", {"path": "/y"}),
        lambda: Stores.of_user().rename("prod", "q"),
        lambda: Stores.of_user().use("prod"),
        lambda: Stores.of_user().forget_typed(),
        lambda: Stores.of_user().remove("prod"),
    ):
        try:
            work()
        except MetastoreError as error:
            refused += 1
            assert str(error)
    assert refused


@pytest.mark.parametrize("most", [20, 100, 1000, 100_000])
@pytest.mark.parametrize(
    "shape",
    [
        lambda n: "a = " + "[" * n,
        lambda n: "a = " + "[" * n + "]" * n,
        lambda n: "a = " + "{a = " * n + "1" + "}" * n,
        lambda n: ".".join(["a"] * n) + " = 1",
        lambda n: "[" + ".".join(["a"] * n) + "]",
        lambda n: "[[" + " . ".join(['"a b"'] * n) + "]]",
        lambda n: "a = '" + "x" * n * 20 + "'",
        lambda n: "".join(f"k{i} = {i}\n" for i in range(n)),
        lambda n: "# " + "." * n * 20,
    ],
    ids=["open", "arrays", "tables", "key", "header", "quoted", "text", "keys", "comment"],
)
def test_deep_and_large(shape: Callable[[int], str], most: int, file: Path) -> None:
    """However deep or large a file is: it is read or refused, and takes neither memory nor time."""
    file.write_text(shape(most))
    before = file.read_bytes()
    with cpu_limit(20, lambda: f"{shape(3)} of {most}"):
        for work in (
            lambda: Stores.of_user().all(),
            lambda: Stores.of_user().register(NamedStore("a", "sqlite", {"path": "/x"})),
        ):
            try:
                work()
            except InvalidError as error:
                assert len(str(error)) < 2000
                assert file.read_bytes() == before


def test_what_is_no_file(file: Path, tmp_path: Path) -> None:
    """A folder, a device, a link to nowhere or to itself: an error of ours, and all of it stays."""

    def refused(*errors: type[MetastoreError]) -> None:
        with pytest.raises(errors):
            Stores.of_user().all()
        with pytest.raises(errors):
            Stores.of_user().register(NamedStore("a", "sqlite", {"path": "/x"}))

    file.mkdir()
    refused(StorageError)
    file.rmdir()
    file.symlink_to(file)
    refused(StorageError)
    file.unlink()
    file.symlink_to("/dev/zero")
    refused(InvalidError, StorageError)
    file.unlink()
    # What a link leads to is written there, and the link stays one.
    target = tmp_path / "elsewhere.toml"
    target.write_bytes(_GOOD)
    file.symlink_to(target)
    Stores.of_user().register(NamedStore("a", "sqlite", {"path": "/x"}))
    assert file.is_symlink()
    assert b"# stays" in target.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == _ALL_THE_SAME
    file.unlink()
    file.symlink_to(tmp_path / "not there.toml")
    Stores.of_user().register(NamedStore("a", "sqlite", {"path": "/x"}))
    assert file.is_symlink()
    assert [each.name for each in Stores.of_user().all()] == ["a"]
    if os.geteuid() != 0:
        file.unlink()
        file.write_bytes(_GOOD)
        file.chmod(0)
        refused(StorageError)


def test_project_files(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: Size, figures: Figures
) -> None:
    """A damaged ``metastore.toml`` of a folder, which may be a stranger's: a store or an error."""
    chance, outcomes = random.Random(9), Outcomes()
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    good = b'store = "sqlite:///runs.db?busy_timeout=5"\n# of the project\n[other]\na = 1\n'
    for number in range(size(300, 20_000)):
        content = noise_bytes(chance) if chance.random() < 0.1 else damaged_bytes(chance, good, 2)
        (folder / "metastore.toml").write_bytes(content)

        def shown(content: bytes = content, number: int = number) -> str:
            return f"input {number} of seed 9: {content!r}"

        with cpu_limit(10, shown):
            outcomes.of(target_of, shown)
    assert sorted(each.name for each in folder.iterdir()) == ["metastore.toml"]
    assert outcomes.right > 10
    figures(seed=9, **outcomes.figures())
