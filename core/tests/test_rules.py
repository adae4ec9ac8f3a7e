"""The planner alone: what a batch comes to, and what the planner asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.batch import ALL, Batch, LinkDraft, Merge, Outcome, Ref, Replace, Reuse, Written
from metastore.changes import (
    Applied,
    Changes,
    New,
    NewEvent,
    NodeInsert,
    NodeUpdate,
    Questions,
    TypeInsert,
    TypeUpdate,
)
from metastore.model import (
    Artifact,
    ArtifactState,
    Context,
    EventType,
    ExecutionState,
    LinkKind,
    NodeKind,
    Type,
    TypeKey,
)
from metastore.rules import Planner

from .stored import (
    ARTIFACT,
    CONTEXT,
    DOUBLE,
    EXECUTION,
    INT,
    NOW,
    STRING,
    Stored,
    world,
)

NONE: frozenset[str] = frozenset()


def _types(**fields: Any) -> TypeInsert:
    defaults: dict[str, Any] = {
        "key": TypeKey(ARTIFACT, "New"),
        "properties": {},
        "description": None,
        "base_type": None,
        "external_id": None,
        "input_type": None,
        "output_type": None,
    }
    return TypeInsert(**(defaults | fields))


def _insert(**fields: Any) -> NodeInsert:
    defaults: dict[str, Any] = {
        "type": 10,
        "name": None,
        "uri": "",
        "state": None,
        "external_id": None,
        "properties": {},
        "custom_properties": {},
        "create_time_ms": NOW,
        "update_time_ms": NOW,
    }
    return NodeInsert(**(defaults | fields))


def _update(**fields: Any) -> NodeUpdate:
    """The update of `ART`, which changes nothing but the time unless fields say so."""
    defaults: dict[str, Any] = {
        "id": 100,
        "name": "art",
        "uri": "u",
        "state": 2,
        "external_id": "x",
        "update_time_ms": NOW,
        "set_properties": {},
        "set_custom_properties": {},
        "drop_properties": NONE,
        "drop_custom_properties": NONE,
    }
    return NodeUpdate(**(defaults | fields))


def _changes(batch: Batch, stored: Stored | None = None) -> Changes:
    return (stored or world()).changes(batch)


def _only(**parts: Any) -> Changes:
    """Changes that hold these parts and nothing else."""
    changes = Changes()
    for name in ("type_inserts", "type_updates", "events"):
        setattr(changes, name, parts.pop(name, []))
    changes.inserts |= parts.pop("inserts", {})
    changes.updates |= parts.pop("updates", {})
    changes.links |= parts.pop("links", {})
    assert not parts
    return changes


# Types.


def test_a_new_type_is_inserted_as_it_is() -> None:
    """A type that is not stored becomes an insert with all that the draft says."""
    batch = Batch()
    batch.type(
        EXECUTION,
        "New",
        {"a": INT, "s": STRING},
        version="3",
        description="d",
        external_id="e",
        input_type="{}",
        output_type="{ }",
    )
    assert _changes(batch) == _only(
        type_inserts=[
            _types(
                key=TypeKey(EXECUTION, "New", "3"),
                properties={"a": INT, "s": STRING},
                description="d",
                external_id="e",
                input_type="{}",
                output_type="{ }",
            )
        ]
    )


def test_a_base_type_becomes_its_id() -> None:
    """The base type of a new type, and one that a stored type gains, is named by its id."""
    batch = Batch()
    batch.type(ARTIFACT, "New", base_type="mlmd.Model")
    batch.type(ARTIFACT, "U", base_type="mlmd.Dataset")
    assert _changes(batch) == _only(
        type_inserts=[_types(base_type=2)],
        type_updates=[TypeUpdate(11, {}, None, 1)],
    )


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        ({"properties": {"a": INT, "d": DOUBLE}}, None),
        ({"properties": {"a": INT}, "can_omit_properties": True}, None),
        ({"properties": {}, "can_omit_properties": True, "can_add_properties": True}, None),
        ({"properties": {"a": INT, "d": DOUBLE}, "external_id": "type-x"}, None),
        ({"properties": {"a": INT, "d": DOUBLE}, "description": "new"}, None),
        (
            {"properties": {"a": INT, "d": DOUBLE, "s": STRING}, "can_add_properties": True},
            TypeUpdate(10, {"s": STRING}, None, None),
        ),
        (
            {
                "properties": {"s": STRING},
                "can_add_properties": True,
                "can_omit_properties": True,
                "external_id": "type-y",
                "base_type": "mlmd.Model",
            },
            TypeUpdate(10, {"s": STRING}, "type-y", 2),
        ),
        (
            {"properties": {"a": INT, "d": DOUBLE}, "external_id": "type-y"},
            TypeUpdate(10, {}, "type-y", None),
        ),
    ],
)
def test_a_stored_type_is_found_or_widened(draft: Any, expected: TypeUpdate | None) -> None:
    """A draft of a stored type updates what it adds, and nothing where it adds nothing."""
    batch = Batch()
    batch.type(ARTIFACT, "T", **draft)
    changes, planner = world().plan(batch)
    assert changes == _only(type_updates=[expected] if expected else [])
    assert bool(changes) is (expected is not None)
    outcome = Outcome.UPDATED if expected else Outcome.REUSED
    assert planner.written(Applied()).types == [Written(10, outcome)]


@pytest.mark.parametrize("base_type", [None, "mlmd.Dataset"])
def test_a_base_type_stays(base_type: str | None) -> None:
    """A draft that says nothing of the stored base type, or names it, changes nothing."""
    batch = Batch()
    batch.type(ARTIFACT, "T", {"b": INT}, version="2", base_type=base_type)
    assert not _changes(batch)


def test_drafts_of_a_stored_type_see_one_another() -> None:
    """A second draft finds what the first one adds to a stored type."""
    batch = Batch()
    for _ in range(2):
        batch.type(
            ARTIFACT,
            "U",
            {"p": INT},
            external_id="e",
            base_type="mlmd.Model",
            can_add_properties=True,
        )
    changes, planner = world().plan(batch)
    assert changes == _only(type_updates=[TypeUpdate(11, {"p": INT}, "e", 2)])
    assert planner.written(Applied()).types == [
        Written(11, Outcome.UPDATED),
        Written(11, Outcome.REUSED),
    ]


def test_drafts_of_a_new_type_make_one_insert() -> None:
    """Drafts of one key that is not stored make one insert, widened by the later ones."""
    batch = Batch()
    batch.type(ARTIFACT, "New", {"a": INT})
    batch.type(ARTIFACT, "New", {"a": INT})
    batch.type(
        ARTIFACT,
        "New",
        {"a": INT, "b": STRING},
        can_add_properties=True,
        base_type="mlmd.Model",
        external_id="e",
    )
    changes, planner = world().plan(batch)
    assert changes == _only(
        type_inserts=[_types(properties={"a": INT, "b": STRING}, base_type=2, external_id="e")]
    )
    assert planner.written(Applied([77])).types == [
        Written(77, Outcome.CREATED),
        Written(77, Outcome.REUSED),
        Written(77, Outcome.UPDATED),
    ]


def test_a_type_that_is_stored_twice_counts_once() -> None:
    """Of two stored types of one key, which racing ML Metadata clients leave, the first is used."""
    twin = Type(13, ARTIFACT, "U", {"extra": INT})
    node = Artifact(103, 13, "U", None, None, {}, {}, 1, 1, "", None)
    stored = Stored([*world().types, twin], [node])
    batch = Batch()
    batch.artifact("U")
    # A node of the second one is of a type of that name all the same.
    batch.artifact("U", mode=Merge(103), properties={"extra": 1})
    changes = _changes(batch, stored)
    assert changes.inserts[ARTIFACT] == [_insert(type=11)]
    assert changes.updates[ARTIFACT][0].set_properties == {"extra": 1}


# Nodes.


def test_a_new_node_is_inserted_as_it_is() -> None:
    """A new node becomes an insert with all that the draft says, of the stored type's id."""
    batch = Batch()
    batch.artifact(
        "T",
        name="n",
        uri="v",
        state=ArtifactState.PENDING,
        external_id="e",
        properties={"a": 1},
        custom_properties={"b": True},
        create_time_ms=5,
        update_time_ms=6,
    )
    batch.execution(20, state=ExecutionState.NEW)
    batch.context(TypeKey(CONTEXT, "C"), name="n")
    assert _changes(batch) == _only(
        inserts={
            ARTIFACT: [
                _insert(
                    name="n",
                    uri="v",
                    state=1,
                    external_id="e",
                    properties={"a": 1},
                    custom_properties={"b": True},
                    create_time_ms=5,
                    update_time_ms=6,
                )
            ],
            EXECUTION: [_insert(type=20, state=1)],
            CONTEXT: [_insert(type=30, name="n")],
        }
    )


