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
from metastore.views._runs import Pipeline, Run, Step, Steps, graph_of, runs_listing
from metastore.views._steps import StepOfRun, steps_of_runs, whereabouts

__all__ = [
    "ArtifactView",
    "ContextView",
    "ExecutionView",
    "Pipeline",
    "Ports",
    "Run",
    "Step",
    "StepOfRun",
    "Steps",
    "graph_of",
    "runs_listing",
    "steps_of_runs",
    "trace",
    "views_of",
    "whereabouts",
]
