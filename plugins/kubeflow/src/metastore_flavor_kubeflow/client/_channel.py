"""One gRPC channel to a metadata service: calls, deadlines, retries, and errors of ours."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode

from metastore import (
    AlreadyExistsError,
    BusyError,
    CapabilityError,
    ClosedError,
    ConflictError,
    ForkError,
    InvalidError,
    MetastoreError,
    NotAStoreError,
    NotFoundError,
    ReadOnlyError,
    StorageError,
)
from metastore_flavor_kubeflow.client._reasons import Reason, reason_of
from metastore_flavor_kubeflow.protocol import SERVICE, request_of, response_of

__all__ = ["CallError", "Channel", "Waits"]

_FIRST_WAIT, _LONGEST_WAIT, _GROWTH, _JITTER = 1.0, 30.0, 1.6, 0.25
"""Seconds, but for the last two: the policy of Kubeflow's own client (backend/src/v2/metadata).

That one gives up after ten tries, which take about as long as `retry_timeout` is by default; ours
goes by the setting alone.
"""

_NEVER_SENT = (
    "failed to connect to all addresses",
    "dns resolution failed",
    "errors resolving",
    "empty address list",
)
"""How gRPC's details begin of a call for which there was no connection."""

_NO_MESSAGE = "Exception deserializing"
"""How they begin of an answer that could not be read."""

_TRANSPORT = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED})
"""What gRPC itself says, with words of its own; all other statuses are the server's."""


class CallError(Exception):
    """A call that was answered with an error, or with none.

    code:
        The gRPC status.
    details:
        What came along.  ML Metadata's own texts hold SQL and values of properties, so that they
        are for decisions, never for people, unless `is_safe`.
    """

    def __init__(
        self, rpc: str, code: StatusCode, details: str, *, is_safe: bool, seconds: float
    ) -> None:
        super().__init__(f"{rpc}: {code.name}")
        self.rpc = rpc
        self.code = code
        self.details = details
        self.is_safe = is_safe
        self.seconds = seconds
        """How long an answer was waited for, at most."""

    @property
    def was_never_sent(self) -> bool:
        """Whether the server surely knows nothing of the call."""
        return self.code is StatusCode.UNAVAILABLE and self.details.lower().startswith(_NEVER_SENT)

    @property
    def has_surely_failed(self) -> bool:
        """Whether a call that writes has surely written nothing."""
        # Our own server says UNKNOWN of a write whose outcome it does not know itself.
        in_doubt = {*_TRANSPORT, StatusCode.UNKNOWN, StatusCode.INTERNAL}
        return self.was_never_sent or self.code not in in_doubt or self._was_refused

    @property
    def _was_refused(self) -> bool:
        # ML Metadata's INTERNAL is a statement that failed, after which all is rolled back; gRPC
        # has the same code for a stream that it does not understand.
        return self.code is StatusCode.INTERNAL and "when executing query" in self.details

    @property
    def reason(self) -> Reason | None:
        """Why the call did not come through, where gRPC says so."""
        return reason_of(self.details) if self.code in _TRANSPORT else None

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed later: as Kubeflow's client has it."""
        return self.code in (StatusCode.UNAVAILABLE, StatusCode.ABORTED)


