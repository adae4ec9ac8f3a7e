"""Messages of ml-metadata. They have no types: what is asked of them is taken on trust."""

from typing import Any

from ml_metadata.proto import metadata_store_pb2

pb: Any = metadata_store_pb2
