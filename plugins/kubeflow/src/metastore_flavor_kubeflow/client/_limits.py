"""What ML Metadata's own server would lose or corrupt, and so is refused before it gets there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from metastore import InvalidError, NodeKind, Offender
from metastore.changes import Changes, NodeUpdate
from metastore.model import AnyNode

__all__ = ["check_holdable"]

_NULL, _STRUCT = "__MLMD_NULL__", "mlmd-struct::"


def check_holdable(changes: Changes, stored: Mapping[NodeKind, Mapping[int, AnyNode]]) -> None:
    """Raise `InvalidError` for what ML Metadata's server cannot keep as it is.

    Texts end at a NUL; ``__MLMD_NULL__`` and ``mlmd-struct::...`` are read as something else; no
    infinity can be written; an update of a property changes a custom property of its key as well.
    """
    for type in changes.type_inserts:
        offender = Offender(f"{type.key.kind.label} type", name=type.key.name)
        texts = (type.key.name, type.key.version, type.description, type.external_id)
        _check_texts(offender, (*texts, *type.properties))
    for kind, inserts in changes.inserts.items():
        for index, row in enumerate(inserts):
            offender = Offender(kind.label, index, name=row.name)
            _check_texts(offender, (row.name, row.uri, row.external_id))
            _check_values(offender, row.properties)
            _check_values(offender, row.custom_properties)
    for kind, updates in changes.updates.items():
        for update in updates:
            offender = Offender(kind.label, id=update.id)
            _check_texts(offender, (update.name, update.uri, update.external_id))
            _check_values(offender, update.set_properties)
            _check_values(offender, update.set_custom_properties)
            _check_keys(offender, update, stored[kind][update.id])
    for index, event in enumerate(changes.events):
        _check_texts(Offender("event", index), (step for step in event.path))


def _check_texts(offender: Offender, texts: Iterable[Any]) -> None:
    for text in texts:
        if isinstance(text, str) and "\0" in text:
            raise _refused(offender, "a text with a NUL, behind which it keeps nothing")
        if text == _NULL:
            raise _refused(offender, "a text that it takes for something else")


def _check_values(offender: Offender, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        whose = offender._replace(property=key)
        _check_texts(whose, (key, value))
        if isinstance(value, str) and value.startswith(_STRUCT):
            raise _refused(whose, "a text that it takes for something else")
        if isinstance(value, float) and not math.isfinite(value):
            raise _refused(whose, "a number that is not finite")


def _check_keys(offender: Offender, update: NodeUpdate, before: AnyNode) -> None:
    """An update or removal is by the key alone, whether or not it is a custom property."""
    changed = update.set_properties.keys() | update.drop_properties
    changed_custom = update.set_custom_properties.keys() | update.drop_custom_properties
    both = (changed & (before.custom_properties.keys() | changed_custom)) | (
        changed_custom & (before.properties.keys() | changed)
    )
    for key in sorted(both):
        raise _refused(
            offender._replace(property=key),
            "a change of a property that has the key of a custom property",
        )


def _refused(offender: Offender, what: str) -> InvalidError:
    key = "" if offender.property is None else f", property {offender.property!r}"
    return InvalidError(
        f"{offender}{key}: ML Metadata's server cannot keep {what}",
        hint="write it otherwise, or to a store of another flavor",
        offender=offender,
    )
