"""Entries of the reference, from the docstrings of what is public."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Collection

from sphinx.pycode import ModuleAnalyzer

__all__ = ["entries", "errors", "home_of"]

BLANK = "\n\n"


def entries(names: list[str]) -> str:
    """An entry a name, each ``package.module.name``, which is where users import it from."""
    return "```{eval-rst}\n" + "\n\n".join(_entry(name) for name in names) + "\n```"


def errors() -> str:
    """The tree of errors, as `metastore.errors` draws it."""
    from metastore import errors

    _, _, drawn = (errors.__doc__ or "").partition("::\n\n")
    return f"```text\n{textwrap.dedent(drawn.partition(BLANK)[0])}\n```"


def _entry(name: str) -> str:
    module, _, own = name.rpartition(".")
    thing = getattr(importlib.import_module(module), own)
    if inspect.isclass(thing):
        # Of its bases, those that are listed as well, and errors of Python's own.
        told = any(base.__module__.startswith("metastore") for base in thing.__bases__)
        also = "\n   :show-inheritance:" if told or issubclass(thing, Exception) else ""
        return f".. autoclass:: {name}{also}"
    if inspect.isroutine(thing):
        return f".. autofunction:: {name}"
    # A value or a type's name: it has no docstring of its own, but a text below it where it is
    # defined, which autodoc finds only under that name.
    said = textwrap.indent("\n".join(_text_below(module, own)), "   ")
    return f".. py:data:: {own}\n   :module: {module}\n\n{said}"


def _text_below(module: str, name: str) -> list[str]:
    """What is said of a value where it is defined, which may be where it is imported from."""
    analyzer = ModuleAnalyzer.for_module(module)
    told = analyzer.find_attr_docs().get(("", name))
    if told:
        return [*told]
    for statement in ast.walk(ast.parse(analyzer.code)):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            for each in statement.names:
                if name == (each.asname or each.name):
                    return _text_below(statement.module, each.name)
    raise ValueError(f"{module}.{name} is public, and nothing is said about it")


def home_of(name: str, known: Collection[str]) -> str | None:
    """The listed name that is meant; None where none is, or several may be."""
    last = name.rpartition(".")[2]
    if f"metastore.{last}" in known:
        return f"metastore.{last}"
    if "." in name and not name.startswith("metastore"):
        found = [each for each in known if each.endswith(f".{name}")]
    elif last[:1].isupper():
        found = [each for each in known if each.rpartition(".")[2] == last]
    else:
        return None
    return found[0] if len(found) == 1 else None
