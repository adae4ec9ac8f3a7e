"""A store as Kubeflow Pipelines v2 leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._opening import connect
from ._proto import pb

STATES = pb.Execution


def write_kubeflow(path: Path | str | Any) -> None:
    """Write a new store at ``path`` as Kubeflow Pipelines v2 (up to 2.18) leaves one.

    A pipeline with two runs, listed in ``golden.GOLDEN_KUBEFLOW``.  The first: an importer, a
    container, a group with a CACHED container, a loop of two iterations of which one FAILED, and a
    task whose condition did not hold (CANCELED).  The second is still RUNNING.
    """
    _Kubeflow(connect(path)).write()


class _Kubeflow:
    def __init__(self, store: Any) -> None:
        self._store = store
        self._types: dict[str, int] = {}
        self._contexts: list[Any] = []

    def _type(self, kind: str, name: str) -> int:
        """Types are schemaless: each value is a custom property."""
        if name not in self._types:
            make = getattr(pb, f"{kind}Type")
            put = getattr(self._store, f"put_{kind.lower()}_type")
            self._types[name] = put(make(name=name))
        return self._types[name]

    def write(self) -> None:
        pipeline = pb.Context(type_id=self._type("Context", "system.Pipeline"), name="churn")
        [pipeline.id] = self._store.put_contexts([pipeline])
        self._first(self._begin(pipeline, "11111111-aaaa"))
        second = self._begin(pipeline, "22222222-bbbb")
        self._task("train", second, state=STATES.RUNNING)

    def _begin(self, pipeline: Any, run_id: str) -> int:
        """A run's context, child of its pipeline, and its root DAG; the id of the latter."""
        run = pb.Context(type_id=self._type("Context", "system.PipelineRun"), name=run_id)
        run.custom_properties["namespace"].string_value = "team"
        run.custom_properties["pipeline_root"].string_value = "minio://mlpipeline/v2"
        [run.id] = self._store.put_contexts([run])
        self._store.put_parent_contexts([pb.ParentContext(child_id=run.id, parent_id=pipeline.id)])
        self._contexts = [
            pb.Context(id=each.id, type_id=each.type_id, name=each.name) for each in (pipeline, run)
        ]
        return self._execution("DAG", f"run/{run_id}", {"inputs": {"rate": 0.1, "tune": True}})

    def _first(self, root: int) -> None:
        data, raw = self._artifact("system.Dataset", "raw"), self._artifact("system.Dataset", "t")
        self._task("importer", root, kind="Importer", outputs={"artifact": data})
        self._task(
            "train",
            root,
            values={"inputs": {"rate": 0.1}, "outputs": {"accuracy": 0.9, "note": "good"}},
            reads={"dataset": data},
            outputs={"model": self._artifact("system.Model", "model")},
        )
        group = self._task("condition-1", root, kind="DAG", values={"total_dag_tasks": 1})
        self._task(
            "evaluate",
            group,
            state=STATES.CACHED,
            values={"cached_execution_id": "99"},
            outputs={"metrics": raw},
        )
        loop = self._task("for-loop-2", root, kind="DAG", values={"iteration_count": 2})
        for index in range(2):
            turn = self._task(
                "for-loop-2",
                loop,
                kind="DAG",
                values={"iteration_index": index, "total_dag_tasks": 1},
            )
            self._task(
                "tune",
                turn,
                state=STATES.FAILED if index else STATES.COMPLETE,
                values={"inputs": {"index": float(index)}},
            )
        self._task("deploy", root, state=STATES.CANCELED)

    def _artifact(self, type: str, name: str) -> Any:
        artifact = pb.Artifact(type_id=self._type("Artifact", type), uri=f"minio://{name}")
        artifact.custom_properties["display_name"].string_value = name
        return artifact

    def _task(
        self,
        name: str,
        parent: int,
        *,
        kind: str = "Container",
        state: int | None = None,
        values: dict[str, Any] | None = None,
        reads: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> int:
        # A DAG stays RUNNING when nobody updates it.
        default = STATES.RUNNING if kind == "DAG" else STATES.COMPLETE
        return self._execution(
            kind,
            None,
            {"task_name": name, "display_name": name, "parent_dag_id": parent, **(values or {})},
            state=default if state is None else state,
            reads=reads,
            outputs=outputs,
        )

    def _execution(
        self,
        kind: str,
        name: str | None,
        values: dict[str, Any],
        *,
        state: int | None = None,
        reads: dict[str, Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> int:
        execution = pb.Execution(
            type_id=self._type("Execution", f"system.{kind}Execution"),
            name=name,
            last_known_state=STATES.RUNNING if state is None else state,
        )
        for key, value in values.items():
            field = execution.custom_properties[key]
            if isinstance(value, dict):
                field.struct_value.update(value)
            elif isinstance(value, int):
                field.int_value = value
            else:
                field.string_value = value
        pairs = []
        for side, event_type in ((reads, pb.Event.INPUT), (outputs, pb.Event.OUTPUT)):
            for key, artifact in (side or {}).items():
                event = pb.Event(type=event_type)
                event.path.steps.add().key = key
                pairs.append((artifact, event))
        id, artifact_ids, _ = self._store.put_execution(
            execution, pairs, self._contexts, reuse_context_if_already_exist=True
        )
        for (artifact, _), found in zip(pairs, artifact_ids, strict=True):
            artifact.id = found
        return int(id)
