"""Rules for nodes: inserted, replaced, merged, reused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metastore.batch import ALL, Insert, Merge, NodeDraft, Outcome, Replace, Reuse
from metastore.changes import Changes, New, NodeInsert, NodeUpdate, Questions, Target
from metastore.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    NotFoundError,
    Offender,
)
from metastore.model import (
    AnyNode,
    Artifact,
    ArtifactState,
    Execution,
    ExecutionState,
    NodeKind,
    Value,
)
from metastore.rules._checks import milliseconds, node_offender, properties, text_or_none
from metastore.rules._types import TypePlanner, TypeState

_STATES: dict[NodeKind, type[ArtifactState] | type[ExecutionState]] = {
    NodeKind.ARTIFACT: ArtifactState,
    NodeKind.EXECUTION: ExecutionState,
}
_FIELDS: dict[NodeKind, frozenset[str]] = {
    NodeKind.ARTIFACT: frozenset({"uri", "state", "external_id"}),
    NodeKind.EXECUTION: frozenset({"state", "external_id"}),
    NodeKind.CONTEXT: frozenset({"name", "external_id"}),
}


@dataclass(slots=True)
class _Row:
    """A stored node as it will be after the drafts seen so far."""

    before: AnyNode
    name: str | None
    uri: str
    state: int | None
    external_id: str | None
    properties: dict[str, Value]
    custom_properties: dict[str, Value]
    update_time_ms: int
    changed: bool = False


@dataclass(slots=True)
class _Content:
    """What a draft says, checked."""

    name: str | None
    uri: str
    state: int | None
    external_id: str | None
    properties: Mapping[str, Value]
    custom_properties: Mapping[str, Value]


class NodePlanner:
    """Plans the nodes of one kind, in the order of the batch."""

    def __init__(self, kind: NodeKind, drafts: list[NodeDraft], types: TypePlanner) -> None:
        self.kind = kind
        self.drafts = drafts
        self.outcomes: list[tuple[Target, Outcome]] = []
        self._types = types
        self._rows: dict[int, _Row] = {}
        self._stored: dict[int, AnyNode] = {}
        # Who has a name, an external id, a uri: stored rows and those of this batch.
        self._names: dict[tuple[Target, str], Target] = {}
        self._external_ids: dict[str, Target] = {}
        self._uris: dict[tuple[Target, str], Target] = {}

    # Questions: what is asked first needs nothing but types; what is asked next needs the first.

    def ask(self, questions: Questions) -> None:
        """Ask for the rows to update and for the owners of names, external ids and uris."""
        wanted: set[int] = set()
        names: set[tuple[int, str]] = set()
        external_ids: set[str] = set()
        for index, draft in enumerate(self.drafts):
            mode = draft.mode
            # Checked before it is asked for: a backend cannot look up what it cannot hold.
            self._check_texts(index, draft)
            if draft.external_id is not None:
                external_ids.add(draft.external_id)
            if isinstance(mode, Replace | Merge):
                wanted.add(mode.id)
            elif draft.name is not None or (isinstance(mode, Reuse) and mode.by == "uri"):
                target = self._type(index, draft).target
                if isinstance(target, int):
                    if draft.name is not None:
                        names.add((target, draft.name))
                    if isinstance(mode, Reuse) and mode.by == "uri":
                        questions.uris.add((target, draft.uri))
        questions.nodes[self.kind] = wanted
        questions.names[self.kind] = names
        questions.external_ids[self.kind] = external_ids

    def learn(
        self,
        nodes: Mapping[int, AnyNode],
        names: Mapping[tuple[int, str], int],
        external_ids: Mapping[str, int],
        uris: Mapping[tuple[int, str], int],
    ) -> None:
        """Take in the answers."""
        self._stored.update(nodes)
        self._names.update(names)
        self._external_ids.update(external_ids)
        if self.kind is NodeKind.ARTIFACT:
            self._uris.update(uris)

    def ask_next(self, questions: Questions) -> None:
        """Ask for the rows that reuse found, the types of rows, and the names of renamed rows."""
        rows: set[int] = set()
        for draft in self.drafts:
            mode = draft.mode
            if isinstance(mode, Reuse) and mode.on_found != "keep":
                found = self._found(draft, mode, draft_type=self._known_type(draft))
                if isinstance(found, int) and found not in self._stored:
                    rows.add(found)
            elif isinstance(mode, Replace | Merge) and mode.id in self._stored:
                type_id = self._stored[mode.id].type_id
                if not self._types.knows(type_id):
                    questions.type_ids.add(type_id)
                if self.kind is NodeKind.CONTEXT and isinstance(draft.name, str):
                    questions.names.setdefault(self.kind, set()).add((type_id, draft.name))
        if rows:
            questions.nodes[self.kind] = rows

    # Planning.

    def plan(self, changes: Changes, now: int) -> None:
        """Check every draft and add what it changes."""
        inserts = changes.inserts[self.kind]
        outcomes = self.outcomes
        for index, draft in enumerate(self.drafts):
            mode = draft.mode
            if isinstance(mode, Insert):
                outcomes.append((self._insert(index, draft, inserts, now), Outcome.CREATED))
            elif isinstance(mode, Reuse):
                outcomes.append(self._reuse(index, draft, mode, inserts, now))
            elif isinstance(mode, Replace | Merge):
                outcomes.append(self._update(index, draft, mode, now))
            else:
                offender = node_offender(self.kind, index, draft.name)
                raise InvalidError(
                    f"{offender} has no mode of writing",
                    hint="use Insert(), Replace(...), Merge(...) or Reuse(...)",
                    offender=offender,
                )
        updates = changes.updates[self.kind]
        updates.extend(_update_of(id, row) for id, row in self._rows.items() if row.changed)

    def _check_texts(self, index: int, draft: NodeDraft) -> None:
        for text, what in (
            (draft.name, "name"),
            (draft.uri, "uri"),
            (draft.external_id, "external id"),
        ):
            if text is not None and (type(text) is not str or not text.isascii()):
                text_or_none(text, what, node_offender(self.kind, index, draft.name))
        if draft.uri and self.kind is not NodeKind.ARTIFACT:
            offender = node_offender(self.kind, index, draft.name)
            raise InvalidError(f"{offender} has a uri; only artifacts have", offender=offender)

    def _type(self, index: int, draft: NodeDraft) -> TypeState:
        offender = node_offender(self.kind, index, draft.name)
        if draft.type is None:
            raise InvalidError(
                f"{offender} has no type", hint="every new node has a type", offender=offender
            )
        return self._types.resolve(self.kind, draft.type, offender)

    def _known_type(self, draft: NodeDraft) -> Target | None:
        if draft.type is None:
            return None
        return self._types.resolve(self.kind, draft.type, Offender(self.kind.label)).target

    def _content(self, index: int, draft: NodeDraft, declared: TypeState | None) -> _Content:
        """The draft's fields, checked; `declared` None leaves the declared properties aside."""
        offender = node_offender(self.kind, index, draft.name)
        return _Content(
            draft.name,
            draft.uri or "",
            None if draft.state is None else self._state(draft.state, offender),
            draft.external_id,
            properties(draft.properties, declared.properties, offender)
            if declared is not None
            else draft.properties,
            properties(draft.custom_properties, None, offender)
            if draft.custom_properties
            else draft.custom_properties,
        )

    def _state(self, state: Any, offender: Offender) -> int:
        states = _STATES.get(self.kind)
        if states is None:
            raise InvalidError(f"{offender} has a state; contexts have none", offender=offender)
        if isinstance(state, states):
            return int(state)
        if type(state) is int and 0 <= state < len(states):
            return state
        raise InvalidError(
            f"the state of {offender} is no {states.__name__}",
            hint=f"use one of {', '.join(each.name for each in states)}",
            offender=offender,
        )

    def _insert(
        self, index: int, draft: NodeDraft, inserts: list[NodeInsert], now: int
    ) -> Target:
        declared = self._type(index, draft)
        content = self._content(index, draft, declared)
        name, external_id = content.name, content.external_id
        offender = node_offender(self.kind, index, name)
        new = New(len(inserts))
        if self.kind is NodeKind.CONTEXT and not name:
            raise InvalidError(
                f"{offender} has no name", hint="every context has a name", offender=offender
            )
        if name is not None:
            self._claim_name(declared.target, name, new, offender)
        if external_id is not None:
            self._claim_external_id(external_id, new, offender)
        if content.uri and self.kind is NodeKind.ARTIFACT:
            self._uris[declared.target, content.uri] = new
        created = draft.create_time_ms
        created = now if created is None else milliseconds(created, offender)
        updated = draft.update_time_ms
        updated = created if updated is None else milliseconds(updated, offender)
        inserts.append(
            NodeInsert(
                declared.target,
                name,
                content.uri,
                content.state,
                external_id,
                content.properties,
                content.custom_properties,
                created,
                updated,
            )
        )
        return new

    def _found(self, draft: NodeDraft, mode: Reuse, draft_type: Target | None) -> Target | None:
        if mode.by == "external_id":
            return self._external_ids.get(draft.external_id) if draft.external_id else None
        if draft_type is None:
            return None
        if mode.by == "name":
            return self._names.get((draft_type, draft.name)) if draft.name is not None else None
        return self._uris.get((draft_type, draft.uri)) if draft.uri else None

    def _reuse(
        self, index: int, draft: NodeDraft, mode: Reuse, inserts: list[NodeInsert], now: int
    ) -> tuple[Target, Outcome]:
        offender = node_offender(self.kind, index, draft.name)
        if mode.by == "uri" and self.kind is not NodeKind.ARTIFACT:
            raise InvalidError(
                f"{offender} cannot be reused by uri; only artifacts have one", offender=offender
            )
        if not getattr(draft, mode.by):
            raise InvalidError(
                f"{offender} is to be reused by its {mode.by.replace('_', ' ')}, but has none",
                offender=offender,
            )
        declared = self._type(index, draft)
        found = self._found(draft, mode, declared.target)
        if found is None:
            return self._insert(index, draft, inserts, now), Outcome.CREATED
        if mode.on_found == "keep":
            return found, Outcome.REUSED
        if isinstance(found, New):
            raise InvalidError(
                f"{offender} would change a node that the same batch creates",
                hint="say what it holds in one draft, and reuse it with on_found='keep'",
                offender=offender,
            )
        if mode.on_found == "replace":
            return self._update(index, draft, Replace(found), now)
        fields = {
            field
            for field in ("uri", "state", "external_id")
            if getattr(draft, field) and field in _FIELDS[self.kind]
        }
        return self._update(index, draft, Merge(found, frozenset(fields)), now)

    def _update(
        self, index: int, draft: NodeDraft, mode: Replace | Merge, now: int
    ) -> tuple[Target, Outcome]:
        offender = node_offender(self.kind, index, draft.name, mode.id)
        row = self._row(mode.id, offender)
        declared = self._declared(draft, row, offender)
        if (
            mode.expected_update_time_ms is not None
            and mode.expected_update_time_ms != row.update_time_ms
        ):
            raise ConflictError(
                f"{offender} changed since it was read",
                hint="read it again, and repeat the change on what it is now",
                offender=offender,
            )
        if isinstance(mode, Replace):
            content = self._content(index, draft, declared)
            self._replace(row, content, offender)
        else:
            self._merge(index, row, draft, mode, declared, offender)
        changed = _differs(row)
        if changed or mode.force_update:
            row.changed = True
            given = draft.update_time_ms
            # Always later than before, so that an expected update time is never met by accident.
            row.update_time_ms = (
                max(now, row.before.update_time_ms + 1, row.update_time_ms)
                if given is None
                else milliseconds(given, offender)
            )
        return mode.id, Outcome.UPDATED if changed or mode.force_update else Outcome.REUSED

    def _row(self, id: int, offender: Offender) -> _Row:
        if id not in self._rows:
            before = self._stored.get(id)
            if before is None:
                raise NotFoundError(
                    f"there is no {self.kind.label} with id {id} to update", offender=offender
                )
            self._rows[id] = _Row(
                before,
                before.name,
                before.uri if isinstance(before, Artifact) else "",
                before.state if isinstance(before, Artifact | Execution) else None,
                before.external_id,
                dict(before.properties),
                dict(before.custom_properties),
                before.update_time_ms,
            )
        return self._rows[id]

    def _declared(self, draft: NodeDraft, row: _Row, offender: Offender) -> TypeState:
        stored = self._types.resolve(self.kind, row.before.type_id, offender)
        if draft.type is not None:
            given = self._types.resolve(self.kind, draft.type, offender)
            if given.target != stored.target:
                raise InvalidError(
                    f"{offender} is of type {str(stored.key)!r}, not {str(given.key)!r}",
                    hint="the type of a node never changes",
                    offender=offender,
                )
        return stored

    def _replace(self, row: _Row, content: _Content, offender: Offender) -> None:
        if self.kind is NodeKind.CONTEXT:
            self._rename(row, content.name, offender)
        self._set_external_id(row, content.external_id, offender)
        row.uri, row.state = content.uri, content.state
        row.properties = dict(content.properties)
        row.custom_properties = dict(content.custom_properties)

    def _merge(
        self,
        index: int,
        row: _Row,
        draft: NodeDraft,
        mode: Merge,
        declared: TypeState,
        offender: Offender,
    ) -> None:
        unknown = mode.fields - _FIELDS[self.kind]
        if unknown:
            raise InvalidError(
                f"{min(unknown)!r} is no field of {offender} that can change",
                hint=f"fields: {', '.join(sorted(_FIELDS[self.kind]))}",
                offender=offender,
            )
        content = self._content(index, draft, None)
        if "name" in mode.fields:
            self._rename(row, content.name, offender)
        if "external_id" in mode.fields:
            self._set_external_id(row, content.external_id, offender)
        if "uri" in mode.fields:
            row.uri = content.uri
        if "state" in mode.fields:
            row.state = content.state
        # Only what is masked counts, so only that is checked against the type.
        _merge_map(
            row.properties,
            mode.properties,
            draft.properties,
            lambda values: properties(values, declared.properties, offender),
        )
        _merge_map(
            row.custom_properties,
            mode.custom_properties,
            content.custom_properties,
            lambda values: values,
        )

    def _rename(self, row: _Row, name: str | None, offender: Offender) -> None:
        if not name:
            raise InvalidError(
                f"{offender} has no name", hint="every context has a name", offender=offender
            )
        if name == row.name:
            return
        type_id = row.before.type_id
        self._claim_name(type_id, name, row.before.id, offender)
        self._names.pop((type_id, row.name or ""), None)
        row.name = name

    def _set_external_id(self, row: _Row, external_id: str | None, offender: Offender) -> None:
        if external_id == row.external_id:
            return
        if external_id is not None:
            self._claim_external_id(external_id, row.before.id, offender)
        if row.external_id is not None:
            self._external_ids.pop(row.external_id, None)
        row.external_id = external_id

    def _claim_name(
        self, type: Target, name: str, owner: Target, offender: Offender
    ) -> None:
        if self._names.setdefault((type, name), owner) != owner:
            raise AlreadyExistsError(
                f"{offender} cannot be written: its type has a node of that name",
                hint="choose another name, or reuse the node (Reuse(by='name'))",
                offender=offender,
            )

    def _claim_external_id(self, external_id: str, owner: Target, offender: Offender) -> None:
        if self._external_ids.setdefault(external_id, owner) != owner:
            raise AlreadyExistsError(
                f"{offender} cannot be written: its external id is taken",
                hint="choose another one, or reuse the node (Reuse(by='external_id'))",
                offender=offender,
            )


