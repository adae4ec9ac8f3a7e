"""From the text of a filter to its syntax tree.

The language is a part of GoogleSQL's expressions, as ML Metadata's `filter_query` is
(cloud.google.com/bigquery/docs/reference/standard-sql/lexical).  Parsed by Lark.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from metastore.errors import FilterError
from metastore.query._syntax import (
    And,
    Call,
    Compare,
    Field,
    In,
    IsNull,
    Like,
    Literal,
    Not,
    Or,
    Span,
    Syntax,
    Truth,
)
from metastore.values import INT64_MAX, BadValueError, clean_text

if TYPE_CHECKING:
    from lark import Lark, Token

__all__ = ["MAX_LENGTH", "parse"]

MAX_LENGTH = 100_000
"""Characters; parsing takes about a second for so many."""
_MAX_CONDITIONS = 1000
_MAX_DEPTH = 25
"""Databases' parsers have stacks of fixed size: SQLite's fails from about 30 levels on."""

_GRAMMAR = r"""
start: _or
_or: or_ | _and
or_: _or OR _and
_and: and_ | _not
and_: _and AND _not
_not: not_ | _predicate
not_: NOT _not
_predicate: compare | in_ | like | between | is_null | _sum
compare: _sum COMPARISON _sum
in_: _sum [NOT] IN "(" _sum ("," _sum)* ")"
like: _sum [NOT] LIKE _sum
between: _sum [NOT] BETWEEN _sum AND _sum
is_null: _sum IS [NOT] NULL
_sum: sum | _product
sum: _sum (PLUS | MINUS) _product
_product: product | _unary
product: _product STAR _unary
_unary: negative | _primary
negative: MINUS _unary
_primary: literal | field | call | group
group: "(" _or ")"
call: FUNCTION "(" [_sum ("," _sum)*] ")"
literal: STRING | NUMBER | TRUE | FALSE | NULL
field: PATH

