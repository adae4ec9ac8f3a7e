"""Lineage: what an artifact was made from, what was made from it, and how that is drawn."""

from metastore.lineage._graph import Graph, StepLabel
from metastore.lineage._lineage import Lineage
from metastore.lineage._walk import around, walk

__all__ = ["Graph", "Lineage", "StepLabel", "around", "walk"]
