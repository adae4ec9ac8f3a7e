"""Input that was right, damaged at random; and input that never was."""

from __future__ import annotations

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from metastore import MetastoreError

__all__ = ["Outcomes", "cpu_limit", "damaged_bytes", "damaged_text", "noise", "noise_bytes"]

_ODD = (
    *("\0", "\x1b", "\x7f", "\x85", "\xa0", "\u200d", "\u202e", "\u2028", "\ufeff", "\uffff"),
    *("\ud800", "\udfff", "\U0001f600", "\U0010ffff", "\u0130", "\u0131", "\u0301", "٣", "²", "Ⅷ"),
    *("'", '"', "`", "\\", "%", "_", "(", ")", "[", "]", "{", "}", "<", ">", "&", "#", "?", "@"),
    *(":", "/", "//", "..", ";", ",", "=", "-", "--", "+", "*", "\n", "\r\n", "\t", " ", "|", "$"),
    *("0", "1", "9" * 25, "1e999", "-1", "nan", "inf", "0x1f", "1_000", "NULL", "TRUE", "%00"),
)


class Outcomes:
    """What became of inputs: how many, how many were right, and which errors refused the others."""

    def __init__(self) -> None:
        self.inputs = 0
        self.right = 0
        self.refused: Counter[str] = Counter()

    def of(self, work: Callable[[], Any], shown: Callable[[], str]) -> Any:
        """What `work` returns, or None where an error of ours refused its input.

        Any other error fails, with what `shown` says of the input: with it, it can be repeated.
        """
        self.inputs += 1
        try:
            found = work()
        except MetastoreError as error:
            assert str(error).strip(), shown()
            self.refused[type(error).__name__] += 1
            return None
        except BaseException as error:
            error.add_note(shown()) if hasattr(error, "add_note") else None
            raise AssertionError(f"{type(error).__name__} for {shown()}") from error
        self.right += 1
        return found

    def figures(self) -> dict[str, object]:
        """Numbers for the report."""
        return {
            "inputs": self.inputs,
            "right": self.right,
            "refused": dict(sorted(self.refused.items())),
        }


class TooLongError(BaseException):
    """An input took more of the processor than any may."""


@contextmanager
def cpu_limit(seconds: float, shown: Callable[[], str]) -> Iterator[None]:
    """Fail where what happens inside takes so many seconds of the processor, not of the clock.

    For one input at a time, in the main thread.
    """
    assert threading.current_thread() is threading.main_thread()

    def over(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"more than {seconds:g} seconds of the processor for {shown()}")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def noise(chance: random.Random, most: int = 60) -> str:
    """Any text at all, halves of surrogate pairs included."""
    length = chance.randint(0, most)
    which = chance.randrange(4)
    if which == 0:
        return "".join(map(chr, chance.choices(range(32, 127), k=length)))
    if which == 1:
        return "".join(chr(chance.randrange(0x110000)) for _ in range(length))
    if which == 2:
        return "".join(chance.choices(_ODD, k=length // 2))
    return bytes(chance.choices(range(256), k=length)).decode("utf-8", "replace")


def noise_bytes(chance: random.Random, most: int = 200) -> bytes:
    """Any bytes at all."""
    return chance.randbytes(chance.randint(0, most))


def damaged_text(chance: random.Random, text: str, words: Sequence[str] = (), most: int = 4) -> str:
    """The text with pieces removed, doubled, moved, and put in; `words` among what is put in."""
    put_in = (*_ODD, *words) if words else _ODD
    for _ in range(chance.randint(1, most)):
        at = chance.randint(0, len(text))
        end = min(len(text), at + chance.choice((0, 0, 1, 1, 2, 5, 20)))
        which = chance.randrange(6)
        if which == 0:
            text = text[:at] + text[end:]
        elif which == 1:
            text = text[:at] + text[at:end] * 2 + text[end:]
        elif which == 2:
            to = chance.randint(0, len(text))
            text = text[:at] + text[to : to + 10] + text[end:]
        elif which == 3:
            text = text[:at]
        else:
            text = text[:at] + chance.choice(put_in) + text[end:]
    return text


_BYTES = (
    *(b"\0", b"\xff", b"\xfe\xff", b"\xc3", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"'", b"[", b"]", b"{", b"}", b"=", b".", b"#", b"\\"),
    *(b"\x1b[2J", b"1e999", b"9" * 400, b"nan", b"-inf", b"true", b"1979-05-27", b'"""', b"'''"),
)


def damaged_bytes(chance: random.Random, content: bytes, most: int = 4) -> bytes:
    """The bytes with bits turned, pieces removed, doubled, moved, cut off and put in."""
    for _ in range(chance.randint(1, most)):
        at = chance.randint(0, len(content))
        end = min(len(content), at + chance.choice((0, 1, 1, 2, 8, 40)))
        which = chance.randrange(7)
        if which == 0:
            content = content[:at] + content[end:]
        elif which == 1:
            content = content[:at] + content[at:end] * 2 + content[end:]
        elif which == 2:
            to = chance.randint(0, len(content))
            content = content[:at] + content[to : to + 40] + content[end:]
        elif which == 3 and chance.random() < 0.3:
            content = content[:at]
        elif which == 4 and at < len(content):
            content = (
                content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
            )
        else:
            content = content[:at] + chance.choice(_BYTES) + content[end:]
    return content
