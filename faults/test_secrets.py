"""Secrets are seen nowhere, whatever fails; files are for whom they should be."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import metastore
from metastore import MetastoreError, NodeKind, NodeQuery

from .conftest import Figures
from .hostile.canaries import Places, everything_of, left_in_files, listener, planted

if TYPE_CHECKING:
    from plugins.mysql.tests.servers import Server

Size = Callable[[int, int], int]
LITERAL = "c4n4ry-literal-9988"
KEY = "c4n4ry-private-key-7766"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Planted secrets, by reference."""
    pytest.importorskip("keyrings.alt")
    for name in ("CANARY_0", "PYTHON_KEYRING_BACKEND"):
        monkeypatch.setenv(name, "")
    file = tmp_path / "data" / "python_keyring" / "keyring_pass.cfg"
    found = planted(tmp_path / "planted", file)
    from metastore import Secret

    done = _run([sys.executable, "-c", _REVEAL, *found])
    assert done.stdout.split() == [*found.values()], done.stderr
    assert Secret.of_reference("env:CANARY_0").reveal() == found["env:CANARY_0"]
    return found


_REVEAL = (
    "import sys, metastore\nfor each in sys.argv[1:]:\n"
    "    print(metastore.Secret.of_reference(each).reveal())\n"
)


def _run(command: list[str], **how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **how},
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


