"""How recorded runs are laid out in a store: names that writing and reading agree on.

A pipeline and a run are contexts, the pipeline being the run's parent; a step is an execution that
is associated with both, its outputs and inputs are attributed to both.  What ML Metadata's other
users expect to see (states, events with paths, attributions) is there.

====================  =====================================================================
parameters            custom properties of the run, of the step's execution
metrics               declared properties of the step's type, always DOUBLE; those that are NaN
                      or infinite, which not every backend can hold, as words in `NONFINITE`
bookkeeping           declared properties; of steps, those that begin with ``metastore_``
====================  =====================================================================
"""

from __future__ import annotations

from metastore.model import PropertyKind

__all__ = [
    "ARTIFACT_TYPE",
    "ERROR",
    "FINISHED",
    "HOST",
    "NONFINITE",
    "PIPELINE_TYPE",
    "PROCESS",
    "PROCESS_NAMESPACE",
    "PROCESS_START",
    "RESERVED",
    "RUN_PROPERTIES",
    "RUN_TYPE",
    "STATE",
    "STEP",
    "STEP_PROPERTIES",
]

PIPELINE_TYPE = "metastore.Pipeline"
RUN_TYPE = "metastore.Run"
ARTIFACT_TYPE = "Artifact"
"""The type of artifacts that are recorded without one."""

RESERVED = "metastore_"
"""Metrics cannot begin like this."""

STATE = "state"
"""Of a run: the name of an `ExecutionState`."""
STEP = "metastore_step"
"""The step's name."""
NONFINITE = "metastore_nonfinite"
"""STRUCT: from metrics to ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, where there are such."""
ERROR = "metastore_error"
"""Why it failed: the exception's class and text."""
HOST = "metastore_host"
PROCESS = "metastore_process"
"""The process id on that host."""
PROCESS_START = "metastore_process_start"
"""When that process started, in milliseconds since the epoch: process ids are used again."""
PROCESS_NAMESPACE = "metastore_process_namespace"
"""The namespace of that id: containers of one host may bear one name."""
FINISHED = "metastore_finished"
"""When it ended, in milliseconds since the epoch; the create time is when it began."""

_BOOKKEEPING = {
    ERROR: PropertyKind.STRING,
    HOST: PropertyKind.STRING,
    PROCESS: PropertyKind.INT,
    # Whole numbers of more than 32 bits, for which ML Metadata's columns on MySQL have no room.
    PROCESS_START: PropertyKind.DOUBLE,
    PROCESS_NAMESPACE: PropertyKind.DOUBLE,
    FINISHED: PropertyKind.DOUBLE,
}
RUN_PROPERTIES = {STATE: PropertyKind.STRING, **_BOOKKEEPING}
STEP_PROPERTIES = {STEP: PropertyKind.STRING, **_BOOKKEEPING}
