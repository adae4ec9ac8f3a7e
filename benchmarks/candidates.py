"""Who is measured, on whatever database: metastore, ml-metadata, and plain code of each driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple

from data import ARTIFACT_TYPE, CONTEXT_TYPE, EXECUTION_TYPE, PROPERTIES, ArtifactRow, StepRow

import metastore
from metastore import Batch, EventType, ExecutionState, NodeKind, PropertyKind
from metastore.model import TypeKey
from metastore.query import NodeQuery

KINDS = {int: PropertyKind.INT, float: PropertyKind.DOUBLE, str: PropertyKind.STRING}
KNOWN_INPUTS = 100
"""Artifacts that are stored from the start; their ids are 1 to 100, the contexts' are 1 and 2."""
CONTEXTS = ("pipeline", "run")
BATCH = 10_000


class Candidate(ABC):
    """Something that can do the work, on a prepared store of its own."""

    name: ClassVar[str]
    batch: ClassVar[int] = BATCH
    """Artifacts that it is given at once where others are given `BATCH`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.open()

    @abstractmethod
    def open(self) -> None:
        """Connect to the prepared store."""

    @abstractmethod
    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """Write all of them, in one transaction."""

    @abstractmethod
    def record_step(self, row: StepRow) -> None:
        """Write the step, in one transaction."""

    def record_run(self, rows: Iterable[StepRow]) -> None:
        """Write all of the steps, in one transaction where it can."""
        for row in rows:
            self.record_step(row)

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """Read the artifacts, as objects where it has any; how many there are."""
        raise NotImplementedError

    def find_context(self, name: str) -> bool:
        """Read a context by its type and name; whether it is there."""
        raise NotImplementedError


class Target(NamedTuple):
    """How many times as fast as its peer a candidate is to be (design, section 12)."""

    candidate: str
    peer: str
    ratio: float


class Ground(ABC):
    """A database that candidates are measured on."""

    candidates: ClassVar[tuple[type[Candidate], ...]]
    targets: ClassVar[dict[str, tuple[Target, ...]]]
    """Of each work that is measured there, by its letter."""

    @abstractmethod
    def about(self) -> dict[str, str]:
        """What is measured, by version."""

    @abstractmethod
    def places(self) -> AbstractContextManager[dict[str, str]]:
        """A prepared store for each candidate, by its name: the URL."""

    @abstractmethod
    def rows_of(self, url: str) -> dict[str, int]:
        """The number of rows of every table, for comparing candidates."""


def prepare(url: str) -> None:
    """Make a store with the types, the known inputs and two contexts."""
    with metastore.connect(url) as store:
        batch = Batch()
        kinds = {name: KINDS[kind] for name, kind in PROPERTIES.items()}
        batch.type(NodeKind.ARTIFACT, ARTIFACT_TYPE, kinds)
        batch.type(NodeKind.EXECUTION, EXECUTION_TYPE, kinds)
        batch.type(NodeKind.CONTEXT, CONTEXT_TYPE)
        for number in range(KNOWN_INPUTS):
            batch.artifact(ARTIFACT_TYPE, uri=f"s3://bucket/known/{number}")
        for name in CONTEXTS:
            batch.context(CONTEXT_TYPE, name=name)
        store.write(batch)


class Ours(Candidate):
    """metastore, through `Store.write`."""

    name = "ours"

    def open(self) -> None:
        """Connect as a user does."""
        self.store = metastore.connect(self.url)

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One batch."""
        batch = Batch()
        for row in rows:
            batch.artifact(ARTIFACT_TYPE, uri=row.uri, properties=row.properties)
        self.store.write(batch)

    def record_step(self, row: StepRow) -> None:
        """One batch."""
        self.record_run((row,))

    def record_run(self, rows: Iterable[StepRow]) -> None:
        """One batch."""
        batch = Batch()
        for row in rows:
            self._add_step(batch, row)
        self.store.write(batch)

    def _add_step(self, batch: Batch, row: StepRow) -> None:
        execution = batch.execution(
            EXECUTION_TYPE, state=ExecutionState.COMPLETE, properties=row.properties
        )
        for number, known in enumerate(row.inputs):
            batch.event(known, execution, EventType.INPUT, path=("examples", number))
            for context in row.contexts:
                batch.attribution(context, known)
        for number, output in enumerate(row.outputs):
            artifact = batch.artifact(ARTIFACT_TYPE, uri=output.uri, properties=output.properties)
            batch.event(artifact, execution, EventType.OUTPUT, path=("model", number))
            for context in row.contexts:
                batch.attribution(context, artifact)
        for context in row.contexts:
            batch.association(context, execution)

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """One query."""
        return len(self.store.backend.read_nodes(NodeQuery(NodeKind.ARTIFACT, ids=ids)))

    def find_context(self, name: str) -> bool:
        """One query."""
        key = TypeKey(NodeKind.CONTEXT, CONTEXT_TYPE)
        query = NodeQuery(NodeKind.CONTEXT, type=key, names=[name])
        return bool(self.store.backend.read_nodes(query))


