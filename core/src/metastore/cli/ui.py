"""``metastore ui``."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from metastore.cli._errors import Refused
from metastore.cli._options import debug_option, opened, without_password

if TYPE_CHECKING:
    from metastore.store import Store

__all__ = ["ui"]

_NEEDED = ("jinja2", "starlette", "uvicorn")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.argument(
    "which",
    required=False,
    metavar="[NAME|URL]",
    envvar="METASTORE_STORE",
    callback=without_password,
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8420,
    show_default=True,
    help="The port to listen at; 0 for a free one.",
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name that browsers may know this server by, beside --host and localhost; may be "
    "given several times.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="Seconds in which the store must answer, before a page says that it does not.",
)
@click.option("--open", "in_browser", is_flag=True, help="Open it in the browser.")
@debug_option(hidden=True)
def ui(
    which: str | None,
    host: str,
    port: int,
    names: Sequence[str],
    timeout: float,
    in_browser: bool,
) -> None:
    """Look at a store in a browser; nothing can be changed there.

    The pages have no login: whoever reaches the port reads all of the store, so that by default
    only this machine does. Ctrl-C stops the server.

    \b
    metastore ui sqlite:///runs.db
    metastore ui prod --host 0.0.0.0 --allow-host runs.example.com
    """  # noqa: D301 - it is the character that click looks for
    _check_installed()
    listening = _listen(host, port)
    with listening, opened(which) as store:
        _serve(store, which, listening, host, names, timeout=timeout, in_browser=in_browser)


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [each for each in _NEEDED if find_spec(each) is None]
    if missing:
        raise Refused(
            f"the web page needs {' and '.join(missing)}, not installed here; "
            "pip install 'metastore-core[ui]'"
        )


def _listen(host: str, port: int) -> socket.socket:
    """Take the port, before anything is opened; a name may have several addresses."""
    bare = host.removeprefix("[").removesuffix("]")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        code = error.errno if isinstance(error, OSError) else None
        what = {
            errno.EADDRINUSE: "is in use; take another --port, or 0 for a free one",
            errno.EACCES: "may be taken by administrators only; take a --port from 1024",
            errno.EADDRNOTAVAIL: "is no address of this machine; take another --host",
        }.get(code or 0, "cannot be listened at")
        raise Refused(f"{host} port {port} {what}") from error
    return taken


def _serve(
    store: Store,
    which: str | None,
    listening: socket.socket,
    host: str,
    names: Sequence[str],
    *,
    timeout: float,
    in_browser: bool,
) -> None:
    import uvicorn

    from metastore.ui import create_app

    port = listening.getsockname()[1]
    bare = host.removeprefix("[").removesuffix("]")
    is_loopback = _is_loopback(bare)
    shown = bare if not _is_any(bare) else "localhost"
    url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"
    hosts = (*_LOOPBACK, bare, *names)
    app = create_app(store, name=which, allowed_hosts=hosts, timeout=timeout)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        # Nothing of a proxy's headers is used: links are relative.
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=3,
    )

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            click.echo(f"{store.location} is at {url} ; Ctrl-C stops it.")
            sys.stdout.flush()
            if not is_loopback:
                click.echo(
                    f"warning: port {port} is reached from other machines, and there is no login: "
                    "whoever reaches it reads all of the store; let a firewall, or a proxy with "
                    "a login, choose who does",
                    err=True,
                )
            if in_browser:
                click.launch(url)

    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        # uvicorn has stopped, and raises what stopped it.
        pass


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == ""
