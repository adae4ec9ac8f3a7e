"""The RPCs that write nodes, events and links: requests become batches."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from grpc import StatusCode

from metastore import (
    ALL,
    AlreadyExistsError,
    BaseMetadataStore,
    Batch,
    Insert,
    InvalidError,
    Merge,
    NodeKind,
    NodeQuery,
    NotFoundError,
    Offender,
    Ref,
    Replace,
    Reuse,
    TypeQuery,
    WrittenBatch,
)
from metastore.batch import Keys, NodeRef, WriteMode
from metastore.model import NODE_KINDS, LinkKind
from metastore_flavor_kubeflow.messages import draft_of, event_type_of, path_of, text_of
from metastore_flavor_kubeflow.said import FORCED
from metastore_flavor_kubeflow.serving._refusals import Refusal, told

__all__ = [
    "put_attributions_and_associations",
    "put_events",
    "put_execution",
    "put_lineage_subgraph",
    "put_nodes",
    "put_parent_contexts",
]

_ARTIFACT = NodeKind.ARTIFACT

_FIELDS = {
    NodeKind.ARTIFACT: {"uri": "uri", "state": "state", "external_id": "external_id"},
    NodeKind.EXECUTION: {"last_known_state": "state", "external_id": "external_id"},
    NodeKind.CONTEXT: {"name": "name", "external_id": "external_id"},
}
"""What a mask may name, and what it is called here."""


def put_nodes(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:
    """Put{Artifacts,Executions,Contexts}."""
    batch = Batch()
    paths = list(request.update_mask.paths)
    guarded = kind is NodeKind.ARTIFACT and request.options.abort_if_latest_updated_time_changed
    for message in getattr(request, f"{kind.label}s"):
        mode: WriteMode = Insert()
        if message.HasField("id"):
            expected = message.last_update_time_since_epoch if guarded else None
            mode = (
                _masked(kind, message.id, paths, expected)
                if paths
                else Replace(message.id, expected)
            )
        batch.add(kind, draft_of(kind, message, mode))
    written = _write(store, batch)
    getattr(response, f"{kind.label}_ids").extend(each.id for each in written.nodes[kind])


def _masked(kind: NodeKind, id: int, paths: Iterable[str], expected: int | None) -> Merge:
    """The update that a mask says; what it names and a node does not have is passed over."""
    return Merge(
        id,
        frozenset(_FIELDS[kind][path] for path in paths if path in _FIELDS[kind]),
        _masked_keys("properties", paths),
        _masked_keys("custom_properties", paths),
        expected,
        force_update=FORCED in paths,
    )


def _masked_keys(field: str, paths: Iterable[str]) -> frozenset[str] | Keys:
    if field in paths:
        return ALL
    prefix = f"{field}."
    return frozenset(path.removeprefix(prefix) for path in paths if path.startswith(prefix))


def put_events(store: BaseMetadataStore, request: Any, response: Any) -> None:  # noqa: ARG001 - as the others
    """PutEvents."""
    batch = Batch()
    for message in request.events:
        _add_event(batch, message, _given(message, "artifact_id"), _given(message, "execution_id"))
    _write(store, batch)


def put_attributions_and_associations(
    store: BaseMetadataStore,
    request: Any,
    response: Any,  # noqa: ARG001 - as the others
) -> None:
    """PutAttributionsAndAssociations."""
    batch = Batch()
    for message in request.attributions:
        batch.attribution(_given(message, "context_id"), _given(message, "artifact_id"))
    for message in request.associations:
        batch.association(_given(message, "context_id"), _given(message, "execution_id"))
    _write(store, batch)


def put_parent_contexts(store: BaseMetadataStore, request: Any, response: Any) -> None:  # noqa: ARG001 - as the others
    """PutParentContexts."""
    batch = Batch()
    for message in request.parent_contexts:
        batch.parent(_given(message, "child_id"), _given(message, "parent_id"))
    _write(store, batch)


def put_execution(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """PutExecution: an execution with what it read and wrote, and its contexts."""
    if not request.HasField("execution"):
        raise _invalid("there is no execution in the request")
    batch, options, message = Batch(), request.options, request.execution
    execution = batch.add(
        NodeKind.EXECUTION,
        draft_of(
            NodeKind.EXECUTION,
            message,
            Replace(message.id, force_update=options.force_update_time)
            if message.HasField("id")
            else Insert(),
        ),
    )
    adding = _Artifacts(store, batch, options)
    artifacts = [
        _add_pair(batch, pair, message, execution, adding) for pair in request.artifact_event_pairs
    ]
    contexts = [_add_context(batch, each, options) for each in request.contexts]
    for context in contexts:
        batch.association(context, execution)
        for artifact in artifacts:
            if artifact is not None:
                batch.attribution(context, artifact)
    kept = {each for each in contexts if isinstance(each, int)}
    written = _write(store, batch, kept_contexts=kept)
    response.execution_id = written[execution].id
    response.artifact_ids.extend(-1 if each is None else _id(each, written) for each in artifacts)
    response.context_ids.extend(_id(each, written) for each in contexts)


def _add_pair(
    batch: Batch, pair: Any, execution_message: Any, execution: Ref, adding: _Artifacts
) -> NodeRef | None:
    """Add an artifact and its event; the artifact, None where the pair has neither."""
    artifact: NodeRef | None = None
    if pair.HasField("artifact"):
        artifact = adding.add(pair.artifact)
    if not pair.HasField("event"):
        return artifact
    event = pair.event
    if event.HasField("artifact_id"):
        if artifact is None:
            artifact = event.artifact_id
        elif not _is_same(event.artifact_id, pair.artifact):
            raise _invalid("the artifact of an event is another one than that of its pair")
    elif artifact is None:
        raise _invalid("an event has no artifact: neither its pair nor its artifact_id says one")
    if event.HasField("execution_id") and not _is_same(event.execution_id, execution_message):
        raise _invalid("the execution of an event is another one than that of the request")
    _add_event(batch, event, artifact, execution)
    return artifact


def put_lineage_subgraph(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """PutLineageSubgraph: executions, artifacts and contexts, all linked; and events among them."""
    batch, options = Batch(), request.options
    for kind in NODE_KINDS:
        for message in getattr(request, f"{kind.label}s"):
            if not message.HasField("type_id"):
                raise _invalid(f"one of the {kind.label}s has no type_id")
    contexts = [_add_context(batch, each, options) for each in request.contexts]
    adding = _Artifacts(store, batch, options)
    artifacts = [adding.add(each) for each in request.artifacts]
    executions = [
        batch.add(
            NodeKind.EXECUTION,
            draft_of(
                NodeKind.EXECUTION, each, Replace(each.id) if each.HasField("id") else Insert()
            ),
        )
        for each in request.executions
    ]
    for context in contexts:
        for execution in executions:
            batch.association(context, execution)
        for artifact in artifacts:
            batch.attribution(context, artifact)
    for edge in request.event_edges:
        if not edge.HasField("event"):
            raise _invalid("an event edge has no event")
        reader = _end(edge, NodeKind.EXECUTION, request.executions, executions)
        read = _end(edge, NodeKind.ARTIFACT, request.artifacts, artifacts)
        _add_event(batch, edge.event, read, reader)
    try:
        written = _write(store, batch)
    except (Refusal, AlreadyExistsError):
        # Before all else ML Metadata looks for the types of all nodes, of updates too.
        _check_types(store, request)
        raise
    response.execution_ids.extend(_id(each, written) for each in executions)
    response.artifact_ids.extend(_id(each, written) for each in artifacts)
    response.context_ids.extend(_id(each, written) for each in contexts)


def _check_types(store: BaseMetadataStore, request: Any) -> None:
    for kind in NODE_KINDS:
        wanted = {message.type_id for message in getattr(request, f"{kind.label}s")}
        found = {type.id for type in store.read_types(TypeQuery(kind, ids=sorted(wanted)))}
        if wanted - found:
            missing = ", ".join(map(str, sorted(wanted - found)))
            raise Refusal(StatusCode.NOT_FOUND, f"there is no {kind.label} type with id {missing}")


def _end(edge: Any, kind: NodeKind, messages: Any, added: list[Any]) -> NodeRef:
    """The end of an event edge: by index among the request's nodes, or by stored id."""
    index_field, id_field = f"{kind.label}_index", f"{kind.label}_id"
    if not edge.HasField(index_field):
        if not edge.event.HasField(id_field):
            raise _invalid(f"an event edge names no {kind.label}, by index or by id")
        id: int = getattr(edge.event, id_field)
        return id
    index = getattr(edge, index_field)
    if not 0 <= index < len(added):
        raise Refusal(
            StatusCode.OUT_OF_RANGE,
            f"{index_field} {index} of an event edge is beyond the {len(added)} {kind.label}s",
        )
    if edge.event.HasField(id_field) and not _is_same(
        getattr(edge.event, id_field), messages[index]
    ):
        raise _invalid(f"the {id_field} of an event is another one than its edge's {index_field}")
    end: NodeRef = added[index]
    return end


