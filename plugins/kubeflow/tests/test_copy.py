"""History taken out of a Kubeflow service, and brought into one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="without ml-metadata nothing is served")

from metastore import (
    Batch,
    EventType,
    MemoryMetadataStore,
    Merge,
    NodeDraft,
    NodeKind,
    NodeQuery,
    PropertyKind,
    Store,
)
from metastore.testing import compare_stores
from metastore.transfer import compare, copy
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .kubeflow import replay
from .served import serving
from .services import engine_service

ARTIFACT, EXECUTION = NodeKind.ARTIFACT, NodeKind.EXECUTION


@pytest.fixture
def kubeflow() -> Iterator[KubeflowMetadataStore]:
    """An empty service, of ML Metadata's own engine."""
    with (
        engine_service() as port,
        closing(KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port))) as store,
    ):
        yield store


def history(store: MemoryMetadataStore, steps: int) -> None:
    """A run of steps."""
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "T", {"n": PropertyKind.INT, "d": PropertyKind.DOUBLE})
    run = batch.context("T", name="run")
    batch.parent(run, batch.context("T", name="pipeline"))
    for number in range(steps):
        values = {"n": number, "d": number / 7}
        step = batch.execution("T", name=f"step {number}", properties=values, create_time_ms=9)
        made = batch.artifact("T", uri=f"s3://{number}", properties=values, create_time_ms=9)
        batch.event(made, step, EventType.OUTPUT, path=("made", number), time_ms=5 + number)
        batch.association(run, step)
        batch.attribution(run, made)
    store.write(batch)


def test_into_a_service(kubeflow: KubeflowMetadataStore, tmp_path: Path) -> None:
    """All but times and the last digits arrives, is said before, and is not copied again."""
    source, told = MemoryMetadataStore(), list[str]()
    history(source, 12)
    report = copy(source, kubeflow, journal=tmp_path / "j", page_size=5, told=told.append)
    assert not report.differences, report.differences
    assert len(told) == 3
    assert [word in told[at] for at, word in enumerate(("times", "decimals", "apart"))] == [
        True
    ] * 3
    assert kubeflow.count(NodeQuery(ARTIFACT)) == 12
    batch = Batch()
    batch.add(EXECUTION, NodeDraft(None, custom_properties={"late": "x"}, mode=Merge(3)))
    batch.artifact("T", uri="new")
    source.write(batch)
    again = copy(source, kubeflow, journal=tmp_path / "j")
    assert (+again.created, +again.updated) == ({"artifact": 1}, {"execution": 1})
    assert not again.differences


def test_every_night_out_of_a_service(tmp_path: Path) -> None:
    """A Kubeflow store is copied with its times, and the next night brings what is new."""
    with serving("sqlite:///kfp.db", folder=tmp_path) as served:
        replay(served.client())
        config = KubeflowConfig(host="127.0.0.1", port=served.port)
        with closing(KubeflowMetadataStore.open(config)) as source:
            target = MemoryMetadataStore()
            report = copy(source, target, journal=tmp_path / "j", page_size=3)
            assert not report.differences, report.differences
            assert not report.left_out
            assert compare_stores(source, target) == []
            assert any("no snapshots" in note for note in report.notes)
            batch = Batch()
            run = Store(source).pipeline("churn").runs[0]
            step = batch.execution(run.steps["importer"].record.execution.type, name="tonight")
            batch.association(run.id, step)
            source.write(batch)
            again = copy(source, target, journal=tmp_path / "j")
            assert +again.created == {"execution": 1, "association": 1}
            assert not compare(source, target)
        assert served.stop() == 0
