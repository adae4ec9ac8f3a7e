"""`StepRecorder`: a step of a run, being recorded."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from metastore import layout
from metastore.base import BaseMetadataStore
from metastore.batch import Batch, WrittenBatch
from metastore.errors import (
    AlreadyExistsError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    Offender,
)
from metastore.model import Artifact, ExecutionState, NodeKind, PropertyKind, TypeKey
from metastore.query import NodeQuery, TypeQuery
from metastore.recording._artifact import RecordedArtifact, StoredArtifact
from metastore.recording._content import REUSE, ReuseBy, StepContent, StepEnd, Use
from metastore.recording._given import (
    ArtifactLike,
    DeclaredTypes,
    check_name,
    listed,
    mapping,
    parameters_of,
    property_values,
    stored_artifact,
    uri_text,
    use_type,
)
from metastore.recording._recorder import Recorder, ending, whereabouts
from metastore.values import BadValueError, clean_value, nonfinite_text

__all__ = ["RunScope", "StepRecorder"]


class RunScope(NamedTuple):
    """What a step must know of the run that it belongs to."""

    backend: BaseMetadataStore
    types: DeclaredTypes
    contexts: tuple[int, int]
    """Ids of the run and of its pipeline."""
    read: Callable[[int], Any]
    """From the id of an artifact to what the store returns for it."""
    open_steps: dict[int, Any]
    """The steps that have begun and not ended, by id."""


class StepRecorder(Recorder):
    """A step of a run, being recorded.

    What is wrong is refused where it is given, and the step goes on without it.  What turns out
    to be wrong only when the step ends (another process took a name meanwhile) is left out, the
    rest is recorded, the step ends as FAILED and the error goes up.
    """

    _what = "step"

    def __init__(
        self,
        scope: RunScope,
        name: str,
        *,
        type: str | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        check_name(name, "name of the step", Offender("step"))
        super().__init__(name)
        self._offender = Offender("step", name=name)
        self.type = name if type is None else type
        check_name(self.type, "type of the step", self._offender)
        self._key = TypeKey(NodeKind.EXECUTION, self.type)
        self._scope = scope
        self._backend = scope.backend
        self._parameters = parameters_of(parameters, self._offender)
        self._content = StepContent()
        self._refused: list[MetastoreError] = []
        """What the store refused of the step's end."""
        self._lock = threading.RLock()
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
            An artifact of this store, read or recorded earlier, its id, or a uri; or a list of
            these.  A uri stands for the newest artifact that has it (of `type`, where that is
            given), or for a new one.

        Raises
        ------
        InvalidError
            It is none of these, or an artifact of another store; or the step is not running.
        NotFoundError
            There is no artifact of that id.
        """
        with self._recording():
            check_name(key, "input key", self._offender)
            if type is not None:
                check_name(type, "type of the input", self._offender)
            # Of a list, all or none.
            found = [self._find_input(key, each, type) for each in listed(artifact)]
            for id, uri, of_type in found:
                use = self._content.next_use(key, is_input=True)
                if id is None:
                    use.uri, use.reuse, use.type = uri, "uri", of_type
                use.id = id
                self._content.add(use)

    def output(
        self,
        key: str,
        artifact: StoredArtifact | int | None = None,
        *,
        type: str | None = None,
        uri: str | os.PathLike[str] = "",
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        custom_properties: Mapping[str, Any] | None = None,
        external_id: str | None = None,
        reuse: ReuseBy | None = None,
    ) -> RecordedArtifact:
        """The step writes an artifact, by default a new one.

        Parameters
        ----------
        key:
            The name of the output; several artifacts of one key keep their order.
        artifact:
            One of this store that is there already, for a step that did not have to make it; what
            is said of it besides must not contradict it, and its properties are set.
        type:
            The name of its type, created when it is first used; ``"Artifact"`` by default.
        uri:
            Where the data is; a path is kept as it stands.
        name:
            A name that no other artifact of the type has.
        properties:
            Declared by the type: the first value of a property decides its kind for ever (int,
            float, text, bool, dict), but for ints, which a float property takes.
        custom_properties:
            Free of the type, of any kind each time.
        external_id:
            What another system calls it; no other artifact has it.
        reuse:
            ``"uri"``, ``"external_id"`` or ``"name"``: an artifact of the type that has the same
            one is this artifact, and gets these properties, over those it has; without one, it is
            new.

        Returns
        -------
        RecordedArtifact
            It has an id when the step has ended.

        Raises
        ------
        InvalidError
            A value is of a kind that the property, or any property, cannot hold; `artifact` is
            none of this store, or another one than what is said of it.
        NotFoundError
            There is no artifact of that id.
        AlreadyExistsError
            Another artifact has the name or the external id.
        """
        with self._recording():
            check_name(key, "output key", self._offender)
            use = self._content.next_use(key, is_input=False)
            offender = use.offender
            for value, what in ((type, "type"), (name, "name"), (external_id, "external id")):
                if value is not None:
                    check_name(value, f"{what} of {offender}", offender)
            use.type = TypeKey(NodeKind.ARTIFACT, type or layout.ARTIFACT_TYPE)
            use.uri, use.name, use.external_id = uri_text(uri, offender), name, external_id
            known = self._find_output(use, artifact, type, reuse)
            types = self._scope.types
            use.properties = types.fit(use.type, properties, offender)
            use.custom_properties = property_values(
                custom_properties, "custom properties", offender
            )
            self._check_free(use)
            self._content.add(use)
            types.declare(use.type, use.properties)
            use.recorded = RecordedArtifact(
                self._backend,
                use.type.name,
                use.uri or (known.uri if known else ""),
                use.name or (known.name if known else None),
                self._scope.read,
                f"step {self.name!r}",
            )
            if use.id is not None:
                use.recorded._settle(use.id)
            return use.recorded

    def metric(self, name: str, value: float) -> None:
        """A number that the step found out; the last one of a name counts.

        NaN and infinities are numbers here: a training that diverges is worth recording.
        """
        with self._recording():
            check_name(name, "name of the metric", self._offender)
            offender = self._offender._replace(property=name)
            if name.startswith(layout.RESERVED):
                raise InvalidError(
                    f"metric {name!r} of {self._offender} begins with {layout.RESERVED!r}",
                    hint="these names are the store's own",
                    offender=offender,
                )
            word = nonfinite_text(value)
            try:
                number = 0.0 if word is not None else clean_value(value)
            except BadValueError as error:
                raise InvalidError(
                    f"metric {name!r} of {self._offender} {error}", offender=offender
                ) from None
            if not isinstance(number, int | float):
                raise InvalidError(
                    f"metric {name!r} of {self._offender} is no number",
                    hint="a text is a parameter or a property of an output",
                    offender=offender,
                )
            declared = self._scope.types.declared(self._key).setdefault(name, PropertyKind.DOUBLE)
            if declared is not PropertyKind.DOUBLE:
                raise InvalidError(
                    f"{name!r} cannot be a metric of {self._offender}: its type {self.type!r} "
                    f"declares it as {declared.name}",
                    hint="give the metric another name, or the step another type",
                    offender=offender,
                )
            self._content.set_metric(name, float(number), word)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Several metrics."""
        for name, value in mapping(values, "metrics", self._offender).items():
            self.metric(name, value)

    def parameter(self, name: str, value: Any) -> None:
        """A parameter that became known while the step was running."""
        with self._recording():
            self._content.parameters |= parameters_of({name: value}, self._offender)

    def cached(self) -> None:
        """The step did not run: its outputs are those of an earlier one.

        Give these with ``step.output(key, artifact)``; the step ends as CACHED.
        """
        with self._recording():
            self._cached = True

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """One thing at a time, and none when the step is being written or has ended."""
        # First: a forked child has the lock of a thread that it has not.
        self._check_running()
        with self._lock:
            self._check_running()
            yield

    # Looking up what was given.

    def _find_input(
        self, key: str, artifact: Any, type: str | None
    ) -> tuple[int | None, str, TypeKey]:
        """The id of an input; or None, its uri and its type."""
        offender = Offender("input", name=key)
        of_type = TypeKey(NodeKind.ARTIFACT, type or layout.ARTIFACT_TYPE)
        if not isinstance(artifact, str | os.PathLike):
            stored = stored_artifact(artifact, self._backend, offender)
            if type is not None and stored.type != type:
                raise InvalidError(
                    f"{offender} is artifact {stored.id}, which is of another type than is given",
                    hint="leave out the type; it is for uris",
                    offender=offender,
                )
            return stored.id, "", of_type
        uri = uri_text(artifact, offender)
        if not uri:
            raise InvalidError(
                f"the uri of {offender} is empty", hint="give one", offender=offender
            )
        mine = self._content.newest(uri, type)
        if mine is not None:
            return None, uri, mine.type
        found = self._backend.read_nodes(
            NodeQuery(
                NodeKind.ARTIFACT,
                uris=[uri],
                type_names=None if type is None else [type],
                descending=True,
                limit=1,
            )
        )
        return (found[0].id if found else None), uri, of_type

    def _find_output(
        self, use: Use, artifact: Any, type: str | None, reuse: Any
    ) -> Artifact | None:
        """What the store has already of an output, which is thereby that artifact."""
        if artifact is not None:
            if reuse is not None:
                raise InvalidError(
                    f"{use.offender} was given an artifact, and a way to find one",
                    hint="leave out the artifact, or reuse",
                    offender=use.offender,
                )
            stored = stored_artifact(artifact, self._backend, use.offender)
            self._take_on(use, stored, type)
            return stored
        if reuse is None:
            return None
        use.reuse = _check_reuse(reuse, use)
        found = self._having(use, use.reuse)
        if not found:
            # It may come into being until the step ends: then it is found in the end.
            return None
        self._take_on(use, found[0], use.type.name)
        return found[0]

    def _take_on(self, use: Use, stored: Artifact, type: str | None) -> None:
        """Be an artifact that is there already; refuse what contradicts it.

        A uri or external id that it has not got yet is one more thing that is known of it.
        """
        for what, given, held in (
            ("type", type, stored.type),
            ("uri", use.uri, stored.uri),
            ("name", use.name, stored.name),
            ("external_id", use.external_id, stored.external_id),
        ):
            if given and given != held:
                if not held and what != "name":
                    use.adds |= {what}
                    continue
                said = what.replace("_", " ")
                raise InvalidError(
                    f"{use.offender} is artifact {stored.id}, whose {said} is another than given",
                    hint=f"leave out the {said}, or record a new artifact",
                    offender=use.offender,
                )
        types = self._backend.read_types(TypeQuery(NodeKind.ARTIFACT, ids=[stored.type_id]))
        use.type = types[0].key if types else TypeKey(NodeKind.ARTIFACT, stored.type)
        use.id, use.reuse = stored.id, None

    def _check_free(self, use: Use) -> None:
        """Refuse a name or external id that another artifact has, as long as nothing is lost."""
        for field in ("name", "external_id"):
            if getattr(use, field) is None or use.reuse == field:
                continue
            others = [each for each in self._having(use, field) if each.id != use.id]
            if others:
                raise AlreadyExistsError(
                    f"{use.offender} cannot have this {field.replace('_', ' ')}: artifact "
                    f"{others[0].id} has it",
                    hint=f"give another one, or make it the same artifact with reuse={field!r}",
                    offender=use.offender,
                )

    def _having(self, use: Use, field: str) -> list[Artifact]:
        """The artifacts that `use` would find by that field; of a uri the newest."""
        value = [getattr(use, field)]
        if field == "external_id":
            query = NodeQuery(NodeKind.ARTIFACT, external_ids=value)
        elif field == "name":
            query = NodeQuery(NodeKind.ARTIFACT, type=use.type, names=value)
        else:
            query = NodeQuery(
                NodeKind.ARTIFACT, type=use.type, uris=value, descending=True, limit=1
            )
        return cast("list[Artifact]", list(self._backend.read_nodes(query)))

    # Writing.

    def _success(self) -> ExecutionState:
        return ExecutionState.CACHED if self._cached else ExecutionState.COMPLETE

    def _begin(self) -> None:
        batch = Batch()
        use_type(batch, self._key, layout.STEP_PROPERTIES)
        execution = batch.execution(
            self.type,
            state=ExecutionState.RUNNING,
            properties={layout.STEP: self.name, **whereabouts()},
            custom_properties=self._parameters,
        )
        for context in self._scope.contexts:
            batch.association(context, execution)
        try:
            self._id = self._backend.write(batch)[execution].id
        except (InvalidError, AlreadyExistsError) as error:
            raise error.about(self._offender) from error
        self._scope.open_steps[self._id] = self

    def _end(self, state: ExecutionState, error: str | None) -> None:
        with self._lock:
            self._check_running()
            ended, written = self._write_end(state, error)
            end, self._state = ended
            end.settle(written)
        self._scope.open_steps.pop(self._id, None)
        if self._refused:
            # Others have changed what is known of the types.
            self._scope.types.forget()
            raise self._refusal()

    def _write_end(
        self, state: ExecutionState, error: str | None
    ) -> tuple[tuple[StepEnd, ExecutionState], WrittenBatch]:
        """Write the end, without what the store refuses."""
        while True:
            actual, text = state, error
            if self._refused:
                # Kept until it is written: also when the store must be asked again later.
                text = "; besides, ".join(filter(None, (error, _text(self._refusal()))))
                if state is not ExecutionState.CANCELED:
                    actual = ExecutionState.FAILED
            end = StepEnd(
                self._content,
                self._id,
                self._key,
                self._scope.contexts,
                state=actual,
                bookkeeping=ending(text),
            )
            try:
                return (end, actual), self._backend.write(end.batch)
            except (InvalidError, NotFoundError, AlreadyExistsError) as failure:
                what = self._content.leave_out(failure.offender, end)
                if what is None:
                    raise
                self._refused.append(failure.about(what))

    def _refusal(self) -> MetastoreError:
        """One error for all that was refused."""
        first = self._refused[0]
        more = "".join(f"; {each.message}" for each in self._refused[1:_TOLD])
        if len(self._refused) > _TOLD:
            more += f"; and {len(self._refused) - _TOLD} more like these"
        told = type(first)(
            f"{first.message}{more}",
            hint=f"all else of {self._offender} is recorded, and it is FAILED",
            offender=first.offender,
        )
        told.__cause__ = first.__cause__
        return told


_TOLD = 10
"""Refusals that are told one by one."""


def _check_reuse(reuse: Any, use: Use) -> ReuseBy:
    if reuse not in REUSE:
        raise InvalidError(
            f"{use.offender} cannot be reused by {reuse!r}",
            hint=f"reuse is one of {', '.join(map(repr, REUSE))}",
            offender=use.offender,
        )
    if not getattr(use, reuse):
        raise InvalidError(
            f"{use.offender} is to be reused by its {reuse.replace('_', ' ')}, but has none",
            hint=f"give it {reuse}=..., or leave out reuse",
            offender=use.offender,
        )
    return cast("ReuseBy", reuse)


def _text(error: MetastoreError) -> str:
    return f"{type(error).__name__}: {error.message}"