class _Artifacts:
    """Adds artifacts to a batch, some of which are found by their external ids."""

    def __init__(self, store: BaseMetadataStore, batch: Batch, options: Any) -> None:
        self._store = store
        self._batch = batch
        self._by_external_id = options.reuse_artifact_if_already_exist_by_external_id
        self._found: dict[str, Ref] = {}

    def add(self, message: Any) -> Ref:
        """Add a client's artifact; one whose external id stands twice is one, as said last."""
        if message.HasField("id"):
            return self._batch.add(_ARTIFACT, draft_of(_ARTIFACT, message, Replace(message.id)))
        external_id = message.external_id
        if not (self._by_external_id and external_id):
            return self._batch.add(_ARTIFACT, draft_of(_ARTIFACT, message, Insert()))
        draft = draft_of(_ARTIFACT, message, self._reuse(message))
        if external_id not in self._found:
            self._found[external_id] = self._batch.add(_ARTIFACT, draft)
            return self._found[external_id]
        ref = self._found[external_id]
        first = self._batch.nodes[_ARTIFACT][ref.index]
        if None not in (draft.type, first.type) and draft.type != first.type:
            raise _invalid("two artifacts of one external id are of two types")
        # The name is that of the first, as of every stored artifact.
        draft.name = first.name
        self._batch.nodes[_ARTIFACT][ref.index] = draft
        return ref

    def _reuse(self, message: Any) -> WriteMode:
        if message.HasField("type_id"):
            return Reuse(by="external_id", on_found="replace")
        # An update may leave out the type, and whether it is one, only the store knows.
        query = NodeQuery(NodeKind.ARTIFACT, external_ids=[text_of(message.external_id)])
        found = self._store.read_nodes(query)
        return Replace(found[0].id) if found else Insert()


