"""The toolkit for relational flavors: ML Metadata's schema and everything above it.

For a database that SQLAlchemy has a dialect for, a flavor is its two classes::

    class WarehouseConfig(ServerConfig):
        DRIVER = "postgresql+psycopg"  # SQLAlchemy's name of dialect and driver


    class WarehouseMetadataStore(EngineMetadataStore):
        FLAVOR = "warehouse"

`FileConfig` is the config of a database in a file, `EngineConfig` that of any other.  What the
database can do it is asked when it is opened.  Filters are evaluated in Python; `EngineDatabase`
says how a flavor leaves them to its database, and what else of it may be overridden.

Where that is not enough, a flavor derives from `SQLMetadataStore` and describes its engine in a
`Database`; reading, writing, types and paging are done here.  `make_tables` makes a store,
`upgrade_tables` brings an older one to schema 10, `StoreCheck` says what is wrong with one,
`check_path` with a path; `watch_forks` tells of forks, which wait for what is done `connecting`.

Needs the extra ``metastore-core[sql]``; the config classes, and what concerns paths and forks, do
not import SQLAlchemy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore.forks import Forked as Forked
    from metastore.forks import connecting as connecting
    from metastore.forks import keep_for_ever as keep_for_ever
    from metastore.forks import watch_forks as watch_forks
    from metastore.sql.database import Database as Database
    from metastore.sql.database import Session as Session
    from metastore.sql.engine import EngineDatabase as EngineDatabase
    from metastore.sql.engine_config import EngineConfig as EngineConfig
    from metastore.sql.engine_config import FileConfig as FileConfig
    from metastore.sql.engine_config import ServerConfig as ServerConfig
    from metastore.sql.engine_errors import LostConnectionError as LostConnectionError
    from metastore.sql.engine_store import EngineMetadataStore as EngineMetadataStore
    from metastore.sql.paths import check_path as check_path
    from metastore.sql.paths import path_in_url as path_in_url
    from metastore.sql.schema import SCHEMA_VERSION as SCHEMA_VERSION
    from metastore.sql.schema import Schema as Schema
    from metastore.sql.schema import SchemaOptions as SchemaOptions
    from metastore.sql.store import SQLMetadataStore as SQLMetadataStore
    from metastore.sql.tables import StoreCheck as StoreCheck
    from metastore.sql.tables import make_tables as make_tables
    from metastore.sql.tables import write_simple_types as write_simple_types
    from metastore.sql.upgrading import Found as Found
    from metastore.sql.upgrading import can_upgrade as can_upgrade
    from metastore.sql.upgrading import lacking as lacking
    from metastore.sql.upgrading import upgrade_tables as upgrade_tables

_HOMES = {
    "metastore.forks": "Forked connecting keep_for_ever watch_forks",
    "metastore.sql.database": "Database Session",
    "metastore.sql.engine": "EngineDatabase",
    "metastore.sql.engine_config": "EngineConfig FileConfig ServerConfig",
    "metastore.sql.engine_errors": "LostConnectionError",
    "metastore.sql.engine_store": "EngineMetadataStore",
    "metastore.sql.paths": "check_path path_in_url",
    "metastore.sql.schema": "SCHEMA_VERSION Schema SchemaOptions",
    "metastore.sql.store": "SQLMetadataStore",
    "metastore.sql.tables": "StoreCheck make_tables write_simple_types",
    "metastore.sql.upgrading": "Found can_upgrade lacking upgrade_tables",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605 - it is a list, and cannot differ from the table


def __getattr__(name: str) -> object:
    # Lazily: a flavor's config is imported to show its settings, and needs no SQLAlchemy.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value