@pytest.fixture
def failing(mariadb: Server, tmp_path: Path) -> Iterator[dict[str, str]]:
    """URLs of places where no store can be opened, each for another reason."""
    from plugins.mysql.tests.servers import free_ports

    (port,) = free_ports(1)
    key = tmp_path / "planted" / "key.pem"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n")
    cert = tmp_path / "planted" / "cert.pem"
    cert.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    database = mariadb.new_database()
    here = f"127.0.0.1:{mariadb.port}/{database}"
    quick = "connect_timeout=0.3&timeout=0.3&busy_timeout=1"
    with ExitStack() as stack:
        silent = stack.enter_context(listener(None))
        web = stack.enter_context(listener(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        greeting = b"\x4a\x00\x00\x00\x0a8.0.36\x00\x01\x00\x00\x00" + b"a" * 60 + b"\x00"
        fake = stack.enter_context(listener(greeting))
        yield {
            "nobody listens": f"mysql://me@127.0.0.1:{port}/d?{quick}",
            "no such host": f"mysql://me@no-such-host.invalid/d?{quick}",
            "wrong password": f"mysql://{database}@{here}?{quick}",
            "wrong user": f"mysql://nobody@{here}?{quick}",
            "silent server": f"mysql://me@127.0.0.1:{silent}/d?{quick}",
            "web server": f"mysql://me@127.0.0.1:{web}/d?{quick}",
            "half a server": f"mysql://me@127.0.0.1:{fake}/d?{quick}",
            "TLS that is none": f"mysql://{database}@{here}?tls=true&{quick}",
            "bad CA": f"mysql://{database}@{here}?tls_ca={quote(str(key))}&{quick}",
            "bad key": f"mysql://{database}@{here}?tls_cert={quote(str(cert))}"
            f"&tls_key={quote(str(key))}&{quick}",
            "several hosts": f"mysql://me@127.0.0.1:{port},127.0.0.1:{silent}/d?{quick}",
            "no socket": f"mysql:///d?user=me&socket=/no/such.sock&{quick}",
            "wrong setting": f"mysql://me@127.0.0.1:{port}/d?pool_size=none&{quick}",
            "unknown setting": f"mysql://me@127.0.0.1:{port}/d?paswort=x&{quick}",
        }


def _secrets(places: Places) -> list[str]:
    return [*places.values(), LITERAL, KEY]


# PyMySQL leaves the socket of a file that is not there to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_failure_in_python_shows_a_secret(
    places: Places,
    failing: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    size: Size,
    figures: Figures,
) -> None:
    """Whatever fails, and wherever the secret was: error, causes, tracebacks with our variables,
    logs of all libraries at their most talkative, and what is printed have none of it.
    """
    caplog.set_level(0)
    logging.getLogger("sqlalchemy").setLevel(logging.DEBUG)
    failures = 0
    ways = [f"password={quote(each)}" for each in places] + [f"password={LITERAL}"]
    every = (*ways, "variable", "user part")
    for number, (why, url) in enumerate(failing.items()):
        for way in every if size(0, 1) else (every[number % len(every)], "variable", "user part"):
            if way == "variable":
                monkeypatch.setenv("METASTORE_MYSQL__PASSWORD", LITERAL)
                given = url
            elif way == "user part":
                if "@" not in url:
                    continue
                given = url.replace("@", f":{LITERAL}@", 1)
            else:
                given = f"{url}&{way}"
            try:
                metastore.connect(given, mode="r").close()
                raise AssertionError(f"{why} with {way} was no failure")
            except MetastoreError as error:
                said = everything_of(error)
            monkeypatch.delenv("METASTORE_MYSQL__PASSWORD", raising=False)
            for secret in _secrets(places):
                assert secret not in said, (why, way, said[:3000])
            failures += 1
    out, err = capfd.readouterr()
    for secret in _secrets(places):
        assert secret not in caplog.text
        assert secret not in out + err
    figures(places=len(places) + 3, failures=failures)


def _commands(store: str, folder: Path) -> list[list[str]]:
    return [
        ["run", "list", "--store", store],
        ["run", "list", "--store", store, "--json", "--debug"],
        ["store", "status", store],
        ["store", "status", store, "--json"],
        ["artifact", "list", "--where", "name = ", "--store", store, "--debug"],
        ["verify", store],
        ["upgrade", store, "--debug"],
        ["copy", store, "memory://", "--debug"],
        ["export", store, str(folder / "x.jsonl"), "--debug"],
        ["prune", store, "--older-than", "1d", "--debug"],
        ["store", "up", store, "--debug"],
        ["serve", store, "--port", "0", "--debug"],
    ]


def test_no_failing_command_shows_a_secret(
    places: Places, failing: dict[str, str], tmp_path: Path, size: Size, figures: Figures
) -> None:
    """Of commands that fail, and of those that show settings, neither output nor the files they
    leave have a secret; with --debug neither.
    """
    config = Path(os.environ["METASTORE_CONFIG"])
    work = tmp_path / "work"
    work.mkdir()
    secrets, said, commands = _secrets(places), [], 0
    names: list[tuple[str, str]] = []
    for number, (why, url) in enumerate(failing.items()):
        for reference in [*places][: size(1, len(places))] if number else places:
            name = f"s{len(names)}"
            done = _metastore(
                ["store", "register", name, "--url", f"{url}&password={reference}"], work
            )
            said.append(done)
            if done.returncode == 0:
                names.append((why, name))
    assert len(names) > 8
    literal = "\n[stores.literal]\nflavor = 'mysql'\nhost = 'h'\ndatabase = 'd'\n"
    config.write_text(config.read_text() + literal + f"password = '{LITERAL}'\n")
    for arguments in (
        ["store", "list"],
        ["store", "list", "--json"],
        ["store", "show", "literal"],
        ["store", "show", "literal", "--json"],
        ["run", "list", "--store", "literal", "--debug"],
        ["store", "register", "x", "--flavor", "mysql", "--password", LITERAL],
        ["store", "register", "x", "--url", f"mysql://u:{LITERAL}@h/d"],
        ["run", "list", "--store", f"mysql://u:{LITERAL}@h/d", "--debug"],
        ["copy", f"mysql://u:{LITERAL}@h/d", "memory://", "--debug"],
    ):
        said += [_metastore(arguments, work)]
    chosen = names if size(0, 1) else names[:: max(1, len(names) // 2)]
    for number, (_, name) in enumerate(chosen):
        said += [_metastore(["store", "show", name], work)]
        wanted = _commands(name, work)
        for arguments in wanted if size(0, 1) else wanted[number % 6 :: 6]:
            done = _metastore(arguments, work)
            assert done.returncode != 0 or "status" in arguments, arguments
            said.append(done)
    for url in (failing["wrong password"], failing["bad key"]):
        with_password = url.replace("@", f":{LITERAL}@", 1)
        said.append(_metastore(["run", "list", "--debug"], work, METASTORE_STORE=with_password))
        said.append(
            _metastore(
                ["run", "list", "--debug"],
                work,
                METASTORE_STORE=url,
                METASTORE_MYSQL__PASSWORD=LITERAL,
            )
        )
    for done in said:
        commands += 1
        for secret in secrets:
            # What is typed on the command line is in the list of processes already, but not here.
            assert secret not in done.stdout + done.stderr, done.args
    planted_in = [
        config,
        *(tmp_path / "planted").iterdir(),
        tmp_path / "data" / "python_keyring" / "keyring_pass.cfg",
    ]
    assert left_in_files([tmp_path], secrets, planted_in) == []
    figures(stores=len(names), commands=commands)


def _metastore(
    arguments: list[str], folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metastore", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **environment},
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


def test_secrets_while_it_works(mariadb: Server, tmp_path: Path, figures: Figures) -> None:
    """While a store with a password is used, its password is in no log, no variable of our frames,
    no process's arguments, and no file; nor when a statement fails or the connection is killed.
    """
    from metastore import Batch

    database = mariadb.new_database()
    secret = mariadb.password_of(database)
    stream: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.append(record.getMessage() + repr(record.args))

    handler = Keep(0)
    logging.getLogger().addHandler(handler)
    before = logging.getLogger().level
    logging.getLogger().setLevel(0)
    try:
        with metastore.connect(mariadb.url(database)) as store:
            shown = [
                repr(store),
                str(store),
                store.location,
                repr(store.backend),
                store._repr_html_(),
            ]
            batch = Batch()
            batch.type(NodeKind.ARTIFACT, "T")
            batch.artifact("T", name="a")
            store.write(batch)
            mariadb.run(f"REVOKE ALL ON {database}.* FROM {database}@'%'", "FLUSH PRIVILEGES")
            for row in mariadb.run("SHOW PROCESSLIST"):
                if row[1] == database:
                    mariadb.run(f"KILL {row[0]}")
            for work in (
                lambda: store.write(batch),
                lambda: store.backend.read_nodes(NodeQuery(NodeKind.ARTIFACT)),
                lambda: list(store.artifacts()),
            ):
                with pytest.raises(MetastoreError) as raised:
                    work()
                shown.append(everything_of(raised.value))
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(before)
    arguments = Path("/proc/self/cmdline")
    if arguments.exists():
        shown.append(arguments.read_text())
    assert not any(secret in each for each in (*shown, *stream))
    assert left_in_files([tmp_path], [secret], []) == []
    figures(logged=len(stream), shown=len(shown))


def test_served_with_a_key(tmp_path: Path) -> None:
    """What is wrong with the key of a server is said, and nothing of the key."""
    pytest.importorskip("ml_metadata", reason="without ml-metadata nothing is served")
    key = tmp_path / "key.pem"
    for content in (
        KEY,
        f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n",
        f"-----BEGIN CERTIFICATE-----\n{KEY}\n-----END CERTIFICATE-----\n",
    ):
        key.write_text(content)
        for more in ([], ["--debug"]):
            done = _metastore(
                [
                    "serve",
                    "memory://",
                    "--port",
                    "0",
                    "--tls-cert",
                    str(key),
                    "--tls-key",
                    str(key),
                    *more,
                ],
                tmp_path,
            )
            assert done.returncode == 1
            assert KEY not in done.stdout + done.stderr
