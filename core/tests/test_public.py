"""The root is the one public door, and it costs nothing to open."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import metastore


def test_every_public_name_resolves() -> None:
    """Each name of `__all__` is there, and asking twice gives the same thing."""
    for name in metastore.__all__:
        assert getattr(metastore, name) is getattr(metastore, name)


def test_all_is_sorted_and_listed() -> None:
    """`__all__` is sorted, without repetition, and `dir` shows all of it."""
    assert metastore.__all__ == sorted(set(metastore.__all__))
    assert set(metastore.__all__) <= set(dir(metastore))


def test_type_checkers_see_the_same_names() -> None:
    """What a type checker sees at the door is what Python resolves there."""
    source = Path(metastore.__file__).read_text()
    declared = {
        alias.asname
        for statement in ast.walk(ast.parse(source))
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
        if alias.asname
    }
    assert declared == set(metastore.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public is an AttributeError, as for any module."""
    with pytest.raises(AttributeError, match="no_such_name"):
        metastore.no_such_name  # noqa: B018 - to ask for it is the test


HEAVY = ("pydantic", "pluggy", "click", "rich", "sqlalchemy", "importlib_metadata", "dataclasses")


def test_import_metastore_imports_nothing_heavy() -> None:
    """`import metastore` brings none of its dependencies along."""
    code = f"import sys, metastore; print([name for name in {HEAVY!r} if name in sys.modules])"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert shown.strip() == "[]"


def test_both_doors_lead_to_the_same_things() -> None:
    """Names resolve to the objects of their own modules, so isinstance works across both doors."""
    from metastore.errors import InvalidError
    from metastore.model import Artifact

    assert metastore.InvalidError is InvalidError
    assert metastore.Artifact is Artifact
