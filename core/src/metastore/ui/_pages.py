"""All pages."""

from __future__ import annotations

from metastore.ui._compare import COMPARE
from metastore.ui._lineage import LINEAGE
from metastore.ui._lists import LISTS
from metastore.ui._nodes import ARTIFACT, CONTEXT, EXECUTION
from metastore.ui._overview import OVERVIEW, PIPELINE, PIPELINES
from metastore.ui._run import RUN
from metastore.ui._runs import PAGE as RUNS
from metastore.ui._types import TYPE, TYPES

__all__ = ["PAGES"]

PAGES = (
    OVERVIEW,
    PIPELINES,
    PIPELINE,
    RUNS,
    RUN,
    COMPARE,
    *LISTS,
    ARTIFACT,
    EXECUTION,
    CONTEXT,
    LINEAGE,
    TYPES,
    TYPE,
)
