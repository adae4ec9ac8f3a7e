"""Graphs as pictures, and tables as HTML.  Knows nothing of stores."""

from metastore.drawing._boxes import boxes
from metastore.drawing._html import Html, Word, card, fields, page, table
from metastore.drawing._layout import Layout, layered
from metastore.drawing._svg import GRAPH_STYLE, Box, Line, svg

__all__ = [
    "GRAPH_STYLE",
    "Box",
    "Html",
    "Layout",
    "Line",
    "Word",
    "boxes",
    "card",
    "fields",
    "layered",
    "page",
    "svg",
    "table",
]
