"""Who may ask, and what an answer may do in a browser."""

from __future__ import annotations

import csv
import io
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

import metastore
from metastore import Batch, NodeKind, PropertyKind, Store

from .client import Client

PATHS = ("/", "/runs", "/runs.json", "/runs.csv", "/nowhere", "/static/style.css", "/runs/9")


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_binds_the_browser(path: str, client: Client) -> None:
    """Scripts and styles come from here alone, nothing is guessed, framed or told to others."""
    headers = client.ask(path).headers
    policy = dict(
        each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";")
    )
    assert policy.pop("default-src") == policy.pop("base-uri") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert set(policy) == {"script-src", "style-src", "img-src", "connect-src", "form-action"}
    assert set(policy.values()) == {"'self'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert ("immutable" in headers["cache-control"]) == path.startswith("/static")
    assert path.startswith("/static") or headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/runs/1", "/runs.json", "/nowhere", "/static/app.js"])
def test_nothing_but_reading(method: str, path: str, client: Client) -> None:
    """Whatever could change something is refused, with what is allowed."""
    answer = client.ask(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", [*PATHS, "/index.json"])
def test_head_is_get_without_a_body(path: str, client: Client) -> None:
    """HEAD gives the status and the headers of GET, and nothing behind them."""
    get, head = client.ask(path), client.ask(path, method="HEAD")
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost:8420", "127.0.0.1", "127.0.0.1:80", "[::1]"),
        *("[::1]:8420", "localhost.", "[0:0::1]:1"),
    ],
)
def test_this_machine_by_its_names(host: str, client: Client) -> None:
    """The names and addresses of this machine are answered, whatever the port."""
    assert client.ask("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8420", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("", "127.0.0.2", "[::2]", "localhost@evil.example", "evil.example#localhost", "[::1"),
        *("0.0.0.0", "localhost, evil.example"),
    ],
)
def test_another_name_is_refused(host: str, client: Client) -> None:
    """A name that points here without being allowed reads nothing, whatever it asks for."""
    for path in ("/", "/runs.json", "/static/app.js"):
        answer = client.ask(path, headers={"host": host})
        assert answer.status_code == 421, host
        assert "sqlite" not in answer.text
        assert "memory" not in answer.text


def test_names_may_be_allowed(store: Store) -> None:
    """Whoever serves them says under which names; None leaves it to whatever is around."""
    named = Client(store, allowed_hosts=["Runs.Example.com"])
    assert named.ask("/", headers={"host": "runs.example.com:443"}).status_code == 200
    assert named.ask("/", headers={"host": "localhost"}).status_code == 421
    anyone = Client(store, allowed_hosts=None)
    assert anyone.ask("/", headers={"host": "evil.example"}).status_code == 200


HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "]]></title></svg><script>alert(1)</script>",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c\u2066\x00\x1b[2J\n\r\t\u2028",
    '=HYPERLINK("http://evil.example","a")',
    "../../etc/passwd?#&%00",
    "\N{ZERO WIDTH SPACE}\N{FAMILY}" * 100,
    "a" * 2_000_000,
]


@pytest.fixture(params=range(len(HOSTILE)), ids=[ascii(each[:12]) for each in HOSTILE])
def hostile(request: pytest.FixtureRequest) -> str:
    """A text that means harm."""
    return HOSTILE[int(request.param)]


def record(store: Store, text: str) -> None:
    """Record a run in which everything is called so, and that fails so."""
    with (
        suppress(ValueError),
        store.run(text, name=text, parameters={text: text}) as run,
    ):
        with run.step(text, parameters={text: text}) as step:
            made = step.output(
                text,
                type=text,
                uri=text,
                name=text,
                properties={text: text},
                custom_properties={text: {text: [text]}},
            )
        with run.step("second") as step:
            step.input(text, made)
            raise ValueError(text)


@pytest.fixture
def written(hostile: str) -> Iterator[Client]:
    """A store in which it is everywhere."""
    with metastore.connect("memory://") as store:
        record(store, hostile)
        batch = Batch()
        batch.type(NodeKind.EXECUTION, "Plain", {hostile: PropertyKind.STRING}, version=hostile)
        store.write(batch)
        yield Client(store)


def test_hostile_text_stays_text(written: Client) -> None:
    """Names, keys, values, uris and errors are shown, and are nothing else, on every page."""
    for path, answer in written.walk(80):
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        assert answer.status_code in (200, 400), f"{path}: {answer.text}"
        page = written.page(path, answer.status_code)
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert page.text
        # Values of a form are what they are, and are sent back so.
        for each in "\u202e\u2066\x00\x1b\u2028\u200b":
            assert each not in page.text, f"{path} has {each!r}"
        assert len(answer.content) < 600_000, path


def test_hostile_text_in_addresses(hostile: str, client: Client) -> None:
    """So does what stands in the address: in forms, errors and links to the next page."""
    text = hostile[:3000]
    for key in ("where", "name", "value", "key", "type", "page", "state", "highlight", "run"):
        query = urllib.parse.urlencode({key: text}, errors="replace")
        for path in ("/runs", "/artifacts", "/compare"):
            answer = client.ask(f"{path}?{query}")
            assert answer.status_code in (200, 400), f"{path}?{key}: {answer.text}"
            client.page(f"{path}?{query}", answer.status_code)
            assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "-", "=cmd|'/C'!A0"]
)
def test_no_cell_is_a_formula(text: str, store: Store) -> None:
    """What a spreadsheet would reckon begins with an apostrophe; numbers stay numbers."""
    with store.run("p", name=text, parameters={"n": -5}) as run, run.step("s") as step:
        step.output("out", name=text, uri=text)
    client = Client(store)
    for path in ("/runs.csv", "/artifacts.csv", "/contexts.csv"):
        for row in csv.reader(io.StringIO(client.ask(path).text, newline="")):
            for cell in row:
                assert not cell.startswith(("=", "+", "@", "\t", "\r")), cell
                assert not cell.startswith("-") or cell.lstrip("-").isdigit(), cell
    found = list(csv.reader(io.StringIO(client.ask("/artifacts.csv").text, newline="")))
    assert f"'{text}" in found[1]


def test_input_is_never_a_template(store: Store) -> None:
    """Templates see values; a value is never one."""
    made: Any = "{{ config }}{{ self._TemplateReference__context }}"
    with store.run(made, name=made):
        pass
    assert made in Client(store).page("/runs").text