def test_times_that_are_not_given() -> None:
    """A new node has the time of the planner; the update time is by default the create time."""
    batch = Batch()
    batch.artifact("T")
    batch.artifact("T", create_time_ms=5)
    batch.artifact("T", update_time_ms=6)
    assert [row[-2:] for row in _changes(batch).inserts[ARTIFACT]] == [
        (NOW, NOW),
        (5, 5),
        (NOW, 6),
    ]


def test_nodes_of_new_types() -> None:
    """A node of a type that the batch creates names the insert of the type."""
    batch = Batch()
    batch.type(ARTIFACT, "First")
    key = batch.type(ARTIFACT, "New", {"p": INT}, version="1")
    batch.artifact(key, name="n", properties={"p": 1})
    changes = _changes(batch)
    assert changes.inserts[ARTIFACT] == [_insert(type=New(1), name="n", properties={"p": 1})]


def test_nodes_use_what_the_batch_adds_to_a_type() -> None:
    """A node may have the properties by which the batch widens its stored type, named by id too."""
    batch = Batch()
    batch.type(ARTIFACT, "U", {"p": INT}, can_add_properties=True)
    batch.artifact("U", properties={"p": 1})
    batch.artifact(11, properties={"p": 2})
    assert [row.properties for row in _changes(batch).inserts[ARTIFACT]] == [{"p": 1}, {"p": 2}]


