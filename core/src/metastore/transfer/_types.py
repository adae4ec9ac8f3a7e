"""Types: what of them is to be written, and whether the target can have them at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from metastore.base import BaseMetadataStore
from metastore.batch import TypeDraft
from metastore.errors import AlreadyExistsError, InvalidError, Offender
from metastore.model import NODE_KINDS, SIMPLE_TYPES, PropertyKind, Type, TypeKey
from metastore.query import TypeQuery

__all__ = ["TypePlan", "types_of"]


def types_of(store: BaseMetadataStore) -> list[Type]:
    """All types of a store, simple ones too."""
    return [each for kind in NODE_KINDS for each in store.read_types(TypeQuery(kind))]


class TypePlan:
    """The types of the source beside those of the target.

    Raises
    ------
    AlreadyExistsError
        A property has one kind here and another one there.
    InvalidError
        A type has one base type here and another one there.
    """

    def __init__(self, source: BaseMetadataStore, target: BaseMetadataStore) -> None:
        self.by_id: dict[int, Type] = {}
        """The source's types by their ids there."""
        self.drafts: list[TypeDraft] = []
        """What is to be written."""
        self.notes: list[str] = []
        """What the target will not take over."""
        self.unchanged = 0
        self.known: set[TypeKey] = set()
        """Types that the target had."""
        self.lenient: set[TypeKey] = set()
        """Types that need not be the same in the end: the target had them, or a note says why."""
        stored: dict[TypeKey, Type] = {}
        for each in types_of(target):
            stored.setdefault(each.key, each)
        self.known.update(stored)
        self.lenient.update(stored)
        owners = {each.external_id: each.key for each in stored.values() if each.external_id}
        for each in self._merged(types_of(source)):
            self._plan(each, stored.get(each.key), owners)

    def _merged(self, types: Iterable[Type]) -> Iterable[Type]:
        """One for each key: racing clients of ML Metadata may have written one twice."""
        found: dict[TypeKey, Type] = {}
        for each in types:
            self.by_id[each.id] = each
            first = found.get(each.key)
            if first is not None:
                _check_kinds(each.key, first.properties, each.properties, "the source itself")
                each = replace(first, properties={**each.properties, **first.properties})
            found[each.key] = each
        for id, each in self.by_id.items():
            # Nodes of either of the two may have properties that only the other one declares.
            self.by_id[id] = found[each.key]
        return found.values()

    def _plan(self, each: Type, there: Type | None, owners: dict[str, TypeKey]) -> None:
        label = f"{each.kind.label} type {str(each.key)!r}"
        base, external_id = each.base_type, each.external_id
        if base is not None and base not in SIMPLE_TYPES[each.kind]:
            self.notes.append(f"{label} is written without its base type, which is no simple type")
            base = None
            self.lenient.add(each.key)
        if external_id is not None and owners.setdefault(external_id, each.key) != each.key:
            self.notes.append(f"{label} is written without its external id, which another type has")
            external_id = None
            self.lenient.add(each.key)
        if there is not None:
            _check_kinds(each.key, there.properties, each.properties, "the target")
            if base is not None and there.base_type not in (None, base):
                raise InvalidError(
                    f"{label} has base type {base!r} in the source and {there.base_type!r} in the "
                    "target",
                    hint="copy into a store that does not have the type",
                    offender=Offender(f"{each.kind.label} type", name=each.name),
                )
            if external_id is not None and there.external_id not in (None, external_id):
                self.notes.append(f"{label} keeps the external id of the target")
                external_id = None
            self.notes += (f"{label} keeps the {what}" for what in _kept(each, there))
            if (
                each.properties.keys() <= there.properties.keys()
                and base in (None, there.base_type)
                and external_id in (None, there.external_id)
            ):
                self.unchanged += 1
                return
        self.drafts.append(
            TypeDraft(
                each.key,
                each.properties,
                each.description,
                base,
                external_id,
                each.input_type,
                each.output_type,
                can_add_properties=True,
                can_omit_properties=True,
            )
        )


def _kept(here: Type, there: Type) -> Iterable[str]:
    """What of a type that is in the target already is not changed, and is another one."""
    for what, one, other in (
        ("description", here.description, there.description),
        ("input type", here.input_type, there.input_type),
        ("output type", here.output_type, there.output_type),
    ):
        if one != other:
            yield f"{what} of the target"


def _check_kinds(
    key: TypeKey,
    there: Mapping[str, PropertyKind],
    here: Mapping[str, PropertyKind],
    where: str,
) -> None:
    for name, kind in here.items():
        other = there.get(name, kind)
        if other is not kind:
            raise AlreadyExistsError(
                f"{key.kind.label} type {str(key)!r} has property {name!r} as {kind.name}, and as "
                f"{other.name} in {where}; nothing was written",
                hint="copy into a store that does not have the type",
                offender=Offender(f"{key.kind.label} type", name=key.name, property=name),
            )
