"""The types of a store, read once and kept as long as they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, func, select

from metastore.changes import Questions
from metastore.model import Type, TypeKey
from metastore.sql.database import Session
from metastore.sql.reading import read_all_types
from metastore.sql.schema import Schema

__all__ = ["MARK", "TypeCache", "mark_of_types"]


class TypeIndex:
    """All types of a store, findable in the three ways that a planner asks for them."""

    def __init__(self, types: Iterable[Type]) -> None:
        self._by_id: dict[int, Type] = {}
        self._by_key: dict[TypeKey, Type] = {}
        self._by_external_id: dict[str, Type] = {}
        for each in types:
            self._by_id[each.id] = each
            # Stores written by racing ML Metadata clients may hold a type twice: the first counts.
            self._by_key.setdefault(each.key, each)
            if each.external_id is not None:
                self._by_external_id[each.external_id] = each

    def find(self, questions: Questions) -> list[Type]:
        """The types that are asked for."""
        return [
            *_found(self._by_key, questions.types),
            *_found(self._by_id, questions.type_ids),
            *_found(self._by_external_id, questions.type_external_ids),
        ]


def _found(types: Mapping[Any, Type], wanted: Iterable[Any]) -> Iterable[Type]:
    return (types[each] for each in wanted if each in types)


_AS_NAMED, _EXACT = "types", "types, external ids included"


MARK = "types mark"
"""The key of `mark_of_types` in the notes of a session, where they were read in passing."""


def mark_of_types(schema: Schema) -> tuple[ColumnElement[Any], ...]:
    """Numbers by which it is seen that somebody has added to the types, as subqueries."""
    return (
        select(func.max(schema.type.c.id)).scalar_subquery(),
        select(func.count()).select_from(schema.type).scalar_subquery(),
        select(func.count()).select_from(schema.type_property).scalar_subquery(),
        select(func.count()).select_from(schema.parent_type).scalar_subquery(),
    )


class TypeCache:
    """All types of a store, as long as nobody adds one.

    Types are never removed and their properties never change, so the numbers of rows tell whether
    the cache still holds, but for external ids, which may change without a trace.  They are read
    in the writer's own transaction: what they say is true until it ends, or, where the database
    can tell, until others have written.
    """

    def __init__(self) -> None:
        self._state: tuple[Any, TypeIndex] = (None, TypeIndex(()))

    def find(self, session: Session, questions: Questions, *, changed: bool) -> list[Type]:
        """The types that are asked for; `changed` where the transaction has changed types."""
        notes = session.notes
        index: TypeIndex | None = notes.get(_EXACT)
        if index is None and questions.type_external_ids:
            index = notes[_EXACT] = self._read(session, anew=True, keep=not changed)
        if index is None:
            index = notes.get(_AS_NAMED)
        if index is None:
            index = notes[_AS_NAMED] = self._read(session, anew=False, keep=not changed)
        return index.find(questions)

    def forget(self, session: Session) -> None:
        """The transaction of this session changes types."""
        session.notes.pop(_EXACT, None)
        session.notes.pop(_AS_NAMED, None)

    def _read(self, session: Session, *, anew: bool, keep: bool) -> TypeIndex:
        database = session.database

        def build() -> Any:
            return select(*mark_of_types(database.schema))

        mark = session.notes.get(MARK)
        if mark is None or not keep:
            mark = session.rows(database.statement("types mark", build))[0]
        known, types = self._state
        if anew or mark != known:
            types = TypeIndex(read_all_types(session))
            if keep:
                # Not what may be rolled back.  One assignment: threads see the old or the new pair.
                self._state = (mark, types)
        return types