def test_no_uri_is_an_empty_one() -> None:
    """A draft whose uri is None has an empty uri."""
    nothing: Any = None
    batch = Batch()
    batch.artifact("T", uri=nothing)
    assert _changes(batch).inserts[ARTIFACT] == [_insert()]


def test_plain_values_are_not_copied() -> None:
    """Mappings whose values are plain go through as they are; others are cleaned into a copy."""
    plain: Any = {"a": 1}
    struct: Any = {"s": {"n": 1}}
    batch = Batch()
    batch.artifact("T", properties=plain, custom_properties=struct)
    [row] = _changes(batch).inserts[ARTIFACT]
    assert row.properties is plain
    assert row.custom_properties == {"s": {"n": 1.0}}
    assert type(row.custom_properties["s"]["n"]) is float  # type: ignore[index,call-overload]
    assert struct == {"s": {"n": 1}}
    assert type(struct["s"]["n"]) is int


class _Text(str):
    __slots__ = ()


def test_keys_become_plain_texts() -> None:
    """Keys that are of a subclass of `str` become plain, whatever keys and values are beside."""
    for keys in ([_Text("a"), "é"], ["é", _Text("a")], [_Text("a"), _Text("é"), "b"]):
        batch = Batch()
        given: Any = {key: {"n": 1} for key in keys}
        batch.artifact("T", custom_properties=given)
        [row] = _changes(batch).inserts[ARTIFACT]
        assert list(row.custom_properties) == keys
        assert {type(key) for key in row.custom_properties} == {str}
        assert all(value == {"n": 1.0} for value in row.custom_properties.values())


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (
            {},
            {
                "uri": "",
                "state": None,
                "external_id": None,
                "drop_properties": {"a", "d"},
                "drop_custom_properties": {"a"},
            },
        ),
        (
            {"uri": "u", "state": ArtifactState.LIVE, "external_id": "x", "properties": {"a": 2}},
            {
                "set_properties": {"a": 2},
                "drop_properties": {"d"},
                "drop_custom_properties": {"a"},
            },
        ),
        (
            {
                "name": "ignored",
                "uri": "new",
                "state": 0,
                "external_id": "e",
                "properties": {"a": 1, "d": 0.5},
                "custom_properties": {"a": "custom", "n": 1},
            },
            {"uri": "new", "state": 0, "external_id": "e", "set_custom_properties": {"n": 1}},
        ),
    ],
)
def test_replace(draft: Any, expected: dict[str, Any]) -> None:
    """Replace writes the whole row, sets what differs, and drops what the draft lacks."""
    batch = Batch()
    batch.artifact(mode=Replace(100), **draft)
    changes, planner = world().plan(batch)
    assert changes == _only(updates={ARTIFACT: [_update(**expected)]})
    assert planner.written(Applied()).artifacts == [Written(100, Outcome.UPDATED)]


