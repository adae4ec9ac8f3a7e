"""The calls that Kubeflow Pipelines' driver and launcher make (KFP up to 2.18, source:
backend/src/v2/metadata/client.go), through ML Metadata's client.
"""

from __future__ import annotations

from typing import Any

from ml_metadata.errors import AlreadyExistsError
from ml_metadata.metadata_store import ListOptions, MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

RUNNING, COMPLETE, FAILED, CACHED, CANCELED = (
    pb.Execution.RUNNING,
    pb.Execution.COMPLETE,
    pb.Execution.FAILED,
    pb.Execution.CACHED,
    pb.Execution.CANCELED,
)


class Run:
    """A run of a pipeline, as driver and launcher see it."""

    def __init__(self, store: MetadataStore, pipeline: str, run_id: str) -> None:
        self._store = store
        self.contexts = [
            self._context("system.Pipeline", pipeline, {"pipeline_root": "minio://mlpipeline/v2"}),
            self._context(
                "system.PipelineRun", run_id, {"namespace": "team", "resource_name": "run-resource"}
            ),
        ]
        link = pb.ParentContext(child_id=self.contexts[1].id, parent_id=self.contexts[0].id)
        try:
            store.put_parent_contexts([link])
        except AlreadyExistsError:
            pass  # another driver of the run was first
        parents = store.get_parent_contexts_by_context(self.contexts[1].id)
        assert [each.name for each in parents] == [pipeline]
        self.root = self._root(run_id)

    def _context(self, type_name: str, name: str, values: dict[str, str]) -> Any:
        type_id = self._store.put_context_type(pb.ContextType(name=type_name))
        found = self._store.get_context_by_type_and_name(type_name, name)
        if found is None:
            context = pb.Context(type_id=type_id, name=name)
            for key, value in values.items():
                context.custom_properties[key].string_value = value
            try:
                self._store.put_contexts([context])
            except AlreadyExistsError:
                pass  # another driver was first
            found = self._store.get_context_by_type_and_name(type_name, name)
        assert self._store.get_contexts_by_id([found.id]) == [found]
        return found

    def _root(self, run_id: str) -> Any:
        name = f"run/{run_id}"
        found = self._store.get_execution_by_type_and_name("system.DAGExecution", name)
        return found or self.create("DAG", None, name=name, values={"inputs": {"rate": 0.1}})

    def create(
        self,
        kind: str,
        parent: Any,
        *,
        name: str | None = None,
        task: str = "",
        values: dict[str, Any] | None = None,
        inputs: dict[str, int] | None = None,
        state: int = RUNNING,
    ) -> Any:
        """The driver: an execution with the contexts of the run, and what it will read."""
        type_id = self._store.put_execution_type(pb.ExecutionType(name=f"system.{kind}Execution"))
        execution = pb.Execution(type_id=type_id, last_known_state=state)
        if name is not None:
            execution.name = name
        described = {"display_name": task, "task_name": task} if task else {}
        if parent is not None:
            described |= {"parent_dag_id": parent.id}
        _fill(execution.custom_properties, {**described, **(values or {})})
        pairs = [
            (None, _event(pb.Event.INPUT, key, artifact_id=id))
            for key, id in (inputs or {}).items()
        ]
        id, _, context_ids = self._store.put_execution(execution, pairs, self.contexts)
        assert context_ids == [each.id for each in self.contexts]
        (found,) = self._store.get_executions_by_id([id])
        return found

    def publish(
        self,
        execution: Any,
        state: int,
        *,
        values: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> dict[str, int]:
        """The launcher: the execution's end, and what it wrote; the ids of the artifacts."""
        (current,) = self._store.get_executions_by_id([execution.id])
        current.last_known_state = state
        _fill(current.custom_properties, values or {})
        pairs = [
            (artifact, _event(pb.Event.OUTPUT, key)) for key, artifact in (outputs or {}).items()
        ]
        _, ids, _ = self._store.put_execution(current, pairs, self.contexts)
        return dict(zip(outputs or {}, ids, strict=True))

    def artifact(self, type_name: str, uri: str, *, custom: str = "") -> Any:
        """A new artifact, of a type that is made where it is not there."""
        type_id = self._store.put_artifact_type(pb.ArtifactType(name=type_name))
        assert self._store.get_artifact_type(type_name).id == type_id
        artifact = pb.Artifact(type_id=type_id, uri=uri, state=pb.Artifact.LIVE)
        _fill(artifact.custom_properties, {"display_name": custom or uri.rpartition("/")[2]})
        return artifact

    def imported(self, type_name: str, uri: str) -> Any:
        """The importer's artifact: a stored one of that uri, else a new one."""
        found = self._store.get_artifacts_by_uri(uri)
        return found[0] if found else self.artifact(type_name, uri)

    def tasks_of(self, dag: Any) -> list[Any]:
        """The driver and the launcher look for the tasks of a DAG, page by page."""
        return list(
            self._store.get_executions_by_context(
                self.contexts[1].id,
                ListOptions(filter_query=f"custom_properties.parent_dag_id.int_value = {dag.id}"),
            )
        )

    def update_dag(self, dag: Any) -> None:
        """A DAG is over when its tasks are: FAILED if one failed."""
        states = [each.last_known_state for each in self.tasks_of(dag)]
        if all(state != RUNNING for state in states):
            self.publish(dag, FAILED if FAILED in states else COMPLETE)

    def outputs_of(self, execution: Any) -> dict[str, Any]:
        """What an execution wrote, by the keys of its events."""
        events = self._store.get_events_by_execution_ids([execution.id])
        keys = {
            event.artifact_id: event.path.steps[0].key
            for event in events
            if event.type == pb.Event.OUTPUT
        }
        return {keys[each.id]: each for each in self._store.get_artifacts_by_id(list(keys))}


def _event(type: int, key: str, artifact_id: int | None = None) -> Any:
    event = pb.Event(type=type, artifact_id=artifact_id)
    event.path.steps.add().key = key
    return event


def _fill(values: Any, given: dict[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, dict):
            values[key].struct_value.SetInParent()
            values[key].struct_value.update(value)
        elif isinstance(value, int):
            values[key].int_value = value
        else:
            values[key].string_value = value


def replay(store: MetadataStore) -> None:
    """A run with a DAG, a loop, a cached, a failed, an imported and a skipped step."""
    run = Run(store, "churn", "11111111-aaaa")
    importer = run.create("Importer", run.root, task="importer")
    raw = run.imported("system.Dataset", "minio://bucket/raw.csv")
    data = run.publish(importer, COMPLETE, outputs={"artifact": raw})["artifact"]

    group = run.create("DAG", run.root, task="condition-1", values={"total_dag_tasks": 2})
    train = run.create(
        "Container",
        group,
        task="train",
        values={"inputs": {"rate": 0.1}, "pod_name": "train-pod", "cache_fingerprint": "f1"},
        inputs={"dataset": data},
    )
    model = run.artifact("system.Model", "minio://bucket/model")
    run.publish(train, COMPLETE, values={"outputs": {"accuracy": 0.97}}, outputs={"model": model})
    (stored,) = run.outputs_of(train).values()
    assert [each.name for each in store.get_contexts_by_artifact(stored.id)] == [
        "churn",
        "11111111-aaaa",
    ]
    cached = run.create(
        "Container",
        group,
        task="evaluate",
        values={"inputs": {}, "cached_execution_id": "99", "cache_fingerprint": "f2"},
        inputs={"model": stored.id},
    )
    metrics = run.artifact("system.Metrics", "minio://bucket/metrics")
    run.publish(cached, CACHED, outputs={"metrics": metrics})
    run.update_dag(group)

    loop = run.create("DAG", run.root, task="for-loop-2", values={"iteration_count": 2})
    for index in range(2):
        turn = run.create(
            "DAG",
            loop,
            task="for-loop-2",
            values={"iteration_index": index, "total_dag_tasks": 1},
        )
        tune = run.create(
            "Container", turn, task="tune", values={"inputs": {"index": {"of": index}}}
        )
        run.publish(tune, FAILED if index else COMPLETE)
        run.update_dag(turn)
    run.update_dag(loop)
    run.create("Container", run.root, task="deploy", state=CANCELED)
    run.update_dag(run.root)
