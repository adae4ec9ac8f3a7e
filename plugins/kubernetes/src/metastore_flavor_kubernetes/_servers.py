"""What differs between the images that can be brought up."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SERVERS", "Server"]


class Server(NamedTuple):
    """An official image, and how its entrypoint and its programs are talked to."""

    image: str
    """A pinned release: what is tested today is what runs tomorrow."""
    prefix: str
    """Of the variables of its entrypoint."""
    client: str
    """The program that logs in."""
    arguments: tuple[str, ...]
    """Of the server."""
    environment: tuple[tuple[str, str], ...] = ()
    """More variables."""


_ARGUMENTS = (
    "--character-set-server=utf8mb4",
    # A name service that is slow or away keeps nobody from logging in.
    "--skip-name-resolve",
    # A text has up to 16 MiB.
    "--max-allowed-packet=67108864",
)

SERVERS = {
    "mysql": Server(
        image="docker.io/library/mysql:8.4.10",
        prefix="MYSQL",
        client="mysql",
        # Without another port that nobody asked for.
        arguments=(*_ARGUMENTS, "--mysqlx=OFF"),
    ),
    "mariadb": Server(
        image="docker.io/library/mariadb:11.4.13",
        prefix="MARIADB",
        client="mariadb",
        arguments=_ARGUMENTS,
        # MySQL does by itself what a newer release needs of its tables; MariaDB wants to be told.
        environment=(("MARIADB_AUTO_UPGRADE", "1"),),
    ),
}