@pytest.mark.parametrize(
    ("mode", "draft", "expected"),
    [
        (Merge(100), {"properties": {"a": 2}}, {"set_properties": {"a": 2}}),
        (
            Merge(100),
            {"uri": "no", "custom_properties": {"a": 5}},
            {"set_custom_properties": {"a": 5}},
        ),
        (Merge(100, frozenset({"uri"})), {"uri": "v", "state": 0}, {"uri": "v"}),
        (Merge(100, frozenset({"uri"})), {}, {"uri": ""}),
        (Merge(100, frozenset({"state"})), {"uri": "no"}, {"state": None}),
        (Merge(100, frozenset({"external_id"})), {"external_id": "e"}, {"external_id": "e"}),
        (
            Merge(100, properties=frozenset({"a", "d", "none"})),
            {"properties": {"d": 1.5}},
            {"set_properties": {"d": 1.5}, "drop_properties": {"a"}},
        ),
        (
            Merge(100, properties=frozenset({"a"})),
            {"properties": {"a": 3, "d": 9.5, "undeclared": None}},
            {"set_properties": {"a": 3}},
        ),
        (Merge(100, properties=ALL), {}, {"drop_properties": {"a", "d"}}),
        (
            Merge(100, custom_properties=ALL),
            {"custom_properties": {"b": 1}},
            {"set_custom_properties": {"b": 1}, "drop_custom_properties": {"a"}},
        ),
        # Equal in Python, and of other kinds.
        (
            Merge(100),
            {"custom_properties": {"a": "custom", "b": True}},
            {"set_custom_properties": {"b": True}},
        ),
        (Merge(100, force_update=True), {}, {}),
    ],
)
def test_merge(mode: Merge, draft: Any, expected: dict[str, Any]) -> None:
    """Merge writes what it names and keeps all else of the row."""
    batch = Batch()
    batch.artifact(mode=mode, **draft)
    changes, planner = world().plan(batch)
    assert changes == _only(updates={ARTIFACT: [_update(**expected)]})
    assert planner.written(Applied()).artifacts == [Written(100, Outcome.UPDATED)]


@pytest.mark.parametrize(
    ("mode", "draft"),
    [
        (Merge(100), {}),
        (Merge(100), {"properties": {"a": 1}}),
        (Merge(100, frozenset({"uri", "state"})), {"uri": "u", "state": ArtifactState.LIVE}),
        (Merge(100, properties=frozenset({"none"})), {}),
        (
            Replace(100, expected_update_time_ms=2000),
            {
                "uri": "u",
                "state": ArtifactState.LIVE,
                "external_id": "x",
                "properties": {"a": 1, "d": 0.5},
                "custom_properties": {"a": "custom"},
                "update_time_ms": 99,
            },
        ),
        (Reuse("name", "merge"), {"name": "art", "type": "T", "properties": {"a": 1}}),
        (Reuse("name"), {"name": "art", "type": "T", "properties": {"a": 7}}),
    ],
)
def test_an_update_that_changes_nothing(mode: Any, draft: Any) -> None:
    """An update that changes nothing makes no changes: REUSED."""
    batch = Batch()
    batch.artifact(mode=mode, **draft)
    changes, planner = world().plan(batch)
    assert not changes
    assert planner.written(Applied()).artifacts == [Written(100, Outcome.REUSED)]


@pytest.mark.parametrize(
    ("before", "now", "given", "expected"),
    [
        (1000, 5000, None, 5000),
        # A clock that stands still, or goes back: an update is later all the same.
        (5000, 5000, None, 5001),
        (9000, 5000, None, 9001),
        (9000, 5000, 7, 7),
        (2**63 - 1, 5000, None, 2**63 - 1),
    ],
)
def test_times_of_updates(before: int, now: int, given: int | None, expected: int) -> None:
    """An update is later than the one before it, or at the given time."""
    node = Artifact(100, 11, "U", None, None, {}, {}, 1, before, "", None)
    batch = Batch()
    batch.artifact(mode=Merge(100), custom_properties={"a": 1}, update_time_ms=given)
    changes = Planner(batch, now_ms=now).run(Stored(world().types, [node]).lookup)
    assert changes.updates[ARTIFACT][0].update_time_ms == expected


