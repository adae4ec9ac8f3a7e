"""Copies from store to store: everything arrives, once, and what cannot is said."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest

from metastore import (
    AlreadyExistsError,
    Artifact,
    Batch,
    BusyError,
    Capabilities,
    EventQuery,
    EventType,
    InvalidError,
    LinkKind,
    LinkQuery,
    MemoryMetadataStore,
    Merge,
    NodeDraft,
    NodeKind,
    NodeQuery,
    PropertyKind,
    StorageError,
    Store,
    TypeQuery,
)
from metastore.testing import compare_stores
from metastore.transfer import CopyReport, copy

from .copied import Limited, PowerCut, full, grow, other_ids, rows

ARTIFACT, EXECUTION, CONTEXT = NodeKind.ARTIFACT, NodeKind.EXECUTION, NodeKind.CONTEXT


def counted(store: MemoryMetadataStore) -> dict[str, int]:
    """How much of each kind is in the store."""
    return {
        **{kind.label: store.count(NodeQuery(kind)) for kind in NodeKind},
        "event": len(store.read_events(EventQuery())),
        **{kind.label: len(store.read_links(LinkQuery(kind))) for kind in LinkKind},
    }


def nothing(report: CopyReport) -> bool:
    """Whether nothing was written, and nothing differs."""
    return not (
        sum(report.created.values()) + sum(report.updated.values()) + report.differences.count
    )


@pytest.mark.parametrize("page", [1, 2, 3, 2000])
def test_everything_arrives(page: int) -> None:
    """Types, nodes, properties, events, links, external ids and times are those of the source."""
    source, target = full(), MemoryMetadataStore()
    report = copy(source, target, page_size=page)
    assert compare_stores(source, target) == []
    assert not report.differences
    assert not report.left_out
    assert not report.notes
    assert {kind: report.created[kind] for kind in counted(source)} == counted(source)


def test_into_a_store_with_other_things() -> None:
    """Ids become other ones, and what the target held stays as it was."""
    source, target = full(), other_ids(MemoryMetadataStore())
    own = target.read_nodes(NodeQuery(ARTIFACT, uris=["own"]))
    before, found = counted(target), []
    report = copy(source, target, map_to=lambda *each: found.append(each))
    assert not report.differences
    assert counted(target) == {
        kind: count + counted(source)[kind] for kind, count in before.items()
    }
    assert target.read_nodes(NodeQuery(ARTIFACT, uris=["own"])) == own
    assert len(found) == sum(counted(source)[kind.label] for kind in NodeKind)
    for kind, old, new in found:
        here = source.read_nodes(NodeQuery(kind, ids=[old]))[0]
        there = target.read_nodes(NodeQuery(kind, ids=[new]))[0]
        assert (here.name, here.properties) == (there.name, there.properties)
    assert any(old != new for _, old, new in found)


def test_ids_and_create_times_stay_in_one_order() -> None:
    """A node that was before another one in the source is before it in the target."""
    source, target = full(steps=20), MemoryMetadataStore()
    copy(source, target, page_size=3)
    for kind in (ARTIFACT, EXECUTION):
        times = [node.create_time_ms for node in target.iterate(NodeQuery(kind))]
        assert times == sorted(times)


def test_not_into_itself() -> None:
    """A store is not copied into itself."""
    source = full()
    with pytest.raises(InvalidError, match="into itself"):
        copy(source, source)


def test_the_store_has_the_door(tmp_path: Path) -> None:
    """`Store.copy_to` copies, and what it returns says how much."""
    source, target = Store(full()), Store(MemoryMetadataStore())
    report = source.copy_to(target, journal=tmp_path / "j")
    assert report.created["artifact"] == 5
    assert not report.differences
    with pytest.raises(InvalidError, match="time zone"):
        source.copy_to(target, since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


# Again, and after a kill.


def test_the_next_copy_brings_what_is_new_or_changed(tmp_path: Path) -> None:
    """With a journal, a second copy writes nothing but what is new or newer in the source."""
    source, target, journal = full(), MemoryMetadataStore(), tmp_path / "j"
    copy(source, target, journal=journal)
    assert nothing(copy(source, target, journal=journal))
    grow(source, "new")
    batch = Batch()
    changed = source.read_nodes(NodeQuery(EXECUTION))[0].id
    draft = NodeDraft(None, custom_properties={"late": 1}, mode=Merge(changed))
    batch.add(EXECUTION, draft)
    batch.event(source.read_nodes(NodeQuery(ARTIFACT))[1].id, changed, EventType.INPUT)
    source.write(batch)
    report = copy(source, target, journal=journal)
    assert compare_stores(source, target) == []
    assert +report.created == {
        "artifact": 1,
        "execution": 1,
        "event": 2,
        "association": 1,
        "attribution": 1,
    }
    assert +report.updated == {"execution": 1}


def test_a_new_update_time_alone_is_copied(tmp_path: Path) -> None:
    """A node that was touched without any change gets the new time in the target, too."""
    source, target, journal = full(), MemoryMetadataStore(), tmp_path / "j"
    copy(source, target, journal=journal)
    batch = Batch()
    batch.add(CONTEXT, NodeDraft(None, mode=Merge(1, force_update=True)))
    source.write(batch)
    report = copy(source, target, journal=journal)
    assert +report.updated == {"context": 1}
    assert compare_stores(source, target) == []


def test_what_was_changed_in_the_target_stays_and_is_told(tmp_path: Path) -> None:
    """A copied node that is newer in the target is not overwritten; it is a difference."""
    source, target, journal = full(), MemoryMetadataStore(), tmp_path / "j"
    copy(source, target, journal=journal)
    batch = Batch()
    batch.add(ARTIFACT, NodeDraft(None, uri="mine", mode=Merge(2, frozenset({"uri"}))))
    target.write(batch)
    report = copy(source, target, journal=journal)
    assert not +report.updated
    assert report.differences.count == 1
    assert "artifact 2" in report.differences.first[0]
    assert "uri" in report.differences.first[0]
    assert "mine" not in report.differences.first[0]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("limited", [False, True])
def test_it_goes_on_where_it_ended(tmp_path: Path, after: bool, limited: bool) -> None:
    """Cut before or right after any write, the same call makes it whole, and doubles nothing."""
    source = full(steps=7)
    for number in range(1, 100):

        class Target(PowerCut):
            CAPABILITIES: ClassVar[Capabilities] = Capabilities(given_times=not limited)

        target, journal = Target(number, after=after), tmp_path / f"{number}"
        with suppress(StorageError):
            copy(source, target, journal=journal, page_size=2)
            # It was not cut any more.
            assert number > 10
            return
        report = copy(source, target, journal=journal, page_size=3)
        assert not report.differences
        assert counted(target) == counted(source)
        assert compare_stores(source, target, times=not limited) == []


def test_a_line_that_was_cut_is_no_harm(tmp_path: Path) -> None:
    """A journal whose last line was not written whole loses that line only."""
    source, target, journal = full(), MemoryMetadataStore(), tmp_path / "j"
    copy(source, target, journal=journal)
    whole = journal.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    journal.write_bytes(whole[: last + 5])
    report = copy(source, target, journal=journal)
    assert nothing(report)
    assert counted(target) == counted(source)


def test_a_journal_of_other_stores_is_refused(tmp_path: Path) -> None:
    """A journal is not taken for that of a target that was made anew, nor is any other file."""
    source, journal = full(), tmp_path / "j"
    copy(source, MemoryMetadataStore(), journal=journal)
    for target in (MemoryMetadataStore(), other_ids(other_ids_only())):
        with pytest.raises(InvalidError, match="does not fit"):
            copy(source, target, journal=journal)
    with pytest.raises(InvalidError, match="does not fit"):
        copy(source, MemoryMetadataStore(), journal=journal, names=("a", "b"))
    journal.write_text("notes of mine\n")
    with pytest.raises(InvalidError, match="no journal"):
        copy(source, MemoryMetadataStore(), journal=journal)
    assert journal.read_text() == "notes of mine\n"


def other_ids_only() -> MemoryMetadataStore:
    """A store whose first nodes are others than those of a `full` one."""
    store = MemoryMetadataStore()
    batch = Batch()
    for kind in NodeKind:
        batch.type(kind, "Else")
    for number in range(9):
        batch.artifact("Else")
        batch.execution("Else")
        batch.context("Else", name=str(number))
    store.write(batch)
    return store


def test_one_copy_at_a_time(tmp_path: Path) -> None:
    """A second copy with the same journal is told that one is running."""
    source, target, journal = full(), MemoryMetadataStore(), tmp_path / "j"

    def meanwhile(*_: Any) -> None:
        with pytest.raises(BusyError, match="another copy"):
            copy(source, MemoryMetadataStore(), journal=journal)

    assert not copy(source, target, journal=journal, progress=meanwhile).differences


def test_what_was_deleted_in_the_target_comes_again(tmp_path: Path) -> None:
    """A copied node that somebody deleted in the target is copied anew, with its events."""
    source, target, journal = full(), MemoryMetadataStore(), tmp_path / "j"
    copy(source, target, journal=journal)
    forget(target, 2)
    report = copy(source, target, journal=journal)
    assert +report.created == {"artifact": 1, "event": 2, "attribution": 1}
    assert not report.differences


def forget(store: MemoryMetadataStore, id: int) -> None:
    """Take an artifact out of a store, and all that hangs on it."""
    tables = rows(store)
    del tables.nodes[ARTIFACT][id]
    for key in [key for key in tables.events if key[0] == id]:
        del tables.events[key]
    for link in [link for link in tables.links[LinkKind.ATTRIBUTION] if link[1] == id]:
        del tables.links[LinkKind.ATTRIBUTION][link]


# Names that are taken.


def test_names_that_are_taken_are_refused() -> None:
    """Without `merge`, nodes whose name or external id is taken are refused before any write."""
    source, target = full(), full(steps=2)
    before = counted(target)
    with pytest.raises(AlreadyExistsError, match=r"nodes of the source have a name") as caught:
        copy(source, target)
    assert "'top'" in str(caught.value) or "'train-1'" in str(caught.value)
    assert counted(target) == before


def test_merge_takes_equal_nodes_for_the_same(tmp_path: Path) -> None:
    """With `merge`, only what the target lacks is written, nodes without a name included."""
    source, target = full(), full(steps=2)
    report = copy(source, target, merge=True, journal=tmp_path / "j")
    assert not report.differences
    assert compare_stores(source, target) == []
    assert report.created["artifact"] == 3
    assert report.unchanged["artifact"] == 2
    assert nothing(copy(source, target, journal=tmp_path / "j"))


def test_merge_heals_a_lost_journal() -> None:
    """A copy without its journal is recognised in the target: nothing is doubled."""
    source, target = full(), MemoryMetadataStore()
    copy(source, target)
    grow(source, "later")
    report = copy(source, target, merge=True)
    assert report.created["artifact"] == 1
    assert compare_stores(source, target) == []


def test_merge_refuses_unequal_nodes() -> None:
    """With `merge`, a node of the same name that is another one is refused before any write."""
    source, target = full(), MemoryMetadataStore()
    batch = Batch()
    batch.type(CONTEXT, "Run", {"int": PropertyKind.INT})
    batch.context("Run", name="run", properties={"int": 7})
    target.write(batch)
    before = counted(target)
    with pytest.raises(AlreadyExistsError, match=r"1 nodes .*unequal.*'run'.*property"):
        copy(source, target, merge=True)
    assert counted(target) == before


def test_types_are_widened() -> None:
    """A type that the target has gets the properties that it lacks, and keeps its own."""
    source, target = full(), MemoryMetadataStore()
    batch = Batch()
    batch.type(EXECUTION, "Train", {"own": PropertyKind.INT}, description="mine")
    target.write(batch)
    report = copy(source, target)
    found = {each.name: each for each in target.read_types(TypeQuery(EXECUTION))}["Train"]
    assert {"own", "int", "struct"} <= found.properties.keys()
    assert found.description == "mine"
    assert not report.differences
    assert any("'Train' keeps the description" in note for note in report.notes)


def test_types_that_conflict_are_refused() -> None:
    """A property that has another kind in the target is named before anything is written."""
    source, target = full(), MemoryMetadataStore()
    batch = Batch()
    batch.type(EXECUTION, "Train", {"int": PropertyKind.STRING})
    target.write(batch)
    with pytest.raises(AlreadyExistsError, match="'Train' has property 'int' as INT") as caught:
        copy(source, target)
    assert caught.value.offender is not None
    assert caught.value.offender.property == "int"
    assert not any(counted(target).values())
    assert {each.name for each in target.read_types(TypeQuery(CONTEXT))} == set()


# What cannot be kept.


def plain(source: MemoryMetadataStore) -> MemoryMetadataStore:
    """The store without what `Limited` refuses."""
    batch = Batch()
    for kind in NodeKind:
        for node in source.iterate(NodeQuery(kind)):
            gone = frozenset({"text"})
            mode = Merge(node.id, properties=gone, custom_properties=gone)
            batch.add(kind, NodeDraft(None, mode=mode))
    source.write(batch)
    return source


def test_what_is_lost_is_said_first() -> None:
    """Before the first write it is told what the target cannot hold; all else is copied."""
    source, target = plain(full()), Limited()
    told: list[str] = []
    report = copy(source, target, told=lambda note: told.append(f"{note} {counted(target)}"))
    assert ["times" in told[0], "six decimals" in told[1]] == [True, True]
    assert all("'artifact': 0" in each for each in told)
    assert not report.differences
    assert compare_stores(source, target, times=False) != []
    double = next(iter(target.iterate(NodeQuery(EXECUTION)))).properties["double"]
    assert double == 0.3


def test_strict_refuses_a_loss() -> None:
    """With `strict`, what the target cannot hold is an error, and nothing is written."""
    target = Limited()
    with pytest.raises(InvalidError, match="six decimals"):
        copy(plain(full()), target, strict=True)
    assert not any(counted(target).values())


def test_a_node_that_the_target_refuses_is_named(tmp_path: Path) -> None:
    """The error names the source's id and the property; what was written before stays."""
    source, target = full(), Limited()
    with pytest.raises(InvalidError, match=r"the source's context \(id 1\)") as caught:
        copy(source, target, journal=tmp_path / "j")
    offender = caught.value.offender
    assert offender is not None
    assert (offender.id, offender.property) == (1, "text")
    plain(source)
    assert not copy(source, target, journal=tmp_path / "j").differences
    assert counted(target) == counted(source)


