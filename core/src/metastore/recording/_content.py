"""What a step has read, written and found out, and the batch that it comes to when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from metastore import layout
from metastore.batch import INSERT, Batch, Merge, NodeRef, Ref, Reuse, WrittenBatch
from metastore.errors import AlreadyExistsError, InvalidError, Offender
from metastore.model import (
    ArtifactState,
    EventType,
    NodeKind,
    PathStep,
    PropertyKind,
    TypeKey,
    Value,
)
from metastore.recording._artifact import RecordedArtifact
from metastore.recording._given import use_type
from metastore.values import kind_of

__all__ = ["REUSE", "ReuseBy", "StepContent", "StepEnd", "Use"]

ReuseBy: TypeAlias = Literal["uri", "external_id", "name"]
REUSE: tuple[ReuseBy, ...] = ("uri", "external_id", "name")

_ARTIFACT = NodeKind.ARTIFACT


class Use:
    """An artifact that a step reads or writes."""

    id: int | None = None
    """Of an artifact that is stored already."""
    uri = ""
    name: str | None = None
    external_id: str | None = None
    reuse: ReuseBy | None = None
    recorded: RecordedArtifact | None = None
    adds: frozenset[str] = frozenset()
    """Fields that a stored artifact has not got yet."""
    same_as: Use | None = None
    """An earlier use of the step that is the same artifact."""

    def __init__(self, key: str, index: int, is_input: bool) -> None:
        self.key = key
        self.index = index
        self.is_input = is_input
        self.type = TypeKey(_ARTIFACT, layout.ARTIFACT_TYPE)
        self.properties: dict[str, Value] = {}
        self.custom_properties: dict[str, Value] = {}

    @property
    def offender(self) -> Offender:
        """What it is called in messages."""
        return Offender("input" if self.is_input else "output", name=self.key)

    def identities(self) -> Iterator[tuple[object, ...]]:
        """By what a later use may find a new artifact."""
        if self.uri:
            yield (self.type, "uri", self.uri)
        if self.name is not None:
            yield (self.type, "name", self.name)
        if self.external_id is not None:
            yield ("external_id", self.external_id)

    def sought(self) -> tuple[object, ...] | None:
        """By what it wants to find an artifact."""
        if self.reuse is None:
            return None
        value = getattr(self, self.reuse)
        return (
            ("external_id", value)
            if self.reuse == "external_id"
            else (self.type, self.reuse, value)
        )


class StepContent:
    """What a step has read, written and found out."""

    def __init__(self) -> None:
        self.uses: list[Use] = []
        self.parameters: dict[str, Value] = {}
        """Those that became known after the start."""
        self.metrics: dict[str, float] = {}
        self.nonfinite: dict[str, str] = {}
        """Metrics that no backend can hold as a number, in words."""
        self._taken: dict[tuple[str, bool], int] = {}
        self._known: dict[tuple[object, ...], Use] = {}

    def next_use(self, key: str, *, is_input: bool) -> Use:
        """The next use of that key; it counts when it is added."""
        return Use(key, self._taken.get((key, is_input), 0), is_input)

    def add(self, use: Use) -> None:
        """Take in a use, its values checked.

        Raises
        ------
        AlreadyExistsError
            Another new artifact of the step has its name or external id.
        InvalidError
            It is an earlier new artifact of the step, and contradicts it.
        """
        if use.id is None:
            sought = use.sought()
            same = None if sought is None else self._known.get(sought)
            owner = same or use
            for identity in use.identities():
                field = str(identity[-2])
                if field != "uri" and self._known.get(identity, owner) is not owner:
                    raise AlreadyExistsError(
                        f"{use.offender} has the {field.replace('_', ' ')} of another artifact "
                        "of the step",
                        hint=f"give each its own, or make them one with reuse={field!r}",
                        offender=use.offender,
                    )
            if same is not None:
                _join(use, same)
            self._known.update(dict.fromkeys(use.identities(), owner))
        self.uses.append(use)
        self._taken[use.key, use.is_input] = use.index + 1

    def set_metric(self, name: str, value: float, word: str | None) -> None:
        """The last one of a name counts; `word` is that of a number which is not finite."""
        self.metrics.pop(name, None)
        self.nonfinite.pop(name, None)
        if word is None:
            self.metrics[name] = value
        else:
            self.nonfinite[name] = word

    def newest(self, uri: str, type: str | None) -> Use | None:
        """The last new artifact of the step that has the uri (and is of the type)."""
        for use in reversed(self.uses):
            if use.id is None and use.uri == uri and type in (None, use.type.name):
                return use.same_as or use
        return None

    def leave_out(self, offender: Offender | None, end: StepEnd) -> Offender | None:
        """Drop what an error of `end` is about; what that was, or None if it is nothing of this."""
        if offender is None:
            return None
        use = end.owners.get((offender.kind or "", offender.index or 0))
        if offender.property is not None:
            dropped = self._leave_out_property(offender, use, end)
            if dropped is not None:
                return dropped
        if use is None:
            return None
        gone = [each for each in self.uses if use in (each, each.same_as)]
        self.uses = [each for each in self.uses if each not in gone]
        self._known = {key: each for key, each in self._known.items() if each not in gone}
        for each in gone:
            if each.recorded is not None:
                each.recorded._settle(None)
        return use.offender

    def _leave_out_property(
        self, offender: Offender, use: Use | None, end: StepEnd
    ) -> Offender | None:
        key = offender.property or ""
        holders: list[tuple[dict[str, Any], Offender]] = []
        if offender.kind == "execution type":
            # Of a type only what it declares can be wrong.
            holders = [(self.metrics, _STEP), (self.nonfinite, _STEP)]
        elif offender.kind == "execution":
            holders = [(self.parameters, _STEP), (self.metrics, _STEP)]
        elif offender.kind == "artifact" and use is not None:
            holders = [(use.properties, use.offender), (use.custom_properties, use.offender)]
        elif offender.kind == "artifact type":
            type = end.types.get(offender.index or 0)
            holders = [(each.properties, each.offender) for each in self.uses if each.type == type]
        guilty = [holder for holder in holders if key in holder[0]]
        for values, _ in guilty:
            del values[key]
        return guilty[0][1]._replace(property=key) if guilty else None


def _join(use: Use, same: Use) -> None:
    """Make of two uses of one new artifact one: what the later says, the earlier holds."""
    for field in ("uri", "name", "external_id"):
        earlier, later = getattr(same, field), getattr(use, field)
        if later and earlier and later != earlier:
            raise InvalidError(
                f"{use.offender} is the same artifact as {same.offender}, and has another "
                f"{field.replace('_', ' ')}",
                hint="leave it out, or record another artifact",
                offender=use.offender,
            )
    if use.type != same.type:
        raise InvalidError(
            f"{use.offender} is the same artifact as {same.offender}, and is of another type",
            hint=f"its type is {str(same.type)!r}",
            offender=use.offender,
        )
    same.uri = same.uri or use.uri
    same.name = use.name if same.name is None else same.name
    same.external_id = use.external_id if same.external_id is None else same.external_id
    same.properties |= use.properties
    same.custom_properties |= use.custom_properties
    use.same_as = same


class StepEnd:
    """The batch of a step's second write, and whose each of its drafts is."""

    def __init__(
        self,
        content: StepContent,
        execution: int,
        type: TypeKey,
        contexts: tuple[int, ...],
        *,
        state: Any,
        bookkeeping: Mapping[str, Value],
    ) -> None:
        self.batch = Batch()
        self.nodes: list[NodeRef] = []
        """Aligned with the content's uses."""
        self.owners: dict[tuple[str, int], Use] = {}
        """By kind and position of a draft, as an error's `Offender` has them.

        Not of links: a link between what is there is never refused.
        """
        self.types: dict[int, TypeKey] = {}
        """The types of artifacts, by position."""
        # As it is now: what is recorded while this is written is too late.
        self._uses = tuple(content.uses)
        found: dict[str, Value] = {**content.metrics}
        if content.nonfinite:
            found[layout.NONFINITE] = {**content.nonfinite}
        if found:
            use_type(self.batch, type, _kinds(found))
        self.batch.execution(
            state=state,
            properties={**found, **bookkeeping},
            custom_properties=content.parameters,
            mode=Merge(execution, _STATE),
        )
        self._add_types()
        drafts: dict[Use, NodeRef] = {}
        for use in self._uses:
            node = drafts[use] = drafts[use.same_as] if use.same_as else self._add_artifact(use)
            self.nodes.append(node)
        self._add_links(execution, contexts)

    def _add_types(self) -> None:
        declared: dict[TypeKey, dict[str, PropertyKind]] = {}
        for use in self._uses:
            if use.id is None or use.properties:
                declared.setdefault(use.type, {}).update(_kinds(use.properties))
        for key, properties in declared.items():
            self.types[len(self.batch.types)] = key
            use_type(self.batch, key, properties)

    def _add_artifact(self, use: Use) -> NodeRef:
        changes = bool(use.properties or use.custom_properties or use.adds)
        if use.id is not None and not changes:
            return use.id
        changes = changes or any(getattr(use, each) for each in REUSE if each != use.reuse)
        self.owners["artifact", len(self.batch.nodes[_ARTIFACT])] = use
        if use.id is not None:
            self.batch.artifact(
                uri=use.uri,
                external_id=use.external_id,
                properties=use.properties,
                custom_properties=use.custom_properties,
                mode=Merge(use.id, use.adds),
            )
            return use.id
        return self.batch.artifact(
            use.type,
            name=use.name,
            uri=use.uri,
            state=ArtifactState.LIVE,
            external_id=use.external_id,
            properties=use.properties,
            custom_properties=use.custom_properties,
            mode=INSERT if use.reuse is None else Reuse(use.reuse, "merge" if changes else "keep"),
        )

    def _add_links(self, execution: int, contexts: tuple[int, ...]) -> None:
        batch, owners = self.batch, self.owners
        # A store has one event of an artifact, an execution and a type: its path holds all places.
        paths: dict[tuple[NodeRef, EventType], list[PathStep]] = {}
        for use, node in zip(self._uses, self.nodes, strict=True):
            event = node, EventType.INPUT if use.is_input else EventType.OUTPUT
            if event not in paths:
                owners["event", len(paths)] = use
            paths.setdefault(event, []).extend((use.key, use.index))
            for context in contexts:
                batch.attribution(context, node)
        for (node, kind), path in paths.items():
            batch.event(node, execution, kind, path=path)

    def settle(self, written: WrittenBatch) -> None:
        """Give the recorded artifacts their ids."""
        for use, node in zip(self._uses, self.nodes, strict=True):
            if use.recorded is not None:
                use.recorded._settle(written[node].id if isinstance(node, Ref) else node)


_STEP = Offender("step")
_STATE = frozenset({"state"})


def _kinds(values: Mapping[str, Value]) -> dict[str, PropertyKind]:
    return {name: kind_of(value) for name, value in values.items()}
