"""What an API server sends through the WebSocket of a port-forward, read piece by piece.

Channel 0 carries data, channel 1 the node's words when it could not reach the port (protocol
``v4.channel.k8s.io``).  The first byte of a message is its channel; the first message of a channel
is the port, two bytes, and no data.  A message is handed on as it comes in, so that its length,
which the other side chooses, costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["CLOSE", "DATA", "ERROR", "PING", "Frames", "Piece", "ProtocolError"]

DATA = 0
ERROR = 1
PING = "ping"
CLOSE = "close"

_CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x2, 0x8, 0x9, 0xA
_LONGEST_CONTROL = 125


class ProtocolError(Exception):
    """What came in is not of this protocol; the message has none of it."""


class Piece(NamedTuple):
    """Some bytes of a channel, or a control frame."""

    kind: int | str
    data: bytes


class Frames:
    """The reader: hand it what the socket gives, and it gives what that means."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._opcode = 0
        self._left = 0
        """Bytes of the frame's payload that have not come in yet."""
        self._ends = True
        """Whether the frame is the last of its message."""
        self._mask = b""
        self._at = 0
        self._control: bytearray | None = None
        self._channel: int | None = None
        """Of the message that is being read; None before its first byte."""
        self._ports: dict[int, bytearray] = {DATA: bytearray(), ERROR: bytearray()}

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What is new with these bytes.

        Raises
        ------
        ProtocolError
            They are of no such stream.
        """
        view = memoryview(data)
        while view:
            if not self._left:
                view = self._read_head(view)
                if not self._left:
                    yield from self._end_of_frame()
                continue
            payload = bytes(view[: self._left])
            view = view[len(payload) :]
            self._left -= len(payload)
            if self._mask:
                payload = self._unmasked(payload)
            if self._control is not None:
                self._control += payload
            else:
                yield from self._of_channel(payload)
            if not self._left:
                yield from self._end_of_frame()

    def _read_head(self, view: memoryview) -> memoryview:
        """Take what belongs to the frame's head; afterwards `_left` is set if it was all."""
        while view:
            wanted = self._head_length() - len(self._head)
            self._head += view[:wanted]
            view = view[wanted:]
            if len(self._head) == self._head_length():
                self._begin_frame()
                break
        return view

    def _head_length(self) -> int:
        if len(self._head) < 2:
            return 2
        short = self._head[1] & 0x7F
        return 2 + {126: 2, 127: 8}.get(short, 0) + 4 * (self._head[1] >> 7)

    def _begin_frame(self) -> None:
        head, first = bytes(self._head), self._head[0]
        self._head.clear()
        if first & 0x70:
            raise ProtocolError("a frame uses an extension that nobody agreed to")
        opcode, self._ends = first & 0x0F, bool(first & 0x80)
        masked = head[1] >> 7
        self._mask = head[-4:] if masked else b""
        self._at = 0
        short = head[1] & 0x7F
        length = head[2 : len(head) - 4 * masked]
        self._left = int.from_bytes(length, "big") if length else short
        self._opcode = opcode
        if opcode in (_CLOSE, _PING, _PONG):
            if self._left > _LONGEST_CONTROL or not self._ends:
                raise ProtocolError("a control frame is too long")
            self._control = bytearray()
        elif opcode == _BINARY:
            self._control, self._channel = None, None
        elif opcode == _CONTINUED:
            self._control = None
        else:
            raise ProtocolError("a frame is neither binary nor of control")

    def _end_of_frame(self) -> Iterator[Piece]:
        if self._head:
            return
        control, self._control = self._control, None
        if control is not None and self._opcode != _PONG:
            yield Piece(PING if self._opcode == _PING else CLOSE, bytes(control))

    def _of_channel(self, payload: bytes) -> Iterator[Piece]:
        if self._channel is None:
            self._channel, payload = payload[0], payload[1:]
        if self._channel not in self._ports:
            raise ProtocolError("a message is of a channel that nobody asked for")
        port = self._ports[self._channel]
        missing = 2 - len(port)
        if missing > 0:
            port += payload[:missing]
            payload = payload[missing:]
        if payload:
            yield Piece(self._channel, payload)

    def _unmasked(self, payload: bytes) -> bytes:
        mask = (self._mask * (len(payload) // 4 + 2))[self._at : self._at + len(payload)]
        self._at = (self._at + len(payload)) % 4
        size = len(payload)
        number = int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")
        return number.to_bytes(size, "big")
