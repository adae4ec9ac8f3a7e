"""What the columns of a store take, and a batch that is more than that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metastore import InvalidError, Offender, Proto
from metastore.batch import Batch
from metastore.sql.engine_limits import check_texts
from metastore_flavor_mysql._texts import as_mlmd

__all__ = ["Limits"]

_NAME = 255
_SMALL = 100
"""Characters of a text that no column is too short for."""


@dataclass(frozen=True)
class Limits:
    """Of a store that we make, by default."""

    exact: bool = True
    """Whether the collation takes only equal texts for equal."""
    has_writers: bool = True
    """Whether there is the table of `metastore_flavor_mysql._writers`."""
    bits: int = 64
    """Of whole numbers."""
    text: int = 2**24 - 1
    """Bytes of the value of a property."""
    uri: int = 2**24 - 1
    """Bytes of a uri, a description, or a step of a path."""
    letters: str = "utf8mb4"
    """The character set of texts."""

    def check(self, batch: Batch, flavor: str, *, mlmd: bool, packet: int) -> None:
        """Raise for what cannot be stored, before anything is.

        mlmd:
            Texts are stored as ML Metadata stores them, longer than they are.
        packet:
            Bytes of the longest statement.

        Raises
        ------
        InvalidError
            It names the property.
        """
        stored = as_mlmd if mlmd else str
        check_texts(
            batch, flavor=flavor, limit=_NAME, nul=True, length=lambda text: len(stored(text))
        )
        # A backslash or a quote is sent as two.
        longest = min(self.text, (packet - 100_000) // 2 if packet > 200_000 else packet // 4)
        least, most = -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
        for offender, type, what, value in _values(batch):
            if type is int:
                if self.bits < 64 and not least <= value <= most:
                    raise _refused(
                        offender, what, f"is a number of more than {self.bits} bits", flavor,
                        "keep it as a text or a double, or copy the store to one of ours",
                    )  # fmt: skip
                continue
            if type is float:
                raise _refused(
                    offender, what, "is infinite", flavor, "keep it as a text, or in a struct"
                )
            if type is str and len(value) > _SMALL:
                length = len(stored(value).encode("utf-8", "replace"))
            elif type is Proto and isinstance(value.value, bytes) and value.type_url:
                length = len(value.value) * 4 // 3 + len(value.type_url) * 2
            else:
                length = 0
            if length > (longest if offender.property else min(longest, self.uri)):
                raise _refused(
                    offender, what, f"has {length} bytes, of at most {longest}", flavor,
                    "shorten it, or keep it in a file and its uri here",
                )  # fmt: skip
            if type is str and not mlmd and not value.isascii() and not self._holds(value):
                raise _refused(
                    offender, what, f"has letters that are not in {self.letters}", flavor,
                    "copy the store to one of ours, which takes all letters",
                )  # fmt: skip

    def _holds(self, text: str) -> bool:
        if self.letters in ("utf8mb3", "utf8"):
            return max(text) <= "\uffff"
        if self.letters == "latin1":
            try:
                text.encode("cp1252")
            except UnicodeEncodeError:
                return False
        return True


def _refused(offender: Offender, what: str, why: str, flavor: str, hint: str) -> InvalidError:
    where = f"{what} of {offender}"
    return InvalidError(
        f"{where} {why}, and this {flavor} store cannot hold it", hint=hint, offender=offender
    )


def _values(batch: Batch) -> Iterator[tuple[Offender, type, str, Any]]:
    """The values of a batch that may be too much: of what, of which class, its name, and it."""
    for kind, drafts in batch.nodes.items():
        for index, draft in enumerate(drafts):
            uri: Any = draft.uri
            if type(uri) is str and len(uri) > _SMALL:
                yield Offender(kind.label, index), str, "the uri", uri
            for values in (draft.properties, draft.custom_properties):
                if not isinstance(values, Mapping):
                    continue
                for key, value in values.items():
                    found = type(value)
                    # Doubles, numbers of few digits and short texts, of which most batches are.
                    if (found is float and abs(value) != math.inf) or (
                        found is int and -(2**31) <= value < 2**31
                    ):
                        continue
                    if found is str and len(value) <= _SMALL and value.isascii():
                        continue
                    offender = Offender(kind.label, index, property=str(key))
                    yield offender, found, f"property {key!r}", value
    for index, event in enumerate(batch.events):
        for step in event.path:
            yield Offender("event", index), type(step), "a step of the path", step