class MLMD(Candidate):
    """ml-metadata, through its Python client."""

    name = "mlmd"

    @abstractmethod
    def config(self) -> Any:
        """How its client is told where the store is."""

    def open(self) -> None:
        """Connect, and look up the types' ids."""
        from ml_metadata import metadata_store
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.pb: Any = pb
        self.store: Any = metadata_store.MetadataStore(self.config())
        self.artifact_type = self.store.get_artifact_type(ARTIFACT_TYPE).id
        self.execution_type = self.store.get_execution_type(EXECUTION_TYPE).id
        self.context_type = self.store.get_context_type(CONTEXT_TYPE).id

    def _artifact(self, row: ArtifactRow) -> Any:
        artifact = self.pb.Artifact(type_id=self.artifact_type, uri=row.uri)
        self._set(artifact, row.properties)
        return artifact

    def _set(self, node: Any, properties: dict[str, int | float | str]) -> None:
        for name, value in properties.items():
            field = node.properties[name]
            if isinstance(value, int):
                field.int_value = value
            elif isinstance(value, float):
                field.double_value = value
            else:
                field.string_value = value

    def write_artifacts(self, rows: Iterable[ArtifactRow]) -> None:
        """One call of put_artifacts."""
        self.store.put_artifacts([self._artifact(row) for row in rows])

    def record_step(self, row: StepRow) -> None:
        """One call of put_execution; known nodes by id alone, which spares it their updates."""
        pb = self.pb
        execution = pb.Execution(
            type_id=self.execution_type, last_known_state=pb.Execution.COMPLETE
        )
        self._set(execution, row.properties)
        pairs = []
        for number, artifact in enumerate(row.inputs):
            event = pb.Event(artifact_id=artifact, type=pb.Event.INPUT)
            self._path(event, "examples", number)
            pairs.append((None, event))
        for number, output in enumerate(row.outputs):
            event = pb.Event(type=pb.Event.OUTPUT)
            self._path(event, "model", number)
            pairs.append((self._artifact(output), event))
        contexts = [
            pb.Context(id=id, type_id=self.context_type, name=name)
            for id, name in zip(row.contexts, CONTEXTS, strict=True)
        ]
        self.store.put_execution(
            execution,
            pairs,
            contexts,
            reuse_context_if_already_exist=True,
            force_reuse_context=True,
        )

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """One call of get_artifacts_by_id."""
        return len(self.store.get_artifacts_by_id(ids))

    def find_context(self, name: str) -> bool:
        """One call of get_context_by_type_and_name."""
        return self.store.get_context_by_type_and_name(CONTEXT_TYPE, name) is not None

    def _path(self, event: Any, key: str, index: int) -> None:
        event.path.steps.add().key = key
        event.path.steps.add().index = index
