"""What a metadata service is able to do, beyond the calls that all of them have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from grpc import StatusCode

from metastore import StorageError
from metastore_flavor_kubeflow.client._channel import CallError, Channel, Waits
from metastore_flavor_kubeflow.protocol import request_of
from metastore_flavor_kubeflow.said import EXACT_DOUBLES, SAID

__all__ = ["PAGE", "Service"]

T = TypeVar("T")

PAGE = 100
"""Nodes of a page: ML Metadata gives no more, and tells nobody of the rest."""

IDS = 500
"""Ids in one request; a list of them is one statement of the server's."""


class Service:
    """A channel, and what is known of the server at its other end."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.has_exact_doubles = False
        self._filters: bool | None = None
        self._missing: set[str] = set()
        self._lock = threading.Lock()

    @property
    def is_ours(self) -> bool:
        """Whether the server is `metastore serve`, which keeps to our contract."""
        return self.channel.is_ours

    def greet(self, seconds: float) -> None:
        """Make sure that a metadata service answers, within so many seconds.

        Raises
        ------
        NotAStoreError
            Something else answers.
        StorageError
            Nothing does.
        """
        # Costs the server nothing: it asks for no type at all.
        rpc, waits = "GetArtifactTypesByID", Waits(seconds)
        while True:
            try:
                _, found = self.channel.with_metadata(rpc, request_of(rpc)(), seconds=waits.left)
                said = found.get(SAID)
                break
            except CallError as error:
                lasts = error.reason is not None and error.reason.will_last
                if error.code is StatusCode.UNAVAILABLE and not lasts and waits.pause():
                    continue
                if error.code in (StatusCode.UNIMPLEMENTED, StatusCode.UNKNOWN):
                    raise self.channel.no_service() from None
                # Of all tries together.
                error.seconds = seconds
                self.channel.refuse(error)
        if said is not None:
            self.channel.is_ours = True
            self.has_exact_doubles = EXACT_DOUBLES in said.split()

    @property
    def filters(self) -> bool:
        """Whether the server looks at filters: ML Metadata from 1.21 on answers as if none were.

        Asked once, with one that is none.
        """
        with self._lock:
            if self._filters is None:
                try:
                    self.channel.read(
                        "GetContexts",
                        accept=(StatusCode.INVALID_ARGUMENT,),
                        options={"filter_query": ")", "max_result_size": 1},
                    )
                    self._filters = False
                except CallError:
                    self._filters = True
            return self._filters

    def stuck(self, rpc: str) -> StorageError:
        """The error of a list that does not go on: without it one would ask for ever."""
        return StorageError(
            f"the metadata service at {self.channel.location} answers {rpc} with pages that do not "
            "go on",
            hint="look at the service: it does not take notice of page tokens, or of the order",
        )

    def has(self, rpc: str) -> bool:
        """Whether the server has a call, as far as is known."""
        return rpc not in self._missing

    def optional(self, rpc: str, accept: Sequence[StatusCode] = (), **fields: Any) -> Any:
        """The response to a call that not every server has; None where this one has not."""
        if rpc in self._missing:
            return None
        try:
            return self.channel.read(rpc, (*accept, StatusCode.UNIMPLEMENTED), **fields)
        except CallError as error:
            if error.code is not StatusCode.UNIMPLEMENTED:
                raise
            self._missing.add(rpc)
            return None

    def in_portions(self, items: Sequence[T], ask: Callable[[Sequence[T]], Any]) -> Iterator[Any]:
        """The responses to questions about some of the items each, in their order.

        Fewer at once where an answer would be larger than a message may be.
        """
        at, size = 0, IDS
        while at < len(items):
            try:
                response = ask(items[at : at + size])
            except CallError as error:
                if error.code is not StatusCode.RESOURCE_EXHAUSTED or size == 1:
                    self.channel.refuse(error)
                size = max(1, min(size, len(items) - at) // 2)
                continue
            yield response
            at += size

    def listed(self, rpc: str, field: str, wanted: Sequence[Any], answers: str) -> Iterator[Any]:
        """The messages in the field `answers` of what is asked for by a list in the field `field`.

        None of external ids none of which is stored, for which a server has an error.
        """

        def ask(some: Sequence[Any]) -> Any:
            accept = (StatusCode.RESOURCE_EXHAUSTED, StatusCode.NOT_FOUND)
            try:
                return self.channel.read(rpc, accept, **{field: some})
            except CallError as error:
                if error.code is StatusCode.NOT_FOUND:
                    return None
                raise

        for response in self.in_portions(wanted, ask):
            if response is not None:
                yield from getattr(response, answers)
