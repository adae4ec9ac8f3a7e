"""`RunRecorder`: a run of a pipeline, being recorded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from metastore import layout
from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Merge, Reuse
from metastore.errors import AlreadyExistsError, InvalidError, Offender
from metastore.model import ExecutionState, NodeKind, TypeKey
from metastore.recording._given import DeclaredTypes, check_name, parameters_of, use_type
from metastore.recording._recorder import Recorder, ending, whereabouts
from metastore.recording._step import RunScope, StepRecorder

__all__ = ["RunRecorder"]


class RunRecorder(Recorder):
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
        check_name(pipeline, "name of the pipeline", Offender("pipeline"))
        super().__init__(_new_name(pipeline) if name is None else name)
        check_name(self.name, "name of the run", Offender("run"))
        self.pipeline = pipeline
        self._backend = backend
        self._read = read
        self._types = DeclaredTypes(backend)
        self._parameters = parameters_of(parameters, Offender("run", name=self.name))
        self._id = 0
        self._pipeline_id = 0
        self._open_steps: dict[int, StepRecorder] = {}

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
        contexts = (self._id, self._pipeline_id)
        scope = RunScope(self._backend, self._types, contexts, self._read, self._open_steps)
        return StepRecorder(scope, name, type=type, parameters=parameters)

    def _begin(self) -> None:
        batch = Batch()
        batch.type(NodeKind.CONTEXT, layout.PIPELINE_TYPE, can_omit_properties=True)
        use_type(batch, TypeKey(NodeKind.CONTEXT, layout.RUN_TYPE), layout.RUN_PROPERTIES)
        pipeline = batch.context(layout.PIPELINE_TYPE, name=self.pipeline, mode=Reuse("name"))
        run = batch.context(
            layout.RUN_TYPE,
            name=self.name,
            properties={layout.STATE: ExecutionState.RUNNING.name, **whereabouts()},
            custom_properties=self._parameters,
        )
        batch.parent(run, pipeline)
        try:
            written = self._backend.write(batch)
        except AlreadyExistsError as error:
            offender = Offender("run", name=self.name)
            if error.offender is None or error.offender.name != self.name:
                raise error.about(offender) from error
            raise AlreadyExistsError(
                f"there is a run {self.name!r} already in {self._backend.location}",
                hint="give it another name, or none: then it gets one of its own",
                offender=offender,
            ) from error
        self._id, self._pipeline_id = written[run].id, written[pipeline].id

    def _end(self, state: ExecutionState, error: str | None) -> None:
        for step in list(self._open_steps.values()):
            if state is ExecutionState.COMPLETE:
                raise InvalidError(
                    f"run {self.name!r} is not complete: its step {step.name!r} has not ended",
                    hint="end it first, with finish(), fail(why) or cancel()",
                    offender=Offender("run", name=self.name),
                )
            # Nobody else will: whatever ended the run has ended them.
            step._conclude(state, error)
        properties = {layout.STATE: state.name, **ending(error)}
        batch = Batch()
        batch.context(properties=properties, mode=Merge(self._id))
        self._backend.write(batch)
        self._state = state


def _new_name(pipeline: str) -> str:
    """A run's name that nobody else has: when it began (UTC) and six random digits."""
    begun = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{pipeline}-{begun}-{secrets.token_hex(3)}"
