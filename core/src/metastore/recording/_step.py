"""`StepRecorder`: a step of a run, being recorded, and the artifacts that it writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from metastore import layout
from metastore.base import BaseMetadataStore
from metastore.batch import INSERT, Batch, Merge, NodeRef, Ref, Reuse
from metastore.errors import InvalidError, Offender
from metastore.model import ArtifactState, EventType, ExecutionState, NodeKind, PropertyKind, Value
from metastore.query import NodeQuery
from metastore.recording._given import (
    ArtifactLike,
    DeclaredTypes,
    HasId,
    check_name,
    id_of,
    parameters_of,
    property_value,
    use_type,
)
from metastore.recording._recorder import Recorder, ending, whereabouts
from metastore.values import kind_of

__all__ = ["RecordedArtifact", "RunScope", "StepRecorder"]

_NONE: Mapping[str, Any] = {}


class RunScope(NamedTuple):
    """What a step must know of the run that it belongs to."""

    backend: BaseMetadataStore
    types: DeclaredTypes
    contexts: tuple[int, int]
    """Ids of the run and of its pipeline."""
    read: Callable[[int], Any]
    """From the id of an artifact to what the store returns for it."""


class RecordedArtifact:
    """An artifact that a step recorded; it has an id as soon as its step has ended."""

    def __init__(
        self, type: str, uri: str, name: str | None, read: Callable[[int], Any], where: str
    ) -> None:
        self.type = type
        self.uri = uri
        self.name = name
        self._id: int | None = None
        self._read = read
        self._where = where

    def __repr__(self) -> str:
        known = "not recorded yet" if self._id is None else f"id {self._id}"
        return f"<RecordedArtifact {self.type} {self.uri or self.name or ''} ({known})>"

    @property
    def id(self) -> int:
        """The stored id; raises `InvalidError` before the step has ended."""
        if self._id is None:
            raise InvalidError(
                f"the artifact is not recorded yet: {self._where} has not ended",
                hint="use it after the step's with block",
                offender=Offender("artifact", name=self.name or self.uri),
            )
        return self._id

    def read(self) -> Any:
        """The artifact as the store holds it now."""
        return self._read(self.id)

    def lineage(self, **options: Any) -> Any:
        """As `ArtifactView.lineage`."""
        return self.read().lineage(**options)


class _Use:
    """An artifact that a step reads or writes."""

    def __init__(self, key: str, index: int, is_input: bool) -> None:
        self.key = key
        self.index = index
        self.is_input = is_input
        self.id: int | None = None
        self.type = layout.ARTIFACT_TYPE
        self.uri = ""
        self.name: str | None = None
        self.external_id: str | None = None
        self.properties: Mapping[str, Value] = {}
        self.custom_properties: Mapping[str, Value] = {}
        self.reuse: Literal["uri", "external_id", "name"] | None = None
        self.recorded: RecordedArtifact | None = None


class StepRecorder(Recorder):
    """A step of a run, being recorded."""

    _what = "step"

    def __init__(
        self,
        scope: RunScope,
        name: str,
        *,
        type: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._offender = Offender("step", name=name)
        check_name(name, "step", Offender("step"))
        super().__init__(name)
        self.type = name if type is None else type
        check_name(self.type, "type of the step", self._offender)
        self._scope = scope
        self._backend = scope.backend
        self._types = scope.types
        self._parameters = parameters_of(parameters, self._offender)
        self._metrics: dict[str, float] = {}
        self._uses: list[_Use] = []
        self._cached = False
        self._id = 0

    @property
    def id(self) -> int:
        """The id of the step's execution; 0 before the start."""
        return self._id

    # What happens inside the with block; it is written when the block ends.

    def input(
        self, key: str, artifact: ArtifactLike | Sequence[ArtifactLike], *, type: str | None = None
    ) -> None:
        """The step reads an artifact.

        Parameters
        ----------
        key:
            The name of the input; several artifacts of one key keep their order.
        artifact:
            An artifact read or recorded earlier, its id, or a uri; or a list of these.  A uri
            stands for the newest artifact that has it (of `type`, where that is given), or for a
            new one.
        """
        self._check_running()
        if isinstance(artifact, Sequence) and not isinstance(artifact, str):
            for each in artifact:
                self.input(key, each, type=type)
            return
        use = self._use(key, is_input=True)
        if isinstance(artifact, str | os.PathLike):
            uri = os.fspath(artifact)
            found = self._newest(uri, type)
            if found is not None:
                use.id = found
            else:
                use.uri, use.reuse, use.type = uri, "uri", type or layout.ARTIFACT_TYPE
        else:
            use.id = id_of(artifact, self._offender)
        self._uses.append(use)

    def output(
        self,
        key: str,
        artifact: HasId | int | None = None,
        *,
        type: str = layout.ARTIFACT_TYPE,
        uri: str | os.PathLike[str] = "",
        name: str | None = None,
        properties: Mapping[str, Any] = _NONE,
        custom_properties: Mapping[str, Any] = _NONE,
        external_id: str | None = None,
        reuse: Literal["uri", "external_id", "name"] | None = None,
    ) -> RecordedArtifact:
        """The step writes an artifact, by default a new one.

        Parameters
        ----------
        key:
            The name of the output; several artifacts of one key keep their order.
        artifact:
            One that is stored already, for a step that did not have to make it.
        type:
            Created, or widened by new properties, when it is first used so.
        properties, custom_properties:
            Declared by the type, which they widen; and free.
        reuse:
            ``"uri"``, ``"external_id"`` or ``"name"``: an artifact of the type that has the same
            one is this artifact, and gets these properties; without one, it is new.

        Returns
        -------
        RecordedArtifact
            It has an id when the step has ended.
        """
        self._check_running()
        use = self._use(key, is_input=False)
        offender = Offender("artifact", name=name or os.fspath(uri) or key)
        if artifact is not None:
            use.id = id_of(artifact, offender)
        use.type, use.uri, use.name = type, os.fspath(uri), name
        use.external_id, use.reuse = external_id, reuse
        check_name(type, "type of the artifact", offender)
        if reuse is not None and not getattr(use, reuse):
            raise InvalidError(
                f"{offender} is to be reused by its {reuse.replace('_', ' ')}, but has none",
                offender=offender,
            )
        use.properties = self._types.fit(NodeKind.ARTIFACT, type, properties, offender)
        use.custom_properties = {
            property: property_value(value, property, offender)
            for property, value in custom_properties.items()
        }
        use.recorded = RecordedArtifact(
            type, use.uri, name, self._scope.read, f"step {self.name!r}"
        )
        use.recorded._id = use.id
        self._uses.append(use)
        return use.recorded

    def metric(self, name: str, value: float) -> None:
        """A number that the step found out; the last one of a name counts."""
        self._check_running()
        check_name(name, "metric", self._offender)
        if name.startswith(layout.RESERVED):
            raise InvalidError(
                f"a metric of {self._offender} begins with {layout.RESERVED!r}",
                hint="these names are the store's own",
                offender=self._offender,
            )
        clean = property_value(value, name, self._offender)
        if not isinstance(clean, int | float):
            raise InvalidError(
                f"metric {name!r} of {self._offender} is no number",
                hint="a text is a parameter or a property of an output",
                offender=self._offender._replace(property=name),
            )
        fitted = self._types.fit(
            NodeKind.EXECUTION, self.type, {name: float(clean)}, self._offender
        )
        self._metrics |= fitted  # type: ignore[arg-type]

    def metrics(self, values: Mapping[str, float]) -> None:
        """Several metrics."""
        for name, value in values.items():
            self.metric(name, value)

    def parameter(self, name: str, value: Any) -> None:
        """A parameter that became known while the step was running."""
        self._check_running()
        self._parameters |= parameters_of({name: value}, self._offender)

    def cached(self) -> None:
        """The step did not run: its outputs are those of an earlier one.

        Give these with ``step.output(key, artifact)``; the step ends as CACHED.
        """
        self._check_running()
        self._cached = True

    # Writing.

    def _success(self) -> ExecutionState:
        return ExecutionState.CACHED if self._cached else ExecutionState.COMPLETE

    def _use(self, key: str, *, is_input: bool) -> _Use:
        check_name(key, f"{'input' if is_input else 'output'} key", self._offender)
        taken = sum(use.key == key and use.is_input is is_input for use in self._uses)
        return _Use(key, taken, is_input)

    def _newest(self, uri: str, type: str | None) -> int | None:
        offender = Offender("artifact", name=uri)
        check_name(uri, "uri", offender)
        found = self._backend.read_nodes(
            NodeQuery(
                NodeKind.ARTIFACT,
                uris=[uri],
                type_names=None if type is None else [type],
                descending=True,
                limit=1,
            )
        )
        return found[0].id if found else None

    def _begin(self) -> None:
        batch = Batch()
        use_type(batch, NodeKind.EXECUTION, self.type, layout.STEP_PROPERTIES)
        execution = batch.execution(
            self.type,
            state=ExecutionState.RUNNING,
            properties={layout.STEP: self.name, **whereabouts()},
            custom_properties=self._parameters,
        )
        for context in self._scope.contexts:
            batch.association(context, execution)
        self._id = self._backend.write(batch)[execution].id

    def _end(self, state: ExecutionState, error: str | None) -> None:
        self._check_running()
        batch = Batch()
        metrics = dict.fromkeys(self._metrics, PropertyKind.DOUBLE)
        if metrics:
            use_type(batch, NodeKind.EXECUTION, self.type, metrics)
        batch.execution(
            state=state,
            properties={**self._metrics, **ending(error)},
            custom_properties=self._parameters,
            mode=Merge(self._id, frozenset({"state"})),
        )
        nodes = self._add_artifacts(batch)
        self._add_events(batch, nodes)
        written = self._backend.write(batch)
        self._state = state
        for use, node in zip(self._uses, nodes, strict=True):
            if use.recorded is not None:
                use.recorded._id = written[node].id if isinstance(node, Ref) else node

    def _add_artifacts(self, batch: Batch) -> list[NodeRef]:
        nodes: list[NodeRef] = []
        known: dict[tuple[str, ...], Ref] = {}
        for use in self._uses:
            if use.id is not None:
                nodes.append(use.id)
                if use.properties or use.custom_properties:
                    use_type(batch, NodeKind.ARTIFACT, use.type, _kinds(use.properties))
                    batch.artifact(
                        properties=use.properties,
                        custom_properties=use.custom_properties,
                        mode=Merge(use.id),
                    )
                continue
            nodes.append(self._add_artifact(batch, use, known))
        return nodes

    def _add_artifact(self, batch: Batch, use: _Use, known: dict[tuple[str, ...], Ref]) -> Ref:
        identity = () if use.reuse is None else (use.type, use.reuse, getattr(use, use.reuse))
        if identity in known:
            return known[identity]
        use_type(batch, NodeKind.ARTIFACT, use.type, _kinds(use.properties))
        changes = bool(use.properties or use.custom_properties)
        added = batch.artifact(
            use.type,
            name=use.name,
            uri=use.uri,
            state=ArtifactState.LIVE,
            external_id=use.external_id,
            properties=use.properties,
            custom_properties=use.custom_properties,
            mode=INSERT if use.reuse is None else Reuse(use.reuse, "merge" if changes else "keep"),
        )
        if identity:
            known[identity] = added
        return added

    def _add_events(self, batch: Batch, nodes: list[NodeRef]) -> None:
        seen: set[tuple[NodeRef, bool]] = set()
        for use, node in zip(self._uses, nodes, strict=True):
            # A store has one event of an artifact, an execution and a type: the first key counts.
            if (node, use.is_input) not in seen:
                seen.add((node, use.is_input))
                kind = EventType.INPUT if use.is_input else EventType.OUTPUT
                batch.event(node, self._id, kind, path=(use.key, use.index))
            for context in self._scope.contexts:
                batch.attribution(context, node)

    def _give_up(self, error: str) -> None:
        self._uses, self._metrics = [], {}
        self._end(ExecutionState.FAILED, error)


def _kinds(values: Mapping[str, Value]) -> dict[str, PropertyKind]:
    return {name: kind_of(value) for name, value in values.items()}
