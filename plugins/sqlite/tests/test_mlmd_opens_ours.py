"""What we write, ml-metadata opens and reads as we do; and each goes on where the other stopped."""

from __future__ import annotations

import itertools
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing says whether it can read what we write"
)

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_metadata import errors
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from metastore import (
    ArtifactState,
    Batch,
    EventType,
    ExecutionState,
    Merge,
    NodeKind,
    NodeQuery,
    PropertyKind,
    Proto,
    Replace,
    Reuse,
    TypeKey,
)
from metastore.model import SIMPLE_TYPES
from metastore.values import same_value

from . import mlmd
from .helpers import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    connect,
    listing,
    open_file,
    value_record,
    with_all_digits,
)

pb: Any = metadata_store_pb2


def assert_read_alike(path: Path) -> dict[str, Any]:
    """Check that ml-metadata lists what we list; returns it."""
    with_us = open_file(path, "r")
    ours = listing(with_us)
    with_us.close()
    theirs = mlmd.snapshot(path)
    assert set(ours) == set(theirs)
    for section, records in ours.items():
        assert len(records) == len(theirs[section]), section
        for one, other in zip(records, theirs[section], strict=True):
            assert one == with_all_digits(other, one), section
    return ours


def _schema(path: Path) -> list[Any]:
    database = sqlite3.connect(path)
    try:
        return [
            *database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name"),
            *database.execute("SELECT schema_version FROM MLMDEnv"),
            *database.execute("SELECT * FROM Type ORDER BY id"),
        ]
    finally:
        database.close()


# Recorded runs.


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A file with runs that succeeded, failed, were canceled and are running."""
    path = tmp_path / "runs.db"
    with connect(path) as store:
        with store.run("train", parameters={"seed": 7, "layers": [1, 2], "none": None}) as run:
            with run.step("prepare", parameters={"split": 0.25, "é": "😀"}) as step:
                step.input("raw", "/data/raw.csv", type="Table")
                examples = step.output("examples", type="Examples", properties={"rows": 10_000})
            with run.step("fit") as step:
                step.input("examples", examples)
                step.metric("accuracy", 0.97)
                step.output(
                    "model",
                    type="Model",
                    uri="s3://bucket/model",
                    name="model-1",
                    properties={"loss": 1e-9, "ok": True, "layers": {"dense": [64, 32]}},
                    custom_properties={"owner": "é"},
                    external_id="registry/1",
                )
        failing = store.run("train")
        with pytest.raises(ValueError, match="no data"), failing, failing.step("prepare"):
            raise ValueError("no data: 'quoted' \"twice\" \n 😀")
        with pytest.raises(KeyboardInterrupt), store.run("train"):
            raise KeyboardInterrupt
        store.run("train", name="still running").start().step("fit").start()
    return path


def test_recorded_runs_open_without_migration(recorded: Path) -> None:
    """ml-metadata opens a file of recorded runs as it is: no migration, nothing added."""
    before = _schema(recorded)
    mlmd.connect(recorded)
    assert _schema(recorded) == before


def test_recorded_runs_are_read_alike(recorded: Path) -> None:
    """What `Store.run` recorded is what ml-metadata lists, node by node."""
    listed = assert_read_alike(recorded)
    assert [node["state"] for node in listed["executions"]] == [
        ExecutionState.COMPLETE,
        ExecutionState.COMPLETE,
        ExecutionState.FAILED,
        ExecutionState.RUNNING,
    ]
    assert len(listed["events"]) == 4
    assert len(listed["parent_contexts"]) == 4


def test_a_read_only_connection_reads_recorded_runs(recorded: Path) -> None:
    """ml-metadata reads our file over a read-only connection too, and cannot write to it."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(recorded)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READONLY
    store = MetadataStore(config)
    assert [node.name for node in store.get_artifacts_by_type("Model")] == ["model-1"]
    assert {node.name for node in store.get_contexts_by_type("metastore.Pipeline")} == {"train"}
    with pytest.raises(errors.InternalError, match="readonly"):
        store.put_artifact_type(pb.ArtifactType(name="New"))


