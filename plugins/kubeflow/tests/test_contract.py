"""The conformance kit: the client, on ML Metadata's own engine and on our own server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import ClassVar

import pytest

pytest.importorskip("ml_metadata.metadata_store", reason="the judge is not installed here")

from metastore import BaseMetadataStore, NodeKind
from metastore.testing import StoreContract
from metastore_flavor_kubeflow import KubeflowConfig, KubeflowMetadataStore

from .services import engine_service, our_service

Make = Callable[[], BaseMetadataStore]


def _open(port: int) -> KubeflowMetadataStore:
    return KubeflowMetadataStore.open(KubeflowConfig(host="127.0.0.1", port=port))


_ALWAYS_THERE = "a service is there when it answers: a client could create nothing"
_WORDS = "the engine takes the text for something else, so that it is refused"
_KEYS = "the engine changes a property and a custom property of one key together: refused"
_ORDER = "events have no ids, and the engine gives those of one time in the order of an index"


class TestServed(StoreContract):
    """The client holds to the contract over `metastore serve`."""

    KNOWN_FAILURES: ClassVar = {"test_reading_creates_nothing": _ALWAYS_THERE}

    @pytest.fixture
    def make_store(self) -> Iterator[Make]:
        """A server each time, of a new store."""
        with ExitStack() as stack:
            yield lambda: _open(stack.enter_context(our_service()))


class TestEngine(StoreContract):
    """The client holds to the contract over ML Metadata's own engine, but for what that loses."""

    KNOWN_FAILURES: ClassVar = {
        "test_reading_creates_nothing": _ALWAYS_THERE,
        **{
            f"test_texts[{case}]": _WORDS
            for case in (
                "null word of MLMD",
                "struct word of MLMD",
                "struct word alone",
                "struct word with a struct",
            )
        },
        **{f"test_texts_of_fields[__MLMD_NULL__-{kind.label}]": _WORDS for kind in NodeKind},
        "test_texts_of_types_and_paths[__MLMD_NULL__]": _WORDS,
        "test_paths[odd texts]": _WORDS,
        "test_keys_are_kept_apart": _KEYS,
        "test_property_and_custom_property_are_updated_apart": _KEYS,
        "test_any_part_of_a_node_is_a_change": _KEYS,
        "test_merge_keys": _KEYS,
        "test_events_of_new_nodes": _ORDER,
        "test_events_are_read_by_their_ends": _ORDER,
    }

    @pytest.fixture
    def make_store(self) -> Iterator[Make]:
        """A server each time, of a new store."""
        with ExitStack() as stack:
            yield lambda: _open(stack.enter_context(engine_service()))
