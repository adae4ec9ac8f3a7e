"""A store as an orchestrated TFX leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store.metadata_store import MetadataStore

from ._opening import connect
from ._proto import pb


def write_tfx_orchestrated(path: Path | str | Any) -> None:
    """Write a new store at ``path`` as an orchestrated TFX (1.0 and later) leaves one.

    Two pipelines with three runs and thirteen steps, listed in ``golden.GOLDEN_TFX_ORCHESTRATED``:

    - every execution has a ``pipeline``, a ``pipeline_run`` and a ``node`` context, and one of type
      ``execution_cache`` if a cache was asked, all without properties;
    - ``penguin.v2``, as TFX from 1.11 on writes it: the pipeline is the parent of its runs, the
      first run is a parent of the second (a partial run on top of it), executions are named by a
      UUID (here ``step-1`` ...), artifacts have no name; a dot in the pipeline's name and in a
      node's id. The second run has a CACHED step that was taken over without inputs, a CACHED step
      that found its outputs in the cache, and a FAILED step with ``__execution_result__``.
    - ``audit``, as TFX from 1.0 to 1.6 writes it: no parent contexts, unnamed executions, named
      artifacts; an Importer, a Resolver that hands on a model of the other pipeline by an
      INTERNAL_OUTPUT event, two artifacts on one port, a step still RUNNING that reads one artifact
      on two ports (one event with two paths).
    """
    tfx = _Tfx(connect(path))
    _write_penguin(tfx)
    _write_audit(tfx)


_COMPONENTS = {
    # node id: execution type, base type
    "CsvExampleGen": ("tfx.components.example_gen.csv_example_gen.component.CsvExampleGen", None),
    "ImportExampleGen": (
        "tfx.components.example_gen.import_example_gen.component.ImportExampleGen",
        None,
    ),
    "StatisticsGen": (
        "tfx.components.statistics_gen.component.StatisticsGen",
        pb.ExecutionType.PROCESS,
    ),
    "Transform": ("tfx.components.transform.component.Transform", pb.ExecutionType.TRANSFORM),
    "Trainer.wide": ("tfx.components.trainer.component.Trainer", pb.ExecutionType.TRAIN),
    "Evaluator": ("tfx.components.evaluator.component.Evaluator", pb.ExecutionType.EVALUATE),
    "Pusher": ("tfx.components.pusher.component.Pusher", pb.ExecutionType.DEPLOY),
    "ImportSchema": ("tfx.dsl.components.common.importer.Importer", None),
    "latest_model": ("tfx.dsl.components.common.resolver.Resolver", None),
}

_ARTIFACTS = {
    # port: artifact type, base type
    "examples": ("Examples", pb.ArtifactType.DATASET),
    "transformed_examples": ("Examples", pb.ArtifactType.DATASET),
    "statistics": ("ExampleStatistics", pb.ArtifactType.STATISTICS),
    "result": ("Schema", None),
    "transform_graph": ("TransformGraph", None),
    "model": ("Model", pb.ArtifactType.MODEL),
    "model_run": ("ModelRun", None),
    "pushed_model": ("PushedModel", pb.ArtifactType.MODEL),
}

_SPLITS = {"Examples": '["train", "eval"]', "ExampleStatistics": '["train", "eval"]'}

_PARAMETERS: dict[str, str | int] = {"custom_config": "null", "exclude_splits": "[]"}


class _Tfx:
    """Writes steps the way TFX's launcher does: registered as RUNNING, then published."""

    def __init__(self, store: MetadataStore) -> None:
        self.store = store
        self.steps = 0

    def context(self, type_: str, name: str, *parents: int) -> int:
        """The id of the context, made with its parents if there is none yet."""
        found = self.store.get_context_by_type_and_name(type_, name)
        if found is not None:
            return int(found.id)
        type_id = self.store.put_context_type(pb.ContextType(name=type_))
        [id_] = self.store.put_contexts([pb.Context(type_id=type_id, name=name)])
        for parent in parents:
            self.store.put_parent_contexts([pb.ParentContext(parent_id=parent, child_id=id_)])
        return int(id_)

    def register(
        self,
        node: str,
        contexts: Sequence[int],
        inputs: Mapping[str, Sequence[int]],
        *,
        parameters: Mapping[str, str | int],
        named: bool,
    ) -> int:
        """A new RUNNING execution with its inputs; its id."""
        self.steps += 1
        name, base_type = _COMPONENTS[node]
        execution = pb.Execution(
            type_id=self.store.put_execution_type(pb.ExecutionType(name=name, base_type=base_type)),
            last_known_state=pb.Execution.RUNNING,
            name=f"step-{self.steps}" if named else None,
        )
        for key, value in parameters.items():
            execution.custom_properties[key].CopyFrom(
                pb.Value(int_value=value)
                if isinstance(value, int)
                else pb.Value(string_value=value)
            )
        return self.put(execution, contexts, self.known(inputs, pb.Event.INPUT))

    def publish(
        self,
        execution_id: int,
        contexts: Sequence[int],
        state: Any,
        outputs: Sequence[tuple[Any, Any]] = (),
        *,
        result: str = "",
    ) -> None:
        """Give a registered execution its last state, and its outputs."""
        [execution] = self.store.get_executions_by_id([execution_id])
        execution.last_known_state = state
        if result:
            execution.custom_properties["__execution_result__"].string_value = result
        self.put(execution, contexts, outputs)

    def put(self, execution: Any, contexts: Sequence[int], pairs: Sequence[tuple[Any, Any]]) -> int:
        id_, _, _ = self.store.put_execution(
            execution,
            pairs,
            self.store.get_contexts_by_id(contexts),
            reuse_context_if_already_exist=True,
            force_reuse_context=True,
        )
        return int(id_)

    def known(self, ports: Mapping[str, Sequence[int]], type_: int) -> list[tuple[Any, Any]]:
        """Stored artifacts on their ports; one that is on several ports has one event."""
        events: dict[int, Any] = {}
        for port, ids in ports.items():
            for index, id_ in enumerate(ids):
                event = events.setdefault(id_, pb.Event(type=type_))
                event.path.steps.add(key=port)
                event.path.steps.add(index=index)
        return [(self.store.get_artifacts_by_id([id_])[0], event) for id_, event in events.items()]

    def new(
        self, port: str, *uris: str, name: str | None = None, version: str = "1.14.0"
    ) -> list[tuple[Any, Any]]:
        """New LIVE artifacts on one port."""
        type_name, base_type = _ARTIFACTS[port]
        splits = _SPLITS.get(type_name)
        type_ = pb.ArtifactType(name=type_name, base_type=base_type)
        if splits is not None:
            type_.properties["split_names"] = pb.STRING
        type_id = self.store.put_artifact_type(type_)
        pairs = []
        for index, uri in enumerate(uris):
            artifact = pb.Artifact(type_id=type_id, uri=uri, state=pb.Artifact.LIVE)
            artifact.custom_properties["tfx_version"].string_value = version
            if splits is not None:
                artifact.properties["split_names"].string_value = splits
            if name is not None:
                artifact.name = f"{name}:{index}"
                artifact.custom_properties["name"].string_value = artifact.name
            event = pb.Event(type=pb.Event.OUTPUT)
            event.path.steps.add(key=port)
            event.path.steps.add(index=index)
            pairs.append((artifact, event))
        return pairs


