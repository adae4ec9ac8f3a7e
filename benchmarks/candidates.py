"""Who is measured, on whatever database: metastore, ml-metadata, and plain code of each driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any, ClassVar

from data import (
    ARTIFACT_TYPE,
    CONTEXT_TYPE,
    EXECUTION_TYPE,
    PROPERTIES,
    ArtifactRow,
    Match,
    StepRow,
)
from targets import Goal

import metastore
from metastore import Batch, EventType, ExecutionState, MetastoreError, NodeKind, PropertyKind
from metastore.model import TypeKey
from metastore.query import Filter, NodeQuery, OrderBy

KINDS = {int: PropertyKind.INT, float: PropertyKind.DOUBLE, str: PropertyKind.STRING}
KNOWN_INPUTS = 100
"""Artifacts that are stored from the start; their ids are 1 to 100, the contexts' are 1 and 2."""
CONTEXTS = ("pipeline", "run")
BATCH = 10_000
HAS_MLMD = find_spec("ml_metadata") is not None
"""It has wheels for few platforms."""


class Candidate(ABC):
    """Something that can do the work, on a prepared store of its own."""

    name: ClassVar[str]
    batch: ClassVar[int] = BATCH
    """Artifacts that it is given at once where others are given `BATCH`."""

    needs_mlmd: ClassVar[bool] = False
    """Whether it, or its store, cannot be without ml-metadata."""
    refused: tuple[type[Exception], ...] = ()
    """What it raises where others write, too, and it would be worth asking again."""

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

    def newest(self, match: Match, limit: int) -> list[int]:
        """Read the artifacts that match, the newest first; their ids."""
        raise NotImplementedError

    def trace(self, artifact: int, hops: int) -> tuple[int, int, int]:
        """Read what the artifact came from; how many artifacts, executions and events."""
        raise NotImplementedError

    def read_all(self) -> int:
        """Read all artifacts, as objects where it has any; how many there are."""
        raise NotImplementedError


Fill = Callable[[Candidate], None]
"""Writes what a work finds in the store from the start."""


class Ground(ABC):
    """A database that candidates are measured on."""

    candidates: ClassVar[tuple[type[Candidate], ...]]
    more: ClassVar[dict[str, tuple[type[Candidate], ...]]] = {}
    """Who else is measured at a work, by its letter."""
    goals: ClassVar[dict[str, tuple[Goal, ...]]]
    """Of each work that is measured there, by its letter."""

    def taking_part(self, letters: Iterable[str]) -> list[type[Candidate]]:
        """Who is measured at any of the works; without ml-metadata where there is none."""
        found = [*self.candidates, *(each for one in letters for each in self.more.get(one, ()))]
        return [each for each in dict.fromkeys(found) if HAS_MLMD or not each.needs_mlmd]

    def named(self, name: str) -> type[Candidate]:
        """The candidate of that name."""
        return next(each for each in self.taking_part(self.more) if each.name == name)

    def open(self, name: str, url: str, fill: Fill | None) -> Candidate:  # noqa: ARG002 - see memory
        """Connect a candidate to its store, which is prepared and filled."""
        return self.named(name)(url)

    @abstractmethod
    def about(self) -> dict[str, str]:
        """What is measured, by version."""

    @abstractmethod
    def places(
        self, candidates: Iterable[type[Candidate]], fill: Fill | None
    ) -> AbstractContextManager[dict[str, str]]:
        """A prepared and filled store for each candidate, by its name: the URL."""

    @abstractmethod
    def rows_of(self, url: str) -> dict[str, int]:
        """The number of rows of every table, for comparing candidates."""


def prepare(url: str) -> None:
    """Make a store with the types, the known inputs and two contexts."""
    with metastore.connect(url) as store:
        prepare_store(store)


def prepare_store(store: metastore.Store) -> None:
    """Put in the types, the known inputs and two contexts."""
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


