"""`Store` and its lists, over the memory flavor."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest

from metastore import (
    Artifact,
    ArtifactState,
    Batch,
    ClosedError,
    ConflictError,
    FilterError,
    InvalidError,
    MemoryMetadataStore,
    NodeKind,
    NotFoundError,
    PropertyKind,
    Store,
)
from metastore.listing import Listing
from metastore.views import ArtifactView


@pytest.fixture
def store() -> Iterator[Store]:
    """A store with twelve artifacts of two types, made at known times."""
    with Store(MemoryMetadataStore()) as opened:
        batch = Batch()
        for name in ("Even", "Odd"):
            batch.type(NodeKind.ARTIFACT, name, {"n": PropertyKind.INT})
        for number in range(12):
            batch.artifact(
                ("Even", "Odd")[number % 2],
                name=f"a{number}",
                uri=f"u{number // 2}",
                external_id=f"x{number}",
                state=ArtifactState.LIVE,
                properties={"n": number},
                create_time_ms=1000 + number // 4,
            )
        opened.write(batch)
        yield opened


def numbers(listing: Listing[object] | list[object]) -> list[object]:
    """The property n of each."""
    return [each.properties["n"] for each in listing]  # type: ignore[attr-defined]


@pytest.fixture(params=[1, 2, 5, 500])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lists read so many nodes at a time."""
    monkeypatch.setattr(Listing, "PAGE", request.param)
    return request.param  # type: ignore[no-any-return]


@pytest.mark.usefixtures("page")
class TestListing:
    """Lists are sequences, whatever the size of their pages."""

    def test_iteration_finds_all(self, store: Store) -> None:
        """Iterating gives every node once, in order."""
        assert numbers(store.artifacts()) == list(range(12))

    @pytest.mark.parametrize("index", range(-12, 12))
    def test_any_index(self, store: Store, index: int) -> None:
        """An index counts from the start, a negative one from the end."""
        assert store.artifacts()[index].properties["n"] == list(range(12))[index]

    @pytest.mark.parametrize("index", [12, -13, 1000])
    def test_an_index_out_of_range(self, store: Store, index: int) -> None:
        """An index that is not there is an IndexError."""
        with pytest.raises(IndexError):
            store.artifacts()[index]

    @pytest.mark.parametrize(
        "part",
        [
            slice(None),
            slice(2, 5),
            slice(-3, None),
            slice(None, None, 3),
            slice(None, None, -1),
            slice(8, 2, -2),
            slice(5, 2),
            slice(20, 30),
        ],
    )
    def test_slices(self, store: Store, part: slice) -> None:
        """A slice is the list that a list would give."""
        assert numbers(list(store.artifacts()[part])) == list(range(12))[part]

    @pytest.mark.parametrize("limit", [0, 1, 5, 12, 100])
    def test_limit(self, store: Store, limit: int) -> None:
        """A limit cuts the list: its length, its items and its end."""
        found = store.artifacts(limit=limit)
        expected = list(range(12))[:limit]
        assert numbers(found) == expected
        assert len(found) == len(expected)
        assert bool(found) is bool(expected)
        if expected:
            assert found[-1].properties["n"] == expected[-1]

    def test_order_and_ties(self, store: Store) -> None:
        """Nodes of one time are ordered by id, in the direction of the list."""
        assert numbers(store.artifacts(order_by="create_time")) == list(range(12))
        assert numbers(store.artifacts(order_by="-create_time")) == list(range(11, -1, -1))
        assert store.artifacts(order_by="-create_time")[-1].properties["n"] == 0

    def test_filters(self, store: Store) -> None:
        """Each argument narrows the list."""
        assert numbers(store.artifacts(type="Odd", uri="u1")) == [3]
        assert numbers(store.artifacts(name="a4")) == [4]
        assert numbers(store.artifacts(external_id="x7")) == [7]
        assert numbers(store.artifacts(ids=[3, 1, 3, 99])) == [0, 2]
        assert numbers(store.artifacts(type="None")) == []

    def test_turning_around(self, store: Store) -> None:
        """A list is turned around whole; one with a limit has no end to begin from."""
        every = store.artifacts()
        assert [each.id for each in every.newest_first(3)] == [each.id for each in every][:-4:-1]
        with pytest.raises(InvalidError, match="whole list"):
            store.artifacts(limit=2).newest_first()
        with pytest.raises(InvalidError, match="limit"):
            every.newest_first(-1)

    @pytest.mark.parametrize("index", ["a0", 1.0, None])
    def test_an_index_that_is_none(self, store: Store, index: Any) -> None:
        """A list has positions, and says how to find things by name."""
        with pytest.raises(TypeError, match="find_run"):
            store.artifacts()[index]

    def test_a_filter_narrows_a_list(self, store: Store) -> None:
        """`where` narrows what the other conditions leave, from either end, and is counted."""
        found = store.artifacts(type="Even", where="properties.n > 2", order_by="-id")
        every = [each.id for each in store.artifacts() if each.type == "Even"]
        expected = [id for id in reversed(every) if store.artifact(id).properties["n"] > 2]  # type: ignore[operator]
        assert [each.id for each in found] == expected
        assert (len(found), found[0].id, found[-1].id) == (
            len(expected),
            *expected[:: len(expected) - 1],
        )
        assert store.contexts(where="name = 'none'")[:] == []
        for wrong in ("nme = 1", "", 3):
            with pytest.raises(FilterError):
                store.artifacts(where=wrong)  # type: ignore[arg-type]  # one of them

    def test_runs_are_found_by_their_parameters(self) -> None:
        """A filter on runs is one on their contexts, whose custom properties are parameters."""
        with Store(MemoryMetadataStore()) as store:
            for seed in range(5):
                with store.run("p", parameters={"seed": seed}):
                    pass
            found = store.runs(where="custom_properties.seed >= 3", newest_first=True)
            assert [each.parameters["seed"] for each in found] == [4, 3]

    def test_repr_shows_a_few(self, store: Store) -> None:
        """The representation of a list shows the first few and how many there are."""
        assert repr(store.artifacts(limit=2)).count("<Artifact") == 2
        assert repr(store.artifacts()).endswith("... 12 in all]")