def test_updates_of_one_node_make_one_row() -> None:
    """Updates of one node in a batch become one row; each draft has its own outcome."""
    batch = Batch()
    batch.artifact(mode=Merge(100), properties={"a": 5})
    batch.artifact(mode=Merge(100, frozenset({"uri"})), uri="v")
    batch.artifact(mode=Merge(100), properties={"a": 5})
    batch.artifact(mode=Merge(100, properties=frozenset({"d"})))
    changes, planner = world().plan(batch)
    assert changes == _only(
        updates={
            ARTIFACT: [_update(uri="v", set_properties={"a": 5}, drop_properties={"d"})],
        }
    )
    assert [each.outcome.value for each in planner.written(Applied()).artifacts] == [
        "updated",
        "updated",
        "reused",
        "updated",
    ]


def test_contexts_are_renamed() -> None:
    """Replace, and Merge where it says so, give a context the draft's name."""
    batch = Batch()
    batch.context(mode=Replace(300), name="new")
    batch.context(mode=Merge(301, frozenset({"name"})), name="other")
    batch.context(mode=Merge(302), name="ignored", custom_properties={"a": 1})
    assert [row.name for row in _changes(batch).updates[CONTEXT]] == ["new", "other", "top"]


@pytest.mark.parametrize(
    ("mode", "draft", "expected"),
    [
        (Reuse("name"), {"name": "art"}, 100),
        (Reuse("external_id"), {"external_id": "x", "name": "whatever"}, 100),
        # Of another type: an external id is enough.
        (Reuse("external_id"), {"external_id": "z"}, 102),
        (Reuse("uri"), {"uri": "u"}, 101),
        (Reuse("name"), {"name": "nobody"}, None),
        (Reuse("external_id"), {"external_id": "nobody"}, None),
        (Reuse("uri"), {"uri": "nowhere"}, None),
    ],
)
def test_reuse_finds(mode: Reuse, draft: Any, expected: int | None) -> None:
    """Reuse finds by name, external id or uri, of uris the newest; else it inserts."""
    batch = Batch()
    batch.artifact("T", mode=mode, **draft)
    changes, planner = world().plan(batch)
    if expected is None:
        assert len(changes.inserts[ARTIFACT]) == 1
        applied = Applied(nodes={ARTIFACT: [500]})
        assert planner.written(applied).artifacts == [Written(500, Outcome.CREATED)]
    else:
        assert not changes
        assert planner.written(Applied()).artifacts == [Written(expected, Outcome.REUSED)]


def test_reuse_that_updates() -> None:
    """Reuse with on_found="merge" sets what the draft has; with "replace", all."""
    batch = Batch()
    batch.artifact(
        "T",
        name="art",
        uri="v",
        state=ArtifactState.UNKNOWN,
        external_id="e",
        properties={"a": 9},
        mode=Reuse("name", "merge"),
    )
    batch.artifact("T", external_id="y", properties={"a": 1}, mode=Reuse("external_id", "replace"))
    assert _changes(batch).updates[ARTIFACT] == [
        _update(uri="v", state=0, external_id="e", set_properties={"a": 9}),
        _update(id=101, name="other", uri="", state=None, external_id="y", set_properties={"a": 1}),
    ]


def test_reuse_in_one_batch() -> None:
    """Drafts that reuse what an earlier draft creates stand for its row."""
    batch = Batch()
    first = batch.artifact("T", uri="new", mode=Reuse("uri"))
    second = batch.artifact("T", uri="new", mode=Reuse("uri"))
    third = batch.artifact("T", uri="new")
    fourth = batch.artifact("T", uri="new", mode=Reuse("uri"))
    changes, planner = world().plan(batch)
    assert len(changes.inserts[ARTIFACT]) == 2
    written = planner.written(Applied(nodes={ARTIFACT: [500, 501]}))
    assert [written[ref] for ref in (first, second, third, fourth)] == [
        Written(500, Outcome.CREATED),
        Written(500, Outcome.REUSED),
        Written(501, Outcome.CREATED),
        Written(501, Outcome.REUSED),
    ]


# Events and links.