class Waits:
    """The pauses between the tries of one call: longer and longer, as far as there is time."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._next = _FIRST_WAIT

    @property
    def left(self) -> float:
        """Seconds until there is none left, at least a moment."""
        return max(self._until - time.monotonic(), 0.01)

    def pause(self) -> bool:
        """Wait before another try; False, at once, where there is to be none."""
        wait = min(self._next, _LONGEST_WAIT) * random.uniform(1 - _JITTER, 1 + _JITTER)
        if time.monotonic() + wait > self._until:
            return False
        time.sleep(wait)
        self._next *= _GROWTH
        return True


class Channel:
    """Calls to one service; threads may share it.

    Parameters
    ----------
    channel:
        What gRPC has made.  A process that is forked off may not use it, nor close it.
    location:
        Where the service is, for people.
    timeout:
        Seconds in which a call must be answered.
    retry_timeout:
        Seconds in which a call is tried again that can be.
    why:
        Says what stands in the way where no call comes through, such as a port-forward's last
        error.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        location: str,
        *,
        timeout: float,
        retry_timeout: float,
        why: Callable[[], MetastoreError | None] = lambda: None,
    ) -> None:
        self.location = location
        self.retry_timeout = retry_timeout
        self.is_ours = False
        """Whether the server is `metastore serve`: its texts hold no values of properties."""
        self._channel = channel
        self._timeout = timeout
        self._why = why
        self._process = os.getpid()
        self._is_closed = False
        self._methods: dict[str, Any] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection; a forked child leaves its parent's alone."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        if not was_closed and self._process == os.getpid():
            self._channel.close()

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed

    def check(self) -> None:
        """Raise `ClosedError` or `ForkError` where no call may be made."""
        if self._is_closed:
            raise ClosedError(f"the store {self.location} is closed", hint="open it again")
        if self._process != os.getpid():
            raise ForkError(
                f"the connection to {self.location} was made by the process that this one was "
                "forked from, and gRPC's cannot be used in a child",
                hint="open the store again in the child, or start the child before it is opened",
            )

    # Calls.

    def once(self, rpc: str, request: Any, *, seconds: float | None = None) -> Any:
        """The response to one call.

        Raises
        ------
        CallError
            It was answered with an error, or not at all.
        """
        return self.with_metadata(rpc, request, seconds=seconds)[0]

    def with_metadata(
        self, rpc: str, request: Any, *, seconds: float | None = None
    ) -> tuple[Any, dict[str, str]]:
        """The response to one call, and what the server says of itself along with it."""
        self.check()
        seconds = self._timeout if seconds is None else seconds
        try:
            response, call = self._method(rpc).with_call(request, timeout=seconds)
        except grpc.RpcError as error:
            # Not as its cause: gRPC's error shows the server's text.
            raise self._failed(rpc, error, seconds) from None
        except ValueError:
            # gRPC's way to say that the channel was closed meanwhile.
            self.check()
            raise
        return response, {str(key): str(value) for key, value in call.trailing_metadata() or ()}

    def read(self, rpc: str, accept: Collection[StatusCode] = (), **fields: Any) -> Any:
        """The response to a call that changes nothing, made again while it may succeed.

        Raises
        ------
        CallError
            It failed with one of the codes that the caller accepts.
        InvalidError
            A text that is asked for is none.
        MetastoreError
            It failed.
        """
        try:
            request, waits = request_of(rpc)(**fields), Waits(self.retry_timeout)
        except UnicodeError:
            raise InvalidError(
                "a text that is asked for holds half of a surrogate pair, which is no Unicode text",
                hint="no store holds such a text",
            ) from None
        while True:
            try:
                return self.once(rpc, request)
            except CallError as error:
                if error.code in accept:
                    raise
                # Closed while it waited for the answer.
                self.check()
                if not (error.may_pass and waits.pause()):
                    self.refuse(error)

    def refuse(self, error: CallError) -> NoReturn:
        """Raise the error of ours that a failed call comes to."""
        raise self.error_of(error) from None

    def error_of(self, error: CallError) -> MetastoreError:
        """The error of ours that a failed call comes to."""
        where, code = f"the metadata service at {self.location}", error.code
        if code is StatusCode.DEADLINE_EXCEEDED:
            return StorageError(
                f"{where} did not answer {error.rpc} within {error.seconds:g} seconds",
                hint="look at the service, or raise the setting timeout (connect_timeout, of the "
                "first call)",
            )
        if code in _TRANSPORT:
            return self._unreachable(where, error)
        if code is StatusCode.ABORTED:
            return BusyError(
                f"{where} was kept from {error.rpc} by other writers for too long",
                hint="try again, or raise the setting retry_timeout",
            )
        if code is StatusCode.RESOURCE_EXHAUSTED:
            what = "the batch as a message of" if error.rpc.startswith("Put") else "an answer to"
            return StorageError(
                f"{what} {error.rpc} is larger than {where}, or this client, lets through",
                hint="raise the setting max_message_bytes and the server's limit, or write less "
                "at once",
            )
        if code is StatusCode.INTERNAL and error.details.startswith(_NO_MESSAGE):
            return StorageError(
                f"{where} answered {error.rpc} with what is no message of ML Metadata's",
                hint="look at what is between: a proxy, or another service at that port",
            )
        if code is StatusCode.UNIMPLEMENTED:
            return CapabilityError(f"{where} does not have the call {error.rpc}")
        known = _ERRORS.get(code, StorageError)
        told = f": {error.details}" if error.is_safe and error.details else ""
        return known(
            f"{where} refused {error.rpc} ({code.name}){told}",
            hint=None if told else "the server's log says why",
        )

    def _unreachable(self, where: str, error: CallError) -> MetastoreError:
        why = self._why()
        if why is not None:
            told = StorageError(f"{where} cannot be reached: {why.message}", hint=why.hint)
            told.__cause__ = why
            return told
        if error.reason is None:
            return StorageError(
                f"{where} does not answer {error.rpc} ({error.code.name})",
                hint="look at the service; its log may say why",
            )
        text, hint, _, is_other = error.reason
        if is_other:
            return self.no_service()
        return StorageError(f"{where} does not answer: {text}", hint=hint)

    def no_service(self) -> NotAStoreError:
        """The error of a port behind which there is something else."""
        return NotAStoreError(
            f"what answers at {self.location} is no metadata service",
            hint="the port is that of gRPC, 8080 in Kubeflow Pipelines; Envoy's, 9090, is for "
            "browsers",
        )

    def _method(self, rpc: str) -> Any:
        method = self._methods.get(rpc)
        if method is None:
            method = self._methods[rpc] = self._channel.unary_unary(
                f"/{SERVICE.full_name}/{rpc}",
                request_serializer=request_of(rpc).SerializeToString,
                response_deserializer=partial(_read, response_of(rpc)),
            )
        return method

    def _failed(self, rpc: str, error: grpc.RpcError, seconds: float) -> CallError:
        code, details = error.code(), error.details() or ""
        return CallError(rpc, code, details, is_safe=self.is_ours, seconds=seconds)


_ERRORS: dict[StatusCode, type[MetastoreError]] = {
    StatusCode.INVALID_ARGUMENT: InvalidError,
    StatusCode.OUT_OF_RANGE: InvalidError,
    StatusCode.NOT_FOUND: NotFoundError,
    StatusCode.ALREADY_EXISTS: AlreadyExistsError,
    StatusCode.FAILED_PRECONDITION: ConflictError,
    StatusCode.PERMISSION_DENIED: ReadOnlyError,
}


def _read(response: Any, data: bytes) -> Any:
    """The message, None for what is none: of an exception gRPC prints the traceback."""
    try:
        return response.FromString(data)
    except DecodeError:
        return None
