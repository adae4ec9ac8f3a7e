"""The SQLAlchemy engine of a config: found, its driver loaded, no password kept in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from metastore.errors import FlavorError, Offender
from metastore.sql.engine_config import EngineConfig

__all__ = ["engine_of"]

_BY_POSITION = {"pyformat": "format", "named": "numeric"}
"""For styles of parameters by name, the one by position that goes with them."""


def engine_of(
    config: EngineConfig, location: str, connect: Callable[[Any, dict[str, Any]], Any]
) -> Engine:
    """An engine that is not connected yet, and connects by `connect`: dialect, arguments.

    Raises
    ------
    FlavorError
        SQLAlchemy does not know the driver, or it is not installed.
    """
    offender = Offender("store", name=location)
    driver = getattr(type(config), "DRIVER", None)
    if driver is None:
        raise FlavorError(
            f"the class {type(config).__name__} names no DRIVER",
            hint='set it, such as DRIVER = "postgresql+psycopg"',
            offender=offender,
        )
    # Without the password: it is read for each connection, and kept by none of us.
    url = config.url()
    url = url.set(password="") if url.password else url
    try:
        dialect = url.get_dialect()
        module = dialect.import_dbapi()
    except (NoSuchModuleError, ArgumentError):
        raise FlavorError(
            f"SQLAlchemy has no dialect and driver {driver!r}",
            hint="install the distribution that brings it, or correct DRIVER of the flavor",
            offender=offender,
        ) from None
    except ImportError as error:
        wanted = (error.name or driver.partition("+")[2] or driver).partition(".")[0]
        raise FlavorError(
            f"the driver of {driver!r} is not installed, or lacks something",
            hint=f"pip install {wanted.replace('_', '-')}",
            offender=offender,
        ) from error
    if dialect.is_async:
        raise FlavorError(
            f"the driver of {driver!r} is for asynchronous programs",
            hint="name another one in DRIVER of the flavor",
            offender=offender,
        )
    options: dict[str, Any] = {"pool_pre_ping": True, "max_overflow": -1}
    style = _BY_POSITION.get(module.paramstyle)
    if style is not None:
        options["paramstyle"] = style
    engine = create_engine(url, module=module, **{**options, **config.engine_options()})

    @event.listens_for(engine, "do_connect")
    def do_connect(dialect: Any, _record: Any, _arguments: Any, options: Any) -> Any:
        return connect(dialect, options)

    return engine
