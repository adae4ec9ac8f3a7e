"""`FlavorConfig`: the settings of one store of one flavor, typed and checked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Union,
    get_args,
    get_origin,
)
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from metastore.errors import InvalidError, Offender
from metastore.plugins._secret import Masked, Secret

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FlavorConfig", "Hidden", "Setting", "StoreURL", "without_environment"]


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

    def __repr__(self) -> str:
        # Any part may hold a secret.
        options = ", ".join(f"{key}=..." for key in self.options)
        return f"<StoreURL {self.scheme}://...{f'?{options}' if options else ''}>"

    @classmethod
    def parse(cls, url: str) -> StoreURL:
        """The parts of a URL.

        Raises
        ------
        InvalidError
            The text is no URL, or an option stands in it twice.
        """
        url = Masked(url)
        scheme, separator = url.partition("://")[:2]
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
        found, twice = cls._split(url)
        if found is None:
            raise InvalidError(
                "the store's URL holds percent-encoded bytes that are no text",
                hint="percent-encode it in UTF-8, such as %C3%A9 for an e with an accent",
                offender=Offender("store"),
            )
        if twice is not None:
            raise InvalidError(
                f"the option {twice!r} stands twice in the store's URL",
                hint="give it once",
                offender=Offender("store", property=twice),
            )
        return found

    @classmethod
    def _split(cls, url: str) -> tuple[StoreURL | None, str | None]:
        """The parts, None where they are no text; and an option that stands there twice."""
        # urlsplit knows no fragments to keep: a # in a file's name is part of the name.
        try:
            parts = urlsplit(url.replace("#", "%23"))
        except ValueError:
            raise InvalidError(
                "the store's URL is none",
                hint="percent-encode [ and ] in it",
                offender=Offender("store"),
            ) from None
        try:
            # Strictly: what is no text must not become another text, and so another store.
            authority, path = (unquote(each, errors="strict") for each in parts[1:3])
            pairs = parse_qsl(parts.query, keep_blank_values=True, errors="strict")
        except ValueError:
            # Not raised here, where the parts are variables of the frame.
            return None, None
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        scheme = url.partition("://")[0]
        return cls(scheme, authority, path, dict(pairs)), twice


class Setting(NamedTuple):
    """A field of a config, as people see it; never its value."""

    name: str
    type: str
    default: str | None
    """As text; None where the setting must be given."""
    variable: str
    """The environment variable that gives it where nothing else does."""
    is_secret: bool
    description: str


class FlavorConfig(BaseModel):
    """What a flavor needs to know to open a store; a flavor derives its own from it.

    Frozen; unknown fields are refused; values never stand in error messages.  A password or token
    is a field of type `metastore.Secret`, read with ``config.password.reveal()`` when it is needed.
    A field must not be called ``flavor``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*")
    @classmethod
    def _is_unicode(cls, value: Any) -> Any:
        # pydantic passes on what Python calls a text, and no driver takes; a path is of any bytes.
        try:
            if isinstance(value, Path):
                os.fsencode(value)
            elif isinstance(value, str):
                value.encode()
        except UnicodeEncodeError:
            raise ValueError("is no text: it holds half of a surrogate pair") from None
        return value

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
    def checked(cls, flavor: str, fields: Mapping[str, object]) -> Self:
        """The config of these fields, or one error that names every bad one.

        What is not among the fields is taken from the environment, `METASTORE_<FLAVOR>__<FIELD>`,
        else it has its default.

        Raises
        ------
        InvalidError
            A field is wrong, unknown or missing.
        """
        settings = cls.settings(flavor)
        secrets = {each.name for each in settings if each.is_secret}
        # From here on none of them is a text, and a traceback shows no values.
        fields = Hidden(
            (
                name,
                (Secret.parse(value) if name in secrets else cls._from_text(name, value))
                if isinstance(value, str)
                else value,
            )
            for name, value in fields.items()
        )
        variables = {each.variable: each.name for each in settings}
        environment = Hidden(
            (name, cls._from_environment(name, os.environ[variable]))
            for variable, name in variables.items()
            if _uses_environment.get() and name not in fields and variable in os.environ
        )
        try:
            return cls(**{**environment, **fields})
        except ValidationError as error:
            problems = "; ".join(
                f"{_place(each['loc'], flavor, environment)}: {each['msg']}"
                for each in error.errors(
                    include_input=False, include_url=False, include_context=False
                )
            )
            known = ", ".join(cls.model_fields) or "none"
            of_environment = any(
                each["loc"] and each["loc"][0] in environment
                for each in error.errors(include_input=False)
            )
            # Without the cause: pydantic's error may hold the input.
            raise InvalidError(
                f"a setting of the {flavor} store is wrong: {problems}",
                hint="correct the variable, or give the setting otherwise"
                if of_environment
                else f"settings of this flavor: {known}",
                offender=Offender("store"),
            ) from None

    def relative_to(self, folder: Path) -> Self:
        """The same config, its relative paths taken from a folder."""
        moved = {
            name: folder / value
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), Path) and not value.is_absolute()
        }
        return self.model_copy(update=moved) if moved else self

    @classmethod
    def settings(cls, flavor: str) -> list[Setting]:
        """The fields, in their order."""
        return [
            Setting(
                name,
                _type_text(field.annotation),
                None if field.is_required() else _default_text(field.get_default()),
                _variable(flavor, name),
                _holds_secret(field.annotation),
                field.description or "",
            )
            for name, field in cls.model_fields.items()
        ]

    @classmethod
    def _from_environment(cls, name: str, text: str) -> object:
        annotation = cls.model_fields[name].annotation
        if _holds_secret(annotation):
            # A variable is a place of its own; whatever it holds is the secret.
            return Secret(text)
        return cls._from_text(name, text)

    @classmethod
    def _from_text(cls, name: str, text: str) -> object:
        """What stands as text where there are only texts: of lists and the like JSON."""
        field = cls.model_fields.get(name)
        if field is not None and any(
            each in (list, dict, tuple, set, frozenset) for each in _classes_of(field.annotation)
        ):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                return text
        return text


