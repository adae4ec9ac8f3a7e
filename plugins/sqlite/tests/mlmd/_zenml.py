"""A store as ZenML 0.13 leaves it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ._opening import connect
from ._proto import pb

# name of the step in its pipeline: function that makes it, outputs and their types
_STEPS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "importer": ("importer_mnist", {"X_train": "DataArtifact", "X_test": "DataArtifact"}),
    "trainer": ("svc_trainer", {"output": "ModelArtifact"}),
    "evaluator": ("sklearn_evaluator", {"output": "DataArtifact"}),
}


def write_zenml(path: Path | str) -> None:
    """Write a new store at ``path`` as ZenML 0.13 leaves one.

    ZenML ran its steps through TFX's launcher, so contexts are those of TFX and one of type
    ``zenml`` for each step's configuration. Two runs of one pipeline, listed in
    ``golden.GOLDEN_ZENML``: a complete one; one with a cached step, a failed one, whose exception
    was not kept, and one that was written before ZenML wrote down what a step is called.
    """
    zenml = _ZenML(connect(path))
    first = "mnist_pipeline-12_Aug_22-10_00_00_000001"
    zenml.step(first, "importer", {}, pb.Execution.COMPLETE)
    zenml.step(first, "trainer", {"X_train": 1}, pb.Execution.COMPLETE, gamma=0.001, kernel="rbf")
    zenml.step(first, "evaluator", {"X_test": 2, "model": 3}, pb.Execution.COMPLETE)
    second = "mnist_pipeline-13_Aug_22-10_00_00_000002"
    cached = {"X_train": 1, "X_test": 2}
    zenml.step(second, "importer", {}, pb.Execution.CACHED, outputs=cached)
    zenml.step(
        second,
        "trainer",
        {"X_train": 1},
        pb.Execution.FAILED,
        outputs={},
        layers=[8, 8],
        decay=None,
    )
    zenml.step(second, "evaluator", {}, pb.Execution.COMPLETE, named=False)


class _ZenML:
    def __init__(self, store: Any) -> None:
        self.store = store

    def step(
        self,
        run: str,
        name: str,
        inputs: Mapping[str, int],
        state: Any,
        *,
        outputs: Mapping[str, int] | None = None,
        named: bool = True,
        **parameters: Any,
    ) -> None:
        """One step, published; its outputs are new unless they are given."""
        function, ports = _STEPS[name]
        type_id = self.store.put_execution_type(
            pb.ExecutionType(name=f"zenml.steps.step_decorator.{function}")
        )
        execution = pb.Execution(type_id=type_id, last_known_state=state)
        internal = {"zenml-step_source": "main.py"} | (
            {"zenml-pipeline_parameter_name": name} if named else {}
        )
        for key, value in (parameters | internal).items():
            execution.custom_properties[key].string_value = json.dumps(value)
        pairs = [(self._known(id_), _event(pb.Event.INPUT, port)) for port, id_ in inputs.items()]
        if outputs is None:
            pairs += [
                (self._new(type_, f"{run}/{name}/{port}"), _event(pb.Event.OUTPUT, port))
                for port, type_ in ports.items()
            ]
        else:
            pairs += [
                (self._known(id_), _event(pb.Event.OUTPUT, port)) for port, id_ in outputs.items()
            ]
        pipeline = run.partition("-")[0]
        contexts = [
            self._context("pipeline", pipeline),
            self._context("pipeline_run", run),
            self._context("node", f"{pipeline}.{name}"),
            self._context("zenml", f"{run}.{name}", num_steps="3"),
        ]
        self.store.put_execution(execution, pairs, contexts, True, force_reuse_context=True)

    def _context(self, type_: str, name: str, **properties: str) -> Any:
        found = self.store.get_context_by_type_and_name(type_, name)
        if found is not None:
            return found
        context = pb.Context(
            type_id=self.store.put_context_type(pb.ContextType(name=type_)), name=name
        )
        for key, value in properties.items():
            context.custom_properties[key].string_value = value
        [context.id] = self.store.put_contexts([context])
        return context

    def _known(self, id_: int) -> Any:
        [artifact] = self.store.get_artifacts_by_id([id_])
        return artifact

    def _new(self, type_: str, uri: str) -> Any:
        type_id = self.store.put_artifact_type(
            pb.ArtifactType(
                name=type_, properties={"datatype": pb.STRING, "materializer": pb.STRING}
            )
        )
        artifact = pb.Artifact(type_id=type_id, uri=uri, state=pb.Artifact.LIVE)
        artifact.properties["datatype"].string_value = "numpy.ndarray"
        return artifact


def _event(type_: Any, port: str) -> Any:
    steps: Sequence[Any] = [pb.Event.Path.Step(key=port), pb.Event.Path.Step(index=0)]
    return pb.Event(type=type_, path=pb.Event.Path(steps=steps))
