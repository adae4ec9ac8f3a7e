"""The planner's questions, answered by reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from metastore import EventQuery, LinkQuery, NodeKind, Type, TypeKey
from metastore.changes import Answers, EventKey, Questions
from metastore.model import NODE_KINDS, AnyNode, Artifact, LinkKind
from metastore_flavor_kubeflow.client._edges import Edges
from metastore_flavor_kubeflow.client._nodes import Nodes
from metastore_flavor_kubeflow.client._types import Types

__all__ = ["Lookup"]


class Lookup:
    """Answers the questions of one batch, and keeps what it read: changes refer to it."""

    def __init__(self, nodes: Nodes, types: Types, edges: Edges) -> None:
        self._nodes = nodes
        self._types = types
        self._edges = edges
        self.stored: dict[NodeKind, dict[int, AnyNode]] = {kind: {} for kind in NODE_KINDS}
        self.types: dict[int, Type] = {}

    def __call__(self, questions: Questions) -> Answers:
        """What is stored of what is asked."""
        types = self._types_of(questions)
        wanted = {
            kind: questions.nodes.get(kind, set()) | questions.existing.get(kind, set())
            for kind in NODE_KINDS
        }
        for kind, ids in wanted.items():
            missing = ids - self.stored[kind].keys()
            if missing:
                self._learn(kind, self._nodes.by_ids(kind, missing))
        return Answers(
            types,
            {
                kind: {id: self.stored[kind][id] for id in ids if id in self.stored[kind]}
                for kind, ids in questions.nodes.items()
            },
            {kind: ids & self.stored[kind].keys() for kind, ids in questions.existing.items()},
            {kind: self.named(kind, pairs) for kind, pairs in questions.names.items() if pairs},
            {
                kind: self.with_external_ids(kind, ids)
                for kind, ids in questions.external_ids.items()
                if ids
            },
            self._newest(questions.uris),
            self.events(questions.events),
            self._parents(questions.parents_of),
        )

    def type_key(self, id: int) -> TypeKey:
        """The key of a type that a question or an answer named."""
        return self.types[id].key

    def named(self, kind: NodeKind, pairs: Iterable[tuple[int, str]]) -> dict[tuple[int, str], int]:
        """Which node has a type and a name."""
        names: dict[int, set[str]] = {}
        for type_id, name in pairs:
            names.setdefault(type_id, set()).add(name)
        self._learn_types(kind, names)
        found: dict[tuple[int, str], int] = {}
        for type_id, wanted in names.items():
            if type_id in self.types:
                nodes = self._nodes.by_names(self.type_key(type_id), wanted)
                self._learn(kind, nodes)
                found.update(((type_id, node.name or ""), node.id) for node in nodes)
        return found

    def with_external_ids(self, kind: NodeKind, external_ids: Iterable[str]) -> dict[str, int]:
        """Which node has an external id."""
        nodes = self._nodes.by_external_ids(kind, external_ids)
        self._learn(kind, nodes)
        return {node.external_id or "": node.id for node in nodes}

    def events(self, pairs: set[tuple[int, int]]) -> set[EventKey]:
        """The events of artifacts and executions with one another."""
        if not pairs:
            return set()
        artifacts = sorted({artifact for artifact, _ in pairs})
        executions = sorted({execution for _, execution in pairs})
        found = self._edges.events(EventQuery(artifacts, executions))
        return {
            (event.artifact_id, event.execution_id, event.type)
            for event in found
            if (event.artifact_id, event.execution_id) in pairs
        }

    def _types_of(self, questions: Questions) -> list[Type]:
        found: dict[int, Type] = {}
        for type in self._types.by_keys(questions.types):
            found[type.id] = type
        for kind in NODE_KINDS:
            if questions.type_ids:
                found |= {type.id: type for type in self._types.by_ids(kind, questions.type_ids)}
            if questions.type_external_ids:
                found |= {
                    type.id: type
                    for type in self._types.by_external_ids(kind, questions.type_external_ids)
                }
        self.types |= found
        return list(found.values())

    def _learn(self, kind: NodeKind, nodes: Iterable[AnyNode]) -> None:
        self.stored[kind] |= {node.id: node for node in nodes}

    def _learn_types(self, kind: NodeKind, ids: Iterable[int]) -> None:
        missing = set(ids) - self.types.keys()
        if missing:
            self.types |= {type.id: type for type in self._types.by_ids(kind, missing)}

    def _newest(self, pairs: set[tuple[int, str]]) -> Mapping[tuple[int, str], int]:
        if not pairs:
            return {}
        nodes = self._nodes.by_uris({uri for _, uri in pairs})
        self._learn(NodeKind.ARTIFACT, nodes)
        found: dict[tuple[int, str], int] = {}
        for node in nodes:
            if isinstance(node, Artifact) and (node.type_id, node.uri) in pairs:
                key = (node.type_id, node.uri)
                found[key] = max(node.id, found.get(key, 0))
        return found

    def _parents(self, contexts: set[int]) -> set[tuple[int, int]]:
        """The links that lead up from the contexts, level by level."""
        found: set[tuple[int, int]] = set()
        level, seen = set(contexts), set(contexts)
        while level:
            links = self._edges.links(LinkQuery(LinkKind.PARENT, context_ids=sorted(level)))
            found.update((link.context_id, link.other_id) for link in links)
            level = {link.other_id for link in links} - seen
            seen |= level
        return found