def prepare_mlmd(store: Any) -> None:
    """Put in the same with ml-metadata, in the same order."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    kinds = {int: pb.INT, float: pb.DOUBLE, str: pb.STRING}
    properties = {name: kinds[kind] for name, kind in PROPERTIES.items()}
    artifact = store.put_artifact_type(pb.ArtifactType(name=ARTIFACT_TYPE, properties=properties))
    store.put_execution_type(pb.ExecutionType(name=EXECUTION_TYPE, properties=properties))
    context = store.put_context_type(pb.ContextType(name=CONTEXT_TYPE))
    artifacts = [
        pb.Artifact(type_id=artifact, uri=f"s3://bucket/known/{number}")
        for number in range(KNOWN_INPUTS)
    ]
    assert store.put_artifacts(artifacts) == list(range(1, KNOWN_INPUTS + 1))
    store.put_contexts([pb.Context(type_id=context, name=name) for name in CONTEXTS])


class Ours(Candidate):
    """metastore, through `Store`."""

    name = "ours"
    refused = (MetastoreError,)

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
        """A list of them."""
        return len(list(self.store.artifacts(ids=ids)))

    def find_context(self, name: str) -> bool:
        """The first one of a list."""
        return self.store.contexts(type=CONTEXT_TYPE, name=name)[0].name == name

    def newest(self, match: Match, limit: int) -> list[int]:
        """A list with a filter, an order and a limit."""
        found = list(self.store.artifacts(where=match.filter, order_by="-create_time", limit=limit))
        return [artifact.id for artifact in found]

    def trace(self, artifact: int, hops: int) -> tuple[int, int, int]:
        """The artifact, and its lineage."""
        found = self.store.artifact(artifact).lineage(max_hops=hops)
        return len(found.artifacts), len(found.executions), len(found.events)

    def read_all(self) -> int:
        """A list of all, which is read page by page."""
        return len(list(self.store.artifacts()))


class OursBackend(Ours):
    """metastore, by the query that the lists of `Store` send to the flavor."""

    name = "ours-backend"

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """One query."""
        return len(self.store.backend.read_nodes(NodeQuery(NodeKind.ARTIFACT, ids=ids)))

    def find_context(self, name: str) -> bool:
        """One query."""
        key = TypeKey(NodeKind.CONTEXT, CONTEXT_TYPE)
        query = NodeQuery(NodeKind.CONTEXT, type=key, names=[name])
        return bool(self.store.backend.read_nodes(query))

    def newest(self, match: Match, limit: int) -> list[int]:
        """One query."""
        query = NodeQuery(
            NodeKind.ARTIFACT,
            filter=Filter.parse(NodeKind.ARTIFACT, match.filter),
            order_by=OrderBy.CREATE_TIME,
            descending=True,
            limit=limit,
        )
        return [node.id for node in self.store.backend.find_nodes(query)]


class MLMD(Candidate):
    """ml-metadata, through its Python client."""

    name = "mlmd"
    needs_mlmd = True

    @abstractmethod
    def config(self) -> Any:
        """How its client is told where the store is."""

    def open(self) -> None:
        """Connect, and look up the types' ids."""
        from ml_metadata import metadata_store
        from ml_metadata.errors import StatusError
        from ml_metadata.proto import metadata_store_pb2 as pb

        self.refused = (StatusError,)
        self.pb: Any = pb
        self.store: Any = metadata_store.MetadataStore(self.config())
        self._learn()

    def _learn(self) -> None:
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
        self.store.put_execution(
            self._execution(row),
            [
                (None if output is None else self._artifact(output), event)
                for output, event in self._events(row)
            ],
            self._contexts(row.contexts),
            reuse_context_if_already_exist=True,
            force_reuse_context=True,
        )

    def _execution(self, row: StepRow) -> Any:
        execution = self.pb.Execution(
            type_id=self.execution_type, last_known_state=self.pb.Execution.COMPLETE
        )
        self._set(execution, row.properties)
        return execution

    def _events(self, row: StepRow) -> Iterable[tuple[ArtifactRow | None, Any]]:
        """The events of a step, each with the artifact where that is a new one."""
        for number, artifact in enumerate(row.inputs):
            yield None, self._event(self.pb.Event.INPUT, "examples", number, artifact_id=artifact)
        for number, output in enumerate(row.outputs):
            yield output, self._event(self.pb.Event.OUTPUT, "model", number)

    def _event(self, type: int, key: str, index: int, **ids: int) -> Any:
        event = self.pb.Event(type=type, **ids)
        event.path.steps.add().key = key
        event.path.steps.add().index = index
        return event

    def _contexts(self, ids: Iterable[int]) -> list[Any]:
        return [
            self.pb.Context(id=id, type_id=self.context_type, name=CONTEXTS[id - 1]) for id in ids
        ]

    def read_artifacts(self, ids: Sequence[int]) -> int:
        """One call of get_artifacts_by_id."""
        return len(self.store.get_artifacts_by_id(ids))

    def find_context(self, name: str) -> bool:
        """One call of get_context_by_type_and_name."""
        return self.store.get_context_by_type_and_name(CONTEXT_TYPE, name) is not None

    def newest(self, match: Match, limit: int) -> list[int]:
        """One call of get_artifacts with a filter query."""
        from ml_metadata.metadata_store import ListOptions, OrderByField

        options = ListOptions(
            limit=limit,
            order_by=OrderByField.CREATE_TIME,
            is_asc=False,
            filter_query=match.filter,
        )
        return [artifact.id for artifact in self.store.get_artifacts(options)]

    lineage: ClassVar[tuple[str, ...]] = ("artifacts", "executions", "events")
    """The parts of a lineage that it asks for: those that metastore reads."""

    def trace(self, artifact: int, hops: int) -> tuple[int, int, int]:
        """One call of get_lineage_subgraph."""
        options = self.pb.LineageSubgraphQueryOptions(
            starting_artifacts={"filter_query": f"id = {artifact}"},
            max_num_hops=hops,
            direction=self.pb.LineageSubgraphQueryOptions.UPSTREAM,
        )
        found = self.store.get_lineage_subgraph(options, self.lineage)
        return len(found.artifacts), len(found.executions), len(found.events)

    def read_all(self) -> int:
        """One call of get_artifacts."""
        return len(self.store.get_artifacts())


class MLMDWhole(MLMD):
    """ml-metadata, whose lineage is all that it offers: contexts, their links, and types, too."""

    name = "mlmd-whole"
    lineage = ()


class MLMDSubgraph(MLMD):
    """ml-metadata, a run at once by put_lineage_subgraph.

    That attributes new artifacts only: the known ones need a second call.
    """

    name = "mlmd-subgraph"

    def record_run(self, rows: Iterable[StepRow]) -> None:
        """Two calls; two transactions."""
        executions: list[Any] = []
        artifacts: list[Any] = []
        edges: list[tuple[int | None, int | None, Any]] = []
        links: dict[tuple[int, int], None] = {}
        contexts: tuple[int, ...] = ()
        for number, row in enumerate(rows):
            executions.append(self._execution(row))
            contexts = row.contexts
            links |= dict.fromkeys((each, known) for each in contexts for known in row.inputs)
            for output, event in self._events(row):
                if output is None:
                    edges.append((number, None, event))
                else:
                    edges.append((number, len(artifacts), event))
                    artifacts.append(self._artifact(output))
        self.store.put_lineage_subgraph(
            executions, artifacts, self._contexts(contexts), edges, True
        )
        self.store.put_attributions_and_associations(
            [self.pb.Attribution(context_id=one, artifact_id=known) for one, known in links], []
        )
