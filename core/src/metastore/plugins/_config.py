"""`FlavorConfig`: the settings of one store of one flavor, typed and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from metastore.errors import InvalidError, Offender

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FlavorConfig", "StoreURL"]


class StoreURL(NamedTuple):
    """A store's URL, in its parts; percent-encoding is undone."""

    scheme: str
    """The flavor's name."""
    authority: str
    """What stands between ``//`` and the next slash: host, port, user."""
    path: str
    """With its leading slash; empty where there is none."""
    options: dict[str, str]
    """What follows the question mark."""

    @classmethod
    def parse(cls, url: str) -> StoreURL:
        """The parts of a URL.

        Raises
        ------
        InvalidError
            The text is no URL, or an option stands in it twice.
        """
        scheme, separator, _ = url.partition("://")
        if not separator or not scheme:
            raise InvalidError(
                "a store's URL begins with its flavor and ://",
                hint="such as sqlite:///runs.db",
                offender=Offender("store"),
            )
        if any(each < " " for each in url):
            # urlsplit would pass over tabs and line ends, and so name another file.
            raise InvalidError(
                "the store's URL holds a control character",
                hint="percent-encode it, such as %09 for a tab",
                offender=Offender("store"),
            )
        # urlsplit knows no fragments to keep: a # in a file's name is part of the name.
        parts = urlsplit(url.replace("#", "%23"))
        options: dict[str, str] = {}
        for key, value in parse_qsl(parts.query, keep_blank_values=True):
            if key in options:
                raise InvalidError(
                    f"the option {key!r} stands twice in the store's URL",
                    hint="give it once",
                    offender=Offender("store", property=key),
                )
            options[key] = value
        return cls(scheme, unquote(parts.netloc), unquote(parts.path), options)


class FlavorConfig(BaseModel):
    """What a flavor needs to know to open a store; a flavor derives its own from it.

    Frozen; unknown fields are refused; values never stand in error messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def from_url(cls, url: StoreURL) -> Self:
        """The config that a URL describes; by default its options are the fields.

        Raises
        ------
        InvalidError
            The URL lacks something, or holds something that the flavor does not know.
        """
        return cls.checked(url.scheme, url.options)

    @classmethod
    def checked(cls, flavor: str, fields: dict[str, object] | dict[str, str]) -> Self:
        """The config of these fields, or one error that names every bad one."""
        try:
            return cls(**fields)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'the whole'}: {each['msg']}"
                for each in error.errors(include_input=False, include_url=False)
            )
            known = ", ".join(cls.model_fields) or "none"
            # Without the cause: pydantic's error may hold the input.
            raise InvalidError(
                f"a setting of the {flavor} store is wrong: {problems}",
                hint=f"settings of this flavor: {known}",
                offender=Offender("store"),
            ) from None
