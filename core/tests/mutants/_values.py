"""Section 2 of the contract done wrong: values and texts that come back as something else."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metastore.changes import NodeInsert, NodeUpdate, TypeInsert
from metastore.memory import Tables
from metastore.model import AnyNode, NodeKind, Proto, Type
from metastore.query import NodeQuery, TypeQuery

from ._mutant import Read, Rows, Texts, mutant


@mutant("test_structs")
class LosesStructs(Rows):
    """Writes no property that is a struct."""

    def value(self, value: Any) -> Any:
        return None if isinstance(value, dict) else value


@mutant("test_structs")
class LosesEmptyStructs(Rows):
    """Takes an empty struct for no value."""

    def value(self, value: Any) -> Any:
        return None if value == {} else value


@mutant("test_structs")
class NestsDottedKeys(Rows):
    """Writes the key a.b of a struct as a struct a with the key b, as a document database does."""

    def value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        parts = {key: key.split(".", 1) for key in value}
        return {
            parts[key][0]: item if len(parts[key]) == 1 else {parts[key][1]: item}
            for key, item in value.items()
        }


@mutant("test_numbers_of_structs_are_doubles")
class StructsWithIntegers(Rows):
    """Reads whole numbers of a struct as integers, as some libraries for JSON do."""

    def value(self, value: Any) -> Any:
        return self._plain(value) if isinstance(value, dict) else value

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._plain(item) for item in value]
        return int(value) if type(value) is float and value.is_integer() else value


@mutant("test_a_struct_of_a_megabyte")
class StructsOfSixtyFourKilobytes(Rows):
    """Keeps structs in a column of 64 kilobytes, and reads what it cannot parse as empty."""

    def value(self, value: Any) -> Any:
        return {} if isinstance(value, dict) and len(repr(value)) > 65535 else value


@mutant("test_bools")
class BooleansAsIntegers(Rows):
    """Writes booleans into the column of integers and reads them from there."""

    def value(self, value: Any) -> Any:
        return int(value) if isinstance(value, bool) else value


@mutant("test_protos")
class LosesTypeUrls(Rows):
    """Writes the bytes of a proto without its type url."""

    def value(self, value: Any) -> Any:
        return Proto("", value.value) if isinstance(value, Proto) else value


@mutant("test_protos")
class CutsProtos(Rows):
    """Keeps protos in a column of 64 kilobytes, which cuts silently."""

    def value(self, value: Any) -> Any:
        return Proto(value.type_url, value.value[:65535]) if isinstance(value, Proto) else value


@mutant("test_ints")
class IntegersOf32Bits(Rows):
    """Keeps integers in a column of 32 bits, which takes what fits."""

    def value(self, value: Any) -> Any:
        return (value + 2**31) % 2**32 - 2**31 if type(value) is int else value


@mutant("test_kinds_are_kept_apart")
class NumbersAsDoubles(Rows):
    """Has one column of doubles for all numbers: 1 is read as 1.0."""

    def value(self, value: Any) -> Any:
        return float(value) if type(value) is int and abs(value) < 2**31 else value


@mutant("test_doubles")
class RoundsDoubles(Rows):
    """Writes doubles with six decimals, as ML Metadata does."""

    def value(self, value: Any) -> Any:
        return round(value, 6) if type(value) is float else value


@mutant("test_doubles")
class FlushesSubnormals(Rows):
    """Takes numbers too small for a normal double for zero."""

    def value(self, value: Any) -> Any:
        small = type(value) is float and abs(value) < sys.float_info.min
        return 0.0 if small and value else value


@mutant("test_minus_zero")
class LosesTheSignOfZero(Rows):
    """Writes -0.0 as 0.0."""

    def value(self, value: Any) -> Any:
        return value + 0.0 if type(value) is float else value


@mutant("test_infinities")
class ClampsInfinities(Rows):
    """Writes an infinity as the largest double."""

    def value(self, value: Any) -> Any:
        largest = sys.float_info.max
        return min(max(value, -largest), largest) if type(value) is float else value


class _Comparing(Rows):
    """Passes over what an update sets to the value that is there."""

    def is_same(self, old: Any, new: Any) -> bool:
        """Whether the mutant takes the values for the same."""
        return bool(old == new)

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        def new(values: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
            return {
                key: value
                for key, value in values.items()
                if key not in old or not self.is_same(old[key], value)
            }

        return row._replace(
            set_properties=new(row.set_properties, stored.properties),
            set_custom_properties=new(row.set_custom_properties, stored.custom_properties),
        )


@mutant("test_a_value_can_change_its_kind")
class ComparesValuesAsPythonDoes(_Comparing):
    """Passes over an update from 1 to 1.0 or True, which Python calls equal."""


@mutant("test_a_zero_can_change_its_sign")
class ComparesDoublesAsNumbers(_Comparing):
    """Passes over an update from 0.0 to -0.0."""

    def is_same(self, old: Any, new: Any) -> bool:
        return type(old) is type(new) is float and old == new


@mutant("test_texts")
class LosesEmptyTexts(Rows):
    """Takes an empty text for no value, as Oracle does."""

    def value(self, value: Any) -> Any:
        return None if value == "" else value


@mutant("test_texts")
class TextsOfSixtyFourKilobytes(Texts):
    """Keeps texts in a column of 64 kilobytes, which cuts silently."""

    def text(self, text: str) -> str:
        return text[:65535]


@mutant("test_texts")
class DecodesStructsOfMlmd(Rows):
    """Reads text that begins as ML Metadata's structs do as a struct."""

    def value(self, value: Any) -> Any:
        return {} if isinstance(value, str) and value.startswith("mlmd-struct::") else value


