"""What every request has to pass, and what every answer says to the browser."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOOPBACK", "Guard"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_HEADERS = {
    # Nothing but what comes from here, and no script, style or form inside of a page.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # A page's address holds filters, and names.
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_METHODS = ("GET", "HEAD")


class Guard:
    """Refuses other hosts' names and other methods than GET and HEAD; sets headers.

    A page of another site can have its own name resolve to this machine (DNS rebinding), and then
    read what is served here; but the browser still sends that name.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(_bare(each) for each in hosts) - {""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            # No websockets here; the start and the end of the server are the application's.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        is_head = scope["method"] == "HEAD"

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                known = {name.lower() for name, _ in headers}
                headers += [
                    (name.encode(), value.encode())
                    for name, value in {**_HEADERS, "cache-control": "no-store"}.items()
                    if name.encode() not in known
                ]
                message = {**message, "headers": headers}
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        answer = self._app
        if not self._is_allowed(scope):
            answer = PlainTextResponse(
                "This name is none that the pages are served under. Open them as localhost, or "
                "start them with --allow-host NAME (create_app(allowed_hosts=[...])).\n",
                421,
            )
        elif scope["method"] not in _METHODS:
            answer = PlainTextResponse(
                "These pages change nothing: GET and HEAD are all there is.\n",
                405,
                headers={"allow": ", ".join(_METHODS)},
            )
        await answer(scope, receive, with_headers)

    def _is_allowed(self, scope: Scope) -> bool:
        if self._hosts is None:
            return True
        given = [value for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and _host_of(given[0].decode("latin-1")) in self._hosts


_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{0,5})?")


def _host_of(header: str) -> str:
    """The name in a Host header, without its port; nothing where it is no such header."""
    found = _HOST.fullmatch(header)
    return "" if found is None else _bare(found[1])


def _bare(host: str) -> str:
    """A name or address in one form: lower case, without brackets, without a dot at its end."""
    bare = host.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return bare
