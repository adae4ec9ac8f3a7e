"""Which store is meant, and how the service is reached and brought up."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from metastore import FlavorConfig, InvalidError, Secret, StoreURL
from pydantic import Field


class {{cookiecutter.__class}}Config(FlavorConfig):
    """A store of a service."""

    host: str = Field(default="127.0.0.1", description="Where the service is.")
    port: int = Field(default=8765, ge=1, le=65535, description="Its port.")
    store: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        description="The store's name: letters, digits, hyphens.",
    )
    token: Secret = Field(description="What the service lets in who shows it.")
    timeout: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds to wait for an answer, and for a service that is brought up.",
    )
    folder: Path | None = Field(
        default=None,
        description="Where a service that 'metastore store up' starts keeps its data.",
    )

    @classmethod
    def from_url(cls, url: StoreURL) -> {{cookiecutter.__class}}Config:
        """``scheme://host:port/store?token=env:NAME``; host, port and store may be left out."""
        fields: dict[str, object] = dict(url.options)
        try:
            parts = urlsplit(f"//{url.authority}")
            named = {
                "host": parts.hostname,
                "port": parts.port,
                "store": url.path.removeprefix("/") or None,
            }
        except ValueError:
            raise cls._wrong(url) from None
        given = {name: value for name, value in named.items() if value is not None}
        if parts.username is not None or given.keys() & url.options.keys():
            raise cls._wrong(url)
        return cls.checked(url.scheme, {**fields, **given})

    @staticmethod
    def _wrong(url: StoreURL) -> InvalidError:
        # Without what was given, which may hold a password.
        return InvalidError(
            "the URL of the store says it in a way that is not known",
            hint=f"write {url.scheme}://host:port/store?token=env:NAME",
        )
