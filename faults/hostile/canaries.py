"""Secrets that are planted wherever one can be, and every place where one could come to light."""

from __future__ import annotations

import os
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Places", "everything_of", "left_in_files", "listener", "planted"]

Places = dict[str, str]
"""What is given as a reference or a URL's part, and the secret behind it."""


def planted(folder: Path, keyring_file: Path) -> Places:
    """Plant secrets, a different one in each place; the references to them.

    For child processes: the environment has what they need.
    """
    folder.mkdir()
    places = {f"env:CANARY_{n}": f"c4n4ry-env-{n}-f0e1" for n in range(1)} | {
        f"file:{folder}/secret": "c4n4ry-file-a2b3",
        "keyring:canary/user": "c4n4ry-keyring-c4d5",
    }
    os.environ["CANARY_0"] = places["env:CANARY_0"]
    (folder / "secret").write_text(places[f"file:{folder}/secret"] + "\n")
    import base64

    encoded = base64.encodebytes(places["keyring:canary/user"].encode()).decode()
    keyring_file.parent.mkdir(parents=True, exist_ok=True)
    # As keyrings.alt's plain file has it.
    keyring_file.write_text(f"[canary]\nuser = \n\t{encoded.strip()}\n")
    os.environ["PYTHON_KEYRING_BACKEND"] = "keyrings.alt.file.PlaintextKeyring"
    return places


def everything_of(error: BaseException) -> str:
    """All that a report of an error may show, the variables of our own frames included."""
    lines: list[str] = []
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None:
            continue
        lines += [str(each), repr(each), repr(getattr(each, "offender", None))]
        for frame, _ in traceback.walk_tb(each.__traceback__):
            path = frame.f_code.co_filename
            if "metastore" in path and "faults" not in path:
                lines += [f"{name}={_shown(value)}" for name, value in frame.f_locals.items()]
        left.append(each.__cause__)
        if not each.__suppress_context__:
            left.append(each.__context__)
    return "\n".join([*lines, "".join(traceback.format_exception(error))])


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - a list that asks a store which is gone
        return type(error).__name__


def left_in_files(folders: list[Path], secrets: list[str], planted_in: list[Path]) -> list[str]:
    """Files that hold a secret, other than those it was planted in; by content and by name."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if path in planted_in or not path.is_file():
                continue
            content = path.read_bytes()
            found += [f"{path}: {each}" for each in secrets if each.encode() in content]
            found += [f"{path}: {each}" for each in secrets if each in path.name]
    return found


@contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """A port on which something says the same to everybody, or gives back what it hears."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(2)
                    if answer is not None:
                        connection.sendall(answer)
                    heard = connection.recv(65536)
                    connection.sendall(heard)
                except OSError:
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
