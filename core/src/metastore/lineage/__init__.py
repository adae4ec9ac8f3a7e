"""Lineage: what an artifact was made from, what was made from it, and how that is drawn."""

from metastore.lineage._lineage import Lineage, StepLabel
from metastore.lineage._walk import walk

__all__ = ["Lineage", "StepLabel", "walk"]
