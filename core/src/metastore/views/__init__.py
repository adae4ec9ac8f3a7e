"""What `Store` returns: nodes, pipelines, runs and steps that can be asked further.

A view holds what was read and the backend to ask more of; it never changes.
"""

from metastore.views._nodes import (
    ArtifactView,
    ContextView,
    ExecutionView,
    Ports,
    trace,
    views_of,
)
from metastore.views._runs import Pipeline, Run, Step, Steps, runs_listing

__all__ = [
    "ArtifactView",
    "ContextView",
    "ExecutionView",
    "Pipeline",
    "Ports",
    "Run",
    "Step",
    "Steps",
    "runs_listing",
    "trace",
    "views_of",
]
