"""A process that copies one file into another: ``python copier.py SRC DST JOURNAL PAGE``.

It says "go" when it begins to copy, and in the end how much memory it took at most, in KiB.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import metastore
from metastore.transfer import copy

if __name__ == "__main__":
    source, target, journal, page = sys.argv[1:]
    with (
        metastore.connect(f"sqlite:///{source}", mode="r") as here,
        metastore.connect(f"sqlite:///{target}") as there,
    ):
        sys.stdout.write("go\n")
        sys.stdout.flush()
        report = copy(here.backend, there.backend, journal=Path(journal), page_size=int(page))
    assert not report.differences, report.differences
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")
