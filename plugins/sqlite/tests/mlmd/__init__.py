"""The real ml-metadata, for tests: open a store, read all of it as plain data, write stores.

What ml-metadata itself says of a file is what our reading of the same file is compared with; the
stores it writes here hold what the real ones at hand happen not to.
"""

from ._everything import BULK, write_everything
from ._kfp import write_kubeflow
from ._opening import connect, upgraded_copy
from ._snapshot import snapshot
from ._tfx import write_tfx_orchestrated
from ._zenml import write_zenml

__all__ = [
    "BULK",
    "connect",
    "snapshot",
    "upgraded_copy",
    "write_everything",
    "write_kubeflow",
    "write_tfx_orchestrated",
    "write_zenml",
]
