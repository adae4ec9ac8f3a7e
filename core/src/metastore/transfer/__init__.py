"""From one store to another: copied, and compared.

`copy` writes what one store holds into another one, and ends with a comparison of both; `compare`
compares two stores of which nothing else is known.
"""

from metastore.transfer._compare import Progress, compare
from metastore.transfer._copy import PAGE, copy
from metastore.transfer._report import CopyReport, Differences, LeftOut

__all__ = ["PAGE", "CopyReport", "Differences", "LeftOut", "Progress", "compare", "copy"]
