"""The RPCs of types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from grpc import StatusCode

from metastore import BaseMetadataStore, Batch, InvalidError, NodeKind, Type, TypeQuery
from metastore.model import SIMPLE_TYPES
from metastore_flavor_kubeflow.messages import add_type, fill_type, key_of, text_of
from metastore_flavor_kubeflow.serving._refusals import Refusal, told

__all__ = [
    "fill_types",
    "get_type",
    "get_types",
    "get_types_by_external_ids",
    "get_types_by_id",
    "put_type",
    "put_types",
]

_SIMPLE = frozenset(name for names in SIMPLE_TYPES.values() for name in names)


def put_type(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:
    """Put{Artifact,Execution,Context}Type."""
    _check_flags(request)
    batch = Batch()
    _add(batch, kind, getattr(request, f"{kind.label}_type"), request)
    response.type_id = _write(store, batch)[0]


def put_types(store: BaseMetadataStore, request: Any, response: Any) -> None:
    """PutTypes."""
    _check_flags(request)
    batch = Batch()
    kinds = (NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT)
    counts = []
    for kind in kinds:
        messages = getattr(request, f"{kind.label}_types")
        counts.append(len(messages))
        for message in messages:
            _add(batch, kind, message, request)
    ids = iter(_write(store, batch))
    for kind, count in zip(kinds, counts, strict=True):
        getattr(response, f"{kind.label}_type_ids").extend(next(ids) for _ in range(count))


def _check_flags(request: Any) -> None:
    if not request.all_fields_match:
        raise Refusal(
            StatusCode.UNIMPLEMENTED,
            "all_fields_match=false is not supported; use can_add_fields and can_omit_fields",
        )


def _add(batch: Batch, kind: NodeKind, message: Any, request: Any) -> None:
    add_type(batch, kind, message, can_add=request.can_add_fields, can_omit=request.can_omit_fields)


def _write(store: BaseMetadataStore, batch: Batch) -> Sequence[int]:
    """Write a batch of types; the ids, aligned with its drafts."""
    try:
        return [each.id for each in store.write(batch).types]
    except InvalidError as error:
        index = error.offender.index if error.offender is not None else None
        draft = batch.types[index] if index is not None else None
        if draft is None or not draft.key.name:
            raise
        unknown = [key for key, kind in draft.properties.items() if not kind]
        stored = store.read_types(TypeQuery(draft.key.kind, keys=[draft.key]))
        if unknown:
            # To a stored property without a kind, ML Metadata says what it says to another kind.
            if stored and stored[0].properties.keys() & set(unknown):
                raise Refusal(StatusCode.ALREADY_EXISTS, told(error)) from error
        elif draft.base_type is not None and not (
            draft.base_type in _SIMPLE and stored and stored[0].base_type is None
        ):
            # To change a base type or take it away: ML Metadata calls it a feature to come. What
            # else can be wrong is that a simple type would be its own base.
            raise Refusal(StatusCode.UNIMPLEMENTED, told(error)) from error
        raise


def get_type(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:
    """Get{Artifact,Execution,Context}Type."""
    key = key_of(kind, request)
    found = store.read_types(TypeQuery(kind, keys=[key]))
    if not found:
        raise Refusal(StatusCode.NOT_FOUND, f"there is no {kind.label} type {str(key)!r}")
    fill_type(getattr(response, f"{kind.label}_type"), found[0])


def get_types(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:  # noqa: ARG001 - as the others
    """Get{Artifact,Execution,Context}Types: all but those that are called as simple types are."""
    found = store.read_types(TypeQuery(kind))
    hidden = _SIMPLE if SIMPLE_TYPES[kind] else ()
    fill_types(response, kind, [each for each in found if each.name not in hidden])


def get_types_by_id(kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any) -> None:
    """Get{Artifact,Execution,Context}TypesByID: as asked, repetitions included."""
    found = {each.id: each for each in store.read_types(TypeQuery(kind, ids=request.type_ids))}
    fill_types(response, kind, [found[id] for id in request.type_ids if id in found])


def get_types_by_external_ids(
    kind: NodeKind, store: BaseMetadataStore, request: Any, response: Any
) -> None:
    """Get{Artifact,Execution,Context}TypesByExternalIds."""

    def read(ids: Sequence[str]) -> Sequence[Type]:
        return store.read_types(TypeQuery(kind, external_ids=ids))

    fill_types(response, kind, by_external_ids(f"{kind.label} type", request, read))


def by_external_ids(
    what: str, request: Any, read: Callable[[Sequence[str]], Sequence[Any]]
) -> Sequence[Any]:
    """What has one of the external ids; where nothing has, or one is empty, it is an error."""
    ids = [text_of(each) for each in request.external_ids]
    if "" in ids:
        raise Refusal(StatusCode.INVALID_ARGUMENT, "one of the external ids is empty")
    found = read(ids) if ids else []
    if ids and not found:
        raise Refusal(StatusCode.NOT_FOUND, f"no {what} has one of the external ids")
    return found


def fill_types(response: Any, kind: NodeKind, types: Sequence[Type]) -> None:
    """Add the types to the field ``artifact_types`` and so on of a message."""
    messages = getattr(response, f"{kind.label}_types")
    for each in types:
        fill_type(messages.add(), each)
