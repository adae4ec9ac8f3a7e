"""The password of a server, and the values of properties, are in nothing that anybody reads."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from metastore import (
    Batch,
    FlavorError,
    InvalidError,
    MetastoreError,
    NodeKind,
    OpenError,
    Secret,
    StoreURL,
)
from metastore.testing._base import whole_text

from .box.config import BoxConfig
from .box.store import BoxMetadataStore
from .places import ServerPlace, artifacts
from .server import Server
from .warehouse.config import WarehouseConfig
from .warehouse.store import WarehouseMetadataStore

PASSWORD = "hunter2-very-secret"


def told(error: BaseException, *, hidden: bool = True) -> str:
    """All of an error, with the variables of every frame but the test's own, and of its causes.

    A context that is suppressed is shown nowhere; `hidden` adds it still.
    """
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert len(shown.stack) > 1
    texts = [whole_text(error), *(str(frame.locals) for frame in shown.stack[1:])]
    for other in (shown.__cause__, shown.__context__ if hidden else None):
        texts += [] if other is None else other.format()
    return "".join(texts)


def refused(config: WarehouseConfig, error: type[MetastoreError] = OpenError) -> str:
    """What is told where the store cannot be opened."""
    with pytest.raises(error) as raised:
        WarehouseMetadataStore.open(config)
    return told(raised.value)


@pytest.fixture
def place(server: Server) -> ServerPlace:
    """A user's part of the server."""
    return ServerPlace(server)


