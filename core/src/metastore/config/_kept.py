"""Secrets that were typed: kept in the keyring, or where there is none in a file of this user."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from metastore.errors import Offender, StorageError
from metastore.files import put_in_place

__all__ = ["forget_secret", "keep_secret"]

_SERVICE = "metastore"


def keep_secret(folder: Path, store: str, field: str, secret: str) -> str:
    """Keep a secret for a field of a named store; the reference to it.

    Raises
    ------
    StorageError
        There is no keyring, and the file beside the config file cannot be written.
    """
    # Of its own kind: stores are renamed, and other config files have stores of that name.
    user = f"{store}.{field}.{secrets.token_hex(4)}"
    if _in_keyring(user, secret):
        return f"keyring:{_SERVICE}/{user}"
    path = folder / "secrets" / user
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it 0600, under a name that nobody can have taken.
        handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(secret)
                file.flush()
                os.fsync(file.fileno())
            put_in_place(Path(temporary), path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise StorageError(
            f"the secret cannot be kept in {path} ({error.strerror})",
            hint="keep it yourself, and refer to it with env:NAME or file:/path",
            offender=Offender("secret", name=f"file:{path}"),
        ) from error
    return f"file:{path}"


def forget_secret(folder: Path, reference: str) -> bool:
    """Delete a secret that `keep_secret` kept; whether it was one of those."""
    scheme, _, rest = reference.partition(":")
    if scheme == "keyring" and rest.startswith(f"{_SERVICE}/"):
        with suppress(ImportError):
            import keyring

            with suppress(Exception):
                keyring.delete_password(_SERVICE, rest.removeprefix(f"{_SERVICE}/"))
                return True
    elif scheme == "file" and Path(rest).parent == folder / "secrets":
        with suppress(OSError):
            os.unlink(rest)
            return True
    return False


def _in_keyring(user: str, secret: str) -> bool:
    """Whether there is a keyring, and it has kept the secret."""
    try:
        import keyring
    except ImportError:
        return False
    try:
        # Of the backends that keep nothing, the priority is not above 0.
        if keyring.get_keyring().priority <= 0:
            return False
        keyring.set_password(_SERVICE, user, secret)
    # What a backend that does not work raises, keyring does not say.
    except Exception:  # noqa: BLE001 - see above
        return False
    return True
