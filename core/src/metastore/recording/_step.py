"""`StepRecorder`: a step of a run, being recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
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
    artifact_id,
    check_name,
    listed,
    mapping,
    parameters_of,
    property_values,
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
        self._check_running()
        check_name(key, "input key", self._offender)
        if type is not None:
            check_name(type, "type of the input", self._offender)
        # Of a list, all or none.
        found = [self._find_input(key, each, type) for each in listed(artifact)]
        for id, uri in found:
            use = self._content.next_use(key, is_input=True)
            if id is None:
                use.uri, use.reuse = uri, "uri"
                use.type = TypeKey(NodeKind.ARTIFACT, type or layout.ARTIFACT_TYPE)
            use.id = id
            self._content.add(use)

    def output(
        self,
        key: str,
        artifact: StoredArtifact | Artifact | int | None = None,
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
            one is this artifact, and gets these properties; without one, it is new.

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
        self._check_running()
        check_name(key, "output key", self._offender)
        use = self._content.next_use(key, is_input=False)
        offender = use.offender
        for value, what in ((type, "type"), (name, "name"), (external_id, "external id")):
            if value is not None:
                check_name(value, f"{what} of {offender}", offender)
        use.type = TypeKey(NodeKind.ARTIFACT, type or layout.ARTIFACT_TYPE)
        use.uri, use.name, use.external_id = uri_text(uri, offender), name, external_id
        if artifact is not None:
            use.id = artifact_id(artifact, self._backend, offender)
            self._describe_stored(use, type, reuse, typed=bool(properties))
        elif reuse is not None:
            use.reuse = _check_reuse(reuse, use)
        use.properties = self._scope.types.fit(use.type, properties, offender)
        use.custom_properties = property_values(custom_properties, "custom properties", offender)
        if use.id is None:
            self._check_free(use)
        self._content.add(use)
        use.recorded = RecordedArtifact(
            self._backend,
            use.type.name,
            use.uri,
            use.name,
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
        self._check_running()
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
                f"{name!r} cannot be a metric of {self._offender}: its type {self.type!r} declares "
                f"it as {declared.name}",
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
        self._check_running()
        self._content.parameters |= parameters_of({name: value}, self._offender)

    def cached(self) -> None:
        """The step did not run: its outputs are those of an earlier one.

        Give these with ``step.output(key, artifact)``; the step ends as CACHED.
        """
        self._check_running()
        self._cached = True

    # Looking up what was given.

    def _find_input(self, key: str, artifact: Any, type: str | None) -> tuple[int | None, str]:
        """The id of an input, or None and its uri."""
        offender = Offender("input", name=key)
        if not isinstance(artifact, str | os.PathLike):
            return artifact_id(artifact, self._backend, offender), ""
        uri = uri_text(artifact, offender)
        check_name(uri, f"uri of {offender}", offender)
        found = self._backend.read_nodes(
            NodeQuery(
                NodeKind.ARTIFACT,
                uris=[uri],
                type_names=None if type is None else [type],
                descending=True,
                limit=1,
            )
        )
        return (found[0].id if found else None), uri

    def _describe_stored(self, use: Use, type: str | None, reuse: object, *, typed: bool) -> None:
        """Take what an artifact that is there already is; refuse what contradicts it."""
        (found,) = self._backend.read_nodes(NodeQuery(NodeKind.ARTIFACT, ids=[cast("int", use.id)]))
        stored = cast("Artifact", found)
        if reuse is not None:
            raise InvalidError(
                f"{use.offender} was given an artifact, and a way to find one",
                hint="leave out the artifact, or reuse",
                offender=use.offender,
            )
        for what, given, held in (
            ("type", type, stored.type),
            ("uri", use.uri or None, stored.uri),
            ("name", use.name, stored.name),
            ("external id", use.external_id, stored.external_id),
        ):
            if given is not None and given != held:
                raise InvalidError(
                    f"{use.offender} is artifact {use.id}, whose {what} is another than is given",
                    hint=f"leave out the {what}, or leave out the artifact to record a new one",
                    offender=use.offender,
                )
        use.uri, use.name = stored.uri, stored.name
        use.type = TypeKey(NodeKind.ARTIFACT, stored.type)
        if typed:
            types = self._backend.read_types(TypeQuery(NodeKind.ARTIFACT, ids=[stored.type_id]))
            use.type = types[0].key if types else use.type

    def _check_free(self, use: Use) -> None:
        """Refuse a name or external id that another artifact has, as long as nothing is lost."""
        if use.name is None and use.external_id is None:
            return
        mine: set[int] = set()
        if use.reuse is not None:
            found = self._having(use, use.reuse)
            mine = {each.id for each in found}
            if found and found[0].type != use.type.name:
                raise InvalidError(
                    f"{use.offender} is to be reused by its external id, and artifact "
                    f"{found[0].id}, which has it, is of type {found[0].type!r}",
                    hint="give its type",
                    offender=use.offender,
                )
        for field in ("name", "external_id"):
            if getattr(use, field) is None or use.reuse == field:
                continue
            others = [each for each in self._having(use, field) if each.id not in mine]
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

    def _end(self, state: ExecutionState, error: str | None) -> None:
        self._check_running()
        refused: MetastoreError | None = None
        written: WrittenBatch | None = None
        while written is None:
            end = StepEnd(
                self._content,
                self._id,
                self._key,
                self._scope.contexts,
                state=state,
                bookkeeping=ending(error),
            )
            try:
                written = self._backend.write(end.batch)
            except (InvalidError, NotFoundError, AlreadyExistsError) as failure:
                what = self._content.leave_out(failure.offender, end)
                if what is None:
                    raise
                refused = refused or failure.about(
                    what, hint=f"all else of {self._offender} is recorded, and it is FAILED"
                )
                if error is None:
                    state, error = ExecutionState.FAILED, _text(refused)
            else:
                end.settle(written)
        self._state = state
        if refused is not None:
            raise refused


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
