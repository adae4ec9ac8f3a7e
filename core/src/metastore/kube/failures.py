"""What goes wrong between us and an API server, as errors of ours.

Nothing here quotes what may hold a token: no header, no kubeconfig, no cause of the client's.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from metastore.errors import (
    AlreadyExistsError,
    BusyError,
    ConflictError,
    InvalidError,
    MetastoreError,
    NotFoundError,
    Offender,
    OpenError,
    StorageError,
)

__all__ = [
    "Call",
    "CutError",
    "UnauthorizedError",
    "UnreachableError",
    "not_an_api",
    "one_line",
    "refusal",
    "unreachable",
]

_LONGEST = 400
_SECRETS = re.compile(r"(?i)\b(bearer|basic)\s+\S+|\beyJ[\w-]{8,}(\.[\w-]*)*")
_FORBIDDEN = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>[\w*]+) resource "(?P<resource>[^"]+)"'
    r' in API group "(?P<group>[^"]*)"'
)
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class UnauthorizedError(OpenError):
    """The API server does not know who asks: perhaps the token expired."""


class UnreachableError(StorageError):
    """No answer came from the API server; whoever tries again may have more luck."""


class CutError(UnreachableError):
    """The connection ended before the answer came: what was asked may have been done."""


class Call(NamedTuple):
    """What was asked, for the error that says so."""

    method: str
    path: str
    server: str
    """Scheme, host and port."""

    @property
    def what(self) -> str:
        """The object or collection, such as ``services "db" in namespace "ml"``."""
        namespace, resource, name = self.parts
        text = resource or self.path
        if name:
            text += f" {name!r}"
        return f"{text} in namespace {namespace!r}" if namespace else text

    @property
    def parts(self) -> tuple[str, str, str]:
        """Namespace, resource (with its subresource) and name; empty where there is none."""
        steps = self.path.strip("/").split("/")
        steps = steps[2:] if steps[0] == "api" else steps[3:]
        namespace = ""
        if len(steps) > 2 and steps[0] == "namespaces":
            namespace, steps = steps[1], steps[2:]
        resource = "/".join([*steps[:1], *steps[2:]])
        return namespace, resource, steps[1] if len(steps) > 1 else ""

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        steps = self.path.strip("/").split("/")
        return steps[1] if steps[0] == "apis" and len(steps) > 1 else ""

    @property
    def verb(self) -> str:
        """What a role calls it."""
        verb = _VERBS.get(self.method, self.method.lower())
        return "list" if verb == "get" and not self.parts[2] else verb


def one_line(text: str) -> str:
    """A text from elsewhere, fit to be quoted: one line, not too long, nothing like a token."""
    text = " ".join(_SECRETS.sub("...", text).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def refusal(status: int, body: bytes | str | None, call: Call) -> MetastoreError:
    """The error for an answer that is none of success."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    about = answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}
    said = _said(about, status, call)
    offender = Offender(call.parts[1] or None, name=call.parts[2] or None)
    if status == 401:
        return UnauthorizedError(
            f"the API server {call.server} does not accept the credentials of the kubeconfig or"
            " service account (401)",
            hint="log in again, as for kubectl; a token may have expired",
        )
    if status == 403:
        return _forbidden(str(about.get("message") or ""), call, offender)
    # A WebSocket's refusal may come without a body.
    # An API that this server does not have is answered with a plain text or a list of paths.
    known = about or isinstance(answer, dict) or text.startswith("404 page not found")
    if status < 400 or (text and not known and status not in (429, 502, 503, 504)):
        return not_an_api(call, f"status {status}")
    if status == 404:
        return NotFoundError(
            f"there is no {call.what}", hint=f"{call.server} says: {said}", offender=offender
        )
    if status == 409:
        if about.get("reason") == "AlreadyExists":
            return AlreadyExistsError(f"{call.what} is there already: {said}", offender=offender)
        return ConflictError(
            f"{call.what} was changed by somebody else: {said}",
            hint="read it again, then change it",
            offender=offender,
        )
    if status in (400, 422):
        return InvalidError(f"the API server refused {call.what}: {said}", offender=offender)
    if status in (429, 503, 504):
        return BusyError(
            f"the API server {call.server} is too busy or not ready ({status}: {said})",
            hint="try again later",
        )
    return StorageError(
        f"the API server {call.server} failed at {call.what} ({status}: {said})",
        hint="its log says more",
        offender=offender,
    )