class TestPages:
    """Parts of a list, for who asks again later, or from another process."""

    @pytest.mark.parametrize("order", ["id", "-id", "create_time", "-update_time"])
    @pytest.mark.parametrize("size", [1, 3, 4, 100])
    @pytest.mark.parametrize("limit", [None, 0, 5, 12])
    def test_pages_make_up_the_list(
        self, store: Store, order: str, size: int, limit: int | None
    ) -> None:
        """The pages one after the other are the list, each full but the last."""

        def ask() -> Listing[ArtifactView]:
            return store.artifacts(order_by=order, limit=limit)

        found: list[ArtifactView] = []
        token: str | None = None
        while True:
            page = ask().page(size, token)
            found += page.items
            token = page.next_token
            if token is None:
                break
            assert len(page.items) == size
        assert found == [*ask()]

    def test_new_nodes_do_not_disturb_pages(self, store: Store) -> None:
        """What is written between two pages neither repeats nor hides other items."""
        before = [each.id for each in store.artifacts(order_by="create_time")]
        page = store.artifacts(order_by="create_time").page(3)
        batch = Batch()
        for time in (0, 1, 10_000):
            batch.artifact("Even", create_time_ms=time, properties={"n": 1})
        store.write(batch)
        seen = [each.id for each in page.items]
        while page.next_token:
            page = store.artifacts(order_by="create_time").page(3, page.next_token)
            seen += [each.id for each in page.items]
        assert [id for id in seen if id in before] == before
        assert len(seen) == len(set(seen))

    def test_a_token_of_another_list_is_refused(self, store: Store) -> None:
        """A token is for the list that it is of: its kind, conditions, filter, order and limit."""
        token = store.artifacts(where="id > 0").page(1).next_token
        assert token is not None
        assert store.artifacts(where="id > 0").page(5, token).items
        others: list[Listing[Any]] = [
            store.artifacts(),
            store.artifacts(where="id > 1"),
            store.artifacts(where="id > 0", type="Even"),
            store.artifacts(where="id > 0", order_by="-id"),
            store.artifacts(where="id > 0", order_by="create_time"),
            store.artifacts(where="id > 0", limit=5),
            store.executions(where="id > 0"),
        ]
        for other in others:
            with pytest.raises(InvalidError, match="another list"):
                other.page(1, token)

    def test_a_token_that_was_changed_is_refused(self, store: Store) -> None:
        """What stands before a token, or a number in it that no node has, makes it none."""
        token = store.artifacts().page(1).next_token
        assert token is not None
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        content[3] = 10**30
        forged = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
        for wrong in ("!!" + token, forged):
            with pytest.raises(InvalidError, match="token is none"):
                store.artifacts().page(1, wrong)

    @pytest.mark.parametrize(
        "token", ["", "x", "é", "!" * 9, "bnVsbA", "W10", "e30", "WzEsMl0", "[" * 9999, 3, b"x"]
    )
    def test_a_token_that_is_none_is_refused(self, store: Store, token: Any) -> None:
        """What is no token is refused, whatever it holds."""
        with pytest.raises(InvalidError, match="token is none"):
            store.artifacts().page(1, token)
        for size in (0, -1, "1", True):
            with pytest.raises(InvalidError, match="size"):
                store.artifacts().page(size)  # type: ignore[arg-type]  # the test's point

    def test_a_token_is_plain(self, store: Store) -> None:
        """A token stands in a URL as it is, and is the same in every process."""
        token = store.artifacts().page(1).next_token
        assert token is not None
        assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
        assert token == store.artifacts().page(1).next_token


