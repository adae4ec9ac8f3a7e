"""Filters as SQLAlchemy expressions: every literal bound, nothing of a text pasted in.

A statement is made for the shape of a filter; its literals are parameters.  A predicate that asks
for one property, or for neighbours of one alias and nothing else, becomes ``id IN (SELECT ...)``,
which a database can answer from an index; another one a subquery for each row.

Where very many nodes fulfil such a predicate, a page of them is found sooner by walking the nodes
in their order and looking at each.  `filter_probes` are the statements that tell which these are,
and `filter_condition` takes the numbers of those to be looked at node by node.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import Grouping

from metastore.model import LinkKind, NodeKind
from metastore.query import Filter
from metastore.query.tree import (
    ALIAS_NODES,
    AliasKind,
    Arithmetic,
    Column,
    Comparison,
    Condition,
    Constant,
    Either,
    Every,
    Exists,
    Function,
    Kind,
    Membership,
    Missing,
    Part,
    Pattern,
    Predicate,
    Property,
    Term,
    names_of,
    requires,
    terms_of,
)
from metastore.sql.codec import STRUCT_PREFIX
from metastore.sql.database import Database

__all__ = ["filter_condition", "filter_key", "filter_parameters", "filter_probes"]

_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED = {"=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
_WIDE = 50
"""Conditions side by side; more are put into groups, because databases limit a tree's depth."""


def filter_key(database: Database, filter: Filter) -> Hashable:
    """What the statement of a filter depends on: its shape, and the shapes of its lists."""
    shapes = tuple(
        database.list_shape(value) if isinstance(value, tuple) else _is_safe(value)
        for value in filter.constants
    )
    return filter.kind, filter.condition, shapes


def filter_parameters(database: Database, filter: Filter) -> dict[str, Any]:
    """The literals of a filter, as parameters of its statement."""
    return {
        f"filter_{index}": database.bind_list(value, database.list_shape(value))
        if isinstance(value, tuple)
        else int(value)
        if isinstance(value, bool)
        else value
        for index, value in enumerate(filter.constants)
    }


