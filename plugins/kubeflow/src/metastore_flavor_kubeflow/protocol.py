"""ML Metadata's own protocol modules: of 1.17, with protobuf 4, and of 1.21, with protobuf 6.

Imported from ml-metadata, not made anew: two modules of one process may not describe one message,
and a user's ml-metadata client may run beside us.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

from metastore_flavor_kubeflow.availability import unavailable

__all__ = ["SERVICE", "pb", "request_of", "response_of"]

try:
    # Where its extension does not load, ml_metadata prints that, and its protocol modules work.
    with contextlib.redirect_stderr(io.StringIO()):
        from ml_metadata.proto import metadata_store_pb2 as pb
        from ml_metadata.proto import metadata_store_service_pb2 as service
except Exception as error:  # protobuf itself raises a TypeError or a VersionError of its own
    raise unavailable(f"they do not load here ({type(error).__name__}: {error})") from error

SERVICE = service.DESCRIPTOR.services_by_name["MetadataStoreService"]
"""The descriptor of ``ml_metadata.MetadataStoreService``."""


def request_of(rpc: str) -> Any:
    """The class of an RPC's request."""
    return getattr(service, f"{rpc}Request")


def response_of(rpc: str) -> Any:
    """The class of an RPC's response."""
    return getattr(service, f"{rpc}Response")
