"""A pytest plugin for ML Metadata's metadata_store_test.py: its typos, repaired from outside.

Of the tests that need gRPC, some call ``_get_metadata_store`` without its first argument, and one
says ``self.self.cli_args``; none of it is about a store.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Repair the module and the class once they are there."""
    for item in items:
        module, test_class = getattr(item, "module", None), getattr(item, "cls", None)
        get = getattr(module, "_get_metadata_store", None)
        if module is None or test_class is None or get is None or hasattr(get, "repaired"):
            continue
        module._get_metadata_store = _repaired(get, test_class)
        test_class.self = property(lambda self: self)


def _repaired(get: Any, test_class: Any) -> Any:
    @functools.wraps(get)
    def repaired(cli_args: Any = None, **options: Any) -> Any:
        return get(cli_args or test_class.cli_args, **options)

    repaired.repaired = True  # type: ignore[attr-defined]
    return repaired