def _write_penguin(tfx: _Tfx) -> None:
    pipeline = "penguin.v2"
    root = tfx.context("pipeline", pipeline)
    first = tfx.context("pipeline_run", "2024-03-01T10:00:00.000001", root)

    def begin(
        node: str,
        run: int,
        inputs: Mapping[str, Sequence[int]],
        parameters: Mapping[str, str | int] = _PARAMETERS,
    ) -> tuple[int, list[int]]:
        contexts = [root, run, tfx.context("node", f"{pipeline}.{node}")]
        id_ = tfx.register(node, contexts, inputs, parameters=parameters, named=True)
        return id_, contexts

    def cache(contexts: list[int], key: int) -> list[int]:
        return [*contexts, tfx.context("execution_cache", f"{key:064x}")]

    def run_step(
        node: str, run: int, key: int, inputs: Mapping[str, Sequence[int]], *ports: str
    ) -> None:
        id_, contexts = begin(node, run, inputs)
        outputs = [
            pair for port in ports for pair in tfx.new(port, f"/tfx/penguin/{node}/{port}/{id_}")
        ]
        tfx.publish(id_, cache(contexts, key), pb.Execution.COMPLETE, outputs)

    run_step("CsvExampleGen", first, 1, {}, "examples")
    run_step("StatisticsGen", first, 2, {"examples": [1]}, "statistics")
    run_step("Transform", first, 3, {"examples": [1]}, "transform_graph", "transformed_examples")
    trained = {"examples": [4], "transform_graph": [3]}
    run_step("Trainer.wide", first, 4, trained, "model", "model_run")
    run_step("Pusher", first, 5, {"model": [5]}, "pushed_model")

    second = tfx.context("pipeline_run", "2024-03-02T10:00:00.000002", root, first)
    # What a partial run takes over whole has no inputs, parameters or cache context.
    id_, contexts = begin("CsvExampleGen", second, {}, {})
    reused = tfx.known({"examples": [1]}, pb.Event.OUTPUT)
    tfx.publish(id_, contexts, pb.Execution.CACHED, reused)
    id_, contexts = begin("StatisticsGen", second, {"examples": [1]})
    cached = tfx.known({"statistics": [2]}, pb.Event.OUTPUT)
    tfx.publish(id_, cache(contexts, 2), pb.Execution.CACHED, cached)
    run_step("Transform", second, 6, {"examples": [1]}, "transform_graph", "transformed_examples")
    id_, contexts = begin("Trainer.wide", second, {"examples": [9], "transform_graph": [8]})
    tfx.publish(
        id_,
        cache(contexts, 7),
        pb.Execution.FAILED,
        result='{\n  "resultMessage": "ValueError: no examples left",\n  "code": 13\n}',
    )


