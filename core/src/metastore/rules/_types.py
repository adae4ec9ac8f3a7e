"""Rules for types: created, found or widened; and how a node's type is resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from metastore.batch import NodeDraft, Outcome, TypeDraft, TypeRef
from metastore.changes import Changes, New, Questions, Target, TypeInsert, TypeUpdate
from metastore.errors import AlreadyExistsError, InvalidError, NotFoundError, Offender
from metastore.model import SIMPLE_TYPES, NodeKind, PropertyKind, Type, TypeKey
from metastore.rules._checks import is_id, is_stored_id, text_or_none


@dataclass(slots=True)
class TypeState:
    """A type as it will be after the batch."""

    target: Target
    key: TypeKey
    properties: dict[str, PropertyKind]
    base_type: str | None
    external_id: str | None


class TypePlanner:
    """Plans the types of a batch and resolves the types of its nodes."""

    def __init__(self, drafts: list[TypeDraft]) -> None:
        self._drafts = drafts
        self._by_key: dict[TypeKey, TypeState] = {}
        self._by_id: dict[int, TypeState] = {}
        self._external_ids: dict[tuple[NodeKind, str], TypeKey] = {}
        self._simple: dict[TypeKey, int] = {}
        self.targets: list[Target] = []
        self.outcomes: list[Outcome] = []

    def ask(self, nodes: Mapping[NodeKind, list[NodeDraft]]) -> Questions:
        """What must be known of the types of the batch and of its nodes."""
        questions = Questions()
        self._drafts = [_clean(draft, index) for index, draft in enumerate(self._drafts)]
        for type_draft in self._drafts:
            questions.types.add(type_draft.key)
            if type_draft.base_type is not None:
                kind = type_draft.key.kind
                questions.types.add(TypeKey(kind, type_draft.base_type))
                if type_draft.key.name in SIMPLE_TYPES[kind]:
                    # They alone can be a base of one another, and so of themselves.
                    questions.types.update(TypeKey(kind, name) for name in SIMPLE_TYPES[kind])
            if type_draft.external_id is not None:
                questions.type_external_ids.add(type_draft.external_id)
        for kind, drafts in nodes.items():
            last: TypeRef | None = None
            for index, draft in enumerate(drafts):
                ref = draft.type
                # Drafts in a row are mostly of one type.
                if ref is None or ref is last:
                    continue
                last = ref
                if not is_id(ref):
                    _check_ref(kind, index, ref)
                    questions.types.add(_key(kind, cast("str | TypeKey", ref)))
                elif is_stored_id(ref):
                    questions.type_ids.add(cast("int", ref))
        return questions

    def learn(self, types: Iterable[Type]) -> None:
        """Take in stored types."""
        for stored in types:
            if stored.id in self._by_id:
                continue
            state = TypeState(
                stored.id,
                stored.key,
                dict(stored.properties),
                stored.base_type,
                stored.external_id,
            )
            self._by_id[stored.id] = state
            # Stores written by racing ML Metadata clients may hold a type twice: the first counts.
            self._by_key.setdefault(stored.key, state)
            if stored.external_id is not None:
                self._external_ids[stored.key.kind, stored.external_id] = stored.key
            if stored.name in SIMPLE_TYPES[stored.kind]:
                self._simple.setdefault(stored.key, stored.id)

    def plan(self, changes: Changes) -> None:
        """Check the drafts and add what they change."""
        for index, draft in enumerate(self._drafts):
            state = self._by_key.get(draft.key)
            offender = _offender(draft, index)
            if draft.external_id is not None:
                self._claim_external_id(draft, offender)
            if state is None:
                target: Target = New(len(changes.type_inserts))
                changes.type_inserts.append(self._insert(draft, offender))
                self._by_key[draft.key] = TypeState(
                    target, draft.key, dict(draft.properties), draft.base_type, draft.external_id
                )
                self._done(target, Outcome.CREATED)
            else:
                changed = self._update(draft, state, offender, changes)
                outcome = Outcome.UPDATED if changed else Outcome.REUSED
                self._done(state.target, outcome)

    def _done(self, target: Target, outcome: Outcome) -> None:
        self.targets.append(target)
        self.outcomes.append(outcome)

    def resolve(self, kind: NodeKind, ref: TypeRef, offender: Offender) -> TypeState:
        """The type that a node draft names."""
        if isinstance(ref, int):
            state = self._by_id.get(ref)
            if state is None or state.key.kind is not kind:
                raise NotFoundError(
                    f"there is no {kind.label} type with id {ref}, which {offender} names",
                    hint="correct the id, or name the type",
                    offender=offender,
                )
            return state
        key = _key(kind, ref)
        state = self._by_key.get(key)
        if state is None or key.kind is not kind:
            raise NotFoundError(
                f"there is no {kind.label} type {str(key)!r}, which {offender} names",
                hint="add the type to the batch, or correct its name",
                offender=offender,
            )
        return state

    def knows(self, type_id: int) -> bool:
        """Whether the stored type was learned."""
        return type_id in self._by_id

    def _claim_external_id(self, draft: TypeDraft, offender: Offender) -> None:
        assert draft.external_id is not None
        self._external_ids.setdefault((draft.key.kind, draft.external_id), draft.key)
        for kind in NodeKind:
            other = self._external_ids.get((kind, draft.external_id))
            if other is not None and other != draft.key:
                raise AlreadyExistsError(
                    f"the external id of {offender} belongs to {kind.label} type {str(other)!r}",
                    hint="external ids are unique among types of all kinds",
                    offender=offender,
                )

    def _insert(self, draft: TypeDraft, offender: Offender) -> TypeInsert:
        return TypeInsert(
            draft.key,
            dict(draft.properties),
            draft.description,
            self._base_type_id(draft, offender),
            draft.external_id,
            draft.input_type,
            draft.output_type,
        )

    def _base_type_id(self, draft: TypeDraft, offender: Offender) -> int | None:
        if draft.base_type is None:
            return None
        key = TypeKey(draft.key.kind, draft.base_type)
        if key not in self._simple:
            names = ", ".join(SIMPLE_TYPES[draft.key.kind]) or "none"
            raise InvalidError(
                f"{draft.base_type!r} is no base type for {offender}",
                hint=f"base types of this kind: {names}",
                offender=offender,
            )
        return self._simple[key]

    def _refuse_circle(self, draft: TypeDraft, offender: Offender) -> None:
        """Raise for a simple type that would be its own base, over however many steps."""
        name, seen = draft.base_type, set[str]()
        # A damaged store may have a circle of others, which is not this draft's fault.
        while name is not None and name not in seen:
            seen.add(name)
            key = TypeKey(draft.key.kind, name)
            if key == draft.key:
                raise InvalidError(
                    f"{offender} would be its own base type",
                    hint="name another base type, or none",
                    offender=offender,
                )
            name = self._by_key[key].base_type if key in self._by_key else None

    def _update(
        self, draft: TypeDraft, state: TypeState, offender: Offender, changes: Changes
    ) -> bool:
        added = {
            name: kind for name, kind in draft.properties.items() if name not in state.properties
        }
        for name, kind in draft.properties.items():
            stored = state.properties.get(name, kind)
            if stored is not kind:
                raise AlreadyExistsError(
                    f"{offender} has property {name!r} as {stored.name}, not {kind.name}",
                    hint="a property never changes its kind; use another name",
                    offender=offender._replace(property=name),
                )
        if added and not draft.can_add_properties:
            raise AlreadyExistsError(
                f"{offender} exists without property {next(iter(added))!r}",
                hint="allow new properties with can_add_properties",
                offender=offender._replace(property=next(iter(added))),
            )
        missing = [name for name in state.properties if name not in draft.properties]
        if missing and not draft.can_omit_properties:
            raise AlreadyExistsError(
                f"{offender} exists with property {missing[0]!r}, which the draft lacks",
                hint="name it too, or allow it with can_omit_properties",
                offender=offender._replace(property=missing[0]),
            )
        base_type = None
        if draft.base_type is not None and draft.base_type != state.base_type:
            if state.base_type is not None:
                raise InvalidError(
                    f"{offender} has base type {state.base_type!r}, not {draft.base_type!r}",
                    hint="a base type never changes",
                    offender=offender,
                )
            base_type = self._base_type_id(draft, offender)
            self._refuse_circle(draft, offender)
            state.base_type = draft.base_type
        external_id = draft.external_id if draft.external_id != state.external_id else None
        if external_id is not None:
            state.external_id = external_id
        if not (added or base_type is not None or external_id is not None):
            return False
        state.properties.update(added)
        self._record(state.target, added, external_id, base_type, changes)
        return True

    @staticmethod
    def _record(
        target: Target,
        added: Mapping[str, PropertyKind],
        external_id: str | None,
        base_type: int | None,
        changes: Changes,
    ) -> None:
        if not isinstance(target, New):
            changes.type_updates.append(TypeUpdate(target, added, external_id, base_type))
            return
        # A second draft widens a type that the same batch creates.
        insert = changes.type_inserts[target.position]
        changes.type_inserts[target.position] = insert._replace(
            properties={**insert.properties, **added},
            external_id=external_id if external_id is not None else insert.external_id,
            base_type=base_type if base_type is not None else insert.base_type,
        )


def _key(kind: NodeKind, ref: str | TypeKey) -> TypeKey:
    if isinstance(ref, TypeKey):
        return ref._replace(version=ref.version or None)
    return TypeKey(kind, ref)


def _offender(draft: TypeDraft, index: int) -> Offender:
    name: object = draft.key.name
    name = name if isinstance(name, str) else None
    return Offender(f"{draft.key.kind.label} type", index, name=name)


def _clean(draft: TypeDraft, index: int) -> TypeDraft:
    """The draft with plain texts only, and no version instead of an empty one."""
    offender = _offender(draft, index)

    def text(value: object, what: str) -> str | None:
        return text_or_none(value, what, offender)

    name = text(draft.key.name, "name")
    if not name:
        raise InvalidError(
            f"{offender} has no name", hint="every type has a name", offender=offender
        )
    return replace(
        draft,
        key=TypeKey(draft.key.kind, name, text(draft.key.version, "version") or None),
        properties=_clean_properties(draft.properties, offender),
        description=text(draft.description, "description"),
        base_type=text(draft.base_type, "base type"),
        external_id=text(draft.external_id, "external id"),
        input_type=text(draft.input_type, "input type"),
        output_type=text(draft.output_type, "output type"),
    )


def _clean_properties(properties: Any, offender: Offender) -> dict[str, PropertyKind]:
    if not isinstance(properties, Mapping):
        raise InvalidError(
            f"the properties of {offender} are no mapping",
            hint="give a dict of keys and kinds",
            offender=offender,
        )
    cleaned = {}
    for name, kind in properties.items():
        # None, which other texts may be, is no key.
        key = text_or_none(name, "property key", offender)
        if key is None or not isinstance(kind, PropertyKind):
            raise InvalidError(
                f"property {name!r} of {offender} has no {'name' if key is None else 'kind'}",
                hint=f"use one of {', '.join(kind.name for kind in PropertyKind)}"
                if key is not None
                else "give a text",
                offender=offender._replace(property=key),
            )
        cleaned[key] = kind
    return cleaned


def _check_ref(kind: NodeKind, index: int, ref: object) -> None:
    """Raise for what names no type: it must not reach a backend."""
    offender = Offender(kind.label, index)
    key = TypeKey(kind, ref) if isinstance(ref, str) else ref
    if not isinstance(key, TypeKey):
        raise InvalidError(
            f"the type of {offender} is a {type(ref).__name__}",
            hint="give its name, its TypeKey or its id",
            offender=offender,
        )
    if text_or_none(key.name, "type's name", offender) is None:
        raise InvalidError(
            f"the type of {offender} has no name", hint="every type has a name", offender=offender
        )
    text_or_none(key.version, "type's version", offender)
