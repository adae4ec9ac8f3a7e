"""ML Metadata's schema 10, declared once as SQLAlchemy tables.

Source: the tables that ml-metadata 1.17.1 makes.  Two indexes are ours, on
Association.execution_id and Attribution.artifact_id: without them, "which runs used this artifact"
reads every row.  ML Metadata accepts additional indexes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeEngine

from metastore.model import LinkKind, NodeKind

__all__ = ["SCHEMA_VERSION", "Schema", "SchemaOptions"]

SCHEMA_VERSION = 10
"""The version that `MLMDEnv` holds."""


@dataclass(frozen=True)
class SchemaOptions:
    """What differs between engines.

    table:
        Keyword arguments of every `sqlalchemy.Table` that has an `id` of its own.
    partial_index:
        Name of the `sqlalchemy.Index` argument that restricts an index to some rows; None where
        the engine has no such indexes.
    integer:
        The type of ids, times and `int_value`: 64 bits wide.
    text, binary:
        The types of property values, uris, paths and descriptions.
    name:
        The type of names, versions, external ids and keys of properties.
    boolean:
        The type of `bool_value`, which is given and gives 0 and 1.
    autoincrement:
        Whether the engine may make ids of its own; otherwise each row is inserted with its id.
    uri_index:
        Keyword arguments of the `sqlalchemy.Index` on uris, which may be long.
    value_indexes:
        Whether there are indexes on the values of properties.
    string_index:
        Keyword arguments of the indexes on `string_value`, which may be long.
    """

    table: Mapping[str, Any] = field(default_factory=dict)
    partial_index: str | None = None
    integer: TypeEngine[int] = field(default_factory=Integer)
    text: TypeEngine[str] = field(default_factory=Text)
    binary: TypeEngine[bytes] = field(default_factory=LargeBinary)
    name: TypeEngine[str] = field(default_factory=lambda: String(255))
    boolean: TypeEngine[Any] = field(default_factory=Boolean)
    autoincrement: bool = True
    uri_index: Mapping[str, Any] = field(default_factory=dict)
    value_indexes: bool = True
    string_index: Mapping[str, Any] = field(default_factory=dict)


class Schema:
    """The tables for one engine."""

    def __init__(self, options: SchemaOptions | None = None) -> None:
        self._options = options or SchemaOptions()
        self.metadata = MetaData()
        name, text = self._options.name, self._options.text
        self.type = self._table(
            "Type",
            self._id(),
            Column("name", name, nullable=False),
            Column("version", name),
            Column("type_kind", SmallInteger, nullable=False),
            Column("description", text),
            Column("input_type", text),
            Column("output_type", text),
            Column("external_id", name, unique=True),
        )
        self.type_property = self._table(
            "TypeProperty",
            self._reference("type_id"),
            Column("name", name, nullable=False),
            Column("data_type", SmallInteger),
            PrimaryKeyConstraint("type_id", "name"),
        )
        self.parent_type = self._table(
            "ParentType",
            self._reference("type_id"),
            self._reference("parent_type_id"),
            PrimaryKeyConstraint("type_id", "parent_type_id"),
        )
        self.nodes = {
            NodeKind.ARTIFACT: self._node("Artifact", Column("uri", text), _state("state")),
            NodeKind.EXECUTION: self._node("Execution", _state("last_known_state")),
            NodeKind.CONTEXT: self._node("Context"),
        }
        self.owner_names = {kind: f"{kind.label}_id" for kind in NodeKind}
        self.properties = {kind: self._property(kind) for kind in NodeKind}
        self.parent_context = self._table(
            "ParentContext",
            self._reference("context_id"),
            self._reference("parent_context_id"),
            PrimaryKeyConstraint("context_id", "parent_context_id"),
        )
        self.event = self._table(
            "Event",
            self._id(),
            self._reference("artifact_id"),
            self._reference("execution_id"),
            Column("type", SmallInteger, nullable=False),
            Column("milliseconds_since_epoch", self._options.integer),
            UniqueConstraint("artifact_id", "execution_id", "type"),
        )
        self.event_path = self._table(
            "EventPath",
            self._reference("event_id"),
            Column("is_index_step", SmallInteger, nullable=False),
            Column("step_index", self._options.integer),
            Column("step_key", text),
        )
        self.association = self._link("Association", "execution_id")
        self.attribution = self._link("Attribution", "artifact_id")
        version = Column("schema_version", Integer, primary_key=True, autoincrement=False)
        self.env = self._table("MLMDEnv", version)
        self.links = {
            LinkKind.ATTRIBUTION: (self.attribution, self.attribution.c.artifact_id),
            LinkKind.ASSOCIATION: (self.association, self.association.c.execution_id),
            LinkKind.PARENT: (self.parent_context, self.parent_context.c.parent_context_id),
        }
        self._indexes()

    def owner(self, kind: NodeKind) -> Column[int]:
        """The column of the property table that holds the node's id."""
        return self.properties[kind].c[self.owner_names[kind]]

    def state(self, kind: NodeKind) -> Column[int] | None:
        """The column that holds the state; contexts have none."""
        columns = self.nodes[kind].c
        return (
            columns.get("state") if kind is NodeKind.ARTIFACT else columns.get("last_known_state")
        )

    def _table(self, name: str, *columns: Any) -> Table:
        has_id = any(isinstance(each, Column) and each.name == "id" for each in columns)
        return Table(name, self.metadata, *columns, **(self._options.table if has_id else {}))

    def _id(self) -> Column[int]:
        return Column("id", self._options.integer, **self._primary_key())

    def _primary_key(self) -> dict[str, Any]:
        # Left out where it is the default, which SQLAlchemy writes as "auto".
        own: dict[str, Any] = {} if self._options.autoincrement else {"autoincrement": False}
        return {"primary_key": True, **own}

    def _reference(self, name: str) -> Column[int]:
        # No foreign keys: ML Metadata has none, and damaged stores must still open.
        return Column(name, self._options.integer, nullable=False, autoincrement=False)

    def _time(self, name: str) -> Column[int]:
        return Column(name, self._options.integer, nullable=False, server_default="0")

    def _node(self, name: str, *own: Column[Any]) -> Table:
        columns = [
            self._id(),
            self._reference("type_id"),
            *own,
            Column("name", self._options.name, nullable=name != "Context"),
            Column("external_id", self._options.name, unique=True),
            self._time("create_time_since_epoch"),
            self._time("last_update_time_since_epoch"),
        ]
        return self._table(
            name, *columns, UniqueConstraint("type_id", "name", name=f"Unique{name}TypeName")
        )

    def _property(self, kind: NodeKind) -> Table:
        options = self._options
        owner = self.owner_names[kind]
        return self._table(
            f"{kind.label.title()}Property",
            self._reference(owner),
            Column("name", options.name, nullable=False),
            Column("is_custom_property", SmallInteger, nullable=False),
            Column("int_value", options.integer),
            Column("double_value", Double),
            Column("string_value", options.text),
            Column("byte_value", options.binary),
            Column("proto_value", options.binary),
            Column("bool_value", options.boolean),
            PrimaryKeyConstraint(owner, "name", "is_custom_property"),
        )

    def _link(self, name: str, other: str) -> Table:
        return self._table(
            name,
            self._id(),
            self._reference("context_id"),
            self._reference(other),
            UniqueConstraint("context_id", other),
        )

    def _indexes(self) -> None:
        nodes, event = self.nodes, self.event.c
        uri = nodes[NodeKind.ARTIFACT].c.uri
        Index("idx_artifact_uri", uri, **self._options.uri_index)
        for kind, table in nodes.items():
            for time in ("create_time_since_epoch", "last_update_time_since_epoch"):
                Index(f"idx_{kind.label}_{time}", table.c[time])
            Index(f"idx_{kind.label}_external_id", table.c.external_id)
            columns = self.properties[kind].c
            for value in ("int", "double", "string") if self._options.value_indexes else ():
                column = columns[f"{value}_value"]
                only = dict(self._options.string_index) if value == "string" else {}
                if self._options.partial_index:
                    only[self._options.partial_index] = column.is_not(None)
                Index(
                    f"idx_{kind.label}_property_{value}",
                    columns.name,
                    columns.is_custom_property,
                    column,
                    **only,
                )
        Index("idx_type_external_id", self.type.c.external_id)
        Index("idx_type_name", self.type.c.name)
        Index("idx_event_execution_id", event.execution_id)
        Index("idx_eventpath_event_id", self.event_path.c.event_id)
        Index("idx_parentcontext_parent_context_id", self.parent_context.c.parent_context_id)
        # Ours.
        Index("idx_association_execution_id", self.association.c.execution_id)
        Index("idx_attribution_artifact_id", self.attribution.c.artifact_id)


def _state(name: str) -> Column[int]:
    return Column(name, SmallInteger)