def _write_audit(tfx: _Tfx) -> None:
    pipeline, run_name = "audit", "nightly-7"
    root = tfx.context("pipeline", pipeline)
    run = tfx.context("pipeline_run", run_name)

    def begin(
        node: str, inputs: Mapping[str, Sequence[int]], parameters: Mapping[str, str | int]
    ) -> tuple[int, list[int]]:
        contexts = [root, run, tfx.context("node", f"{pipeline}.{node}")]
        return tfx.register(node, contexts, inputs, parameters=parameters, named=False), contexts

    def outputs(node: str, port: str, *uris: str) -> list[tuple[Any, Any]]:
        name = f"{pipeline}:{run_name}:{node}:{port}"
        return tfx.new(port, *uris, name=name, version="1.6.0")

    id_, contexts = begin(
        "ImportSchema", {}, {"artifact_uri": "/schemas/7", "output_key": "result", "reimport": 0}
    )
    imported = outputs("ImportSchema", "result", "/schemas/7")
    tfx.publish(id_, contexts, pb.Execution.COMPLETE, imported)
    id_, contexts = begin("latest_model", {}, {})
    resolved = tfx.known({"model": [5]}, pb.Event.INTERNAL_OUTPUT)
    tfx.publish(id_, contexts, pb.Execution.COMPLETE, resolved)
    id_, contexts = begin("ImportExampleGen", {}, {"input_base": "/data/audit"})
    found = outputs("ImportExampleGen", "examples", "/data/audit/1", "/data/audit/2")
    tfx.publish(id_, contexts, pb.Execution.COMPLETE, found)
    judged = {"examples": [11, 12], "model": [5], "baseline_model": [5], "schema": [10]}
    begin("Evaluator", judged, {"example_splits": "null"})
