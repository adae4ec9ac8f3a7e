"""A store with one of everything that MLMD's data model has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, duration_pb2, struct_pb2, timestamp_pb2
from ml_metadata.metadata_store.metadata_store import MetadataStore

from ._opening import connect
from ._proto import pb

BULK = 120
"""How many artifacts of type ``Bulk`` there are: more than a page of ml-metadata, which is 100."""


def write_everything(path: Path | str | Any) -> None:
    """Write a new store at ``path`` that has every kind of thing ml-metadata can keep.

    Types, of all three kinds: each with properties of all six kinds; one name in versions none,
    ``v1`` and ``v2`` with other properties in each; every base type; an external id; a
    description; one name used by three kinds; execution types with input and output type.

    Nodes, of all three kinds: each value of ``_VALUES`` as declared and as custom property, one
    node a value, and a node that has all kinds at once and one key both declared and custom; names
    and external ids unset, empty (one a kind; a context must have a name) and not ASCII; the
    same name under two types; artifacts and executions in every state and without one.
    Artifacts: uris unset, empty, of Windows, not ASCII, long, and two artifacts that share one;
    ``BULK`` alike artifacts.

    Links: events of all seven types between one pair; paths that are missing, an index, a key,
    an empty key, key and index, two ports in one path; times given, zero and negative; contexts
    with artifacts only, executions only, both, neither; nodes without contexts and events; parent
    contexts: a tree of three levels, and one context with two parents.

    Doubles have at most six decimals: ml-metadata rounds others while it writes them.
    """
    store = connect(path)
    _write_types(store)
    artifacts = _write_artifacts(store)
    executions = _write_executions(store)
    contexts = _write_contexts(store)
    _write_events(store, artifacts, executions)
    _write_links(store, artifacts, executions, contexts)


_KINDS: dict[str, Any] = {
    # property: its kind, as all "Every" types declare them
    "an_int": pb.INT,
    "a_double": pb.DOUBLE,
    "a_string": pb.STRING,
    "a_struct": pb.STRUCT,
    "a_proto": pb.PROTO,
    "a_bool": pb.BOOLEAN,
    "both": pb.INT,
    "odd key: é 😀 'quoted' \"twice\" `back`.dot/slash": pb.STRING,
}


def _struct(content: dict[str, Any]) -> Any:
    struct = struct_pb2.Struct()
    struct.update(content)
    return struct


def _packed(message: Any) -> Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


_NESTED = {
    "null": None,
    "yes": True,
    "no": False,
    "number": -2.5,
    "text": "é 😀",
    "list": [1, "two", None, [3, []], {"four": 4}],
    "struct": {"": {"deep": {"deeper": "value"}}, "empty": {}},
}

_VALUES: tuple[tuple[str, Any], ...] = (
    # property, the message that holds its value
    *(
        ("an_int", pb.Value(int_value=number))
        for number in (0, 1, -1, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63))
    ),
    *(
        ("a_double", pb.Value(double_value=number))
        for number in (0.0, 0.1, -0.5, 3.141593, 1e-6, -123456789.123457, 1e15, 1e300, 5.0)
    ),
    *(
        ("a_string", pb.Value(string_value=text))
        for text in (
            "",
            " padded ",
            "line\nline\r\n\ttab",
            'it\'s "quoted" \\ `too`',
            "é ß 漢字 😀 \u0301combining \u202eright-to-left",
            "NULL",
            "%s {} ; DROP TABLE Artifact; --",
            '{"json": [1, 2]}',
            "2024-01-01",
            "12",
            "long " * 4_000,
        )
    ),
    *(("a_struct", pb.Value(struct_value=_struct(content))) for content in ({}, {"a": 1}, _NESTED)),
    *(
        ("a_proto", pb.Value(proto_value=proto))
        for proto in (
            _packed(timestamp_pb2.Timestamp(seconds=1_700_000_000, nanos=5)),
            _packed(duration_pb2.Duration()),
            any_pb2.Any(type_url="example.com/not.known", value=bytes(range(256))),
        )
    ),
    ("a_bool", pb.Value(bool_value=True)),
    ("a_bool", pb.Value(bool_value=False)),
    ("odd key: é 😀 'quoted' \"twice\" `back`.dot/slash", pb.Value(string_value="odd")),
)


def _write_types(store: MetadataStore) -> None:
    kinds = (
        ("artifact", pb.ArtifactType, store.put_artifact_type),
        ("execution", pb.ExecutionType, store.put_execution_type),
        ("context", pb.ContextType, store.put_context_type),
    )
    for kind, message, put in kinds:
        put(
            message(
                name=f"Every.{kind}",
                description=f"properties of every kind, for an {kind} 😀",
                external_id=f"type://{kind}/every",
                properties=_KINDS,
            )
        )
        put(message(name="Shared"))
        put(message(name="Versioned", properties={"old": pb.INT}))
        put(message(name="Versioned", version="v1", properties={"old": pb.STRING}))
        put(
            message(
                name="Versioned",
                version="v2",
                description="",
                external_id=f"type://{kind}/v2",
                properties={"new": pb.STRUCT},
            )
        )
    put_artifact_type, put_execution_type = kinds[0][2], kinds[1][2]
    put_artifact_type(pb.ArtifactType(name="Bulk", properties={"number": pb.INT}))
    for base in ("DATASET", "MODEL", "METRICS", "STATISTICS"):
        put_artifact_type(
            pb.ArtifactType(
                name=f"Base.{base}", base_type=pb.ArtifactType.SystemDefinedBaseType.Value(base)
            )
        )
    for base in ("TRAIN", "TRANSFORM", "PROCESS", "EVALUATE", "DEPLOY"):
        put_execution_type(
            pb.ExecutionType(
                name=f"Base.{base}", base_type=pb.ExecutionType.SystemDefinedBaseType.Value(base)
            )
        )
    put_execution_type(
        pb.ExecutionType(
            name="Signed",
            input_type=pb.ArtifactStructType(any=pb.AnyArtifactStructType()),
            output_type=pb.ArtifactStructType(none=pb.NoneArtifactStructType()),
        )
    )


def _with_properties(message: Any, every: int, versions: Sequence[int]) -> list[Any]:
    """Nodes of one kind: one a value, one with all values, one of each version."""
    nodes = []
    for key, value in _VALUES:
        node = message(type_id=every)
        node.properties[key].CopyFrom(value)
        node.custom_properties[key].CopyFrom(value)
        nodes.append(node)
    full = message(type_id=every)
    for key, value in _VALUES:
        full.properties[key].CopyFrom(value)
        full.custom_properties[f"custom {key}"].CopyFrom(value)
    full.properties["both"].int_value = 1
    full.custom_properties["both"].string_value = "one"
    nodes.append(full)
    none, v1, v2 = (message(type_id=id_) for id_ in versions)
    none.properties["old"].int_value = 1
    v1.properties["old"].string_value = "one"
    v2.properties["new"].struct_value.update({"one": 1})
    return [*nodes, none, v1, v2]


def _type_ids(get: Any, kind: str) -> tuple[int, int, list[int]]:
    """The ids of Every, of Shared, and of Versioned in its three versions."""
    versions = [get("Versioned", version).id for version in (None, "v1", "v2")]
    return get(f"Every.{kind}").id, get("Shared").id, versions


def _named(message: Any, every: int, shared: int) -> list[Any]:
    """Artifacts or executions with all sorts of names and external ids."""
    return [
        message(type_id=every, name="same"),
        message(type_id=shared, name="same"),
        message(type_id=every, name=""),
        message(type_id=every, name="é 😀 'name'"),
        message(type_id=every, external_id=""),
        message(type_id=every, external_id="ext://é/1", name="with external id"),
    ]


def _write_artifacts(store: MetadataStore) -> list[int]:
    every, shared, versions = _type_ids(store.get_artifact_type, "artifact")
    bulk = store.get_artifact_type("Bulk").id
    artifacts = [
        *_with_properties(pb.Artifact, every, versions),
        *_named(pb.Artifact, every, shared),
        *(pb.Artifact(type_id=shared, state=state) for state in pb.Artifact.State.values()),
        *(
            pb.Artifact(type_id=shared, uri=uri)
            for uri in (
                "",
                "C:\\data\\new folder\\model.pkl",
                "\\\\server\\share\\x",
                "s3://bucket/é 😀/x?y=1#z",
                "/long/" + "x" * 5_000,
                "/shared",
                "/shared",
            )
        ),
        *(
            pb.Artifact(type_id=bulk, properties={"number": pb.Value(int_value=number)})
            for number in range(BULK)
        ),
        *(
            pb.Artifact(type_id=store.get_artifact_type(f"Base.{base}").id)
            for base in ("DATASET", "MODEL", "METRICS", "STATISTICS")
        ),
    ]
    return list(store.put_artifacts(artifacts))


def _write_executions(store: MetadataStore) -> list[int]:
    every, shared, versions = _type_ids(store.get_execution_type, "execution")
    executions = [
        *_with_properties(pb.Execution, every, versions),
        *_named(pb.Execution, every, shared),
        *(
            pb.Execution(type_id=shared, last_known_state=state)
            for state in pb.Execution.State.values()
        ),
        *(
            pb.Execution(type_id=store.get_execution_type(f"Base.{base}").id)
            for base in ("TRAIN", "TRANSFORM", "PROCESS", "EVALUATE", "DEPLOY")
        ),
        pb.Execution(type_id=store.get_execution_type("Signed").id),
    ]
    return list(store.put_executions(executions))


def _write_contexts(store: MetadataStore) -> dict[str, int]:
    every, shared, versions = _type_ids(store.get_context_type, "context")
    valued = _with_properties(pb.Context, every, versions)
    for number, context in enumerate(valued):
        context.name = f"valued {number}"
    contexts = [
        *valued,
        pb.Context(type_id=every, name="same"),
        pb.Context(type_id=shared, name="same"),
        pb.Context(type_id=every, name="é 😀 'name'"),
        pb.Context(type_id=every, name="empty external id", external_id=""),
        pb.Context(type_id=every, name="external id", external_id="ext://é/1"),
        *(
            pb.Context(type_id=shared, name=name)
            for name in (
                *("artifacts only", "executions only", "both", "neither"),
                *("root", "left", "right", "left leaf", "right leaf", "leaf of both"),
            )
        ),
    ]
    ids = store.put_contexts(contexts)
    return {
        context.name: id_
        for context, id_ in zip(contexts, ids, strict=True)
        if context.type_id == shared
    }


def _write_events(
    store: MetadataStore, artifacts: Sequence[int], executions: Sequence[int]
) -> None:
    paths: tuple[tuple[int | str, ...], ...] = (
        (),
        (0,),
        (-1,),
        (2**31,),
        ("",),
        ("port",),
        ("port", 0),
        ("port", 1, "other port", 0),
        ("é 😀 'port'", 0, 1, 2, "x"),
    )
    events = [
        *(
            pb.Event(artifact_id=artifacts[0], execution_id=executions[0], type=type_)
            for type_ in pb.Event.Type.values()
            if type_ != pb.Event.UNKNOWN
        ),
        *(
            pb.Event(
                artifact_id=id_, execution_id=executions[1], type=pb.Event.INPUT, path=_path(path)
            )
            for id_, path in zip(artifacts[1:], paths, strict=False)
        ),
        *(
            pb.Event(
                artifact_id=artifacts[1],
                execution_id=id_,
                type=pb.Event.OUTPUT,
                milliseconds_since_epoch=time,
                path=_path(("port", 0)),
            )
            for id_, time in zip(executions[2:], (0, -1, 1, 1_700_000_000_123, 2**53), strict=False)
        ),
    ]
    store.put_events(events)


def _path(steps: Sequence[int | str]) -> Any:
    path = pb.Event.Path()
    for step in steps:
        path.steps.add(**({"index": step} if isinstance(step, int) else {"key": step}))
    return path


def _write_links(
    store: MetadataStore,
    artifacts: Sequence[int],
    executions: Sequence[int],
    contexts: dict[str, int],
) -> None:
    attributed = (("artifacts only", artifacts[:5]), ("both", artifacts[3:8]))
    associated = (("executions only", executions[:5]), ("both", executions[3:8]))
    store.put_attributions_and_associations(
        [
            pb.Attribution(context_id=contexts[name], artifact_id=id_)
            for name, ids in attributed
            for id_ in ids
        ],
        [
            pb.Association(context_id=contexts[name], execution_id=id_)
            for name, ids in associated
            for id_ in ids
        ],
    )
    store.put_parent_contexts(
        [
            pb.ParentContext(parent_id=contexts[parent], child_id=contexts[child])
            for parent, child in (
                ("root", "left"),
                ("root", "right"),
                ("left", "left leaf"),
                ("right", "right leaf"),
                ("left", "leaf of both"),
                ("right", "leaf of both"),
            )
        ]
    )