def test_an_empty_store_of_ours_is_empty_for_mlmd(tmp_path: Path) -> None:
    """A new file of ours has the simple types and nothing else, and ml-metadata adds nothing."""
    path = tmp_path / "new.db"
    open_file(path).close()
    before = _schema(path)
    listed = assert_read_alike(path)
    assert not any(listed.values())
    assert _schema(path) == before


def test_the_tables_are_those_that_mlmd_makes(tmp_path: Path) -> None:
    """Tables, columns, keys and indexes are ml-metadata's, but for the two indexes of ours."""
    open_file(tmp_path / "ours.db").close()
    mlmd.connect(tmp_path / "theirs.db")
    ours, theirs = (_shape(tmp_path / name) for name in ("ours.db", "theirs.db"))
    added = {
        ("Association", "idx_association_execution_id", 0, 0, ("execution_id",)),
        ("Attribution", "idx_attribution_artifact_id", 0, 0, ("artifact_id",)),
    }
    assert ours["indexes"] - theirs["indexes"] == added
    assert theirs["indexes"] <= ours["indexes"]
    assert ours["columns"] == theirs["columns"]


def _shape(path: Path) -> dict[str, set[Any]]:
    database = sqlite3.connect(path)
    try:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        columns, indexes = set(), set()
        for table in tables:
            for _, name, _, required, default, key in database.execute(
                "SELECT * FROM pragma_table_info(?)", (table,)
            ):
                # The key of a rowid table is never NULL, whether it says so or not.
                standard = None if default is None else default.strip("'")
                columns.add((table, name, required or key > 0, standard, key))
            for _, name, unique, _, partial in database.execute(
                "SELECT * FROM pragma_index_list(?)", (table,)
            ):
                parts = tuple(
                    part
                    for _, _, part in database.execute(
                        "SELECT * FROM pragma_index_info(?)", (name,)
                    )
                )
                # SQLite numbers the indexes behind constraints, in the order of declaration.
                named = "" if name.startswith("sqlite_autoindex_") else name
                indexes.add((table, named, unique, partial, parts))
    finally:
        database.close()
    return {"columns": columns, "indexes": indexes}


# Values.

_HELD: dict[str, tuple[Any, ...]] = {
    "ints": (0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)),
    "doubles": (0.0, 5.0, 0.1, -1e-9, 1e300, 5e-324, 123456789012345.0, 1e15, -1e-300),
    "texts": (
        *("", " ", "NULL", "null", "é 😀 漢字", "line\nline\r\n\ttab", 'it\'s "quoted" \\ `too`'),
        *("%s {} ; DROP TABLE Artifact; --", "12", "1e5", "true", "x" * 100_000, "\u2028\ufeff"),
        *("mlmd-struct", "MLMD-STRUCT::x", " __MLMD_NULL__", "\x01\x1f\x7f"),
    ),
    "booleans": (True, False),
    "structs": (
        {},
        {"": None, "a": [1.0, "two", None, [3.0, []], {"four": 4.5}], "b": {"": {"deep": True}}},
        {"text": "mlmd-struct::", "nul": "a\0b", "number": -0.5, "big": 2.0**60},
    ),
    "protos": (Proto("type.googleapis.com/x.Y", b""), Proto("é/z", bytes(range(256)))),
}


@pytest.mark.parametrize("values", _HELD.values(), ids=_HELD)
@pytest.mark.parametrize("kind", NodeKind, ids=lambda kind: kind.label)
def test_values_of_each_kind(values: tuple[Any, ...], kind: NodeKind, tmp_path: Path) -> None:
    """Values that both can hold are the same for both, as declared and as custom properties."""
    path = tmp_path / "values.db"
    store = open_file(path)
    batch = Batch()
    kinds = {
        int: PropertyKind.INT,
        float: PropertyKind.DOUBLE,
        str: PropertyKind.STRING,
        bool: PropertyKind.BOOLEAN,
        dict: PropertyKind.STRUCT,
        Proto: PropertyKind.PROTO,
    }
    properties = {f"p{number}": value for number, value in enumerate(values)}
    batch.type(kind, "T", {key: kinds[type(value)] for key, value in properties.items()})
    extra = {"name": "named"} if kind is CONTEXT else {}
    getattr(batch, kind.label)("T", properties=properties, custom_properties=properties, **extra)
    store.write(batch)
    [node] = store.read_nodes(NodeQuery(kind))
    store.close()
    assert same_value(node.properties, properties)
    assert same_value(node.custom_properties, properties)
    assert_read_alike(path)