def test_a_copy_in_a_target_without_times_follows_the_source(tmp_path: Path) -> None:
    """Where the target sets times itself, a change in the source is copied all the same."""
    source, target, journal = plain(full()), Limited(), tmp_path / "j"
    copy(source, target, journal=journal)
    batch = Batch()
    batch.add(ARTIFACT, NodeDraft(None, uri="new", mode=Merge(2, frozenset({"uri"}))))
    source.write(batch)
    report = copy(source, target, journal=journal)
    assert +report.updated == {"artifact": 1}
    assert not report.differences


# A part.


def two_pipelines() -> Store:
    """A store with two pipelines; the second one reads what the first one made."""
    store = Store(MemoryMetadataStore())
    with store.run("first", name="f") as run, run.step("s") as step:
        made = step.output("out", type="Model", uri="made")
        step.output("other", type="Model", uri="other")
    with store.run("second", name="g") as run, run.step("s") as step:
        step.input("in", made.read())
        step.output("out", type="Score", uri="score")
    return store


def test_one_pipeline() -> None:
    """A pipeline's runs come with their steps, what these read and wrote, and nothing else."""
    source, target = two_pipelines(), Store(MemoryMetadataStore())
    report = source.copy_to(target, pipeline="second")
    assert [each.name for each in target.pipelines()] == ["second"]
    run = target.pipeline("second").runs[0]
    assert run.name == "g"
    assert run.steps["s"].inputs["in"].uri == "made"
    assert sorted(each.uri for each in target.artifacts()) == ["made", "score"]
    assert len(target.executions()) == 1
    assert not report.differences
    assert not report.left_out


