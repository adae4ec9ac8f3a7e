"""Section 4 of the contract: nodes found and reused."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, Outcome, Reuse
from metastore.errors import AlreadyExistsError, InvalidError
from metastore.model import (
    ArtifactState,
    NodeKind,
)
from metastore.testing._base import (
    ALL_KINDS,
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    INT,
    ContractBase,
    add,
    artifact,
    batch_with,
    one,
    prepare,
    put,
    read,
    refuse,
)

BY = pytest.mark.parametrize("by", ["name", "external_id"])


class ReuseContract(ContractBase):
    """Nodes are found by name, external id or uri, and reused."""

    @ALL_KINDS
    @BY
    def test_reuse_creates_what_is_not_there(
        self, store: BaseMetadataStore, kind: NodeKind, by: Any
    ) -> None:
        """Reuse of what is not stored inserts it, whole: CREATED. [4.18]

        On failure: `lookup` must leave names and external ids out of `Answers` that no node has: an
        entry with None or 0 as its id counts as found, or as taken.
        """
        prepare(store, a=INT)
        for on_found in ("keep", "replace", "merge"):
            key = f"{by}-{on_found}"
            mode = Reuse(by, on_found)
            fields = {"name": key} | {by: key}
            written = put(store, kind, mode=mode, properties={"a": 1}, **fields)
            assert written.outcome is Outcome.CREATED
            node = one(store, kind, written.id)
            assert (node.name, node.properties) == (key, {"a": 1})

    @ALL_KINDS
    @BY
    def test_reuse_keeps_what_is_there(
        self, store: BaseMetadataStore, kind: NodeKind, by: Any
    ) -> None:
        """Reuse that finds a node leaves it as it is and looks at no more of the draft. [4.19]

        On failure: if a node was made, `lookup` did not answer `questions.names` or `external_ids`;
        if the stored one changed, or `nonsense` was refused, a `write` of your own sent the draft
        along although the node was found.
        """
        prepare(store, a=INT)
        stored = put(store, kind, name="n", external_id="x", properties={"a": 1})
        before = one(store, kind, stored.id)
        fields = {"name": "n"} if by == "name" else {"name": "other", "external_id": "x"}
        again = put(store, kind, mode=Reuse(by), properties={"nonsense": None}, **fields)
        assert (again.id, again.outcome) == (stored.id, Outcome.REUSED)
        assert read(store, kind) == [before]

    def test_reuse_by_name_is_of_the_type(self, store: BaseMetadataStore) -> None:
        """Reuse by name finds nodes of the draft's type only. [4.17]

        On failure: `questions.names` holds pairs of type id and name. A `lookup` by name alone, or
        one that keys its answer by name, gives the draft of U the context of T.
        """
        prepare(store, "T", "U")
        stored = put(store, CONTEXT, "T", name="n")
        other = put(store, CONTEXT, "U", name="n", mode=Reuse("name"))
        assert other.outcome is Outcome.CREATED
        assert put(store, CONTEXT, "T", name="n", mode=Reuse("name")).id == stored.id

    def test_reuse_by_external_id_is_of_the_kind(self, store: BaseMetadataStore) -> None:
        """Reuse by external id finds a node of whatever type, and of the draft's kind. [4.17]

        On failure: the search for external ids must look at one kind of nodes, and at no type: drop
        the condition on the type, and use `questions.external_ids[ARTIFACT]` for artifacts alone.
        """
        prepare(store, "T", "U")
        stored = put(store, ARTIFACT, "T", external_id="x")
        again = put(store, ARTIFACT, "U", external_id="x", mode=Reuse("external_id"))
        assert (again.id, again.outcome) == (stored.id, Outcome.REUSED)
        other = put(store, EXECUTION, "T", external_id="x", mode=Reuse("external_id"))
        assert other.outcome is Outcome.CREATED

    def test_reuse_by_uri_finds_the_newest(self, store: BaseMetadataStore) -> None:
        """Reuse by uri finds the artifact of the type and uri with the highest id. [4.17]

        On failure: `lookup` answers `questions.uris` with the first row that it meets: take the
        highest id of that type and uri (`MAX(id)`). If "s3://X" was found, uris are compared
        without case.
        """
        prepare(store, "T", "U")
        put(store, ARTIFACT, "T", uri="s3://x")
        newest = put(store, ARTIFACT, "T", uri="s3://x")
        put(store, ARTIFACT, "U", uri="s3://x")
        put(store, ARTIFACT, "T", uri="s3://xx")
        again = put(store, ARTIFACT, "T", uri="s3://x", mode=Reuse("uri"))
        assert (again.id, again.outcome) == (newest.id, Outcome.REUSED)
        new = put(store, ARTIFACT, "T", uri="s3://X", mode=Reuse("uri"))
        assert new.outcome is Outcome.CREATED

    @pytest.mark.parametrize("by", ["name", "external_id", "uri"])
    def test_reuse_twice_in_a_batch(self, store: BaseMetadataStore, by: Any) -> None:
        """The second draft of a batch that reuses the same finds what the first creates. [4.17]

        On failure: `apply` gets one `NodeInsert` for the three drafts, so one id is due in
        `Applied`. A `write` of your own that turns each draft into a request must let the later
        ones stand for the first.
        """
        for batch in (batch_with(), Batch()):
            fields: dict[str, Any] = {by: f"x{len(batch.types)}"}
            refs = [batch.artifact("T", mode=Reuse(by), **fields) for _ in range(3)]
            written = store.write(batch)
            first, *others = (written[ref] for ref in refs)
            assert first.outcome is Outcome.CREATED
            assert [(each.id, each.outcome) for each in others] == [(first.id, Outcome.REUSED)] * 2

    @pytest.mark.parametrize("by", ["name", "external_id", "uri"])
    def test_reuse_finds_what_the_batch_inserts(self, store: BaseMetadataStore, by: Any) -> None:
        """Reuse finds a node that an earlier draft of the batch inserts. [4.17]

        On failure: one `NodeInsert` arrives, whose id in `Applied` is that of both drafts. A
        backend that reuses only what is stored makes two nodes: your `write` must find drafts of
        the same batch itself.
        """
        prepare(store)
        batch = Batch()
        fields: dict[str, Any] = {by: "x"}
        inserted = batch.artifact("T", **fields)
        reused = batch.artifact("T", mode=Reuse(by), **fields)
        written = store.write(batch)
        assert written[reused] == (written[inserted].id, Outcome.REUSED)

    def test_refs_to_reused_nodes(self, store: BaseMetadataStore) -> None:
        """A Ref to a draft that is reused stands for the node that was found. [4.17, 7.4]

        On failure: the link in `Changes.links` has the stored context's id on one side and `New(0)`
        on the other: `apply` must decide for each end whether it is an int or a `New`.
        """
        prepare(store)
        stored = put(store, CONTEXT, name="run")
        batch = Batch()
        run = batch.context("T", name="run", mode=Reuse("name"))
        made = batch.artifact("T")
        batch.attribution(run, made)
        written = store.write(batch)
        assert written[run].id == stored.id
        assert [node.id for node in read(store, ARTIFACT, context_ids=[stored.id])] == [
            written[made].id
        ]

    @BY
    def test_reuse_can_replace(self, store: BaseMetadataStore, by: Any) -> None:
        """With on_found="replace" the node that was found becomes what the draft says. [4.19]

        On failure: the found node is asked for whole, in a later call of `lookup` than its name;
        answer `questions.nodes` in any call. `apply` must write "" and None of `NodeUpdate`, and
        remove `drop_properties`.
        """
        prepare(store, a=INT, b=INT)
        stored = put(
            store,
            ARTIFACT,
            name="n",
            external_id="x",
            uri="old",
            state=ArtifactState.LIVE,
            properties={"a": 1, "b": 2},
            custom_properties={"c": 3},
        )
        fields = {"name": "n", "external_id": "x"}
        again = put(store, ARTIFACT, mode=Reuse(by, "replace"), properties={"a": 5}, **fields)
        assert (again.id, again.outcome) == (stored.id, Outcome.UPDATED)
        node = artifact(store, stored.id)
        assert (node.uri, node.state, node.external_id) == ("", None, "x")
        assert (node.properties, node.custom_properties) == ({"a": 5}, {})

    @BY
    def test_reuse_can_merge(self, store: BaseMetadataStore, by: Any) -> None:
        """With on_found="merge" the draft's fields and properties are set, all else
        stays. [4.19]

        On failure: `NodeUpdate` repeats the fields that stay, as `Answers.nodes` had them: what is
        gone, `lookup` did not read. Of properties it has the differences only, which a rewrite of
        the whole map would make all there is.
        """
        prepare(store, a=INT, b=INT)
        stored = put(
            store,
            ARTIFACT,
            name="n",
            external_id="x",
            uri="old",
            state=ArtifactState.LIVE,
            properties={"a": 1, "b": 2},
            custom_properties={"c": 3},
        )
        fields = {"name": "n"} if by == "name" else {"external_id": "x"}
        mode = Reuse(by, "merge")
        again = put(
            store, ARTIFACT, mode=mode, properties={"a": 5}, custom_properties={"d": 4}, **fields
        )
        assert (again.id, again.outcome) == (stored.id, Outcome.UPDATED)
        node = artifact(store, stored.id)
        assert (node.uri, node.state, node.external_id) == ("old", ArtifactState.LIVE, "x")
        assert node.properties == {"a": 5, "b": 2}
        assert node.custom_properties == {"c": 3, "d": 4}
        put(store, ARTIFACT, mode=mode, uri="new", state=ArtifactState.UNKNOWN, **fields)
        node = artifact(store, stored.id)
        assert (node.uri, node.state) == ("new", ArtifactState.UNKNOWN)
        put(store, ARTIFACT, name="n", external_id="y", mode=Reuse("name", "merge"))
        assert artifact(store, stored.id).external_id == "y"

    @pytest.mark.parametrize("on_found", ["replace", "merge"])
    def test_reuse_that_changes_nothing(self, store: BaseMetadataStore, on_found: Any) -> None:
        """Reuse whose update changes nothing is REUSED and keeps the update time. [4.12, 4.19]

        On failure: `Answers.nodes` must give values of the kinds that were written: an int read as
        a bool or a float is a change. If only the time moved, the backend touches a node whenever
        it is sent.
        """
        prepare(store, a=INT)
        stored = put(store, CONTEXT, name="n", properties={"a": 1})
        before = one(store, CONTEXT, stored.id)
        again = put(store, CONTEXT, name="n", properties={"a": 1}, mode=Reuse("name", on_found))
        assert (again.id, again.outcome) == (stored.id, Outcome.REUSED)
        assert read(store, CONTEXT) == [before]

    def test_reuse_that_updates_checks_the_type(self, store: BaseMetadataStore) -> None:
        """Reuse by external id that would update a node of another type is InvalidError. [4.10,
        4.19]

        On failure: in `Answers.nodes`, `type_id` must be that of the stored node, T, not that of
        the draft. Backends that reuse by external id update whatever they find: compare the types
        before you send.
        """
        prepare(store, "T", "U")
        put(store, ARTIFACT, "T", external_id="x")
        batch = Batch()
        batch.artifact("U", external_id="x", mode=Reuse("external_id", "replace"))
        refuse(store, batch, InvalidError, kind="artifact", index=0)

    @pytest.mark.parametrize("on_found", ["replace", "merge"])
    def test_reuse_does_not_update_what_the_batch_creates(
        self, store: BaseMetadataStore, on_found: Any
    ) -> None:
        """Replace or merge of a node that the same batch creates is InvalidError. [4.20]

        On failure: a `write` of your own passes both drafts on, and the backend creates the context
        and then updates it, or calls the name taken. Two drafts of one name are yours to compare.
        """
        prepare(store)
        batch = Batch()
        batch.context("T", name="n")
        batch.context("T", name="n", mode=Reuse("name", on_found))
        refuse(store, batch, InvalidError, kind="context", index=1, name="n")

    @pytest.mark.parametrize(
        ("kind", "by", "fields"),
        [
            (ARTIFACT, "name", {}),
            (ARTIFACT, "name", {"name": ""}),
            (ARTIFACT, "external_id", {"name": "n"}),
            (ARTIFACT, "external_id", {"external_id": ""}),
            (ARTIFACT, "uri", {"name": "n"}),
            (EXECUTION, "uri", {"name": "n"}),
            (CONTEXT, "uri", {"name": "n"}),
            (ARTIFACT, "id", {"name": "n"}),
            (ARTIFACT, None, {"name": "n"}),
        ],
    )
    def test_reuse_needs_something_to_find_by(
        self, store: BaseMetadataStore, kind: NodeKind, by: Any, fields: dict[str, Any]
    ) -> None:
        """Reuse by what the draft, its kind, or no node at all has is InvalidError. [4.20, 4.21]

        On failure: the planner refuses it before it asks for names; if nodes were found, your
        `write` searched with an empty text, which matches all nodes without one. Ask also whether
        the kind has uris.
        """
        prepare(store)
        batch = Batch()
        add(batch, kind, mode=Reuse(by), **fields)
        refuse(store, batch, InvalidError, kind=kind.label, index=0)

    def test_reuse_needs_a_known_way(self, store: BaseMetadataStore) -> None:
        """An unknown `on_found` is InvalidError. [4.21]

        On failure: the chain of `if on_found == ...` in a `write` of your own ends in an `else`
        that means "keep" or "replace". Make its end an `InvalidError`.
        """
        prepare(store)
        way: Any = "overwrite"
        batch = Batch()
        batch.artifact("T", name="n", mode=Reuse("name", way))
        refuse(store, batch, InvalidError, kind="artifact", index=0)

    def test_reuse_inserts_under_the_rules(self, store: BaseMetadataStore) -> None:
        """Reuse that finds nothing and inserts a taken name or a bad property is refused. [4.18]

        On failure: the draft is found by one thing and inserted with both: `lookup` must answer
        `names` even where the reuse is by external id. A backend that was told to reuse may skip
        its check of properties.
        """
        prepare(store)
        put(store, ARTIFACT, name="n", external_id="x")
        batch = Batch()
        batch.artifact("T", name="n", external_id="y", mode=Reuse("external_id"))
        refuse(store, batch, AlreadyExistsError, kind="artifact", index=0)
        batch = Batch()
        batch.artifact("T", name="m", properties={"a": 1}, mode=Reuse("name"))
        refuse(store, batch, InvalidError, kind="artifact", index=0, property="a")
