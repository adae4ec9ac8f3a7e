"""For tests of copies: a store with one of everything, and stores that can do less."""

from __future__ import annotations

from typing import ClassVar

from metastore import (
    ArtifactState,
    Batch,
    Capabilities,
    EventType,
    ExecutionState,
    InvalidError,
    MemoryMetadataStore,
    NodeKind,
    PropertyKind,
    Proto,
    Reuse,
    StorageError,
    WrittenBatch,
)
from metastore.memory import Tables
from metastore.model import Value

__all__ = ["Limited", "PowerCut", "full", "grow", "other_ids", "rows"]

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT

VALUES: dict[str, Value] = {
    "int": -(2**63),
    "double": 0.1 + 0.2,
    "text": "café \U0001f600 \x00 __MLMD_NULL__",
    "flag": True,
    "struct": {"a": [1.0, None, {"b": "c"}], "": False},
    "proto": Proto("type.googleapis.com/some.Message", b"\x00\xff"),
}
KINDS = {
    "int": PropertyKind.INT,
    "double": PropertyKind.DOUBLE,
    "text": PropertyKind.STRING,
    "flag": PropertyKind.BOOLEAN,
    "struct": PropertyKind.STRUCT,
    "proto": PropertyKind.PROTO,
}


def full(store: MemoryMetadataStore | None = None, *, steps: int = 5) -> MemoryMetadataStore:
    """A store with every kind of everything, and some steps more."""
    store = store or MemoryMetadataStore()
    batch = Batch()
    model = batch.type(
        ARTIFACT,
        "Model",
        KINDS,
        version="2",
        description="a model",
        base_type="mlmd.Model",
        external_id="type-model",
    )
    batch.type(ARTIFACT, "Model")
    batch.type(EXECUTION, "Train", KINDS, input_type='{"any": {}}', output_type='{"none": {}}')
    batch.type(CONTEXT, "Run", KINDS)
    run = batch.context(
        "Run",
        name="run",
        external_id="run-x",
        properties=VALUES,
        custom_properties=VALUES,
        create_time_ms=1000,
        update_time_ms=2000,
    )
    top = batch.context("Run", name="top", create_time_ms=1, update_time_ms=1)
    batch.parent(run, top)
    for number in range(steps):
        train = batch.execution(
            "Train",
            name=f"train-{number}" if number else None,
            external_id=f"x-{number}",
            state=list(ExecutionState)[number % 7],
            properties=VALUES,
            custom_properties={"int": "another kind"},
            create_time_ms=5000 + number,
            update_time_ms=6000 + number,
        )
        made = batch.artifact(
            model if number % 2 else "Model",
            name=f"model-{number}" if number % 3 else None,
            uri=f"s3://bucket/{number}",
            state=list(ArtifactState)[number % 7] if number else None,
            properties=VALUES if number % 2 else {},
            custom_properties={"number": number, "": ""},
            create_time_ms=5000 + number,
            update_time_ms=7000 + number,
        )
        batch.event(made, train, EventType.OUTPUT, path=("model", 0, "0"), time_ms=100 + number)
        batch.event(made, train, EventType.INPUT, time_ms=99)
        batch.attribution(run, made)
        batch.association(run, train)
        batch.association(top, train)
    store.write(batch)
    return store


def grow(store: MemoryMetadataStore, name: str, *, at_ms: int = 900_000) -> None:
    """One more step in the run of a `full` store."""
    batch = Batch()
    made = batch.artifact("Model", uri=name, create_time_ms=at_ms)
    train = batch.execution("Train", name=name, create_time_ms=at_ms)
    run = batch.context("Run", name="run", mode=Reuse(by="name"))
    batch.event(made, train, EventType.OUTPUT, path=(name,), time_ms=at_ms)
    batch.association(run, train)
    batch.attribution(run, made)
    store.write(batch)


def other_ids(store: MemoryMetadataStore) -> MemoryMetadataStore:
    """Let the store give other ids than a new one does, by something of its own in it."""
    batch = Batch()
    for kind in (ARTIFACT, EXECUTION, CONTEXT):
        batch.type(kind, "Own")
    made = batch.artifact("Own", uri="own")
    for _ in range(3):
        batch.artifact("Own")
    batch.event(made, batch.execution("Own"), EventType.OUTPUT)
    batch.attribution(batch.context("Own", name="own"), made)
    batch.context("Own", name="run")
    store.write(batch)
    return store


class Limited(MemoryMetadataStore):
    """A store that sets times itself, keeps doubles to six decimals, and takes no NUL."""

    CAPABILITIES: ClassVar[Capabilities] = Capabilities(
        atomic_batch="nodes", given_times=False, exact_doubles=False
    )

    def write(self, batch: Batch) -> WrittenBatch:
        """Write what such a backend keeps of it."""
        for kind, drafts in batch.nodes.items():
            for index, draft in enumerate(drafts):
                draft.create_time_ms = draft.update_time_ms = None
                for values in (draft.properties, draft.custom_properties):
                    if "\0" in str(values.get("text", "")):
                        from metastore.errors import Offender

                        offender = Offender(kind.label, index, property="text")
                        raise InvalidError(f"{offender} has a NUL", offender=offender)
                draft.properties = {
                    key: round(value, 6) if isinstance(value, float) else value
                    for key, value in draft.properties.items()
                }
        return super().write(batch)


class PowerCut(MemoryMetadataStore):
    """A store that fails before, or right after, the write of which the number is given."""

    def __init__(self, fail_at: int, *, after: bool) -> None:
        super().__init__()
        self.fail_at, self.after = fail_at, after
        self.writes = 0

    def write(self, batch: Batch) -> WrittenBatch:
        """Write, or fail, or both."""
        self.writes += 1
        if self.writes != self.fail_at:
            return super().write(batch)
        if self.after:
            super().write(batch)
        raise StorageError("the line is cut")


def rows(store: MemoryMetadataStore) -> Tables:
    """The tables of a store, to damage."""
    assert store._tables is not None
    return store._tables