def test_the_parts_make_the_whole(tmp_path: Path) -> None:
    """Pipelines copied one after the other with one journal are the same as all at once."""
    source, target = two_pipelines(), Store(MemoryMetadataStore())
    for pipeline in ("second", "first"):
        report = source.copy_to(target, pipeline=pipeline, journal=tmp_path / "j")
        assert not report.differences
    assert counted(target.backend) == counted(source.backend)  # type: ignore[arg-type]
    assert nothing(source.copy_to(target, journal=tmp_path / "j"))


def test_since() -> None:
    """What is new or changed comes with what it hangs on; what is older stays."""
    source, target = full(), MemoryMetadataStore()
    grow(source, "late", at_ms=2_000_000)
    report = Store(source).copy_to(
        Store(target), since=datetime.fromtimestamp(1000, tz=timezone.utc)
    )
    assert [each.uri for each in target.iterate(NodeQuery(ARTIFACT)) if isinstance(each, Artifact)]
    assert counted(target) == {
        "artifact": 1,
        "execution": 1,
        "context": 2,
        "event": 1,
        "attribution": 1,
        "association": 1,
        "parent context": 1,
    }
    assert not report.differences


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    """A dry run says what a copy would write, and leaves target and journal alone."""
    source, target, journal = full(), other_ids(MemoryMetadataStore()), tmp_path / "j"
    before = counted(target)
    would = copy(source, target, journal=journal, dry_run=True)
    assert counted(target) == before
    assert not journal.exists()
    did = copy(source, target, journal=journal)
    assert would.created == did.created
    grow(source, "more")
    assert copy(source, target, journal=journal, dry_run=True).created["execution"] == 1
    kept = json.loads(journal.read_text().splitlines()[0])
    assert kept == {"metastore": "copy", "format": 1, "from": "memory://", "to": "memory://"}