@mutant("test_texts")
class TakesMlmdsNullForNone(Rows):
    """Takes the word by which ML Metadata marks a NULL for no value."""

    def value(self, value: Any) -> Any:
        return None if value == "__MLMD_NULL__" else value


@mutant("test_texts")
class KnowsTheBmpOnly(Texts):
    """Keeps texts as MySQL's utf8 does: what is beyond the BMP becomes a question mark."""

    def text(self, text: str) -> str:
        return "".join("?" if ord(each) > 0xFFFF else each for each in text)


@mutant("test_texts")
class NormalisesTexts(Texts):
    """Writes texts in Unicode's composed normal form."""

    def text(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)


@mutant("test_texts_of_fields")
class StripsTrailingSpaces(Texts):
    """Keeps texts in columns of CHAR, which lose spaces at their end."""

    def text(self, text: str) -> str:
        return text.rstrip(" ")


@mutant("test_texts_with_nul")
class CutsAtNul(Texts):
    """Hands texts to a library that is written in C, where they end at NUL."""

    def text(self, text: str) -> str:
        return text.partition("\0")[0]


@mutant("test_long_texts_are_kept_or_refused")
class CutsFieldsAt255(Texts):
    """Keeps names, uris and external ids in columns of VARCHAR(255), which cut silently."""

    def value(self, value: Any) -> Any:
        return value

    def text(self, text: str) -> str:
        return text[:255]


@mutant("test_long_keys_and_words_are_kept_or_refused")
class CutsKeysAt255(Rows):
    """Keeps keys of properties in a column of VARCHAR(255), which cuts silently."""

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {key[:255]: value for key, value in values.items()}


@mutant("test_long_keys_and_words_are_kept_or_refused")
class CutsDescriptions(Rows):
    """Keeps descriptions of types in a column of VARCHAR(255), which cuts silently."""

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        return row._replace(description=None if not row.description else row.description[:255])


@mutant("test_keys_are_kept_apart")
class FoldsKeys(Rows):
    """Has a primary key of node and key whose collation does not know upper case from lower."""

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        spelled: dict[str, str] = {}
        return {spelled.setdefault(key.lower(), key): value for key, value in values.items()}


@mutant("test_keys_are_kept_apart")
class RefusesEmptyKeys(Rows):
    """Leaves out properties whose key is empty."""

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key}


@mutant("test_texts_of_types_and_paths")
class EmptyDescriptionsAreNone(Rows):
    """Reads an empty description of a type as none."""

    def type_insert(self, row: TypeInsert) -> TypeInsert:
        return row._replace(description=row.description or None)


@mutant("test_many_properties")
class ReadsTheFirstProperties(Read):
    """Reads at most a thousand properties of a node, which is a page of its backend."""

    def node(self, node: Any) -> Any:
        return replace(node, custom_properties=dict([*node.custom_properties.items()][:1000]))


@mutant("test_many_properties_are_updated")
class DropsTheFirstProperties(Rows):
    """Removes at most a thousand properties of a node in one update."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        first = sorted(row.drop_custom_properties)[:1000]
        return row._replace(drop_custom_properties=frozenset(first))


@mutant("test_plain_mappings_are_copied")
class KeepsTheCallersMapping(Tables):
    """Keeps the very mapping of custom properties that the draft has."""

    def _insert(self, kind: NodeKind, row: NodeInsert, type_ids: list[int]) -> int:
        id = super()._insert(kind, row, type_ids)
        node: Any = self.nodes[kind][id]
        self.nodes[kind][id] = replace(node, custom_properties=row.custom_properties)
        return id


@mutant("test_what_is_read_is_copied")
class HandsOutItsOwnNodes(Tables):
    """Reads the very nodes that it keeps, mappings included."""

    def read_nodes(self, query: NodeQuery) -> list[AnyNode]:
        return [self.nodes[query.kind][node.id] for node in super().read_nodes(query)]


@mutant("test_what_is_read_is_copied")
class HandsOutItsOwnTypes(Tables):
    """Reads the very types that it keeps, mappings included."""

    def read_types(self, query: TypeQuery) -> list[Type]:
        return [self.types[each.id] for each in super().read_types(query)]


@mutant("test_property_and_custom_property_of_one_key")
class MixesPropertiesAtInsert(Rows):
    """Inserts both sorts of properties under one primary key: the custom one is written last."""

    def insert(self, row: NodeInsert) -> NodeInsert:
        return row._replace(
            properties={
                key: row.custom_properties.get(key, value) for key, value in row.properties.items()
            }
        )


@mutant("test_property_and_custom_property_are_updated_apart")
class MixesPropertiesAtUpdate(Rows):
    """Removes a property without asking which of the two sorts is meant, as ML Metadata does."""

    def update(self, row: NodeUpdate, stored: AnyNode) -> NodeUpdate:
        dropped = row.drop_properties | row.drop_custom_properties
        return row._replace(drop_properties=dropped, drop_custom_properties=dropped)
