"""Section 3 of the contract done wrong: types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from metastore.changes import Answers, Applied, Changes, Questions, TypeInsert, TypeUpdate
from metastore.memory import Tables
from metastore.model import NodeKind, Type, TypeKey
from metastore.query import TypeQuery

from ._mutant import Rows, mutant


@mutant("test_a_type_comes_back_whole")
class LosesDescriptions(Rows):
    """Writes types without their descriptions."""

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        return row._replace(description=None)


@mutant("test_a_type_comes_back_whole")
class LosesInputTypes(Rows):
    """Writes types of executions without their input and output types."""

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        return row._replace(input_type=None, output_type=None)


@mutant("test_a_type_comes_back_whole")
class KindsAsNumbers(Tables):
    """Reads the kinds of properties as the numbers that are stored."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        number: Any = int
        return [
            replace(each, properties={key: number(kind) for key, kind in each.properties.items()})
            for each in super().read_types(query)
        ]


@mutant("test_base_types")
class LosesBaseTypes(Rows):
    """Writes new types without their base types."""

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        return row._replace(base_type=None)


@mutant("test_a_base_type_may_come_later")
class LosesLaterBaseTypes(Rows):
    """Writes no base type of a type that is stored already."""

    def type_update(self, row: TypeUpdate) -> TypeUpdate:
        return row._replace(base_type=None)


@mutant("test_widening_adds_properties")
class WideningReplaces(Tables):
    """Takes the properties to add to a type for all that it has from now on."""

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        for row in changes.type_updates:
            if row.properties:
                stored = self.types[row.id]
                self._put(self.types, row.id, replace(stored, properties=dict(row.properties)))
        return applied


@mutant("test_external_ids_are_replaced_and_kept")
class KeepsTheFirstExternalId(Rows):
    """Writes the external id of a type once, when the type is made."""

    def type_update(self, row: TypeUpdate) -> TypeUpdate:
        return row._replace(external_id=None)


@mutant("test_a_type_is_found_by_its_new_external_id")
class KeepsTheIndexOfTypes(Tables):
    """Has an index of types by external id, to which it adds at insert only."""

    def __init__(self) -> None:
        super().__init__()
        self._index: dict[str, int] = {}

    def apply(self, changes: Changes) -> Applied:
        applied = super().apply(changes)
        for id, row in zip(applied.types, changes.type_inserts, strict=True):
            if row.external_id is not None:
                self._put(self._index, row.external_id, id)
        return applied

    def read_types(self, query: TypeQuery) -> list[Type]:
        if query.external_ids is None:
            return super().read_types(query)
        found = {self._index[each] for each in query.external_ids if each in self._index}
        everything = super().read_types(replace(query, external_ids=None))
        return [each for each in everything if each.id in found]


@mutant("test_external_ids_are_unique_among_all_types")
class ExternalIdsOfAKind(Tables):
    """Looks up external ids among the types of the draft's kind only."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        kinds = {key.kind for key in questions.types}
        asked = questions.type_ids
        answers.types = [each for each in answers.types if each.kind in kinds or each.id in asked]
        return answers


@mutant("test_external_ids_are_unique_among_all_types")
class ExternalIdsOfContextTypes(Tables):
    """Looks external ids up in the tables of artifact and execution types, not of contexts'."""

    def lookup(self, questions: Questions) -> Answers:
        answers = super().lookup(questions)
        answers.types = [
            each
            for each in answers.types
            if each.kind is not NodeKind.CONTEXT
            or each.key in questions.types
            or each.id in questions.type_ids
        ]
        return answers


@mutant("test_kinds_versions_and_names_make_types")
class ForgetsVersions(Rows):
    """Writes types without their versions."""

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        return row._replace(key=row.key._replace(version=None))


@mutant("test_what_a_type_leaves_out_is_none")
class VersionsAreTexts(Tables):
    """Keeps no version as an empty one, and reads it so."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        return [replace(each, version=each.version or "") for each in super().read_types(query)]


@mutant("test_a_type_without_version_is_not_any_version")
class AnyVersionWillDo(Tables):
    """Reads all versions of a type where a key has none."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        if query.keys is None:
            return super().read_types(query)
        return [
            each
            for each in super().read_types(replace(query, keys=None))
            if each.key in query.keys or TypeKey(each.kind, each.name) in query.keys
        ]


@mutant("test_a_new_store_holds_the_simple_types")
class HidesSimpleTypes(Tables):
    """Leaves simple types out of lists, as ML Metadata does in some of its answers."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        found = super().read_types(query)
        asked = query.keys is not None or query.ids is not None
        return [each for each in found if asked or not each.name.startswith("mlmd.")]


@mutant("test_types_are_read_by_key_id_and_external_id")
class TypesByName(Tables):
    """Reads types in the order of their names."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        return sorted(super().read_types(query), key=lambda each: (each.name, each.id))


@mutant("test_types_are_read_by_key_id_and_external_id")
class NoTypesIsAllTypes(Tables):
    """Takes an empty list of ids of types for no condition."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        return super().read_types(replace(query, ids=query.ids or None))


@mutant("test_conditions_on_types_may_be_long")
class FewKeysOfTypes(Tables):
    """Reads types with a statement of at most 999 variables, and no further."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        keys = None if query.keys is None else query.keys[:999]
        return super().read_types(replace(query, keys=keys))
