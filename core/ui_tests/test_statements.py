"""How much is asked of a store for a page: the same, however large the store is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import metastore
from metastore import Store
from metastore.sql import Session

from .client import Client
from .generated import fill

_SMALL, _LARGE = 600, 1800
"""Runs: more than any page looks at, so that both stores fill every page."""


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """A store, and one three times as large, of the same runs to begin with."""
    folder = tmp_path_factory.mktemp("sizes")
    opened = []
    for runs in (_SMALL, _LARGE):
        path: Path = folder / f"{runs}.db"
        with metastore.connect(f"sqlite:///{path}") as store:
            fill(store, runs, shared=True)
        opened.append(metastore.connect(f"sqlite:///{path}", mode="r"))
    yield opened[0], opened[1]
    for each in opened:
        each.close()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A function that counts statements, and the rows that they give, inside a with block."""
    statements: list[str] = []
    rows = [0]

    def watch(name: str) -> None:
        original = getattr(Session, name)

        def watched(self: Session, statement: Any, *arguments: Any, **values: Any) -> Any:
            statements.append(statement if isinstance(statement, str) else statement.text)
            answer = original(self, statement, *arguments, **values)
            if name == "rows":
                answer = list(answer)
                rows[0] += len(answer)
            return answer

        monkeypatch.setattr(Session, name, watched)

    for name in ("rows", "execute"):
        watch(name)

    @contextmanager
    def count() -> Iterator[list[int]]:
        statements.clear()
        rows[0] = 0
        found = [0, 0]
        yield found
        found[:] = [len(statements), rows[0]]

    return count


PAGES = [
    *("/", "/runs", "/runs?state=FAILED", "/runs?name=-0000", "/runs?key=seed&op=set"),
    *("/runs?pipeline=1", "/runs?where=executions_e.last_known_state+%3D+COMPLETE"),
    *("/runs?sort=changed", "/pipelines", "/pipelines/1", "/runs/20", "/compare?run=20&run=21"),
    *("/artifacts", "/artifacts?type=Model", "/executions", "/executions?state=FAILED"),
    *("/contexts", "/contexts/1", "/contexts/20", "/executions/30", "/artifacts/1"),
    *("/artifacts/30", "/lineage/1", "/lineage/30?depth=6", "/lineage/30?depth=all", "/types"),
    "/types/context/10",
]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_grows_with_the_store(
    path: str, sizes: tuple[Store, Store], counting: Callable[[], Any]
) -> None:
    """Of a store three times as large a page takes the same statements, and reads as many rows."""
    found = []
    for store in sizes:
        client = Client(store)
        assert client.ask(path).status_code == 200
        with counting() as counted:
            client.page(path)
        found.append(counted)
    (statements, rows), (more_statements, more_rows) = found
    assert more_statements == statements <= 75
    # Other runs have other steps.
    assert more_rows <= rows * 1.2 + 20
