"""Rules for nodes: inserted, replaced, merged, reused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metastore.batch import INSERT, Insert, Merge, NodeDraft, Outcome, Replace, Reuse, TypeRef
from metastore.changes import Answers, Changes, New, NodeInsert, Questions, Target
from metastore.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    Offender,
)
from metastore.model import AnyNode, ArtifactState, ExecutionState, NodeKind
from metastore.rules._checks import (
    is_id,
    is_stored_id,
    milliseconds,
    node_offender,
    properties,
    text_or_none,
)
from metastore.rules._rows import Content, Row, merged, row_of, same_content, update_of
from metastore.rules._types import TypePlanner, TypeState
from metastore.values import INT64_MAX

_STATES: dict[NodeKind, type[ArtifactState] | type[ExecutionState]] = {
    NodeKind.ARTIFACT: ArtifactState,
    NodeKind.EXECUTION: ExecutionState,
}
_FIELDS: dict[NodeKind, frozenset[str]] = {
    NodeKind.ARTIFACT: frozenset({"uri", "state", "external_id"}),
    NodeKind.EXECUTION: frozenset({"state", "external_id"}),
    NodeKind.CONTEXT: frozenset({"name", "external_id"}),
}


class NodePlanner:
    """Plans the nodes of one kind, in the order of the batch."""

    def __init__(self, kind: NodeKind, drafts: list[NodeDraft], types: TypePlanner) -> None:
        self.kind = kind
        self.drafts = drafts
        # Side by side, for a batch of very many: few objects are few for the garbage collector.
        self.targets: list[Target] = []
        self.outcomes: list[Outcome] = []
        self.updates = False
        """Whether any draft may change a stored node; known once it was asked for."""
        self._types = types
        self._is_named = kind is NodeKind.CONTEXT
        """Whether every node of this kind has a name."""
        self._rows: dict[int, Row] = {}
        self._stored: dict[int, AnyNode] = {}
        # Who has a name, an external id, a uri: stored rows and those of this batch.
        self._names: dict[tuple[Target, str], Target] = {}
        self._external_ids: dict[str, Target] = {}
        self._uris: dict[tuple[Target, str], Target] = {}
        # Names and external ids that drafts of this batch take away from a stored node.
        self._released: dict[object, int] = {}
        self._resolved: dict[TypeRef, TypeState] = {}
        self._cleaned: dict[int, tuple[str | None, str, str | None]] = {}
        """Name, uri and external id of drafts that do not have them as they are stored."""
        self._reuses_uris = False

    # Questions: what is asked first needs nothing but types; what is asked next needs the first.

    def ask(self, questions: Questions) -> None:
        """Ask for the rows to update and for the owners of names, external ids and uris."""
        wanted: set[int] = set()
        names: set[tuple[int, str]] = set()
        external_ids: set[str] = set()
        for index, draft in enumerate(self.drafts):
            mode = draft.mode
            # Checked before it is asked for: a backend cannot look up what it cannot hold.
            name, uri, external_id = self._texts(index, draft)
            if external_id is not None:
                external_ids.add(external_id)
            if mode is INSERT and name is None:
                continue  # as most do
            if isinstance(mode, Replace | Merge):
                self.updates = True
                if not is_id(mode.id):
                    offender = node_offender(self.kind, index, name)
                    raise InvalidError(
                        f"{offender} is to be updated, but its mode names no id",
                        hint="give the id of a stored node",
                        offender=offender,
                    )
                if is_stored_id(mode.id):
                    wanted.add(mode.id)
                continue
            if isinstance(mode, Reuse):
                self.updates = True
                self._check_reuse(index, draft, mode)
            by_uri = isinstance(mode, Reuse) and mode.by == "uri"
            self._reuses_uris = self._reuses_uris or by_uri
            if name is not None or by_uri:
                target = self._type_if_any(index, draft)
                if isinstance(target, int):
                    if name is not None:
                        names.add((target, name))
                    if by_uri:
                        questions.uris.add((target, uri))
        questions.nodes[self.kind] = wanted
        questions.names[self.kind] = names
        questions.external_ids[self.kind] = external_ids

    def learn(self, answers: Answers) -> None:
        """Take in the answers."""
        kind = self.kind
        self._stored.update(answers.nodes.get(kind, {}))
        self._names.update(answers.names.get(kind, {}).items())
        self._external_ids.update(answers.external_ids.get(kind, {}))
        if kind is NodeKind.ARTIFACT:
            self._uris.update(answers.uris.items())

    def ask_next(self, questions: Questions) -> None:
        """Ask for the rows that reuse found, the types of rows, and the names of renamed rows."""
        rows: set[int] = set()
        for index, draft in enumerate(self.drafts):
            mode = draft.mode
            if isinstance(mode, Reuse) and mode.on_found != "keep":
                type = self._type_if_any(index, draft)
                found = None if type is None else self._found(draft, mode, type)
                if isinstance(found, int) and found not in self._stored:
                    rows.add(found)
            elif isinstance(mode, Replace | Merge) and mode.id in self._stored:
                type_id = self._stored[mode.id].type_id
                if not self._types.knows(type_id):
                    questions.type_ids.add(type_id)
                if self.kind is NodeKind.CONTEXT and draft.name is not None:
                    questions.names.setdefault(self.kind, set()).add((type_id, draft.name))
        if rows:
            questions.nodes[self.kind] = rows

    # Planning.

    def plan(self, changes: Changes, now: int) -> None:
        """Check every draft and add what it changes."""
        inserts = changes.inserts[self.kind]
        created = Outcome.CREATED
        for index, draft in enumerate(self.drafts):
            mode = draft.mode
            outcome = created
            if isinstance(mode, Insert):
                target = self._insert(index, draft, inserts, now)
            elif isinstance(mode, Reuse):
                target, outcome = self._reuse(index, draft, mode, inserts, now)
            elif isinstance(mode, Replace | Merge):
                target, outcome = self._update(index, draft, mode, now)
            else:
                offender = node_offender(self.kind, index, draft.name)
                raise InvalidError(
                    f"{offender} has no mode of writing",
                    hint="use Insert(), Replace(...), Merge(...) or Reuse(...)",
                    offender=offender,
                )
            self.targets.append(target)
            self.outcomes.append(outcome)
        updates = changes.updates[self.kind]
        updates.extend(update_of(id, row) for id, row in self._rows.items() if row.changed)

    def _texts(self, index: int, draft: NodeDraft) -> tuple[str | None, str, str | None]:
        """Name, uri and external id, checked."""
        name, uri, external_id = draft.name, draft.uri, draft.external_id
        # Most texts are plain ASCII: an offender is made for the others only.
        if not (
            (name is None or (type(name) is str and name.isascii()))
            and type(uri) is str
            and uri.isascii()
            and (external_id is None or (type(external_id) is str and external_id.isascii()))
        ):
            offender = node_offender(self.kind, index, name)
            name = text_or_none(name, "name", offender)
            uri = text_or_none(uri, "uri", offender) or ""
            external_id = text_or_none(external_id, "external id", offender)
            self._cleaned[index] = name, uri, external_id
        if uri and self.kind is not NodeKind.ARTIFACT:
            offender = node_offender(self.kind, index, name)
            raise InvalidError(
                f"{offender} has a uri, and only artifacts have one",
                hint="leave it out, or make it a custom property",
                offender=offender,
            )
        return name, uri, external_id

    def _type(self, index: int, draft: NodeDraft) -> TypeState:
        ref = draft.type
        if ref in self._resolved:
            return self._resolved[ref]
        offender = node_offender(self.kind, index, draft.name)
        if ref is None:
            raise InvalidError(
                f"{offender} has no type", hint="every new node has a type", offender=offender
            )
        found = self._resolved[ref] = self._types.resolve(self.kind, ref, offender)
        return found

    def _type_if_any(self, index: int, draft: NodeDraft) -> Target | None:
        """The type that a draft names; None where it is none.

        What is wrong with it is said when its turn comes, so that of several drafts the first is
        told about, as by a store that takes them one by one.
        """
        try:
            return self._type(index, draft).target
        except MetastoreError:
            return None

    def _content(self, index: int, draft: NodeDraft, declared: TypeState | None) -> Content:
        """The draft's fields, checked; `declared` None leaves the declared properties aside."""
        name, uri, external_id = draft.name, draft.uri, draft.external_id
        if index in self._cleaned:
            name, uri, external_id = self._cleaned[index]

        # Made on demand: nearly every draft is right.
        def offender() -> Offender:
            return node_offender(self.kind, index, name)

        own, custom = draft.properties, draft.custom_properties
        return Content(
            name,
            uri,
            None if draft.state is None else self._state(draft.state, offender),
            external_id,
            properties(own, declared.properties, offender) if declared is not None else own,
            properties(custom, None, offender),
        )

    def _state(self, state: Any, whose: Callable[[], Offender]) -> int:
        states = _STATES.get(self.kind)
        if states is not None and type(state) is states:
            return int(state)
        offender = whose()
        if states is None:
            raise InvalidError(
                f"{offender} has a state, and contexts have none",
                hint="leave it out, or make it a custom property",
                offender=offender,
            )
        if isinstance(state, states):
            return int(state)
        if type(state) is int and 0 <= state < len(states):
            return state
        raise InvalidError(
            f"the state of {offender} is no {states.__name__}",
            hint=f"use one of {', '.join(each.name for each in states)}",
            offender=offender,
        )

    def _insert(self, index: int, draft: NodeDraft, inserts: list[NodeInsert], now: int) -> Target:
        declared = self._type(index, draft)
        content = self._content(index, draft, declared)
        new = New(len(inserts))
        created, updated = draft.create_time_ms, draft.update_time_ms
        # The common draft needs no offender: no name to be taken, no time to be wrong.
        if (
            content.name is not None
            or content.external_id is not None
            or created is not None
            or updated is not None
            or self._is_named
        ):
            offender = node_offender(self.kind, index, content.name)
            self._claim(declared.target, content, new, offender)
            created = None if created is None else milliseconds(created, offender)
            updated = None if updated is None else milliseconds(updated, offender)
        if self._reuses_uris and content.uri:
            self._uris[declared.target, content.uri] = new
        created = now if created is None else created
        updated = created if updated is None else updated
        inserts.append(NodeInsert(declared.target, *content, created, updated))
        return new

    def _claim(self, type: Target, content: Content, owner: Target, offender: Offender) -> None:
        if self._is_named and not content.name:
            raise InvalidError(
                f"{offender} has no name", hint="every context has a name", offender=offender
            )
        if content.name is not None:
            self._claim_name(type, content.name, owner, offender)
        if content.external_id is not None:
            self._claim_external_id(content.external_id, owner, offender)

    def _check_reuse(self, index: int, draft: NodeDraft, mode: Reuse) -> None:
        offender = node_offender(self.kind, index, draft.name)
        if mode.by not in ("name", "external_id", "uri") or mode.on_found not in (
            "keep",
            "replace",
            "merge",
        ):
            raise InvalidError(
                f"{offender} is to be reused in a way that is not known",
                hint="by: 'name', 'external_id', 'uri'; on_found: 'keep', 'replace', 'merge'",
                offender=offender,
            )
        if mode.by == "uri" and self.kind is not NodeKind.ARTIFACT:
            raise InvalidError(
                f"{offender} cannot be reused by uri, which only artifacts have",
                hint="reuse it by name or by external_id",
                offender=offender,
            )
        if not getattr(draft, mode.by):
            what = mode.by.replace("_", " ")
            raise InvalidError(
                f"{offender} is to be reused by its {what}, but has none",
                hint=f"give the {what}, or insert the node",
                offender=offender,
            )

    def _found(self, draft: NodeDraft, mode: Reuse, type: Target) -> Target | None:
        """Who has the name, external id or uri, which `_check_reuse` saw."""
        if mode.by == "name":
            assert draft.name is not None
            return self._names.get((type, draft.name))
        if mode.by == "uri":
            return self._uris.get((type, draft.uri))
        assert draft.external_id is not None
        return self._external_ids.get(draft.external_id)

    def _reuse(
        self, index: int, draft: NodeDraft, mode: Reuse, inserts: list[NodeInsert], now: int
    ) -> tuple[Target, Outcome]:
        offender = node_offender(self.kind, index, draft.name)
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
        fields = {"uri"} if draft.uri else set()
        if draft.state is not None:
            fields.add("state")
        if draft.external_id is not None:
            fields.add("external_id")
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
        before = row.content
        if isinstance(mode, Replace):
            content = self._content(index, draft, declared)
            if self.kind is not NodeKind.CONTEXT:
                content = content._replace(name=before.name)
        else:
            content = self._merged(index, before, draft, mode, declared)
        if content.name != before.name:
            self._rename(row, content.name, offender)
        if content.external_id != before.external_id:
            self._change_external_id(row, content.external_id, offender)
        changed = not same_content(before, content)
        row.content = content
        if changed or mode.force_update:
            row.changed = True
            given = draft.update_time_ms
            # Always later than before, so that an expected update time is never met by accident.
            row.update_time_ms = (
                min(max(now, row.before.update_time_ms + 1, row.update_time_ms), INT64_MAX)
                if given is None
                else milliseconds(given, offender)
            )
        return mode.id, Outcome.UPDATED if changed or mode.force_update else Outcome.REUSED

    def _row(self, id: int, offender: Offender) -> Row:
        if id not in self._rows:
            before = self._stored.get(id)
            if before is None:
                raise NotFoundError(
                    f"there is no {self.kind.label} with id {id} to update",
                    hint="insert it, or correct the id",
                    offender=offender,
                )
            self._rows[id] = row_of(before)
        return self._rows[id]

    def _declared(self, draft: NodeDraft, row: Row, offender: Offender) -> TypeState:
        """The type of a stored node, which must be the one that the draft names, if any."""
        type_id = row.before.type_id
        if draft.type is not None:
            given = self._types.resolve(self.kind, draft.type, offender)
            # A type that is stored twice (see TypePlanner.learn) is still one type.
            if given.target != type_id and not (
                self._types.knows(type_id)
                and self._types.resolve(self.kind, type_id, offender).key == given.key
            ):
                raise InvalidError(
                    f"{offender} is of type {row.before.type!r}, not {str(given.key)!r}",
                    hint="the type of a node never changes",
                    offender=offender,
                )
        return self._types.resolve(self.kind, type_id, offender)

    def _merged(
        self, index: int, before: Content, draft: NodeDraft, mode: Merge, declared: TypeState
    ) -> Content:
        offender = node_offender(self.kind, index, draft.name, mode.id)
        unknown = frozenset(mode.fields) - _FIELDS[self.kind]
        if unknown:
            raise InvalidError(
                f"{min(unknown)!r} is no field of {offender} that can change",
                hint=f"fields: {', '.join(sorted(_FIELDS[self.kind]))}",
                offender=offender,
            )
        content = self._content(index, draft, None)
        return Content(
            content.name if "name" in mode.fields else before.name,
            content.uri if "uri" in mode.fields else before.uri,
            content.state if "state" in mode.fields else before.state,
            content.external_id if "external_id" in mode.fields else before.external_id,
            merged(
                before.properties,
                mode.properties,
                draft.properties,
                lambda values: properties(values, declared.properties, lambda: offender),
            ),
            merged(
                before.custom_properties,
                mode.custom_properties,
                draft.custom_properties,
                lambda values: properties(values, None, lambda: offender),
            ),
        )

    # Names and external ids.

    def _rename(self, row: Row, name: str | None, offender: Offender) -> None:
        if not name:
            raise InvalidError(
                f"{offender} has no name", hint="every context has a name", offender=offender
            )
        type_id, id = row.before.type_id, row.before.id
        self._claim_name(type_id, name, id, offender)
        old = (type_id, row.content.name or "")
        self._names.pop(old, None)
        self._released[old] = id

    def _change_external_id(self, row: Row, external_id: str | None, offender: Offender) -> None:
        id, old = row.before.id, row.content.external_id
        if external_id is not None:
            self._claim_external_id(external_id, id, offender)
        if old is not None:
            self._external_ids.pop(old, None)
            self._released[old] = id

    def _refuse_released(self, what: object, owner: Target, offender: Offender) -> None:
        """Raise for a name or external id that this batch takes away from another node.

        A backend could apply the changes only in one order, or not at all where two nodes swap.
        """
        if self._released.get(what, owner) != owner:
            raise AlreadyExistsError(
                f"{offender} cannot be written: the same batch takes its name or external id "
                "away from another node",
                hint="write the two in batches of their own",
                offender=offender,
            )

    def _claim_name(self, type: Target, name: str, owner: Target, offender: Offender) -> None:
        self._refuse_released((type, name), owner, offender)
        if self._names.setdefault((type, name), owner) != owner:
            raise AlreadyExistsError(
                f"{offender} cannot be written: its type has a node of that name",
                hint="choose another name, or reuse the node (Reuse(by='name'))",
                offender=offender,
            )

    def _claim_external_id(self, external_id: str, owner: Target, offender: Offender) -> None:
        self._refuse_released(external_id, owner, offender)
        if self._external_ids.setdefault(external_id, owner) != owner:
            raise AlreadyExistsError(
                f"{offender} cannot be written: its external id is taken",
                hint="choose another one, or reuse the node (Reuse(by='external_id'))",
                offender=offender,
            )
