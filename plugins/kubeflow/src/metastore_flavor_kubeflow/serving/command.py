"""``metastore serve``."""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metastore.cli.options import Refused, debug_option, opened, store_argument

if TYPE_CHECKING:
    from metastore_flavor_kubeflow.serving._tls import TLSFiles

__all__ = ["serve"]

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def _address(ctx: click.Context, _: click.Parameter, value: str) -> str:  # noqa: ARG001 - click's
    """A name or an address: gRPC would take more, such as sockets of files."""
    host = value.removeprefix("[").removesuffix("]") if value.startswith("[") else value
    is_name = bool(re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host))
    if (is_name and host != "unix") or _is_address(host):
        return host
    raise click.BadParameter(f"{value!r} is neither a host's name nor an address")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _finite(ctx: click.Context, _: click.Parameter, value: float) -> float:  # noqa: ARG001 - click's
    if math.isnan(value):
        raise click.BadParameter("it is not a number")
    return value


@click.command()
@store_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=_address,
    help="The address to listen at.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port to listen at; 0 for a free one.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Reads, and as many writes, that are worked on at a time.",
)
@click.option("--read-only", is_flag=True, help="Never change the store; writes are refused.")
@click.option("--tls-cert", type=_FILE, help="The server's certificate and its chain, PEM.")
@click.option("--tls-key", type=_FILE, help="Its private key, PEM, without passphrase.")
@click.option(
    "--tls-client-ca", type=_FILE, help="Let in only clients with a certificate of this CA, PEM."
)
@click.option(
    "--max-message-size",
    type=click.IntRange(1, 2047),
    default=100,
    show_default=True,
    metavar="MIB",
    help="Of a request and of an answer.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    callback=_finite,
    metavar="SECONDS",
    help="How long calls may take to end when the server stops.",
)
@click.option(
    "--access-log/--no-access-log",
    default=True,
    help="A line a call on stderr: who, what, outcome, time, sizes.  [default: access-log]",
)
@debug_option(hidden=True)
def serve(
    store: str | None,
    host: str,
    port: int,
    workers: int,
    read_only: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    max_message_size: int,
    grace: float,
    access_log: bool,
) -> None:
    """Serve a store to ML Metadata's clients: Kubeflow Pipelines, TFX, ml-metadata.

    They find ml_metadata.MetadataStoreService, as of ML Metadata's own server, and gRPC's health
    service. The protocol has no authentication: whoever reaches the port reads and writes all of
    the store, so that by default only this machine does. Ctrl-C or SIGTERM stops the server.

    \b
    metastore serve sqlite:///runs.db
    metastore serve prod --host 0.0.0.0 --tls-cert tls.crt --tls-key tls.key
    """  # noqa: D301 - it is the character that click looks for
    # gRPC's own lines are for its developers; what they come from is told by us.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    tls = _tls(tls_cert, tls_key, tls_client_ca)

    from metastore_flavor_kubeflow.serving._server import (
        AddressError,
        ServerSettings,
        run_server,
    )
    from metastore_flavor_kubeflow.serving._tls import TLSError

    settings = ServerSettings(host, port, workers, max_message_size * 1024 * 1024, tls, grace)
    _log_to_stderr(access_log)
    with opened(store, mode="r" if read_only else "rw") as serving:

        def ready(bound: int) -> None:
            where = f"{f'[{host}]' if ':' in host else host}:{bound}"
            how = "without TLS" if tls is None else "with TLS"
            click.echo(f"Serving {serving.location} at {where}, {how}; Ctrl-C stops it.")
            sys.stdout.flush()
            if tls_client_ca is None and not _is_loopback(host):
                click.echo(
                    f"warning: {where} is reached from other machines, and ML Metadata's protocol "
                    "has no authentication: whoever reaches it reads and "
                    f"{'' if read_only else 'writes '}all of the store; let a firewall or a "
                    "NetworkPolicy choose who does, or --tls-client-ca",
                    err=True,
                )

        try:
            left = run_server(serving.backend, settings, ready)
        except AddressError as error:
            raise Refused(
                f"{error} cannot be listened at: another program does, or this machine has no "
                "such address; choose another --port or --host"
            ) from error
        except TLSError as error:
            raise Refused(str(error)) from error
    if left:
        # Their threads cannot be ended otherwise; the store is as after any other sudden end.
        click.echo(f"warning: {left} calls had not ended", err=True)
        sys.stderr.flush()
        os._exit(1)


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TLSFiles | None:
    if certificate is None and key is None:
        if client_ca is not None:
            raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key.")
        return None
    if certificate is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key go together.")
    from metastore_flavor_kubeflow.serving._tls import TLSFiles

    return TLSFiles(certificate, key, client_ca)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _log_to_stderr(access_log: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("metastore.serve")
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO if access_log else logging.WARNING)