def test_events_are_inserted_as_they_are() -> None:
    """An event names stored ids and rows of the batch, has its path, and the time of the planner
    where none is given.
    """
    batch = Batch()
    made = batch.artifact("T")
    ran = batch.execution("E")
    batch.event(made, ran, EventType.OUTPUT, path=["model", 0])
    batch.event(100, ran, EventType.INPUT, time_ms=5)
    batch.event(made, 200, EventType.INPUT)
    batch.event(100, 200, EventType.OUTPUT)
    assert _changes(batch).events == [
        NewEvent(New(0), New(0), EventType.OUTPUT, NOW, ("model", 0)),
        NewEvent(100, New(0), EventType.INPUT, 5, ()),
        NewEvent(New(0), 200, EventType.INPUT, NOW, ()),
        NewEvent(100, 200, EventType.OUTPUT, NOW, ()),
    ]


def test_links_are_inserted_once() -> None:
    """Attributions and associations come once each, in order; parent links as they are."""
    batch = Batch()
    new = batch.context("C", name="n")
    made = batch.artifact("T")
    for _ in range(2):
        batch.attribution(300, made)
        batch.attribution(new, 100)
        batch.association(new, 200)
    batch.parent(new, 300)
    batch.parent(new, 302)
    assert _changes(batch).links == {
        LinkKind.ATTRIBUTION: [(300, New(0)), (New(0), 100)],
        LinkKind.ASSOCIATION: [(New(0), 200)],
        LinkKind.PARENT: [(New(0), 300), (New(0), 302)],
    }


def test_refs_to_reused_nodes_are_their_ids() -> None:
    """A Ref to a draft that found a stored node stands for the stored id."""
    batch = Batch()
    run = batch.context("C", name="run", mode=Reuse("name"))
    art = batch.artifact(mode=Merge(100))
    batch.attribution(run, art)
    assert _changes(batch).links[LinkKind.ATTRIBUTION] == [(300, 100)]


def test_a_diamond_of_parents_is_no_cycle() -> None:
    """A context may be reached over several ways, stored and new."""
    batch = Batch()
    left, right = batch.context("C", name="left"), batch.context("C", name="right")
    for child, parent in ((left, 302), (right, 302), (300, left), (300, right), (300, 302)):
        batch.parent(child, parent)
    assert len(_changes(batch).links[LinkKind.PARENT]) == 5


def test_a_stored_cycle_is_not_the_fault_of_the_batch() -> None:
    """A store that holds a cycle already takes links that do not lie on one."""
    nodes = [Context(id, 30, "C", str(id), None, {}, {}, 1, 1) for id in (1, 2, 3)]
    for new in ([(3, 1)], [(1, 3)], [(2, 3)], [(1, 3), (2, 3)]):
        stored = Stored(world().types, nodes, parents=[(1, 2), (2, 1)])
        batch = Batch()
        for link in new:
            batch.parent(*link)
        assert _changes(batch, stored).links[LinkKind.PARENT] == new


def test_each_context_is_walked_once() -> None:
    """Contexts that are reached over 2^60 ways take no longer than their number."""
    batch = Batch()
    below = [batch.context("C", name="bottom")]
    for level in range(60):
        above = [batch.context("C", name=f"{level} {side}") for side in ("left", "right")]
        for child in below:
            for parent in above:
                batch.parent(child, parent)
        below = above
    assert len(_changes(batch).links[LinkKind.PARENT]) == 2 + 59 * 4


# Questions.


def _asked(batch: Batch) -> list[Questions]:
    stored = world()
    stored.changes(batch)
    return stored.asked


def _plain(questions: Questions) -> dict[str, Any]:
    """The parts of questions that are not empty."""
    plain: dict[str, Any] = {}
    for name in Questions.__dataclass_fields__:
        part = getattr(questions, name)
        if isinstance(part, dict):
            part = {kind: wanted for kind, wanted in part.items() if wanted}
        if part:
            plain[name] = part
    return plain