def _coalesce(arguments: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    # Of two at least: databases know no other.
    return func.coalesce(*arguments, null())


def filter_condition(
    database: Database, filter: Filter, walked: Collection[Hashable] = ()
) -> ColumnElement[bool]:
    """The condition on the table of the filter's nodes.

    `walked` are the numbers of the predicates that are looked at node by node.
    """
    return _Compiler(database, filter, walked).condition(filter.condition)


def filter_probes(database: Database, filter: Filter) -> list[Select[Any]]:
    """For the first predicates that could be answered from an index, their rows: without a limit.

    A predicate's number is its place in the list.
    """
    compiler = _Compiler(database, filter)
    compiler.condition(filter.condition)
    return compiler.probes


def _is_safe(value: Any) -> bool:
    """Whether a text that is equal to it can be no struct."""
    return not (isinstance(value, str) and value.startswith(STRUCT_PREFIX))


class _Compiler:
    def __init__(
        self, database: Database, filter: Filter, walked: Collection[Hashable] = ()
    ) -> None:
        self._walked = walked
        self.probes: list[Select[Any]] = []
        self._database = database
        self._schema = database.schema
        self._filter = filter
        self._kind = filter.kind
        self._node = database.schema.nodes[filter.kind]
        self._tables: dict[str, FromClause] = {}
        """The tables of the aliases that are bound here, and of their links."""
        self._kinds: dict[str, AliasKind] = {}

    # Conditions.

    def condition(self, found: Condition) -> ColumnElement[bool]:
        """The condition as an expression."""
        if isinstance(found, Every | Either):
            join = and_ if isinstance(found, Every) else or_
            return _balanced(join, [self.condition(each) for each in found.conditions])
        if isinstance(found, Exists):
            return self._exists(found)
        for special in (self._of_one_property, self._of_type, self._of_time):
            made = special(found)
            if made is not None:
                return made
        return self._predicate(found)

    def _is_walked(self, probe: Select[Any]) -> bool:
        """Whether a predicate, of whose rows this is a statement, is looked at node by node."""
        if self._tables or len(self.probes) == _MOST_PROBES:
            return False
        self.probes.append(probe)
        return len(self.probes) - 1 in self._walked

    def _exists(self, found: Exists) -> ColumnElement[bool]:
        strict = all(requires(found.condition, alias) for alias, _ in found.aliases)
        if len(found.aliases) == 1 and strict and self._stands_alone(found):
            among = self._among_neighbours(found)
            if among is not None:
                return among
        outer = dict(self._tables)
        one = select(literal_column("1").label("one")).subquery(f"one_{found.aliases[0][0]}")
        from_clause: FromClause = one
        for alias, kind in found.aliases:
            joined, owner = self._neighbours(alias, kind)
            from_clause = from_clause.join(joined, owner == self._node.c.id, isouter=not strict)
        body = self.condition(found.condition)
        own = [one, *(self._tables[alias] for alias, _ in found.aliases), *self._links(found)]
        self._tables = outer
        return exists(
            select(literal_column("1")).select_from(from_clause).where(body).correlate_except(*own)
        )

    def _links(self, found: Exists) -> list[FromClause]:
        return [
            self._tables[f"{alias} link"]
            for alias, _ in found.aliases
            if f"{alias} link" in self._tables
        ]

    def _stands_alone(self, found: Exists) -> bool:
        """Whether the condition speaks of its alias only."""
        (alias, _) = found.aliases[0]
        return names_of(found.condition) == {alias}

    def _among_neighbours(self, found: Exists) -> ColumnElement[bool] | None:
        """The nodes among the owners of such neighbours; None where each is to be looked at."""
        outer = dict(self._tables)
        # What is inside has no choice: it is asked of the neighbours.
        alias, kind = found.aliases[0]
        joined, owner = self._neighbours(alias, kind)
        body = self.condition(found.condition)
        owners = select(owner).select_from(joined).where(body)
        own = [self._tables[alias], *self._links(found)]
        self._tables = outer
        if self._is_walked(owners):
            return None
        return self._node.c.id.in_(owners.correlate_except(*own))

    def _neighbours(self, alias: str, kind: AliasKind) -> tuple[FromClause, ColumnElement[Any]]:
        """The table of a neighbour, with what links it, and the column of the node's id there."""
        schema = self._schema
        self._kinds[alias] = kind
        if kind is AliasKind.EVENTS:
            event = self._tables[alias] = schema.event.alias(alias)
            owner = "artifact_id" if self._kind is NodeKind.ARTIFACT else "execution_id"
            return event, event.c[owner]
        table, other = schema.links[_LINKS[kind, self._kind]]
        link = self._tables[f"{alias} link"] = table.alias(f"{alias} link")
        ends = (link.c.context_id, link.c[other.name])
        # Of a parent link the context is the child.
        near, far = ends if kind in _FROM_CONTEXT else ends[::-1]
        node = self._tables[alias] = schema.nodes[ALIAS_NODES[kind]].alias(alias)
        return link.join(node, node.c.id == far), near

    # Predicates.

    def _predicate(self, found: Predicate) -> ColumnElement[bool]:
        if isinstance(found, Comparison):
            made = _COMPARE[found.operator](self._term(found.left), self._term(found.right))
        elif isinstance(found, Membership):
            made = self._member(self._term(found.term), found.values)
        elif isinstance(found, Pattern):
            made = self._database.like(self._term(found.term), self._term(found.pattern))
        elif isinstance(found, Missing):
            made = self._term(found.term).is_(None)
        else:
            made = self._term(found.term) == literal_column("1")
        return not_(made) if found.negated else made  # type: ignore[no-any-return]

    def _member(self, term: ColumnElement[Any], values: Constant) -> ColumnElement[bool]:
        name = f"filter_{values.index}"
        shape = self._database.list_shape(self._filter.constants[values.index])
        return self._database.in_list(term, name, shape)

    def _of_type(self, found: Predicate) -> ColumnElement[bool] | None:
        """A predicate on the name of the node's type, by the types that have it."""
        if not isinstance(found, Comparison | Membership | Pattern) or found.negated:
            return None
        terms = terms_of(found)
        names = [each for each in terms if isinstance(each, Column) and each.name == "type"]
        if len(names) != 1 or names[0].kind is not Kind.TEXT:
            return None
        if not all(isinstance(each, Constant | Column) for each in terms) or any(
            isinstance(each, Column) and each is not names[0] for each in terms
        ):
            return None
        types = self._schema.type.alias("of type")
        own = self._substitute(names[0], self._database.exact(types.c.name), found)
        kind, row = self._row_of(names[0])
        wanted = select(types.c.id).where(types.c.type_kind == _int(kind), own)
        among: ColumnElement[bool] = row.c.type_id.in_(wanted.correlate_except(types))
        if names[0].alias is None and self._is_walked(_rows_of(row, among)):
            type_id = self._database.unindexed(row.c.type_id)
            return type_id.in_(wanted.correlate_except(types))
        return among

    def _of_time(self, found: Predicate) -> ColumnElement[bool] | None:
        """A comparison of the node's create time, or update time, with a constant."""
        if not isinstance(found, Comparison) or self._tables:
            return None
        terms = terms_of(found)
        times = [each for each in terms if isinstance(each, Column) and each.name in _TIMES]
        if len(times) != 1 or not any(isinstance(each, Constant) for each in terms):
            return None
        made = self._predicate(found)
        if self._is_walked(_rows_of(self._node, made)):
            column = self._database.unindexed(self._node.c[times[0].name])
            return self._substitute(times[0], column, found)
        return made

    def _row_of(self, column: Column) -> tuple[NodeKind, Any]:
        """The kind and the table of the node that a column is of."""
        if column.alias is None:
            return self._kind, self._node
        return ALIAS_NODES[self._kinds[column.alias]], self._tables[column.alias]

    def _substitute(
        self, term: Term, column: ColumnElement[Any], found: Predicate
    ) -> ColumnElement[bool]:
        """The predicate with `column` in the place of a term."""
        inner = _Substituting(self._database, self._filter, id(term), column)
        return inner._predicate(found)

    def _of_one_property(self, found: Predicate) -> ColumnElement[bool] | None:
        """A predicate on one property and constants, by the rows of properties that fulfil it."""
        if isinstance(found, Missing):
            return None
        terms = terms_of(found)
        properties = [each for each in terms if isinstance(each, Property)]
        if len(properties) != 1 or not all(isinstance(each, Property | Constant) for each in terms):
            return None
        (property,) = properties
        table = self._schema.properties[self._kind].alias("found")
        owner = table.c[self._schema.owner_names[self._kind]]
        owners = select(owner).where(
            self._is_property(table, property), self._on_values(table, property, found)
        )
        if self._is_walked(owners):
            mine = owners.where(owner == self._node.c.id).correlate_except(table)
            return self._database.exists(mine)
        return self._node.c.id.in_(owners.correlate_except(table))

    def _on_values(self, table: Any, property: Property, found: Predicate) -> ColumnElement[bool]:
        """The predicate on a row of properties, in a form that the indexes on values serve."""
        if property.part is Part.NUMBER:
            # One of the two columns is NULL, so that "or" is right for a negation too, which
            # therefore moves inside.
            return or_(
                *(
                    self._substitute(property, table.c[name], _pushed(found))
                    for name in ("int_value", "double_value")
                )
            )
        made = self._substitute(property, self._value(table, property), _pushed(found))
        if property.part is Part.STRING and not self._only_equals_safe(found):
            made = and_(made, not_(_is_struct(table)))
        return made

    def _only_equals_safe(self, found: Predicate) -> bool:
        if isinstance(found, Comparison) and found.operator == "=" and not found.negated:
            constants = [each for each in terms_of(found) if isinstance(each, Constant)]
            return all(_is_safe(self._filter.constants[each.index]) for each in constants)
        return False

    def _is_property(self, table: Any, property: Property) -> ColumnElement[bool]:
        return and_(
            self._database.same(table.c.name, bindparam(f"filter_{property.key}")),
            table.c.is_custom_property == literal_column("1" if property.custom else "0"),
        )

    def _value(self, table: Any, property: Property) -> ColumnElement[Any]:
        if property.part is Part.BOOL:
            return type_coerce(table.c.bool_value, Integer)
        column: ColumnElement[Any] = table.c[property.part.value]
        return self._database.exact(column) if property.part is Part.STRING else column

    # Terms.

    def _term(self, term: Term) -> ColumnElement[Any]:
        if isinstance(term, Constant):
            return bindparam(f"filter_{term.index}")
        if isinstance(term, Column):
            return self._column(term)
        if isinstance(term, Property):
            return self._property(term)
        if isinstance(term, Arithmetic):
            left = type_coerce(self._term(term.left), Integer)
            right = type_coerce(self._term(term.right), Integer)
            made: ColumnElement[Any] = Grouping(_ARITHMETIC[term.operator](left, right))
            return made
        assert isinstance(term, Function)
        arguments = [self._term(each) for each in term.arguments]
        if term.name == "COALESCE":
            while len(arguments) > _WIDE:
                # Databases know no COALESCE of more than a hundred or so.
                groups = range(0, len(arguments), _WIDE)
                arguments = [_coalesce(arguments[at : at + _WIDE]) for at in groups]
            return _coalesce(arguments)
        return self._database.text_function(term.name, arguments[0])

    def _column(self, column: Column) -> ColumnElement[Any]:
        if column.name == "type" and column.kind is Kind.TEXT:
            kind, row = self._row_of(column)
            types = self._schema.type.alias("type of")
            return (
                select(self._database.exact(types.c.name))
                .where(types.c.id == row.c.type_id, types.c.type_kind == _int(kind))
                .correlate_except(types)
                .scalar_subquery()
            )
        table: Any = self._node if column.alias is None else self._tables[column.alias]
        found: ColumnElement[Any] = table.c[column.name]
        return self._database.exact(found) if column.kind is Kind.TEXT else found

    def _property(self, property: Property) -> ColumnElement[Any]:
        table = self._schema.properties[self._kind].alias("property")
        owner = table.c[self._schema.owner_names[self._kind]]
        value: ColumnElement[Any]
        if property.part is Part.NUMBER:
            value = func.coalesce(table.c.int_value, table.c.double_value)
        elif property.part is Part.STRING:
            text = self._value(table, property)
            value = case((_is_struct(table), None), else_=text)
        elif property.part is Part.ANY:
            columns = ("int_value", "double_value", "string_value", "bool_value", "proto_value")
            any_value = or_(*(table.c[name].is_not(None) for name in columns))
            value = case((any_value, literal_column("1")))
        else:
            value = self._value(table, property)
        return (
            select(value)
            .where(owner == self._node.c.id, self._is_property(table, property))
            .correlate_except(table)
            .scalar_subquery()
        )


class _Substituting(_Compiler):
    """A compiler that puts a column in the place of a term."""

    def __init__(
        self, database: Database, filter: Filter, term: int, column: ColumnElement[Any]
    ) -> None:
        super().__init__(database, filter)
        self._replaced = term
        self._column_of_it = column

    def _term(self, term: Term) -> ColumnElement[Any]:
        return self._column_of_it if id(term) == self._replaced else super()._term(term)


_TIMES = ("create_time_since_epoch", "last_update_time_since_epoch")
_MOST_PROBES = 8


def _rows_of(table: Any, condition: ColumnElement[bool]) -> Select[Any]:
    return select(table.c.id).where(condition)


_LINKS = {
    (AliasKind.CONTEXTS, NodeKind.ARTIFACT): LinkKind.ATTRIBUTION,
    (AliasKind.CONTEXTS, NodeKind.EXECUTION): LinkKind.ASSOCIATION,
    (AliasKind.ARTIFACTS, NodeKind.CONTEXT): LinkKind.ATTRIBUTION,
    (AliasKind.EXECUTIONS, NodeKind.CONTEXT): LinkKind.ASSOCIATION,
    (AliasKind.PARENT_CONTEXTS, NodeKind.CONTEXT): LinkKind.PARENT,
    (AliasKind.CHILD_CONTEXTS, NodeKind.CONTEXT): LinkKind.PARENT,
}
_FROM_CONTEXT = (AliasKind.ARTIFACTS, AliasKind.EXECUTIONS, AliasKind.PARENT_CONTEXTS)
"""Neighbours of a node that is the first end of the link."""


def _int(number: int) -> ColumnElement[int]:
    return literal_column(str(int(number)), Integer)


def _is_struct(table: Any) -> ColumnElement[bool]:
    """Whether the text of a property is a struct; text that only looks like one has a mark."""
    prefix = func.substr(table.c.string_value, 1, len(STRUCT_PREFIX))
    return func.coalesce(
        and_(prefix == literal_column(f"'{STRUCT_PREFIX}'"), table.c.byte_value.is_(None)), false()
    )


def _pushed(found: Predicate) -> Predicate:
    """A negated comparison as the opposite one, which is the same where no side is NULL."""
    if isinstance(found, Comparison) and found.negated:
        return Comparison(_OPPOSITE[found.operator], found.left, found.right)
    return found


class _Parentheses(ColumnElement[bool]):
    """Parentheses that stay: SQLAlchemy makes one long chain of its own."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, inner: ColumnElement[bool]) -> None:
        self.inner = inner


@compiles(_Parentheses)
def _with_parentheses(element: _Parentheses, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.inner, **options)})"


def _balanced(
    join: Callable[..., ColumnElement[bool]], conditions: Sequence[ColumnElement[bool]]
) -> ColumnElement[bool]:
    """The conditions joined as a tree that is wide, but not deep."""
    while len(conditions) > _WIDE:
        conditions = [
            _Parentheses(join(*conditions[at : at + _WIDE]))
            for at in range(0, len(conditions), _WIDE)
        ]
    return join(*conditions)
