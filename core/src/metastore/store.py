"""`Store`: what people hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from metastore import pipelines
from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, NodeDraft, WrittenBatch
from metastore.errors import ConflictError, InvalidError, MetastoreError, NotFoundError, Offender
from metastore.listing import Listing, checked_limit
from metastore.model import AnyNode, Artifact, Context, Execution, NodeKind, Type, TypeKey, Value
from metastore.query import Filter, NodeQuery, OrderBy, TypeQuery, check_number
from metastore.recording import RunRecorder
from metastore.values import INT64_MIN
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

    from metastore.transfer import CopyReport, Progress

__all__ = ["Store", "contexts_of"]

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

    def _repr_html_(self) -> str:
        """How much is in it, and its newest runs, for notebooks."""
        from metastore.drawing import Html, card, fields

        try:
            runs = self.runs(newest_first=True)
            counted = {
                "pipelines": self.pipelines(),
                "runs": runs,
                "artifacts": self.artifacts(),
                "executions": self.executions(),
            }
            return card(
                f"store {self.location}",
                fields((label, str(len(each))) for label, each in counted.items()),
                Html(runs._repr_html_()) if runs else "",
            )
        except MetastoreError as error:
            return card("", f"{self!r}: {error}")

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

    def pipeline(self, which: int | str) -> Pipeline:
        """The pipeline of that id (an int) or name (a text).

        Raises
        ------
        NotFoundError
            There is none.
        InvalidError
            Several have the name, recorded by several programs; or `which` is neither.
        """
        query = _naming(pipelines.pipelines_query(), "pipeline", which)
        found = self.backend.read_nodes(query)
        _check_one("pipeline", which, [each.id for each in found], self.location)
        return Pipeline(self.backend, cast("Context", found[0]))

    def runs(
        self,
        *,
        where: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Listing[Run]:
        """The runs of all pipelines, in the order in which they were recorded.

        Parameters
        ----------
        where:
            A condition on the contexts that are the runs; see docs/filters.md.
        newest_first:
            The last recorded one first.
        limit:
            At most so many.
        """
        query = pipelines.runs_query()
        if where is not None:
            query = _with(query, filter=Filter.parse(NodeKind.CONTEXT, where))
        return runs_listing(
            self.backend, _with(query, descending=newest_first, limit=checked_limit(limit))
        )

    def find_run(self, which: int | str) -> Run:
        """The run of that id (an int) or name (a text).

        Raises
        ------
        NotFoundError
            There is none.
        InvalidError
            Several runs have the name; or `which` is neither.
        """
        query = _naming(pipelines.runs_query(), "run", which)
        found = [*runs_listing(self.backend, query)]
        _check_one("run", which, [each.id for each in found], self.location)
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
        where: str | None = None,
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
        where:
            A condition in the filter language (docs/filters.md), such as
            ``"properties.accuracy > 0.9 AND contexts_a.name = 'train-iris'"``.
        order_by:
            ``"id"``, ``"create_time"`` or ``"update_time"``; with a minus in front, the last first.
        limit:
            At most so many.

        Raises
        ------
        FilterError
            `where` is no filter; it is shown with a mark under the place.
        InvalidError
            Another argument is none that can be meant.
        """
        query = _query(
            NodeKind.ARTIFACT, type, ids, name, external_id, context, where, order_by, limit
        )
        _check_text(uri, "uri")
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
        where: str | None = None,
        order_by: str = "id",
        limit: int | None = None,
    ) -> Listing[ExecutionView]:
        """Executions; arguments as in `artifacts`."""
        query = _query(
            NodeKind.EXECUTION, type, ids, name, external_id, context, where, order_by, limit
        )
        return Listing(self.backend, query, views_of(self.backend, NodeKind.EXECUTION))

    def contexts(
        self,
        *,
        type: str | None = None,
        ids: Sequence[int] | None = None,
        name: str | None = None,
        external_id: str | None = None,
        where: str | None = None,
        order_by: str = "id",
        limit: int | None = None,
    ) -> Listing[ContextView]:
        """Contexts; arguments as in `artifacts`."""
        query = _query(NodeKind.CONTEXT, type, ids, name, external_id, None, where, order_by, limit)
        return Listing(self.backend, query, views_of(self.backend, NodeKind.CONTEXT))

    def _node(self, kind: NodeKind, id: int) -> AnyNode:
        check_number(id, "an id is an integer from 1", 1)
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
        if not name:
            raise InvalidError("a type has a name, and none is asked for")
        _check_text(name, "type")
        _check_text(version, "version")
        key = TypeKey(kind, name, version)
        found = self.backend.read_types(TypeQuery(kind, keys=[key]))
        if not found:
            raise NotFoundError(
                f"there is no {kind.label} type {str(key)!r} in {self.location}",
                hint="types() lists them",
                offender=Offender(f"{kind.label} type", name=name),
            )
        return found[0]

    # Writing without a run.

    def write(self, batch: Batch) -> WrittenBatch:
        """Write a batch whole, or raise and write nothing; see `Batch`."""
        if not isinstance(batch, Batch):
            raise InvalidError(
                f"a {type(batch).__name__} cannot be written", hint="give a metastore.Batch"
            )
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

        Raises
        ------
        InvalidError
            The node is of another store, or `change` gives what it cannot hold.
        NotFoundError
            The node is gone.
        ConflictError
            Others changed it each time.
        """
        kind = _kind(node)
        if not callable(change):
            raise InvalidError(
                f"the change is a {type(change).__name__}, not a function",
                hint="such as lambda node: {'checked': True}",
            )
        offender = Offender(kind.label, id=node.id)
        if not self.backend.is_same(node._backend):
            raise InvalidError(
                f"{offender} is one of another store ({node._backend.location})",
                hint=f"read it from {self.location}",
                offender=offender,
            )
        wrap = views_of(self.backend, kind)
        check_number(attempts, "attempts are an integer from 1", 1)
        for attempt in range(attempts):
            current: V = wrap([self._node(kind, node.id)])[0]
            wanted = change(current)
            if not isinstance(wanted, Mapping):
                raise InvalidError(
                    f"the change of {offender} gave a {type(wanted).__name__}",
                    hint="return a dict of the properties to set; None as a value removes one",
                    offender=offender,
                )
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
            except ConflictError as error:
                if attempt + 1 == attempts:
                    raise error.about(offender) from error
                continue
            except InvalidError as error:
                raise error.about(
                    offender._replace(property=error.offender and error.offender.property),
                    hint="declare it with step.output(..., properties=...) or in a Batch, or use "
                    "custom=True"
                    if "not declared" in error.message
                    else None,
                ) from error
            return cast("V", wrap([self._node(kind, node.id)])[0])
        raise AssertionError("the last attempt returns or raises")

    # All of it, somewhere else.

    def copy_to(
        self,
        other: Store,
        *,
        since: datetime | None = None,
        pipeline: int | str | None = None,
        merge: bool = False,
        strict: bool = False,
        dry_run: bool = False,
        journal: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> CopyReport:
        """Copy what is in this store into another one, and compare the two; see docs/copying.md.

        Parameters
        ----------
        other:
            Where to; it may hold something already.
        since:
            Only what was created or changed since (an aware time), with what it hangs on.
        pipeline:
            Only the runs of the pipeline of that id (an int) or name (a text), with what hangs on
            them.
        merge:
            Whether nodes of the other store that have the name or external id of one of these, and
            are equal, are taken for the same; otherwise they are an error.
        strict:
            Whether it is an error that the other store cannot hold something, such as times.
        dry_run:
            Whether to count only.
        journal:
            A file that remembers what was copied: the same call goes on after a kill, and copies
            what is new or changed the next time.
        progress:
            Called with what is done (``"copy"``, ``"compare"``), how many nodes, of how many.

        Returns
        -------
        What was copied, what was left out, and `differences`, which is true where the comparison
        found some.

        Raises
        ------
        InvalidError, AlreadyExistsError
            It cannot be copied; see `metastore.transfer.copy`.
        """
        from metastore import transfer

        if since is not None and since.tzinfo is None:
            raise InvalidError(
                "the time since which to copy has no time zone",
                hint="such as datetime.now(timezone.utc) - timedelta(days=7)",
            )
        return transfer.copy(
            self.backend,
            other.backend,
            since_ms=None if since is None else int(since.timestamp() * 1000),
            contexts=None if pipeline is None else lambda: contexts_of(self.pipeline(pipeline)),
            merge=merge,
            strict=strict,
            dry_run=dry_run,
            journal=None if journal is None else Path(journal),
            progress=progress,
        )


def contexts_of(pipeline: Pipeline) -> Iterator[int]:
    """Ids of the contexts that are the pipeline and its runs."""
    yield pipeline.id
    for run in pipeline.runs:
        yield run.id


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
        hint="give an artifact, an execution or a context: what was recorded has .read(), a run "
        "and a pipeline have .context, a step has .execution",
    )


def _with(query: NodeQuery, **changes: Any) -> NodeQuery:
    return replace(query, **changes)


def _naming(query: NodeQuery, what: str, which: int | str) -> NodeQuery:
    """The query for the one of that id or name, and for a second one, should there be one."""
    if isinstance(which, str):
        return _with(query, names=[which], limit=2)
    check_number(which, f"a {what} is found by its id, an integer from 1, or by its name", 1)
    return _with(query, ids=[which], limit=1)


def _check_one(what: str, which: int | str, ids: Sequence[int], location: str) -> None:
    offender = Offender(what, name=str(which))
    if not ids:
        raise NotFoundError(
            f"there is no {what} {which!r} in {location}",
            hint=f"{what}s() lists them",
            offender=offender,
        )
    if len(ids) > 1:
        raise InvalidError(
            f"several {what}s are called {which!r}, such as those of ids {ids[0]} and {ids[1]}",
            hint="find it by its id",
            offender=offender,
        )


def _check_text(text: object, what: str) -> None:
    if text is not None and not isinstance(text, str):
        raise InvalidError(
            f"the {what} that is asked for is of type {type(text).__name__}, not text"
        )


def _ids(ids: object) -> list[int]:
    if isinstance(ids, Iterable) and not isinstance(ids, str | bytes):
        listed = list(ids)
        plain = all(type(each) is int for each in listed)
        if not (plain and INT64_MIN <= min(listed, default=0) <= max(listed, default=0) < 2**63):
            for each in listed:
                check_number(each, "ids are a list of integers of 64 bits", INT64_MIN)
        return listed
    raise InvalidError("ids are a list of integers", hint="such as ids=[1, 2]")


def _order(order_by: object) -> tuple[OrderBy, bool]:
    """What to order by, and whether the last is first."""
    text = order_by if isinstance(order_by, str) else ""
    field = text.removeprefix("-")
    order = _ORDERS.get(field)
    if order is None:
        raise InvalidError(
            f"nodes cannot be ordered by {order_by!r}",
            hint="order by id, create_time or update_time; with a minus in front, the last first",
        )
    return order, text != field


_ORDERS = {each.value: each for each in OrderBy}


def _query(
    kind: NodeKind,
    type: str | None,
    ids: Sequence[int] | None,
    name: str | None,
    external_id: str | None,
    context: int | None,
    where: str | None,
    order_by: object,
    limit: int | None,
) -> NodeQuery:
    for what, text in (("type", type), ("name", name), ("external id", external_id)):
        _check_text(text, what)
    if context is not None:
        check_number(context, "a context is named by its id, an integer from 1", 1)
    if ids is not None:
        ids = _ids(ids)
    order, descending = _order(order_by)
    return NodeQuery(
        kind,
        type_names=None if type is None else [type],
        ids=ids,
        names=None if name is None else [name],
        external_ids=None if external_id is None else [external_id],
        context_ids=None if context is None else [context],
        filter=None if where is None else Filter.parse(kind, where),
        order_by=order,
        descending=descending,
        limit=checked_limit(limit),
    )
