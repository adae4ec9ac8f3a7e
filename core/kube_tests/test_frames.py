"""What comes through the WebSocket, however it is cut."""

from __future__ import annotations

import random

import pytest

from metastore.kube.frames import CLOSE, DATA, ERROR, PING, Frames, ProtocolError


def frame(payload: bytes, opcode: int = 2, *, ends: bool = True, mask: bytes = b"") -> bytes:
    """A frame as a server writes it (RFC 6455, 5.2); a server does not mask, but may."""
    size = len(payload)
    first = bytes([0x80 * ends | opcode])
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    if mask:
        length = bytes([length[0] | 0x80]) + length[1:] + mask
        payload = bytes(each ^ mask[at % 4] for at, each in enumerate(payload))
    return first + length + payload


OPENING = frame(b"\x00\xea\x0c") + frame(b"\x01\xea\x0c")


def read(pieces: list[bytes]) -> tuple[bytes, bytes, list[tuple[int | str, bytes]]]:
    """The data, the error, and what else there was."""
    frames = Frames()
    found: dict[int | str, bytes] = {DATA: b"", ERROR: b""}
    others = []
    for piece in pieces:
        for kind, data in frames.feed(piece):
            if kind in found:
                found[kind] += data
            else:
                others.append((kind, data))
    return found[DATA], found[ERROR], others


@pytest.mark.parametrize("seed", range(40))
def test_any_cut(seed: int) -> None:
    """The bytes are those that were sent, wherever the network cuts and the server frames."""
    dice = random.Random(seed)
    sent = dice.randbytes(dice.choice([0, 1, 200, 70000]))
    stream, at, controls = OPENING, 0, 0
    while at < len(sent):
        size = dice.choice([1, 2, 124, 125, 126, 65534, 65535, 65536])
        part, at = sent[at : at + size], at + size
        mask = dice.randbytes(4) if dice.random() < 0.3 else b""
        cut = dice.randrange(len(part) + 1)
        if dice.random() < 0.3:
            stream += frame(b"\x00" + part[:cut], ends=False, mask=mask)
            stream += frame(b"?", 9)
            controls += 1
            stream += frame(part[cut:], 0, mask=mask)
        else:
            stream += frame(b"\x00" + part, mask=mask)
    stream += frame(b"\x01" + b"no ") + frame(b"", 10) + frame(b"\x01" + b"more")
    stream += frame(b"\x03\xe8", 8)
    pieces = []
    while stream:
        size = dice.choice([1, 2, 3, 1000, 65536])
        pieces.append(stream[:size])
        stream = stream[size:]
    data, error, others = read(pieces)
    assert data == sent
    assert error == b"no more"
    assert others == [*[(PING, b"?")] * controls, (CLOSE, b"\x03\xe8")]


def test_port_in_pieces() -> None:
    """The port that opens a channel is no data, even if it comes in two frames."""
    first, second = frame(b"\x00\xea", ends=False), frame(b"\x0c", 0)
    assert read([first + second, frame(b"\x00data")])[0] == b"data"


@pytest.mark.parametrize(
    "wrong",
    [
        frame(b"\x02\x00\x00"),
        frame(b"text", 1),
        frame(b"x" * 126, 9),
        frame(b"x", 9, ends=False),
        b"\xc2\x01\x00",
        frame(b"x", 3),
    ],
)
def test_broken(wrong: bytes) -> None:
    """What is not of the protocol is an error, and not data."""
    with pytest.raises(ProtocolError):
        read([OPENING + wrong])


@pytest.mark.parametrize("seed", range(200))
def test_nonsense(seed: int) -> None:
    """Random bytes are read without any other error, in bounded memory."""
    frames = Frames()
    try:
        for _ in frames.feed(random.Random(seed).randbytes(3000)):
            pass
    except ProtocolError:
        pass