_DEVIATIONS: dict[str, tuple[Any, Any]] = {
    # what we write and read, what ml-metadata reads of it: a record, or its error
    "a 16th digit": (0.1 + 0.2, ("double_value", 0.3)),
    "the greatest double": (1.7976931348623157e308, ("double_value", math.inf)),
    "infinity": (math.inf, ("double_value", math.inf)),
    "minus infinity": (-math.inf, ("double_value", -math.inf)),
    "the sign of zero": (-0.0, ("double_value", 0.0)),
    "a NUL": ("before\0after", ("string_value", "before")),
    "its word for NULL": ("__MLMD_NULL__", errors.InternalError),
    "text like a struct": ("mlmd-struct::", ("struct_value", {})),
    "text like a broken struct": ("mlmd-struct::%%%", errors.InvalidArgumentError),
}


@pytest.mark.parametrize("case", _DEVIATIONS.values(), ids=_DEVIATIONS)
def test_values_that_mlmd_cannot_hold(case: tuple[Any, Any], tmp_path: Path) -> None:
    """A value beyond ml-metadata comes back to us unharmed; this is what it makes of each."""
    value, theirs = case
    path = tmp_path / "values.db"
    store = open_file(path)
    batch = Batch()
    batch.type(ARTIFACT, "T")
    batch.artifact("T", custom_properties={"k": value})
    store.write(batch)
    [node] = store.read_nodes(NodeQuery(ARTIFACT))
    store.close()
    assert same_value(node.custom_properties, {"k": value})
    if isinstance(theirs, type):
        with pytest.raises(theirs):
            mlmd.connect(path).get_artifacts()
        return
    [found] = mlmd.snapshot(path)["artifacts"]
    assert found["custom_properties"]["k"][0] == theirs[0]
    assert same_value(found["custom_properties"]["k"][1], theirs[1])


# Batches of every sort.

_texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8
).filter(lambda text: not text.startswith("mlmd-struct::") and text != "__MLMD_NULL__")
_names = st.none() | st.sampled_from(["", "a", "é", "A", "a "]) | _texts
_json: Any = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=6,
)
_ints = st.integers(-(2**63), 2**63 - 1)
_values: dict[PropertyKind, Any] = {
    PropertyKind.INT: _ints,
    PropertyKind.DOUBLE: st.floats(
        allow_nan=False, min_value=-1e308, max_value=1e308, allow_infinity=False
    ).map(lambda number: number or 0.0),
    PropertyKind.STRING: _texts,
    PropertyKind.STRUCT: st.dictionaries(_texts, _json, max_size=3),
    PropertyKind.PROTO: st.builds(Proto, _texts.filter(bool), st.binary(max_size=8)),
    PropertyKind.BOOLEAN: st.booleans(),
}
_any_value = st.one_of(*_values.values())
_times = st.none() | st.integers(0, 2**53)
_steps = st.lists(st.integers(-(2**63), 2**63 - 1) | _texts, max_size=3)
_EVENTS = [each for each in EventType if each]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """A batch of a few types and nodes of every kind, with all that can link them."""
    batch = Batch()
    declared: dict[TypeKey, dict[str, PropertyKind]] = {}
    for kind in NodeKind:
        for version in draw(st.lists(st.none() | _texts, max_size=2, unique_by=lambda v: v or "")):
            properties = draw(st.dictionaries(_texts, st.sampled_from(PropertyKind), max_size=4))
            key = batch.type(
                kind,
                draw(st.sampled_from(["T", "U", "é 😀", "mlmd.Own"])),
                properties,
                version=version,
                description=draw(st.none() | _texts),
                base_type=draw(st.sampled_from([None, *SIMPLE_TYPES[kind]])),
                external_id=f"{kind}{version}" if draw(st.booleans()) else None,
            )
            if key in declared:
                batch.types.pop()
                continue
            declared[key] = properties
    refs: dict[NodeKind, list[Any]] = {kind: [] for kind in NodeKind}
    taken: set[Any] = set()
    for key, properties in declared.items():
        for _ in range(draw(st.integers(0, 3))):
            name, external_id = draw(_names), draw(_names)
            if key.kind is CONTEXT:
                name = name or "context"
            if (key, name) in taken and name is not None:
                continue
            if (key.kind, "external", external_id) in taken:
                external_id = None
            taken |= {(key, name)}
            if external_id is not None:
                taken.add((key.kind, "external", external_id))
            fields: dict[str, Any] = {}
            if key.kind is ARTIFACT:
                fields = {"uri": draw(_texts), "state": draw(st.none() | _states(ArtifactState))}
            elif key.kind is EXECUTION:
                fields = {"state": draw(st.none() | _states(ExecutionState))}
            given = {
                name: draw(_values[value])
                for name, value in properties.items()
                if draw(st.booleans())
            }
            refs[key.kind].append(
                getattr(batch, key.kind.label)(
                    key,
                    name=name,
                    external_id=external_id,
                    properties=given,
                    custom_properties=draw(st.dictionaries(_texts, _any_value, max_size=3)),
                    create_time_ms=draw(_times),
                    **fields,
                )
            )
    _link(draw, batch, refs)
    return batch


