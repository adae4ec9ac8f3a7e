"""From one store to another, and to a file: copied, exported, compared.

`copy` writes what one store holds into another one, and ends with a comparison of both; `compare`
compares two stores of which nothing else is known.  `export` writes a store as lines of JSON,
`read_export` reads them as a store, which can be copied.
"""

from metastore.transfer._compare import Progress, compare
from metastore.transfer._copy import PAGE, copy
from metastore.transfer._export import export, written_text
from metastore.transfer._import import read_export
from metastore.transfer._report import CopyReport, Differences, LeftOut

__all__ = [
    "PAGE",
    "CopyReport",
    "Differences",
    "LeftOut",
    "Progress",
    "compare",
    "copy",
    "export",
    "read_export",
    "written_text",
]
