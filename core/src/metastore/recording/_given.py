"""What people hand over while they record, turned into what a store can hold."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from metastore.base import BaseMetadataStore
from metastore.batch import Batch
from metastore.errors import InvalidError, NotFoundError, Offender
from metastore.model import Artifact, NodeKind, PropertyKind, TypeKey, Value
from metastore.query import NodeQuery, TypeQuery
from metastore.recording._artifact import StoredArtifact
from metastore.values import (
    INT64_MAX,
    INT64_MIN,
    BadValueError,
    clean_text,
    clean_value,
    kind_of,
    nonfinite_text,
    scalar,
)

__all__ = [
    "ArtifactLike",
    "DeclaredTypes",
    "check_name",
    "listed",
    "mapping",
    "parameters_of",
    "property_values",
    "stored_artifact",
    "uri_text",
    "use_type",
]

ArtifactLike = StoredArtifact | int | str | os.PathLike[str]
"""An artifact read or recorded earlier, its id, or a uri."""


class DeclaredTypes:
    """Declared properties of the types that a run uses, read once each.

    So that a value of the wrong kind is an error where it is given, and not when the step ends.
    """

    def __init__(self, backend: BaseMetadataStore) -> None:
        self._backend = backend
        self._known: dict[TypeKey, dict[str, PropertyKind]] = {}

    def declared(self, key: TypeKey) -> dict[str, PropertyKind]:
        """The properties of a type; of one that is not there, those that it will have."""
        if key not in self._known:
            found = self._backend.read_types(TypeQuery(key.kind, keys=[key]))
            self._known[key] = dict(found[0].properties) if found else {}
        return self._known[key]

    def declare(self, key: TypeKey, values: Mapping[str, Value]) -> None:
        """These values are recorded: from now on the type declares their properties."""
        if values:
            declared = self.declared(key)
            for property, value in values.items():
                declared.setdefault(property, kind_of(value))

    def forget(self) -> None:
        """Others have changed the types meanwhile."""
        self._known.clear()

    def fit(self, key: TypeKey, values: Any, offender: Offender) -> dict[str, Value]:
        """The values as the type declares them: an int where it wants a double is one."""
        given = property_values(values, "properties", offender)
        if not given:
            return given
        declared = self.declared(key)
        for property, value in given.items():
            kind, wanted = kind_of(value), declared.get(property)
            if wanted is PropertyKind.DOUBLE and kind is PropertyKind.INT:
                given[property] = float(cast("int", value))
            elif wanted is not None and kind is not wanted:
                raise InvalidError(
                    f"property {property!r} of {offender} is {kind.name}, but type "
                    f"{str(key)!r} has declared it as {wanted.name} since its first value",
                    hint=_other_kind(wanted, kind),
                    offender=offender._replace(property=property),
                )
        return given


def _other_kind(wanted: PropertyKind, kind: PropertyKind) -> str:
    ways = f"give {wanted.name}, take another name, or use custom_properties, which take any kind"
    if wanted is PropertyKind.INT and kind is PropertyKind.DOUBLE:
        return f"{ways}; give what may have a fraction as a float from the start (1.0, not 1)"
    return ways


def use_type(batch: Batch, key: TypeKey, properties: Mapping[str, PropertyKind]) -> None:
    batch.type(
        key.kind,
        key.name,
        properties,
        version=key.version,
        can_add_properties=True,
        can_omit_properties=True,
    )


def mapping(values: Any, what: str, offender: Offender) -> Mapping[Any, Any]:
    """The values, if they are a mapping; none of them for None."""
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidError(
            f"the {what} of {offender} are a {type(values).__name__}, not a mapping",
            hint="give a dict of names and values",
            offender=offender,
        )
    return values


def property_values(values: Any, what: str, offender: Offender) -> dict[str, Value]:
    """Property values as a store can hold them."""
    cleaned: dict[str, Value] = {}
    for key, value in mapping(values, what, offender).items():
        check_name(key, f"name of one of the {what} of {offender}", offender)
        try:
            cleaned[key] = clean_value(value)
        except BadValueError as error:
            raise InvalidError(
                f"property {key!r} of {offender} {error}",
                hint="a measurement that may come out as NaN can be a metric of the step"
                if nonfinite_text(value) == "NaN"
                else None,
                offender=offender._replace(property=key),
            ) from None
    return cleaned


def parameters_of(values: Any, offender: Offender) -> dict[str, Value]:
    """Parameters as property values: what a property cannot hold becomes text.

    A property holds no list, no None and no NaN, yet a pipeline's parameters are full of them.
    """
    cleaned: dict[str, Value] = {}
    for key, value in mapping(values, "parameters", offender).items():
        check_name(key, f"name of a parameter of {offender}", offender)
        try:
            cleaned[key] = _parameter(value)
        except BadValueError as error:
            raise InvalidError(
                f"parameter {key!r} of {offender} {error}",
                hint="leave it out, or give it in another form, such as str(...)",
                offender=offender._replace(property=key),
            ) from None
    return cleaned


_AS_TEXT = (decimal.Decimal, fractions.Fraction, uuid.UUID)
_ISO = (datetime.date, datetime.time)


def _parameter(value: Any) -> Value:
    if value is None:
        return "None"
    if isinstance(value, list | tuple | set | frozenset):
        return json.dumps(_json_ready(value, _MAX_DEPTH), ensure_ascii=False)
    if isinstance(value, Mapping):
        return clean_value(_json_ready(value, _MAX_DEPTH))
    text = _text_of(value)
    return clean_value(value) if text is None else text


def _text_of(value: Any) -> str | None:
    """The text that stands for the value; None where it can stand for itself."""
    if isinstance(value, os.PathLike):
        return clean_text(os.fsdecode(value))
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, _ISO):
        return value.isoformat()
    if isinstance(value, enum.Enum) and not isinstance(value, str | int | float):
        return value.name
    if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
        if value.bit_length() > 10_000:
            # Python itself refuses to write so many digits.
            raise BadValueError("is an integer of thousands of digits")
        return str(int(value))
    # JSON has no word for an infinity, a property holds it; neither holds NaN.
    word = nonfinite_text(value)
    return word if word == "NaN" else None


_MAX_DEPTH = 40
"""Lists and mappings in one another."""


def _json_ready(value: Any, depth: int) -> Any:
    """The value as JSON has it; raises `BadValueError` for what JSON cannot hold."""
    if depth == 0:
        raise BadValueError("is nested too deeply")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        ready = {_json_key(key): _json_ready(each, depth - 1) for key, each in value.items()}
        if len(ready) < len(value):
            raise BadValueError("has two keys that are one as text")
        return ready
    if isinstance(value, set | frozenset):
        try:
            return [_json_ready(each, depth - 1) for each in sorted(value)]
        except TypeError:
            raise BadValueError("has a set of things that have no order") from None
    if isinstance(value, list | tuple):
        return [_json_ready(each, depth - 1) for each in value]
    text = _text_of(value)
    if text is not None:
        return text
    if isinstance(value, int | float):
        return nonfinite_text(value) or value
    plain = scalar(value)
    if type(plain) in (bool, int, float, str):
        return _json_ready(plain, depth)
    raise BadValueError(f"holds a {type(value).__name__}")


def _json_key(key: Any) -> str:
    if isinstance(key, str):
        return clean_text(key)
    if key is None or isinstance(key, bool | int | float):
        return str(key)
    raise BadValueError(f"has a key of type {type(key).__name__}, not text")


def stored_artifact(artifact: Any, backend: BaseMetadataStore, offender: Offender) -> Artifact:
    """The artifact as this store holds it.

    Raises
    ------
    InvalidError
        It is no artifact, or one of another store, where the id is that of something else.
    NotFoundError
        There is no artifact of that id.
    """
    if isinstance(artifact, StoredArtifact):
        theirs = artifact._backend
        if not backend.is_same(theirs):
            raise InvalidError(
                f"{offender} was given an artifact of another store ({theirs.location})",
                hint=f"record it in {backend.location} first, or give its uri",
                offender=offender,
            )
    id = artifact.id if isinstance(artifact, StoredArtifact) else artifact
    if not isinstance(id, int) or isinstance(id, bool):
        hint = "give an artifact that was read or recorded, its id, or a uri"
        if isinstance(artifact, Artifact):
            hint = "a plain record does not say of which store it is: give its id"
        if offender.kind == "output":
            hint = "give an artifact that was read or recorded, or its id; a uri is given as uri="
        raise InvalidError(
            f"{offender} was given a {type(artifact).__name__} where an artifact is wanted",
            hint=hint,
            offender=offender,
        )
    found = backend.read_nodes(NodeQuery(NodeKind.ARTIFACT, ids=[id]))
    if not found:
        raise NotFoundError(
            f"{offender} was given artifact {id}, which is not in {backend.location}",
            hint="correct the id",
            offender=offender,
        )
    return cast("Artifact", found[0])


def listed(artifacts: Any) -> Iterable[Any]:
    """The artifacts one by one, where several are given."""
    if isinstance(artifacts, Sequence) and not isinstance(artifacts, str | bytes | bytearray):
        return artifacts
    return [artifacts]


def uri_text(uri: Any, offender: Offender) -> str:
    """A uri or path as text."""
    try:
        return clean_text(os.fsdecode(uri))
    except TypeError:
        problem = f"is of type {type(uri).__name__}, not text"
    except BadValueError as error:
        problem = str(error)
    raise InvalidError(
        f"the uri of {offender} {problem}", hint="give a text or a path", offender=offender
    )


def check_name(name: Any, what: str, offender: Offender) -> None:
    try:
        text = clean_text(name)
    except BadValueError as error:
        raise InvalidError(f"the {what} {error}", offender=offender) from None
    if not text:
        raise InvalidError(f"the {what} is empty", hint="give it a name", offender=offender)
