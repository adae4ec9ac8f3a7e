"""``metastore ui``, as a process."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import metastore

from .generated import fill


@contextmanager
def serving(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, once it says where it is; and what it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "metastore", "ui", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            if process.poll() is None:
                process.kill()


def failed(*arguments: str) -> tuple[int, str]:
    """The exit code and what is said of a command that does not serve."""
    done = subprocess.run(
        [sys.executable, "-m", "metastore", "ui", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stderr


def asked(port: int, path: str = "/", host: str = "localhost") -> tuple[int, str]:
    """Over the network."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def port_of(line: str) -> int:
    """The port in the line that says where the pages are."""
    found = re.search(r" is at http://127\.0\.0\.1:(\d+)/ ", line)
    assert found, line
    return int(found[1])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with some runs."""
    path = tmp_path / "store.db"
    with metastore.connect(f"sqlite:///{path}") as store:
        fill(store, 3)
    return path


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(end: signal.Signals, path: Path) -> None:
    """It says where it is, answers, and ends without a word when it is interrupted."""
    before = path.read_bytes()
    with serving(f"sqlite:///{path}", "--port", "0") as (process, line):
        port = port_of(line)
        assert asked(port)[0] == 200
        status, text = asked(port, "/runs.json")
        assert status == 200
        assert '"churn-weekly' in text
        assert asked(port, host="evil.example")[0] == 421
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
            assert raw.recv(100).split()[1] in (b"400", b"421")
        process.send_signal(end)
        _, said = process.communicate(timeout=60)
        assert said == ""
    assert path.read_bytes() == before


def test_the_store_may_be_named_elsewhere(path: Path) -> None:
    """As everywhere: by METASTORE_STORE; the command lines on the pages leave it to that."""
    with serving("--port", "0", METASTORE_STORE=f"sqlite:///{path}") as (_, line):
        assert asked(port_of(line), "/runs")[0] == 200


def test_another_name_may_be_allowed(path: Path) -> None:
    """--allow-host adds names to those of this machine."""
    names = ("--allow-host", "runs.example.com", "--allow-host", "x")
    with serving(f"sqlite:///{path}", "--port", "0", *names) as (_, line):
        port = port_of(line)
        assert [asked(port, host=each)[0] for each in ("x", "localhost", "y")] == [200, 200, 421]


def test_whoever_opens_it_to_others_is_warned(path: Path) -> None:
    """An address that other machines reach has a warning: there is no login."""
    with serving(f"sqlite:///{path}", "--port", "0", "--host", "0.0.0.0") as (process, line):
        found = re.search(r"http://localhost:(\d+)/", line)
        assert found
        assert asked(int(found[1]))[0] == 200
        process.send_signal(signal.SIGTERM)
        assert "there is no login" in process.communicate(timeout=60)[1]


def test_a_port_that_is_taken(path: Path) -> None:
    """One line that says so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = failed(f"sqlite:///{path}", "--port", str(port))
    assert code == 1
    assert said == (
        f"error: 127.0.0.1 port {port} is in use; take another --port, or 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("sqlite:///nowhere.db",), 1, "nowhere.db"),
        (("nowhere://",), 1, "nowhere"),
        (("sqlite:///x.db", "--host", "192.0.2.1"), 1, "no address of this machine"),
        (("sqlite:///x.db", "--host", "no such host"), 1, "cannot be listened at"),
        (("sqlite:///x.db", "--port", "99999"), 2, "99999"),
        (("mysql://me:secret@h/db",), 2, "password"),
    ],
)
def test_what_cannot_be_served(arguments: tuple[str, ...], code: int, said: str) -> None:
    """One line, and nothing is served or made."""
    port = () if "--port" in arguments else ("--port", "0")
    got, text = failed(*arguments, *port)
    assert got == code, text
    assert said in text
    assert "Traceback" not in text
    assert "secret" not in text
    assert not Path("nowhere.db").exists()


def test_without_the_extra() -> None:
    """What is missing is said in one line, with what installs it."""
    code = (
        "import sys\n"
        "import importlib.util as util\n"
        "real = util.find_spec\n"
        "util.find_spec = lambda name, *a: None if name == 'starlette' else real(name, *a)\n"
        "sys.argv = ['metastore', 'ui', 'memory://']\n"
        "from metastore.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: the web page needs starlette, not installed here; "
        "pip install 'metastore-core[ui]'\n"
    )


PAGE = Path(__file__).parents[2] / "docs" / "ui.md"


def test_the_document_knows_the_options() -> None:
    """docs/ui.md lists the options that there are, and the port that is meant without any."""
    if not PAGE.is_file():
        pytest.skip("the documents are not part of the distribution")
    from metastore.cli.ui import ui

    text = PAGE.read_text("utf-8")
    options = {name for each in ui.params for name in each.opts if name.startswith("--")}
    assert set(re.findall(r"^\| `(--[a-z-]+)", text, re.MULTILINE)) == options - {"--debug"}
    (port,) = (each.default for each in ui.params if each.name == "port")
    assert f"http://127.0.0.1:{port}/" in text
