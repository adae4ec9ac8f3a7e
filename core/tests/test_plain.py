"""The toolkit for flavors whose backend only keeps rows."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metastore import (
    Batch,
    BusyError,
    Flavor,
    InvalidError,
    NodeKind,
    OpenMode,
    StorageError,
    StoreNotFoundError,
)
from metastore.base import BaseMetadataStore
from metastore.errors import ClosedError
from metastore.model import (
    Artifact,
    ArtifactState,
    Context,
    Event,
    EventType,
    Execution,
    ExecutionState,
    LinkKind,
    PropertyKind,
    Proto,
    Type,
)
from metastore.plain import PlainMetadataStore, Row, StoredLink, Tables, record_of, row_of
from metastore.query import NodeQuery
from metastore.testing import StoreContract, ThreadContract, contents, exact
from metastore.testing._base import prepare, put

ARTIFACT = NodeKind.ARTIFACT

# Records.

_texts = st.text(max_size=5)
_structs = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | _texts,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(_texts, inside, max_size=3),
    max_leaves=6,
)
_values = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | _texts
    | st.dictionaries(_texts, _structs, max_size=3)
    | st.builds(Proto, _texts, st.binary(max_size=5))
)
_maps = st.dictionaries(_texts, _values, max_size=3)
_ids = st.integers(1, 2**63 - 1)
_optional = st.none() | _texts
_nodes: list[Any] = [_ids, _ids, _texts, _optional, _optional, _maps, _maps, _ids, _ids]
ROWS: st.SearchStrategy[Row] = st.one_of(
    st.builds(Artifact, *_nodes, _texts, st.none() | st.sampled_from(ArtifactState)),
    st.builds(Execution, *_nodes, st.none() | st.sampled_from(ExecutionState)),
    st.builds(Context, *_nodes),
    st.builds(
        Type,
        _ids,
        st.sampled_from(NodeKind),
        _texts,
        st.dictionaries(_texts, st.sampled_from(PropertyKind), max_size=3),
        *[_optional] * 6,
    ),
    st.builds(
        Event,
        _ids,
        _ids,
        st.sampled_from(EventType),
        _ids,
        st.lists(st.integers(-(2**63), 2**63 - 1) | _texts, max_size=3).map(tuple),
        _ids,
    ),
    st.builds(StoredLink, st.sampled_from(LinkKind), _ids, _ids),
)


@settings(database=None, deadline=None)
@given(row=ROWS)
def test_a_record_is_json_and_comes_back(row: Row) -> None:
    """Any row comes back from the JSON text of its record, kinds and all."""
    text = json.dumps(record_of(row), allow_nan=False)
    again = row_of(json.loads(text))
    assert type(again) is type(row)
    assert repr(again) == repr(row)
    for name in ("properties", "custom_properties"):
        assert exact(getattr(again, name, {})) == exact(getattr(row, name, {}))


def test_doubles_without_end_have_a_form() -> None:
    """An infinity has a form that every JSON parser reads, inside a struct too."""
    values: dict[str, Any] = {"a": math.inf, "b": {"c": [-math.inf]}, "d": {"double": "x"}}
    row = Artifact(1, 1, "T", None, None, {}, values, 1, 1, "", None)
    record = json.loads(json.dumps(record_of(row), allow_nan=False))
    assert record["custom_properties"]["a"] == {"double": "Infinity"}
    assert row_of(record) == row


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"row": "table"},
        {"row": "artifact"},
        {"row": "event", "type": "NONE"},
        {"row": "attribution", "context_id": 1},
        {"row": "type", "kind": "secret"},
        {"row": "artifact", "properties": {"a": {"secret": 1}}, "custom_properties": {}},
        {"row": "artifact", "properties": {"a": {"proto": ["t", "!"]}}, "custom_properties": {}},
        {"row": "artifact", "properties": {"a": {}}, "custom_properties": {}},
        [],
        "text",
    ],
    ids=repr,
)
def test_what_is_no_record_is_an_error(record: Any) -> None:
    """What is no record of a row is StorageError, which does not show what stands in it."""
    with pytest.raises(StorageError, match="no row of a store") as raised:
        row_of(record)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


# Tables.


def test_rows_put_back_are_the_same_store() -> None:
    """Tables into which all rows of others are loaded hold the same, and give no id anew."""
    first, second = Tables(), Tables()
    with first.undone_on_error() as written:
        store = _Kept(first, [])
        prepare(store, a=PropertyKind.INT)
        batch = Batch()
        made, ran = batch.artifact("T", properties={"a": 1}), batch.execution("T")
        group, above = batch.context("T", name="g"), batch.context("T", name="h")
        batch.event(made, ran, EventType.OUTPUT, path=["k", 0])
        batch.attribution(group, made)
        batch.association(group, ran)
        batch.parent(group, above)
        store.write(batch)
        second.load(written())
    assert contents(store) == contents(other := _Kept(second, []))
    assert put(other, ARTIFACT).id == put(store, ARTIFACT).id == 2


def test_each_row_is_told_once_as_it_is_now() -> None:
    """A row that was written twice inside a block is told once, as it is at the end."""
    tables = Tables()
    store = _Kept(tables, [])
    with tables.undone_on_error() as written:
        prepare(store, a=PropertyKind.INT)
        id = put(store, ARTIFACT).id
        batch = Batch()
        batch.artifact(mode=_merge(id), properties={"a": 2})
        store.write(batch)
        [row] = [row for row in written() if isinstance(row, Artifact)]
    assert row.properties == {"a": 2}


def _merge(id: int) -> Any:
    from metastore import Merge

    return Merge(id)


# The store.

Log = list[list[Row]]
_one_at_a_time = threading.RLock()


class _Kept(PlainMetadataStore):
    """Rows in a list that several stores share, as a file or a service would be."""

    FLAVOR = "memory"

    def __init__(self, tables: Tables | None, log: Log, *, mode: OpenMode = "rw") -> None:
        super().__init__(tables, location="memory://kept", mode=mode)
        self._log, self._seen = log, 0
        self.fails: BaseException | None = None
        self.released = 0

    @classmethod
    def open(cls, config: Log, *, mode: OpenMode = "rw", create: bool = True) -> _Kept:
        """Another store over the same log; a log without its first entry is no store."""
        if not config:
            if mode == "r" or not create:
                raise StoreNotFoundError("there is no store in the log")
            config.append([])
        return cls(None, config, mode=mode)

    def exclusive(self) -> AbstractContextManager[object]:
        """One at a time, of all logs."""
        return _one_at_a_time

    def refresh(self, tables: Tables) -> None:
        """Load what is new."""
        for rows in self._log[self._seen :]:
            tables.load(rows)
        self._seen = len(self._log)

    def commit(self, rows: Sequence[Row]) -> None:
        """Append."""
        if self.fails is not None:
            raise self.fails
        self._log.append(list(rows))
        self._seen = len(self._log)

    def release(self) -> None:
        """Count."""
        self.released += 1


class TestKept(StoreContract):
    """The contract, by a flavor that says no more than how rows are kept."""

    @pytest.fixture
    def make_store(self) -> Callable[[], BaseMetadataStore]:
        """A new log each."""
        return lambda: _Kept.open([])

    @pytest.mark.xfail(reason="the class is in no distribution", strict=True)
    def test_the_descriptor_names_the_classes(self, flavor: Flavor, store: Any) -> None:
        """Not so: its FLAVOR is memory's."""
        super().test_the_descriptor_names_the_classes(flavor, store)


