"""What the tests of the SQLite flavor share: stores, their files, and all that is in them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import metastore
from metastore import (
    Artifact,
    Batch,
    EventQuery,
    EventType,
    LinkKind,
    LinkQuery,
    NodeKind,
    NodeQuery,
    OpenMode,
    PropertyKind,
    Store,
    Type,
    TypeQuery,
)
from metastore.model import SIMPLE_TYPES, AnyNode, Execution, Proto, Value
from metastore_flavor_sqlite import SQLiteConfig, SQLiteMetadataStore

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


def open_file(path: Path | str, mode: OpenMode = "rw", **options: Any) -> SQLiteMetadataStore:
    """The store in the file; made if there is none and it is opened for writing."""
    return SQLiteMetadataStore.open(SQLiteConfig(path=Path(path), **options), mode=mode)


def url_of(path: Path | str) -> str:
    """The URL of a file, whatever its name."""
    return f"sqlite:///{quote(str(path))}"


def connect(path: Path | str, mode: OpenMode = "rw") -> Store:
    """The store in the file, as people open it."""
    return metastore.connect(url_of(path), mode=mode)


def fingerprint(path: Path) -> dict[str, str]:
    """Every file in the folder of `path`, and a hash of what it holds."""
    return {
        each.name: hashlib.sha256(each.read_bytes()).hexdigest()
        for each in path.parent.iterdir()
        if each.is_file()
    }


def real_stores() -> Path:
    """The folder with the real stores; skips the test where there is none."""
    folder = os.environ.get("METASTORE_TEST_STORES")
    if not folder:
        pytest.skip(
            "METASTORE_TEST_STORES does not name the folder with the real stores: lost is the test"
            " that we read them as ml-metadata does"
        )
    return Path(folder)


def sample(kind: NodeKind = ARTIFACT, count: int = 1, **fields: Any) -> Batch:
    """A batch with a type ``T`` that declares ``n``, and nodes of it."""
    batch = Batch()
    batch.type(kind, "T", {"n": PropertyKind.INT})
    for number in range(count):
        if kind is CONTEXT:
            fields["name"] = f"context {number}"
        getattr(batch, kind.label)("T", properties={"n": number}, **fields)
    return batch


def write_run_like(store: Any, outputs: int = 1) -> metastore.WrittenBatch:
    """One execution in one context, with inputs, outputs, events and all links."""
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", {"n": PropertyKind.INT})
    context = batch.context("T", name="group", mode=metastore.Reuse("name"))
    execution = batch.execution("T", properties={"n": 1})
    batch.association(context, execution)
    for number in range(outputs):
        artifact = batch.artifact("T", uri=f"/data/{number}", properties={"n": number})
        batch.event(artifact, execution, EventType.OUTPUT, path=("out", number))
        batch.attribution(context, artifact)
    written: metastore.WrittenBatch = store.write(batch)
    return written


# Other processes.  They are fresh interpreters that run workers.py: a child of a test process
# would inherit what pytest has open.

_WORKERS = Path(__file__).with_name("workers.py")


def start(action: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a worker of workers.py."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(_WORKERS), action, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer_of(process: subprocess.Popen[str], expect: int = 0) -> Any:
    """What a worker printed as JSON; its complaints when it did not end as expected."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == expect, f"ended with {process.returncode}:\n{err}"
    return json.loads(out) if out else None


def all_at_once(action: str, argument_lists: Iterable[Iterable[object]]) -> list[Any]:
    """Workers that begin at the same moment; their answers."""
    processes = [start(action, *arguments) for arguments in argument_lists]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [answer_of(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


# Everything in a store, in the form of `mlmd.snapshot`.

_TAGS = {
    PropertyKind.INT: "int_value",
    PropertyKind.DOUBLE: "double_value",
    PropertyKind.STRING: "string_value",
    PropertyKind.STRUCT: "struct_value",
    PropertyKind.PROTO: "proto_value",
    PropertyKind.BOOLEAN: "bool_value",
}


def listing(store: metastore.BaseMetadataStore) -> dict[str, Any]:
    """Everything in the store, in the form that ``mlmd.snapshot`` gives of the same file."""
    listed: dict[str, Any] = {}
    for kind in NodeKind:
        listed[f"{kind.label}_types"] = [
            _type(each)
            for each in store.read_types(TypeQuery(kind))
            if each.name not in SIMPLE_TYPES[kind]
        ]
        listed[f"{kind.label}s"] = [_node(each) for each in store.iterate(NodeQuery(kind))]
    listed["events"] = sorted(
        (
            (each.artifact_id, each.execution_id, int(each.type), each.time_ms, each.path)
            for each in store.read_events(EventQuery())
        ),
        key=lambda event: (*event[:3], repr(event[3:])),
    )
    for link in (LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION):
        listed[f"{link.label}s"] = [tuple(each) for each in store.read_links(LinkQuery(link))]
    listed["parent_contexts"] = sorted(
        (each.other_id, each.context_id) for each in store.read_links(LinkQuery(LinkKind.PARENT))
    )
    return listed


def _type(each: Type) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": each.id,
        "name": each.name,
        "version": each.version,
        "description": each.description,
        "external_id": each.external_id,
        "base_type": None,
        "properties": {name: kind.name for name, kind in each.properties.items()},
    }
    if each.base_type is not None:
        record["base_type"] = each.base_type.removeprefix("mlmd.").upper()
    if each.kind is EXECUTION:
        for name in ("input_type", "output_type"):
            text = getattr(each, name)
            record[name] = None if text is None else json.loads(text)
    return record


def _node(node: AnyNode) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": node.id,
        "type_id": node.type_id,
        "type": node.type,
        "name": node.name,
        "external_id": node.external_id,
        "create_time_since_epoch": node.create_time_ms,
        "last_update_time_since_epoch": node.update_time_ms,
        "properties": _values(node.properties),
        "custom_properties": _values(node.custom_properties),
    }
    if isinstance(node, Artifact):
        record["uri"] = node.uri
    if isinstance(node, Artifact | Execution):
        record["state"] = None if node.state is None else int(node.state)
    return record


def _values(properties: Mapping[str, Value]) -> dict[str, tuple[Any, ...]]:
    return {name: value_record(value) for name, value in properties.items()}


def with_all_digits(theirs: Any, ours: Any) -> Any:
    """A record of ml-metadata's, with our doubles in place of its own where they mean the same.

    It reads doubles from a text of the database's, of which the last digits differ.
    """
    if not (isinstance(theirs, dict) and "type_id" in theirs):
        return theirs
    return theirs | {
        field: {
            key: ours[field][key] if _same_double(value, ours[field].get(key)) else value
            for key, value in theirs[field].items()
        }
        for field in ("properties", "custom_properties")
    }


def _same_double(value: tuple[Any, ...], other: tuple[Any, ...] | None) -> bool:
    return (
        other is not None
        and value[0] == other[0] == "double_value"
        and math.isclose(value[1], other[1], rel_tol=1e-14)
    )


def value_record(value: Value) -> tuple[Any, ...]:
    """A value as ``mlmd.snapshot`` gives it."""
    for kind, type in (
        (PropertyKind.BOOLEAN, bool),
        (PropertyKind.INT, int),
        (PropertyKind.DOUBLE, float),
        (PropertyKind.STRING, str),
        (PropertyKind.STRUCT, dict),
    ):
        if isinstance(value, type):
            return (_TAGS[kind], value)
    assert isinstance(value, Proto)
    return (_TAGS[PropertyKind.PROTO], value.type_url, value.value)
