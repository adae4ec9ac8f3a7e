"""Graphs as pictures: a layered layout, and SVG.  Knows nothing of stores."""

from metastore.drawing._boxes import boxes
from metastore.drawing._layout import Layout, layered
from metastore.drawing._svg import Box, Line, page, svg

__all__ = ["Box", "Layout", "Line", "boxes", "layered", "page", "svg"]