class Hidden(dict[str, object]):
    """Fields, of which `repr` shows the names."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name}: ...' for name in self)}}}"


_uses_environment = ContextVar("uses_environment", default=True)


@contextmanager
def without_environment() -> Iterator[None]:
    """Configs that are made inside take nothing from the environment: for what is to be kept."""
    token = _uses_environment.set(False)
    try:
        yield
    finally:
        _uses_environment.reset(token)


def _variable(flavor: str, field: str) -> str:
    return f"METASTORE_{flavor.upper().replace('-', '_')}__{field.upper()}"


def _place(location: tuple[int | str, ...], flavor: str, environment: Mapping[str, object]) -> str:
    place = ".".join(map(str, location)) or "the whole"
    if location and location[0] in environment:
        return f"{place} (of the variable {_variable(flavor, str(location[0]))})"
    return place


def _classes_of(annotation: Any) -> Iterator[Any]:
    """The classes that an annotation is made of."""
    parts = get_args(annotation)
    yield get_origin(annotation) or annotation
    for part in parts:
        yield from _classes_of(part)


def _holds_secret(annotation: Any) -> bool:
    return Secret in _classes_of(annotation)


def _type_text(annotation: Any) -> str:
    parts = [each for each in get_args(annotation) if each is not type(None)]
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return " | ".join(map(_type_text, parts))
    if origin is Literal:
        return " | ".join(map(repr, parts))
    if origin is Annotated:
        return _type_text(parts[0])
    name = getattr(origin or annotation, "__name__", str(annotation))
    return f"{name}[{', '.join(map(_type_text, parts))}]" if origin else name


def _default_text(default: object) -> str:
    return "none" if default is None else str(default)