def test_an_empty_batch_asks_nothing() -> None:
    """An empty batch asks nothing and changes nothing."""
    assert _asked(Batch()) == []
    assert not _changes(Batch())


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        pytest.param(
            lambda batch: batch.artifact("T"),
            [{"types": {TypeKey(ARTIFACT, "T")}}],
            id="a node without a name: its type",
        ),
        pytest.param(
            lambda batch: batch.artifact(10),
            [{"type_ids": {10}}],
            id="a type by id",
        ),
        pytest.param(
            lambda batch: (batch.type(ARTIFACT, "New"), batch.artifact("New", name="n")),
            [{"types": {TypeKey(ARTIFACT, "New")}}],
            id="a name in a new type: nobody can have it",
        ),
        pytest.param(
            lambda batch: batch.artifact("T", name="n", external_id="e"),
            [
                {"types": {TypeKey(ARTIFACT, "T")}},
                {"names": {ARTIFACT: {(10, "n")}}, "external_ids": {ARTIFACT: {"e"}}},
            ],
            id="a name and an external id: who has them",
        ),
        pytest.param(
            lambda batch: batch.type(
                ARTIFACT, "T", base_type="mlmd.Model", external_id="e", can_omit_properties=True
            ),
            [
                {
                    "types": {TypeKey(ARTIFACT, "T"), TypeKey(ARTIFACT, "mlmd.Model")},
                    "type_external_ids": {"e"},
                }
            ],
            id="a type: itself, its base type, who has its external id",
        ),
        pytest.param(
            lambda batch: batch.artifact(mode=Merge(100), properties={"a": 2}),
            [{"nodes": {ARTIFACT: {100}}}, {"type_ids": {10}}],
            id="an update without type: the row, then its type",
        ),
        pytest.param(
            lambda batch: batch.artifact("T", mode=Replace(100)),
            [{"types": {TypeKey(ARTIFACT, "T")}}, {"nodes": {ARTIFACT: {100}}}],
            id="an update with its type: the row",
        ),
        pytest.param(
            lambda batch: batch.artifact("T", name="n", mode=Merge(100)),
            [{"types": {TypeKey(ARTIFACT, "T")}}, {"nodes": {ARTIFACT: {100}}}],
            id="an update of an artifact does not ask for the name, which stays",
        ),
        pytest.param(
            lambda batch: batch.context("C", name="n", mode=Replace(300)),
            [
                {"types": {TypeKey(CONTEXT, "C")}},
                {"nodes": {CONTEXT: {300}}},
                {"names": {CONTEXT: {(30, "n")}}},
            ],
            id="a renamed context: the row, then who has the name",
        ),
        pytest.param(
            lambda batch: batch.artifact("T", name="art", mode=Reuse("name")),
            [{"types": {TypeKey(ARTIFACT, "T")}}, {"names": {ARTIFACT: {(10, "art")}}}],
            id="a node to reuse and keep: not its row",
        ),
        pytest.param(
            lambda batch: batch.artifact("T", uri="u", mode=Reuse("uri", "merge")),
            [
                {"types": {TypeKey(ARTIFACT, "T")}},
                {"uris": {(10, "u")}},
                {"nodes": {ARTIFACT: {101}}},
            ],
            id="a node to reuse and change: who, then its row",
        ),
        pytest.param(
            lambda batch: batch.artifact("T", name="nobody", mode=Reuse("name", "merge")),
            [{"types": {TypeKey(ARTIFACT, "T")}}, {"names": {ARTIFACT: {(10, "nobody")}}}],
            id="a node to reuse that is not there: no row",
        ),
        pytest.param(
            lambda batch: (
                batch.artifact("T", mode=Merge(100)),
                batch.artifact("T", name="art", mode=Reuse("name", "merge")),
            ),
            [
                {"types": {TypeKey(ARTIFACT, "T")}},
                {"nodes": {ARTIFACT: {100}}, "names": {ARTIFACT: {(10, "art")}}},
            ],
            id="a node to reuse whose row is known",
        ),
        pytest.param(
            lambda batch: batch.context("C", mode=Merge(300)),
            [{"types": {TypeKey(CONTEXT, "C")}}, {"nodes": {CONTEXT: {300}}}],
            id="a context without a new name: the row",
        ),
        pytest.param(
            lambda batch: batch.event(100, 200, EventType.OUTPUT),
            [{"existing": {ARTIFACT: {100}, EXECUTION: {200}}}, {"events": {(100, 200)}}],
            id="an event of stored nodes: whether they exist, then their events",
        ),
        pytest.param(
            lambda batch: batch.event(batch.artifact(11), 200, EventType.OUTPUT),
            [{"type_ids": {11}}, {"existing": {EXECUTION: {200}}}],
            id="an event of a new node: it has no events yet",
        ),
        pytest.param(
            lambda batch: batch.event(100, batch.execution(20), EventType.INPUT),
            [{"type_ids": {20}}, {"existing": {ARTIFACT: {100}}}],
            id="an event of a new execution: it has no events yet",
        ),
        pytest.param(
            lambda batch: batch.parent(batch.context(30, name="n"), 302),
            [
                {"type_ids": {30}},
                {"names": {CONTEXT: {(30, "n")}}, "existing": {CONTEXT: {302}}},
                {"parents_of": {302}},
            ],
            id="a parent of a new context: the ancestors of the parent",
        ),
        pytest.param(
            lambda batch: batch.attribution(300, 100),
            [{"existing": {CONTEXT: {300}, ARTIFACT: {100}}}],
            id="an attribution: whether its ends exist",
        ),
        pytest.param(
            lambda batch: batch.association(300, 200),
            [{"existing": {CONTEXT: {300}, EXECUTION: {200}}}],
            id="an association: whether its ends exist",
        ),
        pytest.param(
            lambda batch: batch.parent(300, 302),
            [{"existing": {CONTEXT: {300, 302}}}, {"parents_of": {300, 302}}],
            id="a parent link: whether its ends exist, then their ancestors",
        ),
    ],
)
def test_only_what_is_needed_is_asked(build: Any, expected: list[dict[str, Any]]) -> None:
    """Each batch asks for what it needs, in as few rounds as that takes."""
    batch = Batch()
    build(batch)
    assert [_plain(questions) for questions in _asked(batch)] == expected


