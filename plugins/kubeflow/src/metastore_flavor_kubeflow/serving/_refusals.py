"""Why a call is refused, as a gRPC status: ML Metadata's code, and our sentence."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from grpc import StatusCode

from metastore import (
    AlreadyExistsError,
    BusyError,
    CapabilityError,
    ClosedError,
    ConflictError,
    FilterError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    OutcomeUnknownError,
    ReadOnlyError,
)

__all__ = ["Refusal", "refusal_of", "told"]


class Refusal(Exception):  # noqa: N818 - an answer, as a status is
    """A call is answered with an error.

    code:
        What ML Metadata's clients decide by: ABORTED they repeat, UNAVAILABLE Kubeflow repeats too.
    message:
        One sentence, without values of properties.
    """

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# The first that fits. What may have been written must not get a code that clients repeat blindly.
_CODES: tuple[tuple[type[MetastoreError], StatusCode], ...] = (
    (InvalidError, StatusCode.INVALID_ARGUMENT),
    (NotFoundError, StatusCode.NOT_FOUND),
    (AlreadyExistsError, StatusCode.ALREADY_EXISTS),
    (ConflictError, StatusCode.FAILED_PRECONDITION),
    (BusyError, StatusCode.ABORTED),
    (ReadOnlyError, StatusCode.PERMISSION_DENIED),
    (ClosedError, StatusCode.UNAVAILABLE),
    (CapabilityError, StatusCode.UNIMPLEMENTED),
    (OutcomeUnknownError, StatusCode.UNKNOWN),
)


def told(error: MetastoreError) -> str:
    """The error's sentence, without its hint where that speaks of our own API."""
    return str(error) if isinstance(error, FilterError) else error.message


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an exception stands for.

    Of an exception that is not ours only the class is told: its text may hold anything.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, MetastoreError):
        for kind, code in _CODES:
            if isinstance(error, kind):
                return Refusal(code, told(error))
        return Refusal(StatusCode.INTERNAL, str(error))
    if isinstance(error, DecodeError | UnicodeDecodeError):
        return Refusal(StatusCode.INVALID_ARGUMENT, "the request is no message of this call")
    return Refusal(StatusCode.INTERNAL, f"the server failed ({type(error).__name__})")
