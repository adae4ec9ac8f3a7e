"""The store: rows that a service keeps, in the order in which they were written."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import urllib3
from metastore import (
    BaseMetadataStore,
    Batch,
    BusyError,
    Capabilities,
    InvalidError,
    OpenError,
    OpenMode,
    OutcomeUnknownError,
    StorageError,
    StoreNotFoundError,
    WrittenBatch,
)
from metastore.plain import PlainMetadataStore, Row, Tables, record_of, row_of

from {{cookiecutter.__package}} import service
from {{cookiecutter.__package}}.config import {{cookiecutter.__class}}Config

_started: list[subprocess.Popen[bytes]] = []
"""Services that this process brought up; they go on without it."""


class _LostAnswerError(StorageError):
    """The service may have done what it was asked."""


class _Service:
    """The calls of the service, with its errors as ours; connections are those of one process."""

    def __init__(self, config: {{cookiecutter.__class}}Config) -> None:
        self._config = config
        self._url = f"http://{_authority(config)}"
        self._process, self._pool = 0, urllib3.PoolManager()

    def close(self) -> None:
        """Close the connections."""
        if self._process == os.getpid():
            self._pool.clear()

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body of the answer; a request that was sent is never sent again.

        Raises
        ------
        _LostAnswerError
            The request was sent, and no answer came.
        StorageError
            The service is not there, refuses the token, or failed.
        """
        if not _can_be_sent(self._config.token.reveal()):
            raise StorageError(
                "the token holds characters that no header can: other than visible ASCII",
                hint="give another one to the service, and here",
            )
        if self._process != os.getpid():
            # A forked child must not talk over its parent's connections.
            self._process, self._pool = os.getpid(), urllib3.PoolManager(retries=False)
        try:
            answer = self._pool.request(
                method,
                self._url + path,
                body=body,
                headers={"Authorization": f"Bearer {self._config.token.reveal()}"},
                timeout=self._config.timeout,
                retries=False,
            )
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError):
            kind, reason = StorageError, "it cannot be reached"
        except urllib3.exceptions.HTTPError as error:
            kind, reason = _LostAnswerError, type(error).__name__
        else:
            if answer.status < 400 or answer.status in (404, 409):
                return answer.status, answer.data
            kind, reason = StorageError, f"status {answer.status}"
        # Not inside of except: the request holds the token.
        raise kind(
            f"the service at {self._url} did not do it ({reason})",
            hint="is it up, and the token right? 'metastore store status' says more",
        )


def _authority(config: {{cookiecutter.__class}}Config) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{host}:{config.port}"


def _can_be_sent(token: str) -> bool:
    return token.isascii() and token.isprintable() and token == token.strip()


