"""Which store is meant."""

from __future__ import annotations

from pathlib import Path

from metastore import FlavorConfig, InvalidError, StoreURL
from pydantic import Field


class {{cookiecutter.__class}}Config(FlavorConfig):
    """A file, and how long to wait for others who write it."""

    path: Path = Field(description="The file.")
    lock_timeout: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds to wait while another process writes.",
    )

    @classmethod
    def from_url(cls, url: StoreURL) -> {{cookiecutter.__class}}Config:
        """Three slashes before a relative path, four before an absolute one."""
        path = url.path.removeprefix("/")
        if url.authority or not path or "path" in url.options:
            # Without what was given, which may hold a password.
            raise InvalidError(
                "the URL of the store names no file",
                hint=f"write {url.scheme}:///runs.jsonl, or {url.scheme}:////data/runs.jsonl",
            )
        return cls.checked(url.scheme, {**url.options, "path": path})
