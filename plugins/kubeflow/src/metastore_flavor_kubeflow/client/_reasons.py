"""Why a call did not come through: gRPC's words, as a reason and what to do about it.

Its words are for whoever knows gRPC, and differ by its version; and a status of the transport may
be a server's or a proxy's own, with a text of theirs.  So none of it is shown.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Reason", "reason_of"]


class Reason(NamedTuple):
    """Why, what to do, and what may be hoped for."""

    text: str
    hint: str = "look at the service, and at host and port; Kubeflow Pipelines has it up to 2.18"
    will_last: bool = False
    """Whether it will be so again however often it is tried."""
    is_other: bool = False
    """Whether something answers that is no gRPC server."""


_KNOWN: tuple[tuple[tuple[str, ...], Reason], ...] = (
    (
        ("hostname verification", "peer name"),
        Reason(
            "its certificate is for another name",
            "give the name that is in the certificate as tls_server_name",
            will_last=True,
        ),
    ),
    (
        ("certificate_verify_failed", "certificate verify failed"),
        Reason(
            "its certificate is of a CA that is not trusted here",
            "give the file of its CA as tls_ca",
            will_last=True,
        ),
    ),
    (
        ("wrong_version_number", "wrong version number"),
        Reason(
            "it answers without TLS, or is no such service",
            "leave out the settings of TLS (tls, tls_ca ...), or correct the port",
            will_last=True,
        ),
    ),
    (
        ("certificate_required", "handshake_failure", "bad_certificate", "unknown_ca"),
        Reason(
            "it wants a client certificate that it trusts",
            "give the files of one as tls_cert and tls_key",
        ),
    ),
    (
        ("handshake failed", "ssl_error"),
        Reason("TLS could not be agreed upon", "look at the settings of TLS, on both sides"),
    ),
    (
        ("http1", "parsing http/2", "got frame type", "http/1"),
        Reason("something answers that is no gRPC server", will_last=True, is_other=True),
    ),
    (
        ("refused",),
        Reason("the connection was refused", "check host and port, and that the service runs"),
    ),
    (
        ("errors resolving", "resolution", "domain name", "empty address list", "lookup"),
        Reason("its host has no address", "check the host, and the network's names"),
    ),
    (("unreachable", "no route"), Reason("its host cannot be reached", "check host and network")),
    (
        ("upstream", "no healthy"),
        Reason("a proxy in front of it does not reach it", "look at the service, and at the proxy"),
    ),
    (
        ("handshaker shutdown", "timed out", "timeout", "deadline"),
        Reason("it does not take up the connection", "check host and port, and what is between"),
    ),
    (
        ("closed", "reset", "broken pipe", "goaway", "eof"),
        Reason(
            "it closed the connection",
            "look at the service; if it wants TLS, set tls=true, or tls_ca",
        ),
    ),
)


def reason_of(details: str) -> Reason | None:
    """What gRPC's details come to; None for what is not known."""
    # Of several addresses the last one; what stands before says only that there were some.
    said = details.lower().rpartition("last error: ")[2]
    for words, reason in _KNOWN:
        if any(word in said for word in words):
            return reason
    return None