class TestStore:
    """Nodes, types and errors."""

    def test_a_node_by_id(self, store: Store) -> None:
        """A node is found by its id, as a view of the plain record."""
        artifact = store.artifact(1)
        assert isinstance(artifact.node, Artifact)
        assert artifact.create_time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
        assert (artifact.name, artifact.uri, artifact.type) == ("a0", "u0", "Even")
        assert artifact == store.artifact(1)
        assert len({artifact, store.artifact(1), store.artifact(2)}) == 2

    @pytest.mark.parametrize("ask", ["artifact", "execution", "context", "find_run"])
    def test_an_id_that_is_not_there(self, store: Store, ask: str) -> None:
        """An unknown id is a NotFoundError that says where to look."""
        with pytest.raises(NotFoundError, match="lists them") as raised:
            getattr(store, ask)(4711)
        assert raised.value.offender is not None

    @pytest.mark.parametrize("wrong", [0, -1, True, "1", None, 1.0])
    def test_an_id_that_is_none(self, store: Store, wrong: int) -> None:
        """What is no id is refused."""
        with pytest.raises(InvalidError):
            store.artifact(wrong)

    @pytest.mark.parametrize("name", ["pipeline", "type"])
    def test_names_that_are_not_there(self, store: Store, name: str) -> None:
        """An unknown pipeline or type is a NotFoundError."""
        with pytest.raises(NotFoundError):
            store.pipeline("x") if name == "pipeline" else store.type(NodeKind.ARTIFACT, "x")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"type": 3},
            {"name": b"a"},
            {"uri": 3},
            {"external_id": 3},
            {"ids": 3},
            {"ids": "12"},
            {"ids": ["1"]},
            {"ids": [True]},
            {"context": "c"},
            {"context": 0},
        ],
    )
    def test_conditions_that_are_none(self, store: Store, wrong: Any) -> None:
        """A condition that nothing can meet, being of the wrong sort, is refused."""
        with pytest.raises(InvalidError):
            store.artifacts(**wrong)

    def test_a_run_is_found_by_id_or_name_only(self, store: Store) -> None:
        """What is neither is refused; a kind of nodes is a NodeKind."""
        ask: Any = store
        for wrong in (None, True, 1.5, b"name", 0):
            with pytest.raises(InvalidError):
                ask.find_run(wrong)
        with pytest.raises(InvalidError):
            ask.pipeline(None)
        with pytest.raises(InvalidError, match=r"NodeKind\.ARTIFACT"):
            ask.types("artifact")
        with pytest.raises(InvalidError, match=r"NodeKind\.ARTIFACT"):
            ask.type("artifact", "T")
        with pytest.raises(InvalidError, match="Batch"):
            ask.write(None)

    def test_a_name_that_several_runs_have(self) -> None:
        """Where runs of several programs have one name, none of them is picked in silence."""
        with Store(MemoryMetadataStore()) as store:
            batch = Batch()
            for type in ("metastore.Run", "pipeline_run"):
                batch.type(NodeKind.CONTEXT, type)
                batch.context(type, name="nightly")
            store.write(batch)
            with pytest.raises(InvalidError, match="ids 1 and 2"):
                store.find_run("nightly")
            assert store.find_run(2).id == 2
            with store.run("pipeline"):
                pass
            batch = Batch()
            batch.type(NodeKind.CONTEXT, "pipeline")
            batch.context("pipeline", name="pipeline")
            store.write(batch)
            with pytest.raises(InvalidError, match="several pipelines"):
                store.pipeline("pipeline")
            assert [len(store.pipeline(each.id).runs) for each in store.pipelines()] == [1, 0]

    @pytest.mark.parametrize("order", ["", "name", "-uri", "--id", None])
    def test_an_order_that_is_none(self, store: Store, order: Any) -> None:
        """An unknown order is refused, and the error lists the known ones."""
        with pytest.raises(InvalidError, match="create_time"):
            store.artifacts(order_by=order)

    @pytest.mark.parametrize("limit", [-1, "5", 2.0, True])
    def test_a_limit_that_is_none(self, store: Store, limit: int) -> None:
        """A limit that is no number from 0 is refused."""
        with pytest.raises(InvalidError, match="limit"):
            store.artifacts(limit=limit)

    def test_a_closed_store(self, store: Store) -> None:
        """After close everything is a ClosedError, but for closing once more."""
        store.close()
        store.close()
        with pytest.raises(ClosedError):
            store.artifact(1)
        with pytest.raises(ClosedError):
            list(store.runs())

    def test_repr(self, store: Store) -> None:
        """A store says where it is."""
        assert repr(store) == "<Store memory://>"


