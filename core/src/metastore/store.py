"""`Store`: what people hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from metastore import pipelines
from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, NodeDraft, WrittenBatch
from metastore.errors import ConflictError, InvalidError, NotFoundError, Offender
from metastore.listing import Listing
from metastore.model import AnyNode, Artifact, Context, Execution, NodeKind, Type, TypeKey, Value
from metastore.query import NodeQuery, OrderBy, TypeQuery
from metastore.recording import RunRecorder
from metastore.views import (
    ArtifactView,
    ContextView,
    ExecutionView,
    Pipeline,
    Run,
    runs_listing,
    views_of,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Store"]

V = TypeVar("V", ArtifactView, ExecutionView, ContextView)


class Store:
    """A metadata store: record runs in it, ask it what they did.

    A context manager; threads may share it.  `metastore.connect` makes one.
    """

    def __init__(self, backend: BaseMetadataStore) -> None:
        self.backend = backend
        """The flavor's own store, for what is not offered here."""

    def __repr__(self) -> str:
        return f"<Store {self.backend.location}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release everything; closing twice is fine."""
        self.backend.close()

    @property
    def location(self) -> str:
        """Where it is: a URL without secrets."""
        return self.backend.location

    @property
    def flavor(self) -> str:
        """The name of its flavor."""
        return self.backend.FLAVOR

    # Recording.

    def run(
        self,
        pipeline: str,
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> RunRecorder:
        """Record a run: ``with store.run("train-iris", parameters={"seed": 7}) as run: ...``.

        An exception marks the run FAILED with its text and goes on up; KeyboardInterrupt marks it
        CANCELED.

        Parameters
        ----------
        pipeline:
            What this is a run of; made when it is first used.
        name:
            The run's name, which no other run may have; by default the pipeline's with the time.
        parameters:
            Numbers, text, booleans, dicts; lists are kept as JSON text, None as ``"None"``.
        """
        return RunRecorder(
            self.backend, pipeline, name=name, parameters=parameters, read=self.artifact
        )

    # Pipelines and runs.

    def pipelines(self) -> Listing[Pipeline]:
        """All pipelines, the oldest first."""
        return Listing(
            self.backend,
            pipelines.pipelines_query(),
            lambda nodes: [Pipeline(self.backend, node) for node in nodes],
        )

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of that name; raises `NotFoundError`."""
        query = pipelines.pipelines_query()
        found = self.backend.read_nodes(_with(query, names=[name], limit=1))
        if not found:
            raise NotFoundError(
                f"there is no pipeline {name!r} in {self.location}",
                hint="pipelines() lists them",
                offender=Offender("pipeline", name=name),
            )
        return Pipeline(self.backend, cast("Context", found[0]))

    def runs(self, *, newest_first: bool = False, limit: int | None = None) -> Listing[Run]:
        """The runs of all pipelines, in the order in which they were recorded."""
        query = pipelines.runs_query()
        return runs_listing(
            self.backend, _with(query, descending=newest_first, limit=_limit(limit))
        )

    def find_run(self, which: int | str) -> Run:
        """The run of that id or name; raises `NotFoundError`."""
        query = pipelines.runs_query()
        query = _with(query, ids=[which]) if isinstance(which, int) else _with(query, names=[which])
        found = runs_listing(self.backend, _with(query, limit=1))[:1]
        if not found:
            raise NotFoundError(
                f"there is no run {which!r} in {self.location}",
                hint="runs() lists them",
                offender=Offender("run", name=str(which)),
            )
        return found[0]

    # Nodes.

    def artifact(self, id: int) -> ArtifactView:
        """The artifact of that id; raises `NotFoundError`."""
        return ArtifactView(self.backend, cast("Artifact", self._node(NodeKind.ARTIFACT, id)))

    def execution(self, id: int) -> ExecutionView:
        """The execution of that id; raises `NotFoundError`."""
        return ExecutionView(self.backend, cast("Execution", self._node(NodeKind.EXECUTION, id)))

    def context(self, id: int) -> ContextView:
        """The context of that id; raises `NotFoundError`."""
        return ContextView(self.backend, cast("Context", self._node(NodeKind.CONTEXT, id)))

    def artifacts(
        self,
        *,
        type: str | None = None,
        ids: Sequence[int] | None = None,
        name: str | None = None,
        uri: str | None = None,
        external_id: str | None = None,
        context: int | None = None,
        order_by: str = "id",
        limit: int | None = None,
    ) -> Listing[ArtifactView]:
        """Artifacts; each argument that is given narrows the list.

        Parameters
        ----------
        type:
            The name of their type, whatever its version.
        context:
            The id of a context that they are attributed to.
        order_by:
            ``"id"``, ``"create_time"`` or ``"update_time"``; with a minus in front, the last first.
        limit:
            At most so many.
        """
        query = _query(NodeKind.ARTIFACT, type, ids, name, external_id, context, order_by, limit)
        query = _with(query, uris=None if uri is None else [uri])
        return Listing(self.backend, query, views_of(self.backend, NodeKind.ARTIFACT))

    def executions(
        self,
        *,
        type: str | None = None,
        ids: Sequence[int] | None = None,
        name: str | None = None,
        external_id: str | None = None,
        context: int | None = None,
        order_by: str = "id",
        limit: int | None = None,
    ) -> Listing[ExecutionView]:
        """Executions; arguments as in `artifacts`."""
        query = _query(NodeKind.EXECUTION, type, ids, name, external_id, context, order_by, limit)
        return Listing(self.backend, query, views_of(self.backend, NodeKind.EXECUTION))

    def contexts(
        self,
        *,
        type: str | None = None,
        ids: Sequence[int] | None = None,
        name: str | None = None,
        external_id: str | None = None,
        order_by: str = "id",
        limit: int | None = None,
    ) -> Listing[ContextView]:
        """Contexts; arguments as in `artifacts`."""
        query = _query(NodeKind.CONTEXT, type, ids, name, external_id, None, order_by, limit)
        return Listing(self.backend, query, views_of(self.backend, NodeKind.CONTEXT))

    def _node(self, kind: NodeKind, id: int) -> AnyNode:
        _check_number(id, "an id is an integer from 1", least=1)
        found = self.backend.read_nodes(NodeQuery(kind, ids=[id]))
        if not found:
            raise NotFoundError(
                f"there is no {kind.label} with id {id} in {self.location}",
                hint=f"{kind.label}s() lists them",
                offender=Offender(kind.label, id=id),
            )
        return found[0]

    # Types.

    def types(self, kind: NodeKind) -> Sequence[Type]:
        """All types of a kind, the simple ones (``mlmd.*``) included."""
        return self.backend.read_types(TypeQuery(kind))

    def type(self, kind: NodeKind, name: str, version: str | None = None) -> Type:
        """The type of that name and version; raises `NotFoundError`."""
        found = self.backend.read_types(TypeQuery(kind, keys=[TypeKey(kind, name, version)]))
        if not found:
            raise NotFoundError(
                f"there is no {kind.label} type {name!r} in {self.location}",
                hint="types() lists them",
                offender=Offender(f"{kind.label} type", name=name),
            )
        return found[0]

    # Writing without a run.

    def write(self, batch: Batch) -> WrittenBatch:
        """Write a batch whole, or raise and write nothing; see `Batch`."""
        return self.backend.write(batch)

    def update(
        self,
        node: V,
        change: Callable[[V], Mapping[str, Value | None]],
        *,
        custom: bool = False,
        attempts: int = 1000,
    ) -> V:
        """Read a node, change some of its properties, write them: as if nobody else was writing.

        When the node changed in between, it is read anew and `change` is called again.

        Parameters
        ----------
        node:
            An artifact, execution or context; only its id counts.
        change:
            From the node as it is now to the properties to set; None removes one.
        custom:
            Whether these are custom properties.
        attempts:
            How often to try; then `ConflictError`.

        Returns
        -------
        The node as it was written.
        """
        kind = _kind(node)
        wrap = views_of(self.backend, kind)
        for attempt in range(attempts):
            current: V = wrap([self._node(kind, node.id)])[0]
            wanted = change(current)
            given = {key: value for key, value in wanted.items() if value is not None}
            keys = frozenset(wanted)
            mode = Merge(
                node.id,
                properties=frozenset() if custom else keys,
                custom_properties=keys if custom else frozenset(),
                expected_update_time_ms=current.node.update_time_ms,
            )
            batch = Batch()
            draft = NodeDraft(None, mode=mode)
            if custom:
                draft.custom_properties = given
            else:
                draft.properties = given
            batch.add(kind, draft)
            try:
                self.backend.write(batch)
            except ConflictError:
                if attempt + 1 == attempts:
                    raise
                continue
            return cast("V", wrap([self._node(kind, node.id)])[0])
        raise InvalidError("attempts must be at least 1")


def _kind(node: ArtifactView | ExecutionView | ContextView) -> NodeKind:
    for view, kind in (
        (ArtifactView, NodeKind.ARTIFACT),
        (ExecutionView, NodeKind.EXECUTION),
        (ContextView, NodeKind.CONTEXT),
    ):
        if isinstance(node, view):
            return kind
    raise InvalidError(
        f"a {type(node).__name__} cannot be updated",
        hint="give an artifact, an execution or a context",
    )


def _with(query: NodeQuery, **changes: Any) -> NodeQuery:
    return replace(query, **changes)


def _limit(limit: int | None) -> int | None:
    if limit is not None:
        _check_number(limit, "a limit is an integer from 0", least=0)
    return limit


def _check_number(number: object, rule: str, *, least: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise InvalidError(rule)


def _query(
    kind: NodeKind,
    type: str | None,
    ids: Sequence[int] | None,
    name: str | None,
    external_id: str | None,
    context: int | None,
    order_by: str,
    limit: int | None,
) -> NodeQuery:
    field = order_by.removeprefix("-")
    if field not in {each.value for each in OrderBy}:
        raise InvalidError(
            f"nodes cannot be ordered by {field!r}",
            hint="order by id, create_time or update_time; with a minus in front, the last first",
        )
    return NodeQuery(
        kind,
        type_names=None if type is None else [type],
        ids=ids,
        names=None if name is None else [name],
        external_ids=None if external_id is None else [external_id],
        context_ids=None if context is None else [context],
        order_by=OrderBy(field),
        descending=order_by.startswith("-"),
        limit=_limit(limit),
    )
