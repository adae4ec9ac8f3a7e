"""`Secret`: a password or token in a flavor's config, which nothing shows."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastore.errors import CapabilityError, InvalidError, MetastoreError, NotFoundError, Offender

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = ["OWN_SCHEMES", "Masked", "Secret"]

OWN_SCHEMES = ("env", "file", "keyring")
"""References that core resolves itself; others are asked of plugins."""

_REFERENCE = re.compile(r"[a-z][a-z0-9-]*:.+", re.DOTALL)
_FORMS = "env:NAME, file:/path, keyring:service/user"


class Masked(str):
    """A text that may hold a secret: `repr`, and so a traceback with its variables, shows none."""

    __slots__ = ()

    def __repr__(self) -> str:
        scheme, separator, _ = self.partition("://")
        return repr(f"{scheme}://..." if separator else "...")


class Secret:
    """A password or token: the text itself, or a reference to where it is kept.

    In a config's field, a text that begins with ``env:``, ``file:``, ``keyring:`` or a scheme of an
    installed flavor is a reference, any other text the secret itself.  What is kept under a
    reference is read when it is needed, by `reveal`; nothing else shows it, neither `repr` nor
    pydantic's dumps.
    """

    __slots__ = ("_reference", "_text")

    def __init__(self, text: str) -> None:
        """The text itself, whatever it begins with."""
        self._text: str | None = text
        self._reference: str | None = None

    @classmethod
    def of_reference(cls, reference: object) -> Secret:
        """A secret that is kept elsewhere.

        Raises
        ------
        InvalidError
            The text is no reference, or one of a scheme that neither core nor an installed flavor
            knows; it is not shown, as it may be the secret.
        """
        if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
            raise InvalidError("a secret is given as a reference", hint=f"write {_FORMS}")
        scheme, _, rest = reference.partition(":")
        if not _is_known(scheme):
            raise InvalidError(
                "a secret is given as a reference, and no installed flavor knows this one",
                hint=f"write {_FORMS}, or install the flavor that knows it",
            )
        check = {"env": _checked_variable, "file": _checked_path, "keyring": _checked_entry}.get(
            scheme
        )
        if check is not None:
            check(rest)
        secret = cls("")
        secret._text, secret._reference = None, reference
        return secret

    @classmethod
    def parse(cls, text: str) -> Secret:
        """A reference, if it begins with a scheme that is known, or else the secret itself."""
        is_reference = bool(_REFERENCE.fullmatch(text)) and _is_known(text.partition(":")[0])
        return cls.of_reference(text) if is_reference else cls(text)

    @property
    def reference(self) -> str | None:
        """Where it is kept, such as ``"env:DB_PASSWORD"``; None where it was given itself."""
        return self._reference

    def reveal(self) -> str:
        """The secret, read now where it is kept elsewhere.

        Raises
        ------
        NotFoundError
            There is nothing where the reference points to.
        CapabilityError
            Nobody here knows such references, or what is needed to read them is not installed.
        InvalidError
            The reference is incomplete, or the secret is no Unicode text.
        """
        text = self._text
        if self._reference is not None:
            scheme, _, rest = self._reference.partition(":")
            own = {"env": _of_environment, "file": _of_file, "keyring": _of_keyring}
            text = own[scheme](rest) if scheme in own else _of_plugin(scheme, rest)
        assert text is not None
        if _is_unicode(text):
            return text
        # A traceback with variables shows those of this frame.
        del text
        raise InvalidError(
            f"the secret {self._reference or 'that was given'} is no Unicode text",
            hint="keep it in UTF-8",
        )

    def __repr__(self) -> str:
        return f"Secret({self._reference or '**********'})"

    def __str__(self) -> str:
        return self._reference or "**********"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._text, self._reference) == (other._text, other._reference)

    def __hash__(self) -> int:
        return hash((self._text, self._reference))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        from pydantic_core import core_schema

        def validated(value: Any) -> Secret:
            if isinstance(value, Secret):
                return value
            if isinstance(value, str):
                return cls.parse(value)
            raise ValueError("is a text or a metastore.Secret")

        return core_schema.no_info_plain_validator_function(
            validated, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _is_unicode(text: str) -> bool:
    """Whether it holds no half of a surrogate pair, as what an environment has in other bytes."""
    # Not `clean_text`: its error would hold the secret.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checked_variable(name: str) -> None:
    if not _VARIABLE.fullmatch(name):
        # Without what was given: a password may begin so.
        raise InvalidError(
            "the reference env:... names no environment variable",
            hint="write env:NAME, of letters, digits and _",
        )


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _of_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise NotFoundError(
            f"the environment variable {name}, which holds a secret, is not set",
            hint=f"set it, as in: export {name}=...",
            offender=Offender("secret", name=f"env:{name}"),
        )
    return value


def _of_file(name: str) -> str:
    offender = Offender("secret", name=f"file:{name}")
    path = _checked_path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise NotFoundError(
            f"the secret in {path} cannot be read ({why})",
            hint="correct the path, or let this user read it",
            offender=offender,
        ) from None
    # Editors and echo end a file with a line end, which is no part of a password.
    return text.removesuffix("\n").removesuffix("\r")


def _checked_path(name: str) -> Path:
    try:
        path = Path(name).expanduser()
    except RuntimeError:
        path = Path(name)
    if not path.is_absolute():
        raise InvalidError(
            f"the reference file:{name} is relative, and to what nobody knows",
            hint="write the whole path, file:/folder/name or file:~/name",
            offender=Offender("secret", name=f"file:{name}"),
        )
    return path


def _checked_entry(name: str) -> tuple[str, str]:
    service, _, user = name.rpartition("/")
    if not service or not user:
        raise InvalidError(
            "the reference keyring:... lacks a service or a user",
            hint="write keyring:service/user",
            offender=Offender("secret"),
        )
    return service, user


def _of_keyring(name: str) -> str:
    service, user = _checked_entry(name)
    offender = Offender("secret", name=f"keyring:{name}")
    try:
        import keyring
        import keyring.errors
    except ImportError as error:
        raise CapabilityError(
            "secrets in the keyring need the package keyring",
            hint="pip install 'metastore-core[keyring]'",
        ) from error
    try:
        found = keyring.get_password(service, user)
    # What a backend that does not work raises, keyring does not say.
    except Exception as error:
        raise CapabilityError(
            f"the keyring cannot be read ({type(error).__name__})",
            hint="unlock it, or refer to the secret with env: or file:",
        ) from error
    if found is None:
        raise NotFoundError(
            f"the keyring has no secret of {user!r} for {service!r}",
            hint=f"set it: keyring set {service} {user}",
            offender=offender,
        )
    return found


def _is_known(scheme: str) -> bool:
    """Whether core knows secrets of that scheme, or an installed flavor does."""
    if scheme in OWN_SCHEMES:
        return True
    # Imported here: a config class needs no plugins.
    from metastore.plugins._registry import FlavorRegistry

    return FlavorRegistry.discover().knowing_secrets(scheme) is not None


def _of_plugin(scheme: str, reference: str) -> str:
    from metastore.plugins._loader import load_module
    from metastore.plugins._registry import FlavorRegistry

    offender = Offender("secret", name=f"{scheme}:...")
    found = FlavorRegistry.discover().knowing_secrets(scheme)
    if found is None:
        raise CapabilityError(
            f"no installed flavor knows secrets {scheme}:...",
            hint=f"write {_FORMS}, or install the flavor that knows {scheme}:",
            offender=offender,
        )
    failed = "gives no text"
    try:
        hook = load_module(found).hook.metastore_resolve_secret
        secret = hook(scheme=scheme, reference=reference)
    except MetastoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a stranger's
        # Without its text, and without itself as a cause: they may hold what must not be seen.
        secret, failed = None, f"raises {type(error).__name__}"
    if not isinstance(secret, str):
        raise CapabilityError(
            f"the secret {scheme}:... cannot be read: {found.distribution} {failed}",
            hint="correct the reference, or report it to the authors of that distribution",
            offender=offender,
        )
    return secret