def _merge_map(stored: dict[str, Value], keys: Any, given: Mapping[str, Any], check: Any) -> None:
    if keys is None:
        stored.update(check(given))
        return
    if keys is ALL:
        stored.clear()
        stored.update(check(given))
        return
    stored.update(check({key: given[key] for key in keys if key in given}))
    for key in keys - given.keys():
        stored.pop(key, None)


def _same(left: Mapping[str, Value], right: Mapping[str, Value]) -> bool:
    """Whether both hold the same values of the same kinds (1, 1.0 and True are equal in Python)."""
    return left == right and all(
        type(value) is type(right[key]) and _same_sign(value, right[key])
        for key, value in left.items()
    )


def _same_sign(left: Value, right: Value) -> bool:
    return left != 0 or not isinstance(left, float) or str(left) == str(right)


def _differs(row: _Row) -> bool:
    before = row.before
    return not (
        row.name == before.name
        and row.external_id == before.external_id
        and row.uri == (before.uri if isinstance(before, Artifact) else "")
        and row.state == (before.state if isinstance(before, Artifact | Execution) else None)
        and _same(row.properties, before.properties)
        and _same(row.custom_properties, before.custom_properties)
    )


def _set(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """The values that are new or differ."""
    return {
        key: value
        for key, value in after.items()
        if key not in before or not _same({key: value}, {key: before[key]})
    }


def _update_of(id: int, row: _Row) -> NodeUpdate:
    before = row.before
    return NodeUpdate(
        id,
        row.name,
        row.uri,
        row.state,
        row.external_id,
        row.update_time_ms,
        _set(before.properties, row.properties),
        _set(before.custom_properties, row.custom_properties),
        frozenset(before.properties.keys() - row.properties.keys()),
        frozenset(before.custom_properties.keys() - row.custom_properties.keys()),
    )