COMPARISON: "<=" | ">=" | "!=" | "<>" | "=" | "<" | ">"
PLUS: "+"
MINUS: "-"
STAR: "*"
STRING: /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/s
NUMBER: /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?!\w)/
PATH: /(?i:AND|OR|NOT|IN|LIKE|BETWEEN)(?=\s*\.\d)|[^\W\d]\w*(?:\s*\.\s*(?:\w+|`[^`]*`))*/
%ignore /\s+/
%declare AND OR NOT IN LIKE BETWEEN IS NULL TRUE FALSE FUNCTION
"""

_KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"})
_FUNCTIONS = frozenset({"LOWER", "UPPER", "LENGTH", "COALESCE"})

_EXPECTED = {
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "IN": "IN",
    "LIKE": "LIKE",
    "BETWEEN": "BETWEEN",
    "IS": "IS",
    "NULL": "NULL",
    "COMPARISON": "a comparison",
    "PATH": "a field",
    "STRING": "a text in quotes",
    "NUMBER": "a number",
    "LPAR": "'('",
    "RPAR": "')'",
    "COMMA": "','",
    "$END": "the end",
}
"""Words for what may come next; what else may, follows from these."""


@lru_cache(maxsize=1)
def _parser() -> Lark:
    # Imported on use: it takes 50 ms, and most commands have no filter.
    from lark import Lark

    # Keywords are told from fields after the lexer: a field may begin like one.
    return Lark(
        _GRAMMAR, parser="lalr", lexer="basic", lexer_callbacks={"PATH": _word}, transformer=None
    )


def _word(token: Token) -> Token:
    word = str(token).upper()
    if word in _KEYWORDS:
        return token.update(type=word)
    return token.update(type="FUNCTION") if word in _FUNCTIONS else token


def parse(text: str) -> Syntax:
    """The syntax tree of a filter.

    Raises
    ------
    FilterError
        It is no text, too long, nested too deeply, or not of the language.
    """
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    _check_text(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        raise _unexpected(text, error.token, error.accepts or error.expected) from None
    except UnexpectedCharacters as error:
        at: Any = error.pos_in_stream
        raise _odd_character(text, at) from None
    except UnexpectedInput as error:  # pragma: no cover - the two above are all there are
        raise FilterError("the filter cannot be read", text=text) from error
    return _Builder(text).build(tree)


def _check_text(text: Any) -> None:
    try:
        clean_text(text)
    except BadValueError as error:
        raise FilterError(f"the filter {error}", hint="give a text") from None
    if not text.strip():
        raise FilterError("the filter is empty", hint="leave it out to get everything")
    if len(text) > MAX_LENGTH:
        raise FilterError(
            f"the filter has {len(text)} characters, and may have {MAX_LENGTH}",
            hint="ask for long lists by ids, names or uris instead",
        )


def _unexpected(text: str, token: Token, accepted: set[str]) -> FilterError:
    at_end = token.type == "$END"
    expected = ", ".join(word for name, word in _EXPECTED.items() if name in accepted)
    start = len(text.rstrip()) if at_end else token.start_pos or 0
    end = start if at_end else token.end_pos or start
    found = "the end" if at_end else f"{text[start:end][:40]!r}"
    hint = f"expected {expected}" if expected else None
    if token.type == "STRING" and text[:start].endswith(("'", '"')):
        hint = r"a quote inside a text is written with a backslash: 'it\'s'"
    return FilterError(
        f"the filter does not expect {found} there", hint=hint, text=text, span=Span(start, end)
    )


def _odd_character(text: str, at: int) -> FilterError:
    character = text[at]
    message = f"the filter cannot have {character!r} there"
    hint = None
    if character in "'\"":
        message, hint = "a text in the filter has no end", f"close it with {character}"
    elif character == "`":
        hint = "backquotes stand around a key behind properties. or custom_properties."
    elif character.isdigit():
        hint = "a name does not begin with a digit, and nothing follows a number directly"
    elif character == ";":
        hint = "a filter is one condition, not a statement"
    return FilterError(message, hint=hint, text=text, span=Span(at, at + 1))


class _Builder:
    """Makes the syntax tree of Lark's, without recursion: a text may be nested deeply."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._conditions = 0
        self._depth: dict[int, int] = {}

    def build(self, tree: Any) -> Syntax:
        """The tree of the whole filter."""
        made: dict[int, Syntax] = {}
        # Children first: Lark's own order for bottom-up walks.
        for node in tree.iter_subtrees():
            made[id(node)] = self._node(node, made)
        return made[id(tree)]

    def _node(self, node: Any, made: dict[int, Syntax]) -> Syntax:
        parts = [made.get(id(each), each) for each in node.children]
        build: Callable[[list[Any]], Syntax] = getattr(self, f"_{node.data}")
        found = build(parts)
        depth = self._depth_of(node.data, found, parts)
        if depth > _MAX_DEPTH:
            raise FilterError(
                f"the filter is nested more than {_MAX_DEPTH} levels deep",
                hint="say it with fewer levels",
                text=self._text,
                span=found.span,
            )
        self._depth[id(found)] = depth
        return found

    def _depth_of(self, rule: str, found: Syntax, parts: list[Any]) -> int:
        if isinstance(found, And | Or):
            # A chain is one level, however long.
            kind = type(found)
            return max(self._depth.get(id(each), 0) + (type(each) is not kind) for each in parts)
        # Parentheses are no level of their own.
        own = rule not in ("start", "group")
        return own + max((self._depth.get(id(each), 0) for each in parts), default=0)

    # One method for each rule of the grammar.

    def _start(self, parts: list[Any]) -> Syntax:
        return self._condition(parts[0])

    def _group(self, parts: list[Any]) -> Syntax:
        return parts[0]  # type: ignore[no-any-return]

    def _or_(self, parts: list[Any]) -> Syntax:
        return Or(*self._chain(Or, parts[0], parts[2]))

    def _and_(self, parts: list[Any]) -> Syntax:
        return And(*self._chain(And, parts[0], parts[2]))

    def _chain(
        self, kind: type[And] | type[Or], left: Syntax, right: Syntax
    ) -> tuple[list[Syntax], Span]:
        # A list that grows with the chain: chains of thousands must not take quadratic time.
        if isinstance(left, kind):
            conditions = left.conditions
            assert isinstance(conditions, list)
        else:
            conditions = [self._condition(left)]
        right = self._condition(right)
        if isinstance(right, kind):
            conditions.extend(right.conditions)
        else:
            conditions.append(right)
        return conditions, Span(left.span.start, right.span.end)

    def _not_(self, parts: list[Any]) -> Syntax:
        condition = self._condition(parts[1])
        span = Span(parts[0].start_pos, condition.span.end)
        if isinstance(condition, Not):
            return condition.condition
        return Not(condition, span)

    def _compare(self, parts: list[Any]) -> Syntax:
        left, operator, right = parts
        sign = "!=" if operator == "<>" else str(operator)
        return self._predicate(
            Compare(sign, self._value(left), self._value(right), _around(left, right))
        )

    def _in_(self, parts: list[Any]) -> Syntax:
        value, negation, _, *items = parts
        values = tuple(self._value(each) for each in items)
        span = _around(value, items[-1])
        for each in values:
            # These become a comparison each.
            if not isinstance(each, Literal) or type(each.value) not in (int, str, bool):
                self._predicate(each)
        return self._predicate(In(self._value(value), values, span, negation is not None))

    def _like(self, parts: list[Any]) -> Syntax:
        value, negation, _, pattern = parts
        found = Like(self._value(value), self._value(pattern), _around(value, pattern))
        return _negated(self._predicate(found), negation)

    def _between(self, parts: list[Any]) -> Syntax:
        value, negation, _, low, _, high = parts
        span = _around(value, high)
        value, low, high = self._value(value), self._value(low), self._value(high)
        both = And(
            [
                self._predicate(Compare(">=", value, low, span)),
                self._predicate(Compare("<=", value, high, span)),
            ],
            span,
        )
        return _negated(both, negation)

    def _is_null(self, parts: list[Any]) -> Syntax:
        value, _, negation, null = parts
        span = Span(value.span.start, null.end_pos)
        return _negated(self._predicate(IsNull(self._value(value), span)), negation)

    def _sum(self, parts: list[Any]) -> Syntax:
        left, operator, right = parts
        return Call(str(operator), (self._value(left), self._value(right)), _around(left, right))

    _product = _sum

    def _negative(self, parts: list[Any]) -> Syntax:
        minus, value = parts
        value = self._value(value)
        span = Span(minus.start_pos, value.span.end)
        if isinstance(value, Literal) and type(value.value) in (int, float):
            return Literal(-value.value, span)  # type: ignore[operator]  # it is a number
        return Call("-", (value,), span)

    def _call(self, parts: list[Any]) -> Syntax:
        name, *arguments = parts
        values = tuple(self._value(each) for each in arguments if each is not None)
        end = values[-1].span.end if values else name.end_pos
        return Call(str(name).upper(), values, Span(name.start_pos, end))

    def _literal(self, parts: list[Any]) -> Syntax:
        (token,) = parts
        span = Span(token.start_pos, token.end_pos)
        if token.type == "STRING":
            return Literal(_unescaped(str(token), self._text, span), span)
        if token.type == "NUMBER":
            return Literal(_number(str(token), self._text, span), span)
        return Literal({"TRUE": True, "FALSE": False, "NULL": None}[token.type], span)

    def _field(self, parts: list[Any]) -> Syntax:
        (token,) = parts
        names = tuple(
            each[1:-1] if each.startswith("`") else each for each in _PART.findall(str(token))
        )
        return Field(names, Span(token.start_pos, token.end_pos))

    # Conditions and values.

    def _predicate(self, found: Syntax) -> Syntax:
        self._conditions += 1
        if self._conditions > _MAX_CONDITIONS:
            raise FilterError(
                f"the filter has more than {_MAX_CONDITIONS} conditions",
                hint="use IN (...) for lists of integers and texts, which counts once",
                text=self._text,
                span=found.span,
            )
        return found

    def _condition(self, found: Syntax) -> Syntax:
        """What stands where a condition is wanted."""
        if isinstance(found, Literal | Field | Call):
            return self._predicate(Truth(found, found.span))
        return found

    def _value(self, found: Syntax) -> Syntax:
        """What stands where a value is wanted."""
        if isinstance(found, Literal | Field | Call):
            return found
        raise FilterError(
            "the filter has a condition where a value is wanted",
            hint="compare fields and values; join conditions with AND, OR, NOT",
            text=self._text,
            span=found.span,
        )


_PART = re.compile(r"`[^`]*`|\w+")


def _around(first: Syntax, last: Syntax) -> Span:
    return Span(first.span.start, last.span.end)


def _negated(found: Syntax, negation: Token | None) -> Syntax:
    return found if negation is None else Not(found, found.span)


def _number(digits: str, text: str, span: Span) -> int | float:
    if digits.isdigit():
        # One more than the largest, because -9223372036854775808 is written with a minus.
        if len(digits) > 30 or int(digits) > INT64_MAX + 1:
            raise FilterError(
                "the number does not fit into 64 bits",
                hint="no value can be equal to it",
                text=text,
                span=span,
            )
        return int(digits)
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise FilterError("the number is beyond the range of a double", text=text, span=span)
    return number


_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescaped(quoted: str, text: str, span: Span) -> str:
    """A quoted text without its quotes, GoogleSQL's escapes undone."""
    if "\\" not in quoted:
        return quoted[1:-1]

    def undo(found: re.Match[str]) -> str:
        plain, short, four, eight, octal, unknown = found.groups()
        at = Span(span.start + 1 + found.start(), span.start + 1 + found.end())
        if unknown is not None:
            raise FilterError(
                f"a text in the filter has the escape \\{unknown}, which stands for nothing",
                hint=r"a backslash itself is written \\",
                text=text,
                span=at,
            )
        if plain is not None:
            return _ESCAPED.get(plain, plain)
        code = int(octal, 8) if octal else int(short or four or eight, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise FilterError(
                "a text in the filter has an escape that is no character", text=text, span=at
            )
        return chr(code)

    return _ESCAPE.sub(undo, quoted[1:-1])
