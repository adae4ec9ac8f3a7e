"""Runs and steps, written as they happen.

A step is written twice, each time atomically: when it starts (RUNNING, its parameters, where it
runs) and when it ends (its state, metrics, inputs and outputs).  A process that dies in between
leaves a step that says RUNNING and which process it was.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import platform
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from metastore import layout
from metastore.base import BaseMetadataStore
from metastore.batch import INSERT, Batch, Merge, NodeRef, Ref, Reuse
from metastore.errors import InvalidError, MetastoreError, Offender
from metastore.model import (
    ArtifactState,
    EventType,
    ExecutionState,
    NodeKind,
    PropertyKind,
    TypeKey,
    Value,
)
from metastore.query import NodeQuery, TypeQuery
from metastore.values import BadValueError, clean_text, clean_value, kind_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ArtifactLike", "RecordedArtifact", "RunRecorder", "StepRecorder"]

_log = logging.getLogger("metastore")

_NONE: Mapping[str, Any] = {}
_ERROR_LENGTH = 10_000


class HasId(Protocol):
    """Something with the id of a stored artifact."""

    @property
    def id(self) -> int:
        """The stored id."""


ArtifactLike = HasId | int | str | Path
"""An artifact read or recorded earlier, its id, or a uri."""


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


class _Types:
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
            clean = _clean(value, property, offender)
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


def _clean(value: Any, property: str, offender: Offender) -> Value:
    try:
        return clean_value(value)
    except BadValueError as error:
        raise InvalidError(
            f"property {property!r} of {offender} {error}",
            offender=offender._replace(property=property),
        ) from None


def _parameters(values: Mapping[str, Any] | None, offender: Offender) -> dict[str, Value]:
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
        cleaned[key] = _clean(value, key, offender)
    return cleaned


class _Recorder:
    """What runs and steps share: a beginning, an end, and a verdict in between."""

    _what: str
    _state: ExecutionState = ExecutionState.NEW

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._state.name}>"

    @property
    def state(self) -> ExecutionState:
        """NEW before the start, RUNNING, then how it ended."""
        return self._state

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if self._state is not ExecutionState.RUNNING:
            return False
        if error is None:
            self.finish()
            return False
        try:
            self._end(*_verdict(error))
        except MetastoreError as failure:
            # The user's own exception matters more, and must go on up.
            _log.error("the end of %s %r was not recorded: %s", self._what, self.name, failure)
        return False

    def start(self) -> Self:
        """Record the beginning."""
        if self._state is not ExecutionState.NEW:
            raise InvalidError(
                f"{self._what} {self.name!r} has started already",
                hint="record another one",
                offender=Offender(self._what, name=self.name),
            )
        self._begin()
        self._state = ExecutionState.RUNNING
        return self

    def finish(self) -> None:
        """Record that it came to its end."""
        try:
            self._end(self._success(), None)
        except MetastoreError as error:
            # It must not stay RUNNING for ever because of one bad value.
            if self._state is ExecutionState.RUNNING:
                self._give_up(f"{type(error).__name__}: {error}")
            raise

    def fail(self, error: str) -> None:
        """Record that it failed, and why."""
        self._end(ExecutionState.FAILED, error)

    def cancel(self) -> None:
        """Record that it was canceled."""
        self._end(ExecutionState.CANCELED, None)

    def _success(self) -> ExecutionState:
        return ExecutionState.COMPLETE

    def _check_running(self) -> None:
        if self._state is not ExecutionState.RUNNING:
            when = "has not started" if self._state is ExecutionState.NEW else "has ended"
            raise InvalidError(
                f"{self._what} {self.name!r} {when}",
                hint="record inside its with block",
                offender=Offender(self._what, name=self.name),
            )

    def _begin(self) -> None:
        raise NotImplementedError

    def _end(self, state: ExecutionState, error: str | None) -> None:
        raise NotImplementedError

    def _give_up(self, error: str) -> None:
        """Record the failure without what may have caused it."""
        raise NotImplementedError


def _verdict(error: BaseException) -> tuple[ExecutionState, str | None]:
    if isinstance(error, KeyboardInterrupt):
        return ExecutionState.CANCELED, None
    if isinstance(error, SystemExit) and not error.code:
        return ExecutionState.COMPLETE, None
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return ExecutionState.FAILED, text


class RunRecorder(_Recorder):
    """A run of a pipeline, being recorded: ``with store.run("train-iris") as run: ...``."""

    _what = "run"

    def __init__(
        self,
        backend: BaseMetadataStore,
        pipeline: str,
        *,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        read: Callable[[int], Any],
    ) -> None:
        offender = Offender("run", name=name)
        _check_name(pipeline, "pipeline", Offender("pipeline"))
        super().__init__(_new_name(pipeline) if name is None else name)
        _check_name(self.name, "run", offender)
        self.pipeline = pipeline
        self._backend = backend
        self._read = read
        self._types = _Types(backend)
        self._parameters = _parameters(parameters, Offender("run", name=self.name))
        self._id = 0
        self._pipeline_id = 0

    @property
    def id(self) -> int:
        """The id of the run's context; 0 before the start."""
        return self._id

    def step(
        self,
        name: str,
        *,
        type: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> StepRecorder:
        """A step of this run: ``with run.step("train") as step: ...``.

        type:
            The type of its execution; the step's name by default.
        """
        self._check_running()
        return StepRecorder(self, name, type=type, parameters=parameters)

    def _begin(self) -> None:
        batch = Batch()
        batch.type(NodeKind.CONTEXT, layout.PIPELINE_TYPE, can_omit_properties=True)
        _use_type(batch, NodeKind.CONTEXT, layout.RUN_TYPE, layout.RUN_PROPERTIES)
        pipeline = batch.context(layout.PIPELINE_TYPE, name=self.pipeline, mode=Reuse("name"))
        run = batch.context(
            layout.RUN_TYPE,
            name=self.name,
            properties={layout.STATE: ExecutionState.RUNNING.name, **_whereabouts()},
            custom_properties=self._parameters,
        )
        batch.parent(run, pipeline)
        written = self._backend.write(batch)
        self._id, self._pipeline_id = written[run].id, written[pipeline].id

    def _end(self, state: ExecutionState, error: str | None) -> None:
        self._check_running()
        properties = {layout.STATE: state.name, **_ending(error)}
        batch = Batch()
        batch.context(properties=properties, mode=Merge(self._id))
        self._backend.write(batch)
        self._state = state

    def _give_up(self, error: str) -> None:
        self._end(ExecutionState.FAILED, error)


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


class StepRecorder(_Recorder):
    """A step of a run, being recorded."""

    _what = "step"

    def __init__(
        self,
        run: RunRecorder,
        name: str,
        *,
        type: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._offender = Offender("step", name=name)
        _check_name(name, "step", Offender("step"))
        super().__init__(name)
        self.run = run
        self.type = name if type is None else type
        _check_name(self.type, "type of the step", self._offender)
        self._backend = run._backend
        self._types = run._types
        self._parameters = _parameters(parameters, self._offender)
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
            use.id = _id_of(artifact, self._offender)
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
            use.id = _id_of(artifact, offender)
        use.type, use.uri, use.name = type, os.fspath(uri), name
        use.external_id, use.reuse = external_id, reuse
        _check_name(type, "type of the artifact", offender)
        if reuse is not None and not getattr(use, reuse):
            raise InvalidError(
                f"{offender} is to be reused by its {reuse.replace('_', ' ')}, but has none",
                offender=offender,
            )
        use.properties = self._types.fit(NodeKind.ARTIFACT, type, properties, offender)
        use.custom_properties = {
            property: _clean(value, property, offender)
            for property, value in custom_properties.items()
        }
        use.recorded = RecordedArtifact(type, use.uri, name, self.run._read, f"step {self.name!r}")
        use.recorded._id = use.id
        self._uses.append(use)
        return use.recorded

    def metric(self, name: str, value: float) -> None:
        """A number that the step found out; the last one of a name counts."""
        self._check_running()
        _check_name(name, "metric", self._offender)
        if name.startswith(layout.RESERVED):
            raise InvalidError(
                f"a metric of {self._offender} begins with {layout.RESERVED!r}",
                hint="these names are the store's own",
                offender=self._offender,
            )
        clean = _clean(value, name, self._offender)
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
        self._parameters |= _parameters({name: value}, self._offender)

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
        _check_name(key, f"{'input' if is_input else 'output'} key", self._offender)
        taken = sum(use.key == key and use.is_input is is_input for use in self._uses)
        return _Use(key, taken, is_input)

    def _newest(self, uri: str, type: str | None) -> int | None:
        offender = Offender("artifact", name=uri)
        _check_name(uri, "uri", offender)
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
        _use_type(batch, NodeKind.EXECUTION, self.type, layout.STEP_PROPERTIES)
        execution = batch.execution(
            self.type,
            state=ExecutionState.RUNNING,
            properties={layout.STEP: self.name, **_whereabouts()},
            custom_properties=self._parameters,
        )
        for context in self._contexts():
            batch.association(context, execution)
        self._id = self._backend.write(batch)[execution].id

    def _contexts(self) -> tuple[int, int]:
        return self.run._id, self.run._pipeline_id

    def _end(self, state: ExecutionState, error: str | None) -> None:
        self._check_running()
        batch = Batch()
        metrics = dict.fromkeys(self._metrics, PropertyKind.DOUBLE)
        if metrics:
            _use_type(batch, NodeKind.EXECUTION, self.type, metrics)
        batch.execution(
            state=state,
            properties={**self._metrics, **_ending(error)},
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
                    _use_type(batch, NodeKind.ARTIFACT, use.type, _kinds(use.properties))
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
        _use_type(batch, NodeKind.ARTIFACT, use.type, _kinds(use.properties))
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
            for context in self._contexts():
                batch.attribution(context, node)

    def _give_up(self, error: str) -> None:
        self._uses, self._metrics = [], {}
        self._end(ExecutionState.FAILED, error)


def _use_type(
    batch: Batch, kind: NodeKind, name: str, properties: Mapping[str, PropertyKind]
) -> None:
    batch.type(kind, name, properties, can_add_properties=True, can_omit_properties=True)


def _kinds(values: Mapping[str, Value]) -> dict[str, PropertyKind]:
    return {name: kind_of(value) for name, value in values.items()}


def _id_of(artifact: HasId | int, offender: Offender) -> int:
    id = artifact if isinstance(artifact, int) else getattr(artifact, "id", None)
    if not isinstance(id, int) or isinstance(id, bool):
        raise InvalidError(
            f"{offender} was given a {type(artifact).__name__} where an artifact is wanted",
            hint="give an artifact that was read or recorded, its id, or a uri",
            offender=offender,
        )
    return id


def _check_name(name: Any, what: str, offender: Offender) -> None:
    try:
        text = clean_text(name)
    except BadValueError as error:
        raise InvalidError(f"the {what} {error}", offender=offender) from None
    if not text:
        raise InvalidError(f"the {what} is empty", hint="give it a name", offender=offender)


def _new_name(pipeline: str) -> str:
    """A run's name that nobody else has: when it began (UTC) and six random digits."""
    begun = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{pipeline}-{begun}-{secrets.token_hex(3)}"


def _ending(error: str | None) -> dict[str, Value]:
    ending: dict[str, Value] = {layout.FINISHED: time.time_ns() // 1_000_000}
    if error is not None:
        # An exception's text may hold anything, half surrogates included.
        ending[layout.ERROR] = error[:_ERROR_LENGTH].encode(errors="replace").decode()
    return ending


def _whereabouts() -> Mapping[str, Value]:
    """Host, process and its start, by which a reader can tell that the process is gone."""
    return _whereabouts_of(os.getpid())


@functools.lru_cache(maxsize=1)
def _whereabouts_of(process: int) -> Mapping[str, Value]:
    found: dict[str, Value] = {layout.HOST: platform.node(), layout.PROCESS: process}
    started = _process_start()
    if started is not None:
        found[layout.PROCESS_START] = started
    return found


def _process_start() -> int | None:
    """When this process started, in milliseconds; None where the system does not tell (no /proc).

    Source: proc(5): field 22 of /proc/self/stat in clock ticks since the boot, and btime.
    """
    try:
        # The command's name, in parentheses, may hold spaces.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
        boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return boot * 1000 + ticks * 1000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None
