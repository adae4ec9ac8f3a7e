"""Texts where a store is named: a store is meant, or an error of ours says why none is."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

import metastore
from metastore import InvalidError, StoreURL
from metastore.config._target import target_of
from metastore.plugins._registry import FlavorRegistry
from metastore.plugins._secret import Masked

from .conftest import Figures
from .hostile.canaries import everything_of
from .hostile.damage import Outcomes, cpu_limit, damaged_text, noise

Size = Callable[[int, int], int]

CANARY = "c4n4ry-p4ssw0rd"
_URLS = (
    "sqlite:///runs.db",
    "sqlite:///runs.db?busy_timeout=5",
    "sqlite:////dev/null/runs.db",
    "sqlite://",
    "memory://",
    f"mysql://me:{CANARY}@db.example:3306/metadata?tls=true&tls_ca=/ca.pem&tls_verify=full",
    f"mysql://me@[::1]:3306,db2:3307/metadata?password={CANARY}&pool_size=3&timeout=1.5",
    f"mysql:///metadata?socket=/run/mysqld.sock&user=me&password={CANARY}&create_database=true",
    "mysql://me@h/d?password=env:DB_PASSWORD&text=mlmd&connect_timeout=2",
    "kubeflow://127.0.0.1:8080?tls=true&tls_ca=ca.pem&timeout=10&max_message_bytes=100000",
    "kubeflow://?namespace=kubeflow&context=minikube&kubeconfig=/kubeconfig",
    'kubernetes://ml/metastore?context=prod&storage_size=10Gi&labels={"a":"b"}',
    'kubernetes://ml/metastore?tolerations=[{"key":"a","operator":"Exists"}]&image=mysql:9',
)
_WORDS = (
    *(
        "://",
        "sqlite://",
        "mysql://",
        "kubeflow://",
        "kubernetes://",
        "memory://",
        "mysql+pymysql://",
    ),
    *("?", "&", "password=", "user=", "host=", "port=", "path=", "tls=", "labels=", "tolerations="),
    *("[::1]", "[", "]", ":0", ":65536", ":99999999999999999999", "%", "%zz", "%00", "%2f", "%ff"),
    *(
        "file:///etc/passwd",
        "..",
        "~",
        "true",
        "nan",
        "inf",
        "1e400",
        "-1",
        "1_0",
        "١",
        "{",
        "[[[[",
    ),
    "[" * 100_000,
    '{"a":' * 5_000,
    "a" * 70_000,
    "env:HOME",
    "file:/etc/hostname",
    "keyring:a/b",
    "k8s:a/b/c",
)


def _text(chance: random.Random) -> str:
    which = chance.random()
    if which < 0.15:
        return noise(chance)
    if which < 0.3:
        return (
            f"{chance.choice(('sqlite', 'mysql', 'kubeflow', 'kubernetes', ''))}://{noise(chance)}"
        )
    # What may be hidden is what is known to be a secret: its own letters stay together.
    before, canary, after = chance.choice(_URLS).partition(CANARY)
    if not canary or chance.random() < 0.5:
        return damaged_text(chance, before + after, _WORDS)
    return before + canary + damaged_text(chance, after, _WORDS, most=2)


def _shown(text: str, number: int, seed: int) -> str:
    return f"input {number} of seed {seed}: {text[:500]!r}"


@pytest.mark.parametrize("part", range(2))
def test_urls(part: int, tmp_path: Path, size: Size, figures: Figures) -> None:
    """A text that names a store is read to its settings or refused by an error of ours, which shows
    no password that stands in it; nothing is made, nothing connected to.
    """
    chance, outcomes, hidden = random.Random(part), Outcomes(), 0
    for number in range(size(1500, 100_000)):
        text = _text(chance)

        def shown(text: str = text, number: int = number) -> str:
            return _shown(text, number, part)

        with cpu_limit(10, shown):
            found = outcomes.of(partial(target_of, text), shown)
        if found is None:
            continue
        # What is said of it can be said, in one text without what no terminal should see.
        said = [found.config, repr(found.config), repr(found)]
        if hasattr(found.config, "location"):
            said.append(found.config.location(found.flavor.name))
        if text.count(CANARY) == 1 and ("password=" + CANARY in text or f":{CANARY}@" in text):
            hidden += 1
            assert CANARY not in "".join(map(str, said)), shown()
    assert outcomes.right > outcomes.inputs // 10
    assert list(tmp_path.rglob("*")) == []
    figures(seed=part, passwords_hidden=hidden, **outcomes.figures())


def test_no_error_shows_a_password(size: Size, figures: Figures) -> None:
    """Whatever is wrong with a URL behind its password, nothing of the error shows it:
    neither message, causes nor the variables of our frames.
    """
    chance, refused = random.Random(3), 0
    with_password = [url for url in _URLS if CANARY in url]
    for number in range(size(500, 20_000)):
        before, canary, after = chance.choice(with_password).partition(CANARY)
        text = before + canary + "&" * (before[-1] == "=") + damaged_text(chance, after, _WORDS)
        try:
            target_of(Masked(text))
        except metastore.MetastoreError as error:
            refused += 1
            assert CANARY not in everything_of(error), _shown(text, number, 3)
    assert refused > 50
    figures(seed=3, refused=refused)


def test_urls_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: Size, figures: Figures
) -> None:
    """Opened for reading, no text makes a file; opened for writing, a text makes the file that it
    names, whatever its letters, and no other.
    """
    chance, outcomes = random.Random(4), Outcomes()
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = 0
    for number in range(size(120, 3000)):
        name = noise(chance, 20).replace("/", "").strip(".") or "x"
        url = f"sqlite:///{quote(name, safe='', errors='surrogatepass')}"

        def shown(name: str = name, number: int = number) -> str:
            return f"input {number} of seed 4: {name!r}"

        def read(url: str = url) -> None:
            metastore.connect(url, mode="r").close()

        outcomes.of(read, shown)
        assert list(folder.iterdir()) == [], shown()

        def write(url: str = url) -> bool:
            metastore.connect(url).close()
            return True

        if outcomes.of(write, shown):
            made += 1
            names = {each.name for each in folder.iterdir()}
            assert name in names, shown()
            assert names <= {name, f"{name}-wal", f"{name}-shm", f"{name}-journal"}, shown()
            for each in folder.iterdir():
                each.unlink()
        else:
            assert list(folder.iterdir()) == [], shown()
    assert made > 20
    figures(seed=4, files_made=made, **outcomes.figures())


def test_settings_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, size: Size, figures: Figures
) -> None:
    """Whatever the variables of a flavor hold: its settings, or an error of ours without values."""
    from metastore.plugins._classes import config_class

    chance, outcomes = random.Random(5), Outcomes()
    registry = FlavorRegistry.discover()
    classes = {
        name: config_class(registry.get(name)) for name in ("mysql", "kubeflow", "kubernetes")
    }
    pairs = [(name, each) for name in classes for each in classes[name].settings(name)]
    # Every word in every setting, and then what chance brings.
    every = [(*pair, word) for pair in pairs for word in _WORDS]
    for number in range(len(every) + size(200, 20_000)):
        if number < len(every):
            flavor, setting, text = every[number]
        else:
            flavor, setting = chance.choice(pairs)
            text = chance.choice((noise(chance), damaged_text(chance, "true")))
        try:
            monkeypatch.setenv(setting.variable, text)
        except (ValueError, UnicodeEncodeError):
            continue  # what no environment can hold

        def shown(name: str = setting.variable, text: str = text, number: int = number) -> str:
            return f"input {number} of seed 5: {name}={text[:300]!r}"

        given = {"user": "u", "database": "d"} if flavor == "mysql" else {}
        outcomes.of(partial(classes[flavor].checked, flavor, given), shown)
        monkeypatch.delenv(setting.variable)
    figures(seed=5, **outcomes.figures())


@pytest.mark.parametrize(
    "text", ["a\ud800", "sqlite:///\udcff.db", "mysql://h/\ud800", "\udfff://x"]
)
def test_half_characters(text: str) -> None:
    """Half of a surrogate pair names no store."""
    with pytest.raises(metastore.MetastoreError):
        metastore.connect(text, mode="r")


def test_parts_of_urls(size: Size, figures: Figures) -> None:
    """What `StoreURL` was made of comes back from it, percent-encoded or not."""
    chance = random.Random(6)
    tried = 0
    for _ in range(size(500, 50_000)):
        authority, path, key, value = (noise(chance, 12) for _ in range(4))
        try:
            encoded = [quote(each, safe="") for each in (authority, path, key, value)]
        except UnicodeEncodeError:
            continue
        text = "x://{}/{}?{}={}".format(*encoded)
        try:
            found = StoreURL.parse(text)
        except InvalidError:
            raise AssertionError(text) from None
        assert (found.authority, found.path) == (authority, f"/{path}"), text
        assert found.options == {key: value}, text
        tried += 1
    figures(seed=6, urls=tried)