class {{cookiecutter.__class}}MetadataStore(PlainMetadataStore):
    """A store of a service that many share.

    The service has no locks: it takes a batch only from who has seen all before it, and everybody
    else reads on and tries again.
    """

    FLAVOR = "{{cookiecutter.name}}"
    CAPABILITIES = Capabilities(
        snapshot=True,
        provision=True,
    )

    def __init__(self, config: {{cookiecutter.__class}}Config, mode: OpenMode) -> None:
        location = f"{self.FLAVOR}://{_authority(config)}/{config.store}"
        super().__init__(location=location, mode=mode)
        self._service = _Service(config)
        self._path = f"/stores/{config.store}"
        self._timeout = config.timeout
        self._seen = 0
        """How many batches are in the tables."""

    @classmethod
    def open(
        cls,
        config: {{cookiecutter.__class}}Config,
        *,
        mode: OpenMode = "rw",
        create: bool = True,
    ) -> {{cookiecutter.__class}}MetadataStore:
        """Open the store of that name; with mode "rw" and `create`, make it where it is not there.

        Raises
        ------
        StoreNotFoundError, OpenError
            There is no such store, or the service does not let us in; nothing was made.
        """
        store = cls(config, mode)
        failed: str | None = None
        try:
            status, _ = store._service.call("GET", f"{store._path}?after=0")
            if status == 404 and mode == "rw" and create:
                status, _ = store._service.call("PUT", store._path)
        except StorageError as error:
            status, failed = 0, str(error)
        if failed is None and status < 400:
            return store
        store.close()
        if failed is not None:
            raise OpenError(failed)
        raise StoreNotFoundError(f"there is no store {store.location}", hint="correct its name")

    def release(self) -> None:
        """Close the connections."""
        self._service.close()

    def is_same(self, other: BaseMetadataStore) -> bool:
        """Whether both are the same store of the same service."""
        return isinstance(other, type(self)) and other.location == self.location

    def write(self, batch: Batch) -> WrittenBatch:
        """Write the batch; when somebody else was faster, read what they wrote and try again.

        Raises
        ------
        BusyError
            Others were faster for as long as the timeout says.
        """
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return super().write(batch)
            except BusyError:
                if time.monotonic() > deadline:
                    raise
            # So that those who collided do not collide again.
            time.sleep(random.uniform(0, 0.02))

    def refresh(self, tables: Tables) -> None:
        """Read the batches that others wrote."""
        for entry in self._entries():
            tables.load(map(row_of, entry["rows"]))
            self._seen += 1

    def _entries(self) -> list[dict[str, Any]]:
        status, data = self._service.call("GET", f"{self._path}?after={self._seen}")
        if status == 404:
            raise StorageError(f"the store {self.location} was removed while it was open")
        entries: list[dict[str, Any]] = [json.loads(line) for line in data.splitlines()]
        return entries

    def commit(self, rows: Sequence[Row]) -> None:
        """Hand in the batch, behind those that were seen."""
        token = uuid.uuid4().hex
        entry = {"token": token, "rows": [record_of(row) for row in rows]}
        body = json.dumps(entry, allow_nan=False).encode()
        try:
            status, _ = self._service.call("POST", f"{self._path}?after={self._seen}", body)
        except _LostAnswerError as error:
            if not self._is_kept(token):
                # It may be on its way still: to say that it failed would be to have it twice.
                raise OutcomeUnknownError(
                    f"the service did not answer while it wrote to {self.location}",
                    hint="look for what was written, later, before you write it again",
                ) from error
            status = 200
        if status == 409:
            raise BusyError(f"others keep writing to {self.location}", hint="try again")
        if status == 404:
            raise StorageError(f"the store {self.location} was removed while it was open")
        self._seen += 1

    def _is_kept(self, token: str) -> bool:
        """Whether the batch with this token is there by now."""
        try:
            return any(entry["token"] == token for entry in self._entries()[:1])
        except StorageError:
            return False

    # The service, brought up and taken down by `metastore store up` and `down`.

    @classmethod
    def provision(cls, config: {{cookiecutter.__class}}Config) -> None:
        """Start the service on this machine, unless it answers already.

        Raises
        ------
        InvalidError
            The config has no folder for its data.
        StorageError
            It does not come up.
        """
        if cls.is_running(config):
            return
        if config.folder is None:
            raise InvalidError(
                "a service that is brought up needs a folder for its data",
                hint="say which: --folder",
            )
        if len(config.token.reveal()) < service.SHORTEST_TOKEN:
            raise InvalidError(
                f"the token has less than {service.SHORTEST_TOKEN} characters",
                hint="give a longer one",
            )
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "{{cookiecutter.__package}}.service"),
                *("--host", config.host, "--port", str(config.port)),
                *("--folder", str(config.folder)),
            ],
            env={**os.environ, service.TOKEN_VARIABLE: config.token.reveal()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # It goes on when the command that started it ends.
            start_new_session=True,
        )
        _started.append(process)
        deadline = time.monotonic() + config.timeout
        while not cls.is_running(config):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise StorageError(
                    f"the service does not come up at {config.host}:{config.port}",
                    hint="is the port taken, the folder not yours, or of another service?",
                )
            time.sleep(0.02)

    @classmethod
    def deprovision(
        cls,
        config: {{cookiecutter.__class}}Config,
        *,
        delete_data: bool = False,
    ) -> None:
        """Stop the service; with `delete_data`, the store of the config is removed before."""
        if not cls.is_running(config):
            return
        calls = _Service(config)
        try:
            if delete_data:
                calls.call("DELETE", f"/stores/{config.store}")
            calls.call("POST", "/stop")
        finally:
            calls.close()
        deadline = time.monotonic() + config.timeout
        while cls.is_running(config) and time.monotonic() < deadline:
            time.sleep(0.02)
        _started[:] = [each for each in _started if each.poll() is None]

    @classmethod
    def is_provisioned(cls, config: {{cookiecutter.__class}}Config) -> bool:
        """Whether there is a service that could be resumed: its data are there, or it answers."""
        has_data = config.folder is not None and config.folder.is_dir()
        return has_data or cls.is_running(config)

    @classmethod
    def is_running(cls, config: {{cookiecutter.__class}}Config) -> bool:
        """Whether the service answers."""
        calls = _Service(config)
        try:
            return calls.call("GET", "/") == (200, service.NAME)
        except StorageError:
            return False
        finally:
            calls.close()