class TestUpdate:
    """Read, change, write: as if nobody else was writing."""

    def test_it_sets_and_removes(self, store: Store) -> None:
        """A value sets a property, None removes it, the others stay."""
        artifact = store.update(store.artifact(1), lambda a: {"tag": "x"}, custom=True)
        assert artifact.custom_properties == {"tag": "x"}
        artifact = store.update(artifact, lambda a: {"tag": None}, custom=True)
        assert artifact.custom_properties == {}
        assert artifact.properties == {"n": 0}

    def test_threads_lose_nothing(self, store: Store) -> None:
        """Threads that count up one property lose no update."""

        def count_up() -> None:
            for _ in range(25):
                store.update(store.artifact(1), lambda a: {"n": int(str(a.properties["n"])) + 1})

        threads = [threading.Thread(target=count_up) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.artifact(1).properties["n"] == 100

    def test_it_gives_up_at_last(self, store: Store) -> None:
        """When others always come first, it is a ConflictError after the given attempts."""
        calls = 0

        def disturbed(_: object) -> dict[str, int]:
            nonlocal calls
            calls += 1
            store.update(store.artifact(1), lambda a: {"n": int(str(a.properties["n"])) + 1})
            return {"n": -1}

        with pytest.raises(ConflictError):
            store.update(store.artifact(1), disturbed, attempts=3)
        assert calls == 3
        assert store.artifact(1).properties["n"] == 3

    def test_wrong_values_change_nothing(self, store: Store) -> None:
        """A value of the wrong kind is an error, and nothing is written."""
        with pytest.raises(InvalidError, match="property 'n' of artifact") as raised:
            store.update(store.artifact(1), lambda a: {"n": "one"})
        assert "batch" not in str(raised.value)
        with pytest.raises(InvalidError, match="dict"):
            store.update(store.artifact(1), lambda a: None)  # type: ignore[arg-type,return-value]
        with pytest.raises(InvalidError, match="not a function"):
            store.update(store.artifact(1), {"n": 1})  # type: ignore[arg-type]
        with pytest.raises(InvalidError, match="custom=True"):
            store.update(store.artifact(1), lambda a: {"undeclared": 1})
        with pytest.raises(InvalidError, match=r"\.context"):
            store.update(store.runs(), lambda a: {})  # type: ignore[type-var]
        assert store.artifact(1).properties == {"n": 0}


class TestViews:
    """What nodes can be asked."""

    def test_producer_and_consumers(self) -> None:
        """An artifact knows what wrote it and what read it."""
        store = Store(MemoryMetadataStore())
        with store.run("p") as run:
            with run.step("make") as make:
                data = make.output("data", uri="d")
            for name in ("one", "two"):
                with run.step(name) as step:
                    step.input("data", data)
        artifact = store.artifact(data.id)
        assert artifact.producer is not None
        assert artifact.producer.id == make.id
        assert [each.type for each in artifact.consumers] == ["one", "two"]
        assert artifact.producer.outputs["data"] == artifact
        assert "data" not in artifact.producer.inputs

    def test_what_is_not_there_has_a_default(self) -> None:
        """Inputs, outputs and steps answer `in` by name, and `get` gives its default."""
        with Store(MemoryMetadataStore()) as store:
            with store.run("p") as run, run.step("s") as step:
                step.output("out", uri="u")
            steps = store.find_run(run.id).steps
            assert "s" in steps
            assert "t" not in steps
            assert steps[0] in steps
            assert "out" in steps["s"].outputs
            assert steps["s"].outputs.get("nope") is None
            assert steps["s"].outputs.get("nope", 3) == 3

    def test_where_a_run_ran_is_told(self) -> None:
        """Runs and steps say on which host and in which process they ran."""
        with Store(MemoryMetadataStore()) as store:
            with store.run("p") as run, run.step("s"):
                pass
            found = store.find_run(run.id)
            assert (found.process, found.steps["s"].process) == (os.getpid(), os.getpid())
            assert found.host == found.steps["s"].host == platform.node()

    def test_an_unknown_port_names_the_known_ones(self) -> None:
        """Asking for a key that is not there names those that are."""
        store = Store(MemoryMetadataStore())
        with store.run("p") as run, run.step("make") as make:
            make.output("data", uri="d")
        outputs = store.execution(make.id).outputs
        assert list(outputs) == ["data"]
        with pytest.raises(NotFoundError, match="'data'"):
            outputs["date"]

    def test_contexts_have_members(self) -> None:
        """A run's context has its executions, artifacts and its pipeline as parent."""
        store = Store(MemoryMetadataStore())
        with store.run("p") as run, run.step("make") as make:
            data = make.output("data", uri="d")
        context = store.context(run.id)
        assert [each.id for each in context.artifacts] == [data.id]
        assert [each.id for each in context.executions] == [make.id]
        assert [each.name for each in context.parents] == ["p"]
        assert [each.id for each in store.pipeline("p").context.children] == [run.id]