# Damaged sources.


def test_a_damaged_source_is_copied_as_far_as_it_can_be() -> None:
    """What no store takes is left out, counted and told; all else arrives."""
    source = full()
    tables = rows(source)
    batch = Batch()
    batch.type(ARTIFACT, "Lost")
    lost = batch.artifact("Lost", uri="of no type")
    train = tables.nodes[EXECUTION][2]
    batch.event(lost, 2, EventType.OUTPUT)
    written = source.write(batch)
    del tables.types[written.types[0].id]
    # An artifact and an execution are gone, and what points to them is not.
    del tables.nodes[ARTIFACT][2]
    del tables.nodes[EXECUTION][5]
    # An event whose type nobody knows, a property that no type declares, parents in a circle.
    odd = tables.events.pop((3, 3, EventType.INPUT))
    tables.events[3, 3, EventType.UNKNOWN] = odd._replace(type=EventType.UNKNOWN)
    tables.nodes[EXECUTION][2] = replace(train, properties={**train.properties, "odd": 1})
    tables.links[LinkKind.PARENT][2, 1] = None
    target = MemoryMetadataStore()
    report = copy(source, target)
    assert not report.differences
    assert {reason: left.count for reason, left in report.left_out.items()} == {
        "artifacts of a type that is not there": 1,
        "attributions of nodes that are not there": 1,
        "events of nodes that are not there": 5,
        "events of an unknown type": 1,
        "associations of nodes that are not there": 2,
        "properties that their type does not declare, or that are no number": 1,
        "parent links that close a cycle": 1,
    }
    assert counted(target) == {
        "artifact": 4,
        "execution": 4,
        "context": 2,
        "event": 5,
        "attribution": 4,
        "association": 8,
        "parent context": 1,
    }


def test_a_type_that_is_stored_twice_becomes_one() -> None:
    """Nodes of two types of one key, which racing clients wrote, are of one type in the target."""
    source = full()
    tables = rows(source)
    first = next(each for each in tables.types.values() if each.name == "Train")
    tables.types[99] = replace(first, id=99, properties={"late": PropertyKind.INT})
    node = tables.nodes[EXECUTION][1]
    tables.nodes[EXECUTION][1] = replace(node, type_id=99, properties={"late": 1, "int": 2})
    target = MemoryMetadataStore()
    report = copy(source, target)
    assert not report.left_out
    assert not report.differences
    assert target.read_nodes(NodeQuery(EXECUTION, ids=[1]))[0].properties == {"late": 1, "int": 2}
    assert len(target.read_types(TypeQuery(EXECUTION, keys=[first.key]))) == 1