def test_four_rounds_at_most() -> None:
    """A batch with everything in it asks four times: never once a draft."""
    batch = Batch()
    batch.type(ARTIFACT, "U", {"p": INT}, can_add_properties=True)
    for number in range(20):
        batch.artifact("T", name=f"n{number}", external_id=f"e{number}")
        batch.context(mode=Merge(300, frozenset({"name"})), name=f"run {number}")
        batch.artifact("T", uri="u", mode=Reuse("uri", "merge"))
    batch.event(100, 200, EventType.OUTPUT)
    batch.parent(300, 302)
    assert len(_asked(batch)) == 4


@pytest.mark.parametrize("id", [0, -1, 2**63, -(2**70), 2**100])
def test_a_backend_is_not_asked_for_what_no_id_can_be(id: int) -> None:
    """Integers that no id can be are answered by the planner itself, without the backend."""
    for build in (
        lambda batch: batch.artifact(id),
        lambda batch: batch.artifact(mode=Merge(id)),
        lambda batch: batch.event(id, id, EventType.INPUT),
        lambda batch: batch.parent(id, id),
    ):
        stored, batch = world(), Batch()
        build(batch)
        with pytest.raises(LookupError):
            stored.changes(batch)
        assert not any(_plain(questions) for questions in stored.asked)


def test_a_backend_is_not_asked_for_what_is_no_text() -> None:
    """What is no text is refused before a backend sees it."""
    half = "\ud800"
    for build in (
        lambda batch: batch.artifact("T", name=half),
        lambda batch: batch.artifact("T", external_id=half),
        lambda batch: batch.artifact("T", uri=half, mode=Reuse("uri")),
        lambda batch: batch.context("C", name=half, mode=Replace(300)),
        lambda batch: batch.artifact(half),
        lambda batch: batch.type(ARTIFACT, half),
    ):
        stored, batch = world(), Batch()
        build(batch)
        with pytest.raises(ValueError, match="surrogate"):
            stored.changes(batch)
        assert half not in repr([_plain(questions) for questions in stored.asked])


def test_the_batch_is_left_alone() -> None:
    """Planning changes nothing of the batch, which can be planned again to the same changes."""
    batch = Batch()
    batch.type(ARTIFACT, "New", {"p": INT}, version="")
    batch.types[0].key = TypeKey(ARTIFACT, "New", "")
    made = batch.artifact("New", properties={"p": 1}, custom_properties={"s": {"n": 1}})
    batch.event(made, 200, EventType.OUTPUT, path=["a"])
    batch.links[LinkKind.ATTRIBUTION].append(LinkDraft(300, Ref(NodeKind.ARTIFACT, 0)))
    before = repr((batch.types, batch.nodes, batch.events, batch.links))
    first, second = _changes(batch), _changes(batch)
    assert first == second
    assert repr((batch.types, batch.nodes, batch.events, batch.links)) == before
    assert first.type_inserts[0].key == TypeKey(ARTIFACT, "New", None)