def test_what_cannot_be_kept_is_undone() -> None:
    """Where `commit` raises, the batch leaves nothing, and the store works on."""
    store = _Kept.open([])
    prepare(store)
    store.fails = BusyError("another one was faster")
    with pytest.raises(BusyError):
        put(store, ARTIFACT)
    assert store.count(NodeQuery(ARTIFACT)) == 0
    store.fails = None
    assert put(store, ARTIFACT).id > 0


def test_nothing_new_is_not_kept() -> None:
    """A batch that changes nothing does not call `commit`."""
    store = _Kept.open([])
    store.fails = StorageError("must not be called")
    store.write(Batch())


def test_a_snapshot_holds() -> None:
    """Inside a snapshot others' writes are not seen, and writing is refused."""
    log: Log = []
    store, other = _Kept.open(log), _Kept.open(log)
    prepare(other)
    with store.snapshot():
        put(other, ARTIFACT)
        assert store.count(NodeQuery(ARTIFACT)) == 0
        with pytest.raises(InvalidError, match="snapshot"):
            put(store, ARTIFACT)
    assert store.count(NodeQuery(ARTIFACT)) == 1


def test_release_is_called_once() -> None:
    """Closing twice lets go once, and the store says that it is closed."""
    store = _Kept.open([])
    store.close()
    store.close()
    assert store.released == 1
    assert repr(store) == "<_Kept memory://kept closed>"
    with pytest.raises(ClosedError):
        store.count(NodeQuery(ARTIFACT))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_a_child_does_not_see_what_was_not_committed() -> None:
    """A child that is forked inside a transaction of its parent has what was committed before."""
    store = _Kept.open([])
    prepare(store)
    put(store, ARTIFACT)
    with store.transaction():
        put(store, ARTIFACT)
        child = os.fork()
        if not child:
            os._exit(store.count(NodeQuery(ARTIFACT)))
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert store.count(NodeQuery(ARTIFACT)) == 2


def test_the_kit_notices_that_there_is_no_lock() -> None:
    """Two stores that do not keep one another out lose what one wrote, and the kit sees it."""

    class Unlocked(_Kept):
        def exclusive(self) -> AbstractContextManager[object]:
            return nullcontext()

    log: Log = []
    with pytest.raises(AssertionError):
        ThreadContract().test_a_transaction_keeps_other_stores_out(
            Unlocked.open(log), lambda store, mode: Unlocked.open(log, mode=mode)
        )
