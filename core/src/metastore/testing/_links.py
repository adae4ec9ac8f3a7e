"""Section 6 of the contract: attributions, associations and parent contexts."""

from __future__ import annotations

from typing import Any

import pytest

from metastore.base import BaseMetadataStore
from metastore.batch import Batch, LinkDraft, Ref
from metastore.changes import Changes
from metastore.errors import AlreadyExistsError, InvalidError, NotFoundError
from metastore.model import LinkKind, NodeKind
from metastore.query import NodeQuery
from metastore.testing._base import (
    ARTIFACT,
    CONTEXT,
    EXECUTION,
    UNKNOWN_ID,
    ContractBase,
    add,
    batch_with,
    chain,
    ids,
    links,
    needs,
    needs_transaction,
    one,
    prepare,
    put,
    refuse,
)

ATTRIBUTION, ASSOCIATION, PARENT = LinkKind.ATTRIBUTION, LinkKind.ASSOCIATION, LinkKind.PARENT
GROUPS = pytest.mark.parametrize("kind", [ATTRIBUTION, ASSOCIATION], ids=lambda kind: kind.label)
LINKS = pytest.mark.parametrize("kind", list(LinkKind), ids=lambda kind: kind.label)


def _link(batch: Batch, kind: LinkKind, context: Any, other: Any) -> None:
    batch.links[kind].append(LinkDraft(context, other))


def _ends(store: BaseMetadataStore, kind: LinkKind) -> tuple[int, int]:
    """The ids of a stored context and of a stored node for the other end."""
    prepare(store)
    put(store, CONTEXT, name="so that ids differ")
    return put(store, CONTEXT, name="group").id, put(store, kind.other, name="member").id