def _states(enum: Any) -> Any:
    return st.sampled_from(enum)


def _link(draw: st.DrawFn, batch: Batch, refs: dict[NodeKind, list[Any]]) -> None:
    contexts = refs[CONTEXT]
    for artifact, execution in itertools.product(refs[ARTIFACT], refs[EXECUTION]):
        for type in draw(st.lists(st.sampled_from(_EVENTS), max_size=2, unique=True)):
            batch.event(artifact, execution, type, path=draw(_steps), time_ms=draw(_times))
    for context, artifact in itertools.product(contexts, refs[ARTIFACT]):
        if draw(st.booleans()):
            batch.attribution(context, artifact)
    for context, execution in itertools.product(contexts, refs[EXECUTION]):
        if draw(st.booleans()):
            batch.association(context, execution)
    for child, parent in itertools.combinations(contexts, 2):
        if draw(st.booleans()):
            batch.parent(child, parent)


_numbers = itertools.count()


@pytest.mark.slow
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batch=batches())
def test_any_batch_is_read_alike(batch: Batch, tmp_path: Path) -> None:
    """Whatever a batch holds that ml-metadata can hold, it lists it as we do."""
    path = tmp_path / f"{next(_numbers)}.db"
    store = open_file(path)
    written = store.write(batch)
    store.close()
    assert all(each.id > 0 for kind in NodeKind for each in written.nodes[kind])
    assert_read_alike(path)


# One after the other.


def _extend_ours(path: Path) -> None:
    """New types and nodes, types widened, nodes updated, events and links between old and new."""
    store = open_file(path)
    batch = Batch()
    batch.type(
        ARTIFACT,
        "Bulk",
        {"note": PropertyKind.STRING},
        can_add_properties=True,
        can_omit_properties=True,
    )
    batch.type(EXECUTION, "New", {"n": PropertyKind.INT}, base_type="mlmd.Train")
    batch.type(ARTIFACT, "Versioned", {"x": PropertyKind.PROTO}, version="v3", external_id="v3")
    numbered = store.read_nodes(NodeQuery(ARTIFACT, type_names=["Bulk"], limit=4))
    first, second, third, fourth = (node.id for node in numbered)
    batch.artifact(
        properties={"note": "updated"},
        custom_properties={"number": 0.5},
        state=ArtifactState.ABANDONED,
        mode=Merge(first, frozenset({"state"})),
    )
    batch.artifact("Bulk", uri="/replaced", mode=Replace(second))
    batch.artifact(properties={}, mode=Merge(third, properties=frozenset({"number"})))
    new = batch.artifact("Bulk", name="new", properties={"number": -1, "note": "é"})
    same = batch.artifact("Bulk", name="new", mode=Reuse("name"))
    execution = batch.execution("New", properties={"n": 2**62}, state=ExecutionState.CACHED)
    context = batch.context("Shared", name="neither", mode=Reuse("name"))
    child = batch.context("Shared", name="ours")
    batch.parent(child, context)
    batch.association(context, execution)
    for artifact in (new, same, fourth):
        batch.attribution(child, artifact)
    batch.event(new, execution, EventType.OUTPUT, path=["out", 0])
    batch.event(fourth, execution, EventType.INPUT, path=["in", 1, "again", 0])
    written = store.write(batch)
    assert written[new].id == written[same].id
    store.close()


