"""``python -m faults.older PATH VERSION``: ML Metadata gives a store an older schema."""

from __future__ import annotations

import sys
from typing import Any


def _downgrade(path: str, version: int) -> None:
    from ml_metadata.metadata_store.metadata_store import downgrade_schema
    from ml_metadata.proto import metadata_store_pb2

    messages: Any = metadata_store_pb2
    connection = messages.ConnectionConfig()
    connection.sqlite.filename_uri = path
    downgrade_schema(connection, version)


if __name__ == "__main__":
    _downgrade(sys.argv[1], int(sys.argv[2]))
