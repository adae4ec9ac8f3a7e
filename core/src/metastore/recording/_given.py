"""What people hand over while they record, turned into what a store can hold."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.errors import InvalidError, Offender
from metastore.model import NodeKind, PropertyKind, TypeKey, Value
from metastore.query import TypeQuery
from metastore.values import BadValueError, clean_text, clean_value, kind_of

__all__ = [
    "ArtifactLike",
    "DeclaredTypes",
    "HasId",
    "check_name",
    "id_of",
    "parameters_of",
    "property_value",
    "use_type",
]


class HasId(Protocol):
    """Something with the id of a stored artifact."""

    @property
    def id(self) -> int:
        """The stored id."""


ArtifactLike = HasId | int | str | Path
"""An artifact read or recorded earlier, its id, or a uri."""


class DeclaredTypes:
    """Declared properties of the types that a run uses, read once each.

    So that a value of the wrong kind is an error where it is given, and not when the step ends.
    """

    def __init__(self, backend: BaseMetadataStore) -> None:
        self._backend = backend
        self._known: dict[TypeKey, dict[str, PropertyKind]] = {}

    def fit(
        self, kind: NodeKind, name: str, values: Mapping[str, Any], offender: Offender
    ) -> dict[str, Value]:
        """The values as the type declares them: an int where it wants a double is one."""
        key = TypeKey(kind, name)
        if key not in self._known:
            found = self._backend.read_types(TypeQuery(kind, keys=[key]))
            self._known[key] = dict(found[0].properties) if found else {}
        declared = self._known[key]
        fitted: dict[str, Value] = {}
        for property, value in values.items():
            clean = property_value(value, property, offender)
            wanted = declared.setdefault(property, kind_of(clean))
            if wanted is PropertyKind.DOUBLE and type(clean) is int:
                clean = float(clean)
            if kind_of(clean) is not wanted:
                raise InvalidError(
                    f"property {property!r} of {offender} is {kind_of(clean).name}, but type "
                    f"{name!r} declares it as {wanted.name}",
                    hint="give such a value, or use custom_properties, which take any",
                    offender=offender._replace(property=property),
                )
            fitted[property] = clean
        return fitted


def use_type(
    batch: Batch, kind: NodeKind, name: str, properties: Mapping[str, PropertyKind]
) -> None:
    batch.type(kind, name, properties, can_add_properties=True, can_omit_properties=True)


def property_value(value: Any, property: str, offender: Offender) -> Value:
    try:
        return clean_value(value)
    except BadValueError as error:
        raise InvalidError(
            f"property {property!r} of {offender} {error}",
            offender=offender._replace(property=property),
        ) from None


def parameters_of(values: Mapping[str, Any] | None, offender: Offender) -> dict[str, Value]:
    """Parameters as property values: lists become JSON text, None and paths become text.

    A property holds no list and no None, yet a pipeline's parameters are full of them.
    """
    cleaned: dict[str, Value] = {}
    for key, value in (values or {}).items():
        if not isinstance(key, str):
            raise InvalidError(
                f"a parameter of {offender} has a name that is not text", offender=offender
            )
        if value is None or isinstance(value, os.PathLike):
            value = str(value)
        elif isinstance(value, list | tuple | set | frozenset):
            try:
                value = json.dumps(
                    sorted(value) if isinstance(value, set | frozenset) else value, default=str
                )
            except (TypeError, ValueError) as error:
                raise InvalidError(
                    f"parameter {key!r} of {offender} holds what JSON cannot",
                    hint="give it as text",
                    offender=offender._replace(property=key),
                ) from error
        cleaned[key] = property_value(value, key, offender)
    return cleaned


def id_of(artifact: HasId | int, offender: Offender) -> int:
    id = artifact if isinstance(artifact, int) else getattr(artifact, "id", None)
    if not isinstance(id, int) or isinstance(id, bool):
        raise InvalidError(
            f"{offender} was given a {type(artifact).__name__} where an artifact is wanted",
            hint="give an artifact that was read or recorded, its id, or a uri",
            offender=offender,
        )
    return id


def check_name(name: Any, what: str, offender: Offender) -> None:
    try:
        text = clean_text(name)
    except BadValueError as error:
        raise InvalidError(f"the {what} {error}", offender=offender) from None
    if not text:
        raise InvalidError(f"the {what} is empty", hint="give it a name", offender=offender)