def _said(about: dict[str, object], status: int, call: Call) -> str:
    """The server's own words."""
    if status in (400, 422) and call.parts[1].startswith("secrets"):
        # A server that cannot read what it was sent quotes it.
        details = about.get("details")
        causes = details.get("causes") if isinstance(details, dict) else None
        fields = ", ".join(str(each.get("field")) for each in causes or [])
        return f"{about.get('reason') or status}" + (f" at {fields}" if fields else "")
    return one_line(str(about.get("message") or f"status {status}"))


def _forbidden(said: str, call: Call, offender: Offender) -> MetastoreError:
    found = _FORBIDDEN.search(said)
    if said and not found:
        # Allowed by every role, and refused by who looks at what is to be made.
        return OpenError(
            f"the API server {call.server} refused {call.what} (403): {one_line(said)}",
            hint="a quota or a policy of the cluster forbids it: ask for less, or have it changed",
            offender=offender,
        )
    user = f" User {found['user']!r}" if found and found["user"] else " this user"
    verb = found["verb"] if found else call.verb
    resource = found["resource"] if found else call.parts[1] or call.path
    group = found["group"] if found else call.group
    namespace = call.parts[0]
    where = f" in namespace {namespace!r}" if namespace else ""
    # The WebSocket of a forward is a GET, kubectl's a POST: who may one should be let do the other.
    verbs = '"get", "create"' if resource == "pods/portforward" else f'"{verb}"'
    return OpenError(
        f"the API server {call.server} does not let{user} {verb} {resource}{where} (403)",
        hint=f'a Role for it needs the rule {{apiGroups: ["{group}"], resources: ["{resource}"],'
        f" verbs: [{verbs}]}}",
        offender=offender,
    )


def not_an_api(call: Call, seen: str) -> MetastoreError:
    """The error for an answer that no API server gives."""
    return OpenError(
        f"what answers at {call.server} is no Kubernetes API server ({seen} for {call.path})",
        hint="check the server of the kubeconfig's cluster, and whether a proxy or a login page"
        " stands in between",
    )


def unreachable(error: BaseException, server: str, timeout: float) -> MetastoreError:
    """The error for a call that got no answer: `server` is scheme, host and port."""
    chain = list(_chain(error))

    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(each, kinds) for each in chain)

    words = " ".join(str(each) for each in chain)
    if has(socket.gaierror):
        return UnreachableError(
            f"the name of the API server {server} cannot be resolved",
            hint="check the server of the kubeconfig's cluster, and the network",
        )
    if has(ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in words:
        why = next(
            (e.verify_message for e in chain if isinstance(e, ssl.SSLCertVerificationError)), ""
        )
        return OpenError(
            f"the certificate of the API server {server} cannot be trusted"
            + (f": {one_line(why)}" if why else ""),
            hint="check certificate-authority and server of the kubeconfig's cluster; the cluster"
            " may have been made anew",
        )
    if has(ConnectionRefusedError):
        return UnreachableError(
            f"nothing listens at the API server's {server} (connection refused)",
            hint="check that the cluster runs, and the server of the kubeconfig's cluster",
        )
    if has(TimeoutError) or any("Timeout" in type(each).__name__ for each in chain):
        return UnreachableError(
            f"the API server {server} gave no answer within {timeout:g} s",
            hint="check network, VPN and proxy; connect_timeout gives it longer",
        )
    if has(ssl.SSLError) or "SSLError" in words:
        return OpenError(
            f"there is no TLS with the API server {server}",
            hint="check whether https is right in the server of the kubeconfig's cluster, and its"
            " client certificate",
        )
    if has(ConnectionError):
        return CutError(
            f"the API server {server} closed the connection without an answer",
            hint="try again; a proxy or load balancer may stand in between",
        )
    # Client 35 reads answers as text.
    if has(http.client.HTTPException, UnicodeDecodeError):
        return OpenError(
            f"what answers at {server} is no Kubernetes API server",
            hint="check the server of the kubeconfig's cluster",
        )
    reason = next(
        (each.strerror for each in chain if isinstance(each, OSError) and each.strerror),
        type(error).__name__,
    )
    return UnreachableError(
        f"the API server {server} cannot be reached: {one_line(reason)}",
        hint="check the network, and the server of the kubeconfig's cluster",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it, in whichever way it is kept."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        each = todo.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
