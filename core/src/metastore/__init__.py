"""One store for the history of machine-learning work, on many backends.

Everything public is a name of this module; nothing is imported before it is used::

    import metastore

    store = metastore.connect("sqlite:///runs.db")
    with store.run("train-iris", parameters={"seed": 7}) as run:
        with run.step("train", parameters={"lr": 0.1}) as step:
            model = step.output("model", type="Model", uri="s3://bucket/model")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metastore.base import BaseMetadataStore as BaseMetadataStore
    from metastore.base import OpenMode as OpenMode
    from metastore.base import Transaction as Transaction
    from metastore.batch import ALL as ALL
    from metastore.batch import Batch as Batch
    from metastore.batch import Insert as Insert
    from metastore.batch import Merge as Merge
    from metastore.batch import NodeDraft as NodeDraft
    from metastore.batch import Outcome as Outcome
    from metastore.batch import Ref as Ref
    from metastore.batch import Replace as Replace
    from metastore.batch import Reuse as Reuse
    from metastore.batch import TypeDraft as TypeDraft
    from metastore.batch import Written as Written
    from metastore.batch import WrittenBatch as WrittenBatch
    from metastore.capabilities import Capabilities as Capabilities
    from metastore.changes import Answers as Answers
    from metastore.changes import Applied as Applied
    from metastore.changes import Changes as Changes
    from metastore.changes import Questions as Questions
    from metastore.config._connect import connect as connect
    from metastore.errors import AlreadyExistsError as AlreadyExistsError
    from metastore.errors import BusyError as BusyError
    from metastore.errors import CapabilityError as CapabilityError
    from metastore.errors import ClosedError as ClosedError
    from metastore.errors import ConflictError as ConflictError
    from metastore.errors import DamagedStoreError as DamagedStoreError
    from metastore.errors import FilterError as FilterError
    from metastore.errors import FlavorError as FlavorError
    from metastore.errors import FlavorNotFoundError as FlavorNotFoundError
    from metastore.errors import ForkError as ForkError
    from metastore.errors import InvalidError as InvalidError
    from metastore.errors import MetastoreError as MetastoreError
    from metastore.errors import NotAStoreError as NotAStoreError
    from metastore.errors import NotFoundError as NotFoundError
    from metastore.errors import Offender as Offender
    from metastore.errors import OpenError as OpenError
    from metastore.errors import OutcomeUnknownError as OutcomeUnknownError
    from metastore.errors import ReadOnlyError as ReadOnlyError
    from metastore.errors import SchemaVersionError as SchemaVersionError
    from metastore.errors import StorageError as StorageError
    from metastore.errors import StoreNotFoundError as StoreNotFoundError
    from metastore.memory import MemoryMetadataStore as MemoryMetadataStore
    from metastore.model import Artifact as Artifact
    from metastore.model import ArtifactState as ArtifactState
    from metastore.model import Context as Context
    from metastore.model import Event as Event
    from metastore.model import EventType as EventType
    from metastore.model import Execution as Execution
    from metastore.model import ExecutionState as ExecutionState
    from metastore.model import Link as Link
    from metastore.model import LinkKind as LinkKind
    from metastore.model import NodeKind as NodeKind
    from metastore.model import PropertyKind as PropertyKind
    from metastore.model import Proto as Proto
    from metastore.model import Type as Type
    from metastore.model import TypeKey as TypeKey
    from metastore.plugins._config import FlavorConfig as FlavorConfig
    from metastore.plugins._config import StoreURL as StoreURL
    from metastore.plugins._finder import FoundFlavor as FoundFlavor
    from metastore.plugins._finder import find_flavors as find_flavors
    from metastore.plugins._flavor import INTERFACE_VERSION as INTERFACE_VERSION
    from metastore.plugins._flavor import Command as Command
    from metastore.plugins._flavor import Flavor as Flavor
    from metastore.plugins._hooks import hookimpl as hookimpl
    from metastore.plugins._secret import Secret as Secret
    from metastore.plugins._sources import register_flavor as register_flavor
    from metastore.query import Cursor as Cursor
    from metastore.query import EventQuery as EventQuery
    from metastore.query import Filter as Filter
    from metastore.query import LinkQuery as LinkQuery
    from metastore.query import NodeQuery as NodeQuery
    from metastore.query import OrderBy as OrderBy
    from metastore.query import TypeQuery as TypeQuery
    from metastore.query import WalkQuery as WalkQuery
    from metastore.query import Way as Way
    from metastore.store import Store as Store
    from metastore.transfer import CopyReport as CopyReport
    from metastore.transfer import Differences as Differences
    from metastore.transfer import LeftOut as LeftOut

_HOMES = {
    "base": "BaseMetadataStore OpenMode Transaction",
    "batch": (
        "ALL Batch Insert Merge NodeDraft Outcome Ref Replace Reuse TypeDraft Written WrittenBatch"
    ),
    "capabilities": "Capabilities",
    "changes": "Answers Applied Changes Questions",
    "config._connect": "connect",
    "errors": (
        "AlreadyExistsError BusyError CapabilityError ClosedError ConflictError DamagedStoreError "
        "FilterError FlavorError FlavorNotFoundError ForkError InvalidError MetastoreError "
        "NotAStoreError NotFoundError Offender OpenError OutcomeUnknownError ReadOnlyError "
        "SchemaVersionError StorageError StoreNotFoundError"
    ),
    "memory": "MemoryMetadataStore",
    "model": (
        "Artifact ArtifactState Context Event EventType Execution ExecutionState Link LinkKind "
        "NodeKind PropertyKind Proto Type TypeKey"
    ),
    "plugins._config": "FlavorConfig StoreURL",
    "plugins._finder": "FoundFlavor find_flavors",
    "plugins._flavor": "INTERFACE_VERSION Command Flavor",
    "plugins._hooks": "hookimpl",
    "plugins._secret": "Secret",
    "plugins._sources": "register_flavor",
    "query": "Cursor EventQuery Filter LinkQuery NodeQuery OrderBy TypeQuery WalkQuery Way",
    "store": "Store",
    "transfer": "CopyReport Differences LeftOut",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605 - it is a list, and cannot differ from the table


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