def test_a_wrong_password(place: ServerPlace, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong password is an OpenError that says whose, and nothing shows it."""
    caplog.set_level(logging.DEBUG)
    text = refused(place.server.config(place.user, password=PASSWORD))
    assert "password authentication failed" in text
    assert place.user in text
    assert PASSWORD not in text + caplog.text


def test_nobody_answers(place: ServerPlace) -> None:
    """A server that cannot be reached is an OpenError without the password."""
    text = refused(place.server.config(place.user, port=1, password=PASSWORD))
    assert "refused" in text
    assert PASSWORD not in text


def test_a_database_that_is_not_there(place: ServerPlace) -> None:
    """A database that does not exist is an OpenError that names it."""
    text = refused(place.server.config(place.user, database="nowhere"))
    assert '"nowhere" does not exist' in text
    assert place.server.password not in text


def test_an_open_store_shows_no_password(place: ServerPlace) -> None:
    """Neither the store nor its location, its config, its engine or an error shows the password."""
    password = place.server.password_of(place.user)
    store = place.open()
    seen = [repr(store), store.location, repr(place.config()), repr(vars(store))]
    seen += [repr(vars(store._database)), str(vars(store._database)["engine"].url.password)]
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "T")
    batch.artifact("T", name="taken", custom_properties={"p": "value-of-a-property"})
    store.write(batch)
    place.run('ALTER TABLE "Artifact" RENAME TO gone')
    with pytest.raises(MetastoreError) as raised:
        store.write(batch)
    seen.append(told(raised.value))
    assert raised.value.__cause__ is not None
    assert "UndefinedTable" in whole_text(raised.value)
    assert "value-of-a-property" not in whole_text(raised.value)
    assert not any(password in each for each in seen)
    store.close()


def test_a_password_is_read_for_each_connection(
    place: ServerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference to a password is followed when the store connects, and nowhere kept."""
    reference = Secret.of_reference("env:TEST_DB_PASSWORD")
    monkeypatch.setenv("TEST_DB_PASSWORD", place.server.password_of(place.user))
    config = place.server.config(place.user, password=reference)
    store = WarehouseMetadataStore.open(config)
    store.write(artifacts(1))
    monkeypatch.delenv("TEST_DB_PASSWORD")
    place.kill()
    with pytest.raises(MetastoreError, match="TEST_DB_PASSWORD"):
        store.write(artifacts(1, prefix="more "))
    store.close()


def test_details_of_the_server_are_left_out(place: ServerPlace) -> None:
    """Of a driver's error only the first line is told, not the row that PostgreSQL shows."""
    store = place.open()
    place.run("ALTER TABLE \"ArtifactProperty\" ADD CHECK (string_value <> 'confidential')")
    batch = Batch()
    batch.type(NodeKind.ARTIFACT, "T")
    batch.artifact("T", custom_properties={"p": "confidential"})
    with pytest.raises(MetastoreError) as raised:
        store.write(batch)
    assert "violates check constraint" in whole_text(raised.value)
    # Nor where only a debugger looks.
    assert raised.value.__context__ is None
    assert "confidential" not in whole_text(raised.value)
    store.close()


# URLs.

GOOD = {
    "db://h/d": ("db://h/d", None),
    "db://u@h:7/d": ("db://u@h:7/d", None),
    f"db://u:{PASSWORD}@h/d": ("db://u@h/d", PASSWORD),
    "db://u:p%40:q@h:7/d": ("db://u@h:7/d", "p@:q"),
    "db://u@[::1]:7/d%2Fe": ("db://u@[::1]:7/d%2Fe", None),
    "db://u@h/d?password=env:TEST_DB_PASSWORD": ("db://u@h/d", "of the environment"),
    "db://h/d?user=u%40v": ("db://u%40v@h/d", None),
}


@pytest.mark.parametrize("text", GOOD)
def test_urls_of_servers(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL gives host, port, user, database and password; the location is all but the last."""
    monkeypatch.setenv("TEST_DB_PASSWORD", "of the environment")
    config = WarehouseConfig.from_url(StoreURL.parse(text))
    location, password = GOOD[text]
    assert config.location("db") == location
    assert (config.password and config.password.reveal()) == password
    assert config.url().password == password
    assert PASSWORD not in repr(config) + repr(config.url())


BAD = {
    f"db://u:{PASSWORD}@/d": "names no server",
    f"db://u:{PASSWORD}@h": "names no database",
    f"db://u:{PASSWORD}@h/d?password={PASSWORD}": "password twice",
    f"db://u:{PASSWORD}@h/d?user=v": "user twice",
    f"db://u:{PASSWORD}@h:no/d": "port",
    f"db://u:{PASSWORD}@h:0/d": "port",
    f"db://u:{PASSWORD}@h/d?passwort={PASSWORD}": "passwort",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_urls_of_servers(text: str) -> None:
    """A URL that lacks or repeats something is an InvalidError that shows no password."""
    url = StoreURL.parse(text)
    with pytest.raises(InvalidError, match=BAD[text]) as raised:
        WarehouseConfig.from_url(url)
    assert PASSWORD not in told(raised.value, hidden=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"box://u:{PASSWORD}@h/x.db", "a file has none"),
        ("box://", "where a file would stand"),
        ("box:///", "where a file would stand"),
        ("box:///x.db?path=y", "not among the options"),
    ],
)
def test_bad_urls_of_files(text: str, words: str) -> None:
    """A URL of a file that names a host or no file is an InvalidError that shows neither."""
    with pytest.raises(InvalidError, match=words) as raised:
        BoxConfig.from_url(StoreURL.parse(text))
    assert PASSWORD not in whole_text(raised.value)


def test_urls_of_files() -> None:
    """Three slashes are a relative path, four an absolute one."""
    relative, absolute = (
        BoxConfig.from_url(StoreURL.parse(each)) for each in ("box:///a%25b.db", "box:////a/b.db")
    )
    assert (relative.path, absolute.path) == (Path("a%b.db"), Path("/a/b.db"))
    assert (relative.location("box"), absolute.location("box")) == (
        "box:///a%25b.db",
        "box:////a/b.db",
    )


# Drivers.


def config_of(driver: str) -> type[BoxConfig]:
    """A config class with that driver."""
    return type("OtherConfig", (BoxConfig,), {"DRIVER": driver})


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("nowhere", "has no dialect"),
        ("postgresql+nowhere", "has no dialect"),
        ("mysql+cymysql", "pip install cymysql"),
        ("postgresql+asyncpg", "pip install asyncpg"),
        ("sqlite+aiosqlite", "pip install aiosqlite"),
    ],
)
def test_drivers_that_are_not_there(driver: str, words: str, tmp_path: Path) -> None:
    """A driver that SQLAlchemy does not know, or that is not installed, is a FlavorError."""
    with pytest.raises(FlavorError, match=words):
        BoxMetadataStore.open(config_of(driver)(path=tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_configs_need_no_sqlalchemy() -> None:
    """A flavor's config is imported without SQLAlchemy, to show its settings."""
    code = (
        "import sys, sql_tests.warehouse.config as c, sql_tests.warehouse.plugin as p\n"
        "c.WarehouseConfig.settings('warehouse'); p.metastore_flavor()\n"
        "print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ["warehouse", "box"])
def test_a_flavor_is_a_few_lines(name: str) -> None:
    """Plugin module, config and store are 40 lines together, with docstrings and empty ones."""
    folder = Path(__file__).with_name(name)
    lines = [
        line
        for each in ("plugin.py", "config.py", "store.py")
        for line in (folder / each).read_text("utf-8").splitlines()
    ]
    assert len(lines) <= 40


def test_a_flavor_is_used_as_any_other(server: Server, tmp_path: Path) -> None:
    """A registered flavor opens by its URL, password and all, and its name says what it can."""
    import metastore

    from .box import plugin as box
    from .warehouse import plugin as warehouse

    for flavor in (box.metastore_flavor(), warehouse.metastore_flavor()):
        metastore.register_flavor(flavor)
        assert flavor.capabilities == WarehouseMetadataStore.CAPABILITIES
    user = server.new_user()
    url = f"warehouse://{user}:{server.password_of(user)}@127.0.0.1:{server.port}/stores"
    opening: Callable[..., metastore.Store] = metastore.connect
    for each in (url, f"box:///{tmp_path}/x.db"):
        with opening(each) as store, store.run("train") as run, run.step("fit") as step:
            step.output("model", type="Model", uri="s3://x")
        with opening(each, mode="r") as store:
            assert [node.uri for node in store.artifacts(type="Model")] == ["s3://x"]
            assert len(store.artifacts(where="uri LIKE 's3%'")) == 1