class LinkContract(ContractBase):
    """Links between contexts and other nodes."""

    @LINKS
    def test_links_of_stored_nodes(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """A link connects two stored nodes, and changes neither. [6.1, 6.6]

        On failure: `Changes.links[kind]` has pairs of context and other end; for a parent link, of
        child and parent. If they came back turned round or as another kind, look at the columns; if
        a node changed, at triggers.
        """
        context, other = _ends(store, kind)
        before = one(store, CONTEXT, context), one(store, kind.other, other)
        batch = Batch()
        _link(batch, kind, context, other)
        store.write(batch)
        assert links(store, kind) == [(context, other)]
        assert (one(store, CONTEXT, context), one(store, kind.other, other)) == before
        assert all(links(store, each) == [] for each in LinkKind if each is not kind)

    @LINKS
    def test_links_of_new_nodes(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """A link connects nodes of the batch with one another and with stored ones. [6.1]

        On failure: a `New` at the second end counts the inserts of `kind.other`: artifacts,
        executions, or contexts for parent links. Give all ids of nodes first, then write links.
        """
        context, other = _ends(store, kind)
        batch = batch_with("U")
        new_context = add(batch, CONTEXT, "U", name="new group")
        new_other = add(batch, kind.other, "U", name="new member")
        _link(batch, kind, new_context, new_other)
        _link(batch, kind, new_context, other)
        _link(batch, kind, context, new_other)
        written = store.write(batch)
        new_ids = written[new_context].id, written[new_other].id
        assert links(store, kind) == sorted([new_ids, (new_ids[0], other), (context, new_ids[1])])

    @GROUPS
    def test_groups_take_a_member_once(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """An attribution or association written again, or twice in a batch, stays one. [6.2]

        On failure: the planner does not ask whether an attribution or association is stored:
        `apply` must pass over one that is (`ON CONFLICT DO NOTHING`, a set). If a link is there
        twice, the table has no unique key of both ends.
        """
        context, other = _ends(store, kind)
        for repetitions in (2, 1, 3):
            batch = Batch()
            for _ in range(repetitions):
                _link(batch, kind, context, other)
            store.write(batch)
            assert links(store, kind) == [(context, other)]
        batch = Batch()
        new = add(batch, kind.other, name="new member")
        for _ in range(2):
            _link(batch, kind, context, new)
            _link(batch, kind, context, other)
        written = store.write(batch)
        assert links(store, kind) == [(context, other), (context, written[new].id)]

    @pytest.mark.parametrize("same_batch", [False, True])
    def test_parents_are_written_once(self, store: BaseMetadataStore, same_batch: bool) -> None:
        """A parent link that is there, or comes twice in a batch, is AlreadyExistsError. [6.3]

        On failure: `lookup` must answer `questions.parents_of` with the stored link itself, as
        (child, parent). A table that ignores duplicates hides the mistake instead of reporting it.
        """
        (child, parent, other), _ = chain(store, 3)
        batch = Batch()
        batch.parent(child, other)
        if same_batch:
            batch.parent(child, other)
        else:
            batch.parent(child, parent)
        refuse(store, batch, AlreadyExistsError, kind="parent context", index=1)

    def test_a_context_is_not_its_own_parent(self, store: BaseMetadataStore) -> None:
        """A context that would be its own parent, stored or new, is InvalidError. [6.4]

        On failure: a `write` of your own compared an id with a `Ref`, or only stored contexts.
        Compare the two ends as they are given; a backend's CHECK comes too late for the offender.
        """
        needs(store, "atomic_batch", "full")
        prepare(store)
        stored = put(store, CONTEXT, name="stored").id
        batch = Batch()
        batch.parent(stored, stored)
        refuse(store, batch, InvalidError, kind="parent context", index=0)
        batch = Batch()
        new = batch.context("T", name="new")
        batch.parent(new, stored)
        batch.parent(new, new)
        refuse(store, batch, InvalidError, kind="parent context", index=1)

    @pytest.mark.parametrize("length", [2, 3, 50])
    def test_cycles_over_stored_links(self, store: BaseMetadataStore, length: int) -> None:
        """A link that would make a stored context its own ancestor is InvalidError. [6.4]

        On failure: `lookup` must follow `questions.parents_of` upwards until nothing is new, not
        one level: a recursive query, or a loop with a set of contexts seen.
        """
        contexts, _ = chain(store, length)
        batch = Batch()
        batch.parent(contexts[-1], contexts[0])
        refuse(store, batch, InvalidError, kind="parent context", index=0)
        assert len(links(store, PARENT)) == length - 1

    @pytest.mark.parametrize("length", [2, 3, 50])
    def test_cycles_in_a_batch(self, store: BaseMetadataStore, length: int) -> None:
        """A cycle of links of one batch is InvalidError. [6.4]

        On failure: all contexts are new, so the planner needs no answer; if nothing was raised,
        `transaction` swallowed the error. A `write` of your own has to walk the links between its
        drafts.
        """
        needs(store, "atomic_batch", "full")
        prepare(store)
        batch = Batch()
        refs = [batch.context("T", name=str(number)) for number in range(length)]
        for child, parent in zip(refs, [*refs[1:], refs[0]], strict=True):
            batch.parent(child, parent)
        refuse(store, batch, InvalidError, kind="parent context")

    def test_cycles_over_both(self, store: BaseMetadataStore) -> None:
        """A cycle that needs stored links and several new ones is InvalidError. [6.4]

        On failure: `questions.parents_of` has the stored ends of all new links at once: answer the
        links above each of them, all the way up. Here the way leads from a new context to "a", and
        over "b", which is no end of a new link, to "c".
        """
        needs(store, "atomic_batch", "full")
        (a, _b, c), _ = chain(store, 3)
        batch = Batch()
        batch.parent(c, put(store, CONTEXT, name="bystander").id)
        middle = batch.context("T", name="middle")
        batch.parent(middle, a)
        batch.parent(c, middle)
        refuse(store, batch, InvalidError, kind="parent context")

    def test_several_parents_and_ways(self, store: BaseMetadataStore) -> None:
        """A context may have several parents, and be reached over several ways: no cycle. [6.4]

        On failure: the key of parent links is child and parent, not the child alone. A search for
        cycles of your own must refuse a context that is on the present way, not one that was seen
        before.
        """
        batch = batch_with()
        top, left, right, bottom = (
            batch.context("T", name=name) for name in ("top", "left", "right", "bottom")
        )
        for child, parent in (
            (bottom, left),
            (bottom, right),
            (left, top),
            (right, top),
            (bottom, top),
        ):
            batch.parent(child, parent)
        written = store.write(batch)
        found = {
            written[ref].id: name
            for ref, name in ((top, "top"), (left, "left"), (right, "right"), (bottom, "bottom"))
        }
        assert {(found[child], found[parent]) for child, parent in links(store, PARENT)} == {
            ("bottom", "left"),
            ("bottom", "right"),
            ("left", "top"),
            ("right", "top"),
            ("bottom", "top"),
        }

    def test_long_ancestry_is_no_cycle(self, store: BaseMetadataStore) -> None:
        """A chain may grow at both ends, also over a hundred links. [6.4]

        On failure: the recursion of `lookup` ends in an error: databases stop recursive queries at
        100 or 1000 levels unless told otherwise, and so does Python. If it is only slow, it visits
        a context once for each way to it.
        """
        contexts, _ = chain(store, 100)
        batch = Batch()
        above, below = batch.context("T", name="above"), batch.context("T", name="below")
        batch.parent(contexts[-1], above)
        batch.parent(below, contexts[0])
        store.write(batch)
        assert len(links(store, PARENT)) == 101

    @LINKS
    @pytest.mark.parametrize("id", [UNKNOWN_ID, 0, -1, 2**63, 2**80])
    def test_links_do_not_dangle(self, store: BaseMetadataStore, kind: LinkKind, id: int) -> None:
        """A link to a node that is not stored is NotFoundError. [6.1]

        On failure: `lookup` must answer `questions.existing` for both ends, contexts and the other
        kind. A foreign key that fails in `apply` shows that an id was answered that is not stored.
        """
        context, other = _ends(store, kind)
        for ends in ((id, other), (context, id)):
            batch = Batch()
            _link(batch, kind, *ends)
            refuse(store, batch, NotFoundError, kind=kind.label, index=0)

    @LINKS
    @pytest.mark.parametrize(
        "end", [None, "1", 1.0, True, Ref(CONTEXT, 7), Ref(ARTIFACT, -1), Ref(EXECUTION, 7)]
    )
    def test_ends_of_links(self, store: BaseMetadataStore, kind: LinkKind, end: Any) -> None:
        """An end that is no id, and a Ref to no draft, is InvalidError. [6.1]

        On failure: a `write` of your own resolves links by other code than events: -1 as the index
        of a `Ref` takes the last of a Python list. No id is `InvalidError`, an unknown one
        `NotFoundError`.
        """
        context, other = _ends(store, kind)
        for ends in ((end, other), (context, end)):
            batch = Batch()
            _link(batch, kind, *ends)
            refuse(store, batch, InvalidError, kind=kind.label, index=0)

    @LINKS
    def test_refs_to_other_kinds(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """A Ref to a node of another kind is InvalidError. [6.1]

        On failure: the first end of a link is a context, the second of kind `LinkKind.other`; a
        `write` of your own must ask each `Ref` for its kind. For parent links that is a context
        twice.
        """
        if kind is PARENT:
            needs(store, "atomic_batch", "full")
        context, other = _ends(store, kind)
        for number, wrong in enumerate(each for each in NodeKind if each is not CONTEXT):
            batch = Batch()
            ref = add(batch, wrong, name=f"wrong {number}")
            _link(batch, kind, ref, other)
            refuse(store, batch, InvalidError, kind=kind.label, index=0)
        for number, wrong in enumerate(each for each in NodeKind if each is not kind.other):
            batch = Batch()
            ref = add(batch, wrong, name=f"wrong {number}")
            _link(batch, kind, context, ref)
            refuse(store, batch, InvalidError, kind=kind.label, index=0)

    @LINKS
    def test_refs_of_another_batch(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """A Ref that another batch returned is InvalidError, whatever stands in its place. [6.1]

        On failure: in a `write` of your own, compare `Ref.batch` with the number of the batch (0
        fits any) before you take the draft in its place: here there is one, of the right kind.
        """
        if kind is PARENT:
            needs(store, "atomic_batch", "full")
        context, other = _ends(store, kind)
        for at in range(2):
            ends = [context, other]
            ends[at] = add(Batch(), (CONTEXT, kind.other)[at])
            batch = Batch()
            for number, each in enumerate((CONTEXT, kind.other)):
                add(batch, each, name=f"{number} in its place")
            _link(batch, kind, *ends)
            refuse(store, batch, InvalidError, kind=kind.label, index=0)

    @LINKS
    def test_links_are_read_by_their_ends(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """A LinkQuery gives links of one of the contexts and one of the others, ordered. [8.2,
        8.14]

        On failure: `read_links` must sort by context and then by other end, apply both conditions
        at once, and give a link once although its id is asked for twice. Sort numbers, not texts.
        """
        batch = batch_with()
        groups = [batch.context("T", name=f"group {number}") for number in range(3)]
        members = [add(batch, kind.other, name=f"member {number}") for number in range(3)]
        pairs = [(2, 0), (0, 1), (1, 1), (0, 0), (2, 2)]
        for group, member in pairs:
            _link(batch, kind, groups[group], members[member])
        written = store.write(batch)
        group_ids = [written[ref].id for ref in groups]
        member_ids = [written[ref].id for ref in members]

        def asked(**conditions: Any) -> list[tuple[int, int]]:
            return [
                (group_ids.index(context), member_ids.index(other))
                for context, other in links(store, kind, **conditions)
            ]

        assert asked() == sorted(pairs)
        assert asked(context_ids=[group_ids[2], group_ids[0]]) == [(0, 0), (0, 1), (2, 0), (2, 2)]
        assert asked(other_ids=[member_ids[1], member_ids[1], UNKNOWN_ID]) == [(0, 1), (1, 1)]
        assert asked(context_ids=[group_ids[0]], other_ids=[member_ids[1]]) == [(0, 1)]
        assert asked(context_ids=[]) == asked(other_ids=[]) == []
        assert asked(context_ids=[UNKNOWN_ID, 0, -1, 2**70]) == []

    def test_parents_and_children(self, store: BaseMetadataStore) -> None:
        """parents_of and children_of give the contexts one link away, each once. [8.6]

        On failure: the child is the first end of a parent link: if all answers are swapped, the
        columns are. A join gives a context once for each link; write `id IN (SELECT ...)`, and go
        one level, not all the way.
        """
        (a, b, c), _ = chain(store, 3)
        batch = Batch()
        batch.parent(a, c)
        store.write(batch)
        assert ids(store, CONTEXT, parents_of=[a]) == [b, c]
        assert ids(store, CONTEXT, parents_of=[a, b]) == [b, c]
        assert ids(store, CONTEXT, parents_of=[c]) == []
        assert ids(store, CONTEXT, children_of=[c]) == [a, b]
        assert ids(store, CONTEXT, children_of=[c, b, c]) == [a, b]
        assert ids(store, CONTEXT, children_of=[a]) == []
        assert ids(store, CONTEXT, parents_of=[a], children_of=[c]) == [b]
        assert ids(store, CONTEXT, parents_of=[], children_of=[c]) == []

    def test_members_of_contexts(self, store: BaseMetadataStore) -> None:
        """context_ids gives the artifacts and executions of any of the contexts, each
        once. [8.6]

        On failure: `context_ids` means attributions for artifacts and associations for executions.
        If "1" comes twice, a join needs its DISTINCT; `ids` beside it narrows the answer further.
        """
        batch = batch_with()
        first, second = batch.context("T", name="1"), batch.context("T", name="2")
        for kind in (ARTIFACT, EXECUTION):
            refs = [add(batch, kind) for _ in range(4)]
            link = ATTRIBUTION if kind is ARTIFACT else ASSOCIATION
            for group, member in ((first, 0), (first, 1), (second, 1), (second, 2)):
                _link(batch, link, group, refs[member])
        written = store.write(batch)
        one_id, two_id = written[first].id, written[second].id
        for kind in (ARTIFACT, EXECUTION):
            made = [each.id for each in written.nodes[kind]]
            assert ids(store, kind, context_ids=[one_id]) == made[:2]
            assert ids(store, kind, context_ids=[two_id, one_id, two_id]) == made[:3]
            assert ids(store, kind, context_ids=[UNKNOWN_ID]) == []
            assert ids(store, kind, context_ids=[]) == []
            assert ids(store, kind, context_ids=[one_id], ids=[made[1], made[2]]) == [made[1]]

    @LINKS
    def test_many_links_in_a_batch(self, store: BaseMetadataStore, kind: LinkKind) -> None:
        """Thousands of links of one batch are written, and read by their ends. [6.1, 7.1]

        On failure: look at how links are written and read in portions: the last portion, which is
        not full, and conditions longer than a statement's variables are what gets lost.
        """
        count = 1200
        batch = batch_with()
        group = batch.context("T", name="group")
        members = [add(batch, kind.other, name=f"member {number}") for number in range(count)]
        for member in members:
            _link(batch, kind, group, member)
        written = store.write(batch)
        group_id = written[group].id
        expected = [(group_id, written[member].id) for member in members]
        assert links(store, kind) == expected
        assert links(store, kind, context_ids=[group_id]) == expected
        assert links(store, kind, other_ids=[id for _, id in expected]) == expected

    def test_a_stored_cycle_does_no_harm(self, store: BaseMetadataStore) -> None:
        """A store in which parent links make a cycle takes other parent links, and is read. [6.5]

        On failure: look at how a transaction's `lookup` walks up from parent to parent: it must end
        where it has been already. In SQL that is UNION instead of UNION ALL in the recursion.
        """
        needs_transaction(store)
        (a, b, c), _ = chain(store, 3)
        cycle = Changes()
        cycle.links[PARENT] = [(c, a)]
        with store.transaction() as transaction:
            transaction.apply(cycle)
        batch = Batch()
        below = batch.context("T", name="below")
        batch.parent(below, a)
        written = store.write(batch)
        assert links(store, PARENT) == sorted([(a, b), (b, c), (c, a), (written[below].id, a)])
        assert ids(store, CONTEXT, parents_of=[a]) == [b]
        assert ids(store, CONTEXT, children_of=[a]) == [c, written[below].id]
        batch = Batch()
        batch.parent(a, written[below].id)
        refuse(store, batch, InvalidError, kind="parent context", index=0)

    def test_members_over_several_links(self, store: BaseMetadataStore) -> None:
        """A node to which several links lead counts once, and takes one place of a page. [8.6, 8.9,
        8.11]

        On failure: look at the statement behind pages and counts with `context_ids`, `parents_of`
        and `children_of`. A join has a row for each link; repeated nodes must go before rows are
        counted or cut, as with EXISTS or a condition IN (SELECT ...).
        """
        batch = batch_with()
        groups = [batch.context("T", name=f"group {number}") for number in range(3)]
        for kind, link in ((ARTIFACT, ATTRIBUTION), (EXECUTION, ASSOCIATION), (CONTEXT, PARENT)):
            for number in range(5):
                member = add(batch, kind, name=f"member {number}")
                for group in groups[: 3 if number < 3 else 1]:
                    _link(batch, link, group, member)
        written = store.write(batch)
        group_ids = [written[ref].id for ref in groups]
        for kind, condition in (
            (ARTIFACT, "context_ids"),
            (EXECUTION, "context_ids"),
            (CONTEXT, "parents_of"),
        ):
            made = [each.id for each in written.nodes[kind]][-5:]
            conditions: dict[str, Any] = {condition: group_ids}
            query = NodeQuery(kind, **conditions)
            assert store.count(query) == 5
            assert [node.id for node in store.iterate(query, page_size=2)] == made
            for limit in range(6):
                assert ids(store, kind, limit=limit, **conditions) == made[:limit]
        assert (
            store.count(NodeQuery(CONTEXT, children_of=[each.id for each in written.contexts])) == 3
        )

    def test_grandparents_are_no_parents(self, store: BaseMetadataStore) -> None:
        """parents_of and children_of go one link far, and no further. [8.6]

        On failure: look at the statement behind `parents_of` and `children_of`: the recursion that
        a transaction's `lookup` needs for all ancestors has no place in it.
        """
        contexts, _ = chain(store, 4)
        assert ids(store, CONTEXT, parents_of=[contexts[0]]) == [contexts[1]]
        assert ids(store, CONTEXT, children_of=[contexts[3]]) == [contexts[2]]
        assert ids(store, CONTEXT, parents_of=contexts[:2]) == contexts[1:3]
