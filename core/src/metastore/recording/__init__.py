"""Runs and steps, written as they happen.

A step is written twice, each time atomically: when it starts (RUNNING, its parameters, where it
runs) and when it ends (its state, metrics, inputs and outputs).  A process that dies in between
leaves a step that says RUNNING and which process it was.
"""

from metastore.recording._artifact import RecordedArtifact, StoredArtifact
from metastore.recording._cancel import cancel_run
from metastore.recording._given import ArtifactLike
from metastore.recording._run import RunRecorder
from metastore.recording._step import StepRecorder

__all__ = [
    "ArtifactLike",
    "RecordedArtifact",
    "RunRecorder",
    "StepRecorder",
    "StoredArtifact",
    "cancel_run",
]
