"""The settings of an SQLite store."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from metastore import FlavorConfig, InvalidError, Offender, StoreURL

__all__ = ["SQLiteConfig"]


class SQLiteConfig(FlavorConfig):
    """Where the file is, and how long to wait for others."""

    path: Path | None = Field(
        default=None, description="The file; without one, the store is in memory."
    )
    busy_timeout: float = Field(
        default=60.0,
        ge=0,
        le=86400,
        allow_inf_nan=False,
        description="Seconds to wait while others hold the file locked.",
    )

    @classmethod
    def from_url(cls, url: StoreURL) -> SQLiteConfig:
        """``sqlite:///runs.db`` is relative, ``sqlite:////data/runs.db`` absolute, ``sqlite://``
        is in memory; options: ``?busy_timeout=5``.
        """
        if url.authority:
            raise InvalidError(
                f"{url.authority!r} stands where a host would, and a file has none",
                hint="write sqlite:///file.db (relative) or sqlite:////folder/file.db (absolute)",
                offender=Offender("store"),
            )
        if "path" in url.options:
            raise InvalidError(
                "the path stands behind sqlite:///, not among the options",
                hint="write sqlite:///file.db",
                offender=Offender("store", property="path"),
            )
        path = url.path.removeprefix("/")
        if url.path and not path:
            raise InvalidError(
                "the URL of the store ends where a file would stand",
                hint="write sqlite:///file.db; or sqlite:// for one in memory",
                offender=Offender("store"),
            )
        # Said, also where it is none: what a URL says goes before the environment.
        fields = {**url.options, "path": None if path in ("", ":memory:") else path}
        return cls.checked(url.scheme, fields)
