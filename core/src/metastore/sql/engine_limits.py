"""What a database cannot hold of a batch, found before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from metastore.batch import Batch
from metastore.errors import InvalidError, Offender

__all__ = ["check_texts"]


def check_texts(
    batch: Batch,
    *,
    flavor: str,
    limit: int | None,
    nul: bool = False,
    length: Callable[[str], int] = len,
) -> None:
    """Raise for a text that is too long for its column, or holds a NUL that it may not hold.

    `limit` is that of names, versions, external ids and keys, whose length `length` tells.

    Raises
    ------
    InvalidError
        A name, external id or key is longer than its column; or, unless `nul`, a text with a NUL
        is no value of a property.
    """
    for text, what, offender, is_long in _texts(batch):
        if not isinstance(text, str):
            continue
        if not nul and "\0" in text:
            raise InvalidError(
                f"the {what} of {offender} holds a NUL, which flavor {flavor!r} cannot store there",
                hint="leave it out, or keep it as a property",
                offender=offender,
            )
        if limit is not None and not is_long and length(text) > limit:
            raise InvalidError(
                f"the {what} of {offender} has {length(text)} characters, and flavor {flavor!r} "
                f"takes {limit}",
                hint="shorten it",
                offender=offender,
            )


def _texts(batch: Batch) -> Iterator[tuple[object, str, Offender, bool]]:
    """The texts of a batch that are stored as such: what, whose, and whether in a long column.

    Whether they are texts at all, the planner checks.
    """
    for index, type in enumerate(batch.types):
        offender = Offender(f"{type.key.kind.label} type", index)
        yield type.key.name, "name", offender, False
        yield type.key.version, "version", offender, False
        yield type.external_id, "external id", offender, False
        yield type.description, "description", offender, True
        yield type.input_type, "input type", offender, True
        yield type.output_type, "output type", offender, True
        yield from _keys(type.properties, offender)
    for kind, drafts in batch.nodes.items():
        for index, node in enumerate(drafts):
            offender = Offender(kind.label, index)
            yield node.name, "name", offender, False
            yield node.external_id, "external id", offender, False
            yield node.uri, "uri", offender, True
            yield from _keys(node.properties, offender)
            yield from _keys(node.custom_properties, offender)
    for index, event in enumerate(batch.events):
        for step in event.path:
            yield step, "path", Offender("event", index), True


def _keys(properties: object, offender: Offender) -> Iterator[tuple[object, str, Offender, bool]]:
    if isinstance(properties, Mapping):
        for key in properties:
            yield key, "property key", offender, False