def _add_context(batch: Batch, message: Any, options: Any) -> NodeRef:
    """Add a context; where the client says that a stored one is to stay as it is, its id."""
    has_id = message.HasField("id")
    if has_id and getattr(options, "force_reuse_context", False):
        id: int = message.id
        return id
    if not message.HasField("type_id") or not message.name:
        raise _invalid("a context has no type_id or no name")
    mode: WriteMode = Insert()
    if has_id:
        mode = Replace(message.id)
    elif options.reuse_context_if_already_exist:
        mode = Reuse(by="name")
    return batch.add(NodeKind.CONTEXT, draft_of(NodeKind.CONTEXT, message, mode))


def _add_event(batch: Batch, message: Any, artifact: Any, execution: Any) -> None:
    batch.event(
        artifact,
        execution,
        event_type_of(message),
        path=path_of(message),
        time_ms=_given(message, "milliseconds_since_epoch"),
    )


def _write(
    store: BaseMetadataStore, batch: Batch, *, kept_contexts: Collection[int] = ()
) -> WrittenBatch:
    """Write the batch; what is named and not there gets the code that ML Metadata has for it."""
    try:
        return store.write(batch)
    except InvalidError as error:
        raise _in_their_words(store, batch, error) from error
    except NotFoundError as error:
        if _is_missing_type(batch, error.offender) or _is_kept(
            batch, error.offender, kept_contexts
        ):
            raise
        raise Refusal(StatusCode.INVALID_ARGUMENT, told(error)) from error


def _in_their_words(store: BaseMetadataStore, batch: Batch, error: InvalidError) -> Refusal:
    """The error; of a wrong property also as ML Metadata says it, which programs look for."""
    offender = error.offender
    for kind in NODE_KINDS:
        if offender is None or offender.kind != kind.label or offender.index is None:
            continue
        draft, key = batch.nodes[kind][offender.index], offender.property
        if key in draft.properties and isinstance(draft.type, int):
            types = store.read_types(TypeQuery(kind, ids=[draft.type]))
            is_known = bool(types) and key in types[0].properties
            theirs = "unmatched property type" if is_known else "unknown property"
            return _invalid(f"Found {theirs}: {key}: {told(error)}")
    return _invalid(told(error))


def _is_missing_type(batch: Batch, offender: Offender | None) -> bool:
    """Whether a new node names a type that is not there: all else names an id that is not."""
    for kind in NODE_KINDS:
        if offender is not None and offender.kind == kind.label and offender.index is not None:
            return isinstance(batch.nodes[kind][offender.index].mode, Insert | Reuse)
    return False


def _is_kept(batch: Batch, offender: Offender | None, contexts: Collection[int]) -> bool:
    """Whether a context that a client wants reused by its id is not there."""
    for kind in (LinkKind.ASSOCIATION, LinkKind.ATTRIBUTION):
        if offender is not None and offender.kind == kind.label and offender.index is not None:
            return batch.links[kind][offender.index].context in contexts
    return False


def _given(message: Any, field: str) -> Any:
    """A field of a message, None where it is not set: for the planner to refuse."""
    return getattr(message, field) if message.HasField(field) else None


def _is_same(id: int, message: Any) -> bool:
    """Whether an event names the node that stands beside it; a new one has no id to name."""
    return bool(message.HasField("id") and message.id == id)


def _id(ref: NodeRef, written: WrittenBatch) -> int:
    return ref if isinstance(ref, int) else written[ref].id


def _invalid(message: str) -> Refusal:
    return Refusal(StatusCode.INVALID_ARGUMENT, message)