def _extend_theirs(path: Path) -> None:
    """As `_extend_ours`, by ml-metadata, on top of it."""
    store = mlmd.connect(path)
    type_id = store.put_artifact_type(
        pb.ArtifactType(name="Bulk", properties={"more": pb.STRUCT}),
        can_add_fields=True,
        can_omit_fields=True,
    )
    [updated] = [node for node in store.get_artifacts_by_type("Bulk") if node.name == "new"]
    updated.properties["more"].struct_value.update({"a": [1, None]})
    updated.state = pb.Artifact.LIVE
    del updated.properties["note"]
    other = pb.Artifact(type_id=type_id, uri="/theirs")
    other.custom_properties["b"].bool_value = False
    _, other_id = store.put_artifacts([updated, other])
    [execution] = store.get_executions_by_type("New")
    store.put_events(
        [pb.Event(artifact_id=other_id, execution_id=execution.id, type=pb.Event.PENDING_OUTPUT)]
    )
    context: Any = store.get_context_by_type_and_name("Shared", "ours")
    store.put_attributions_and_associations(
        [pb.Attribution(context_id=context.id, artifact_id=other_id)],
        [pb.Association(context_id=context.id, execution_id=execution.id)],
    )


def test_each_goes_on_where_the_other_stopped(tmp_path: Path) -> None:
    """A store of ml-metadata that we and it extend in turns is the same for both, each time."""
    path = tmp_path / "both.db"
    mlmd.write_everything(path)
    before = assert_read_alike(path)
    _extend_ours(path)
    ours = assert_read_alike(path)
    _extend_theirs(path)
    theirs = assert_read_alike(path)
    added = {
        section: (
            len(ours[section]) - len(before[section]),
            len(theirs[section]) - len(ours[section]),
        )
        for section in before
    }
    assert added == {
        "artifact_types": (1, 0),
        "execution_types": (1, 0),
        "context_types": (0, 0),
        "artifacts": (1, 1),
        "executions": (1, 0),
        "contexts": (1, 0),
        "events": (2, 1),
        "attributions": (2, 1),
        "associations": (1, 1),
        "parent_contexts": (1, 0),
    }
    [new] = [node for node in theirs["artifacts"] if node["name"] == "new"]
    assert new["properties"] == {
        "number": value_record(-1),
        "more": value_record({"a": [1.0, None]}),
    }


def test_a_store_of_ours_that_mlmd_extends(recorded: Path) -> None:
    """Runs of ours that ml-metadata extends are read by both, and a store held open sees it."""
    held = open_file(recorded)
    assert held.count(NodeQuery(ARTIFACT)) == 3
    theirs = mlmd.connect(recorded)
    type_id = theirs.put_artifact_type(pb.ArtifactType(name="Theirs", properties={"p": pb.INT}))
    theirs.put_artifacts([pb.Artifact(type_id=type_id, name="from them")])
    del theirs
    [node] = held.read_nodes(NodeQuery(ARTIFACT, names=["from them"]))
    assert node.type == "Theirs"
    # The types that this store knows by heart are no longer all of them.
    batch = Batch()
    batch.artifact("Theirs", properties={"p": 1})
    assert held.write(batch).artifacts[0].id == node.id + 1
    held.close()
    assert_read_alike(recorded)
