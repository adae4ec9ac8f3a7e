"""Random calls of ML Metadata's protocol, from a seed; many of them wrong.

A small world (few types, names, ids and keys), so that calls meet what earlier ones wrote.  What
metastore does better on purpose (docs/contract.md, section 12) is left out where it would make the
two stores differ for the rest of the sequence; `exemptions` has the rest.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service

KINDS = ("artifact", "execution", "context")
DECLARED = {
    "i": pb.INT,
    "d": pb.DOUBLE,
    "s": pb.STRING,
    "b": pb.BOOLEAN,
    "st": pb.STRUCT,
    "p": pb.PROTO,
}
CUSTOM = ("ci", "cs", "cd", "cb", "cst", "cp")
TEXTS = (
    "",
    "x",
    "Ünïcode 🙂",
    'it\'s "quoted"',
    "line\nbreak",
    "LIVE",
    "100%",
    "a_b",
    "back\\slash",
)


class Call(NamedTuple):
    """One call; or a whole list, asked for page by page."""

    rpc: str
    request: Any
    is_list: bool = False
    guards: bool = False
    """PutArtifacts that expects the update times which each store has."""


class Calls:
    """A random sequence of calls."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        r = self._random
        # Some sequences are mostly right, so that much is stored; others mostly wrong.
        self._wrong = r.choice((0.02, 0.1, 0.3))
        self._length = r.randrange(8, 26)

    def __iter__(self) -> Iterator[Call]:
        for kind in KINDS:
            yield self._plain_type(kind)
        wrong, self._wrong = self._wrong, 0.0
        for kind in KINDS:
            for _ in range(self._random.randrange(3)):
                yield self._put_nodes(kind, updates=0.0)
        self._wrong = wrong
        makers: list[tuple[Callable[[], Call], int]] = [
            (self._put_type, 4),
            (self._put_types, 2),
            (self._put_nodes, 14),
            (self._put_masked, 6),
            (self._put_guarded, 2),
            (self._put_events, 5),
            (self._put_links, 5),
            (self._put_parents, 4),
            (self._put_execution, 8),
            (self._put_subgraph, 6),
            (self._get_type, 3),
            (self._get_types, 4),
            (self._get_nodes, 14),
            (self._list, 10),
            (self._get_related, 10),
            (self._lineage, 6),
        ]
        choices, weights = zip(*makers, strict=True)
        for make in self._random.choices(choices, weights, k=self._length):
            yield make()

    # Pieces.

    def _is_wrong(self) -> bool:
        return self._random.random() < self._wrong

    def _id(self) -> int:
        if self._is_wrong():
            return self._random.choice((0, -1, 99, 2**62, 7))
        return self._random.randrange(1, 4)

    def _ids(self) -> list[int]:
        return [self._id() for _ in range(self._random.randrange(4))]

    def _type_id(self, kind: str) -> int:
        if self._is_wrong():
            return self._random.choice((0, -7, 77, 10, 11, 12, 13, 14))
        # Of the types that each sequence begins with.
        return 10 + KINDS.index(kind)

    def _type_name(self) -> str:
        r = self._random
        return "" if self._is_wrong() else r.choice(("t0", "t0", "t1", "t2", "mlmd.Model"))

    def _version(self) -> str | None:
        return self._random.choice((None, None, None, "", "v1"))

    def _name(self) -> str:
        return self._random.choice(("n0", "n1", "n2", "n3", "n4", "n5", "n6", "N0", "Ünï"))

    def _external_id(self) -> str:
        return "" if self._is_wrong() else f"e{self._random.randrange(8)}"

    def _value(self, key: str) -> pb.Value:
        r = self._random
        match key.removeprefix("c") or key:
            case "i":
                return pb.Value(int_value=r.choice((0, 1, -1, 7, 2**31, -(2**63), 2**63 - 1)))
            case "d":
                return pb.Value(double_value=r.choice((0.0, 0.5, -2.25, 1e6, 123456.789, 1e-9)))
            case "s":
                return pb.Value(string_value=r.choice(TEXTS))
            case "b":
                return pb.Value(bool_value=r.random() < 0.5)
            case "st":
                value = pb.Value()
                # An unset value ends ML Metadata's process (12.4), and an empty struct sets none.
                value.struct_value.SetInParent()
                value.struct_value.update(r.choice(({}, {"a": 1}, {"a": [None, True, {"b": "c"}]})))
                return value
            case _:
                value = pb.Value()
                value.proto_value.Pack(pb.Artifact(id=r.randrange(5), uri="packed"))
                return value

    def _fill_properties(self, node: Any) -> None:
        r = self._random
        for key in r.sample(sorted(DECLARED), r.randrange(3)):
            wanted = r.choice(sorted(DECLARED)) if self._is_wrong() else key
            node.properties[key].CopyFrom(self._value(wanted))
        if self._is_wrong():
            node.properties["undeclared"].int_value = 1
        for key in r.sample(CUSTOM, r.randrange(3)):
            node.custom_properties[key].CopyFrom(self._value(key))

    def _node(self, kind: str, *, updates: bool) -> Any:
        r = self._random
        node = getattr(pb, kind.capitalize())()
        if updates:
            node.id = self._id()
        if not self._is_wrong() if not updates else r.random() < 0.6:
            node.type_id = self._type_id(kind)
        if kind == "context" or r.random() < 0.5:
            node.name = self._name()
        if kind == "context" and self._is_wrong():
            node.name = ""
        if r.random() < 0.25:
            node.external_id = self._external_id()
        if kind == "artifact":
            if r.random() < 0.7:
                node.uri = f"s3://u{r.randrange(4)}"
            if r.random() < 0.5:
                node.state = r.randrange(7)
        elif kind == "execution" and r.random() < 0.6:
            node.last_known_state = r.randrange(7)
        self._fill_properties(node)
        return node

    def _kind(self) -> str:
        return self._random.choice(KINDS)

    # Types.

    def _plain_type(self, kind: str) -> Call:
        message = getattr(pb, f"{kind.capitalize()}Type")(name="t0", properties=DECLARED)
        request = getattr(service, f"Put{kind.capitalize()}TypeRequest")()
        getattr(request, f"{kind}_type").CopyFrom(message)
        return Call(f"Put{kind.capitalize()}Type", request)

    def _type(self, kind: str) -> Any:
        r = self._random
        message = getattr(pb, f"{kind.capitalize()}Type")(name=self._type_name())
        version = self._version()
        if version is not None:
            message.version = version
        keys = sorted(DECLARED) if r.random() < 0.6 else r.sample(sorted(DECLARED), 3)
        for key in keys:
            message.properties[key] = DECLARED[key]
        if r.random() < 0.15:
            message.properties["more"] = r.choice((pb.INT, pb.STRING))
        if self._is_wrong():
            message.properties["i"] = pb.UNKNOWN if r.random() < 0.3 else pb.STRING
        if r.random() < 0.2:
            message.description = "what it is"
        if r.random() < 0.15:
            # Of a kind of its own: ML Metadata answers INTERNAL where two kinds clash.
            message.external_id = f"{kind}{r.randrange(3)}"
        if r.random() < 0.2:
            message.base_type = r.randrange({"artifact": 5, "execution": 6, "context": 1}[kind])
        if kind == "execution" and r.random() < 0.2:
            message.input_type.dict.properties["in"].simple.name = "t0"
        return message

    def _set_flags(self, request: Any) -> Any:
        r = self._random
        if r.random() < 0.5:
            request.can_add_fields = r.random() < 0.6
        if r.random() < 0.5:
            request.can_omit_fields = r.random() < 0.6
        if self._is_wrong():
            request.all_fields_match = False
        return request

    def _put_type(self) -> Call:
        kind = self._kind()
        request = getattr(service, f"Put{kind.capitalize()}TypeRequest")()
        if not self._is_wrong():
            getattr(request, f"{kind}_type").CopyFrom(self._type(kind))
        return Call(f"Put{kind.capitalize()}Type", self._set_flags(request))

    def _put_types(self) -> Call:
        request = service.PutTypesRequest()
        for kind in KINDS:
            for _ in range(self._random.randrange(2)):
                getattr(request, f"{kind}_types").append(self._type(kind))
        return Call("PutTypes", self._set_flags(request))

    # Nodes.

    def _put_nodes(self, kind: str | None = None, *, updates: float = 0.3) -> Call:
        kind = self._kind() if kind is None else kind
        request = getattr(service, f"Put{kind.capitalize()}sRequest")()
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            node = self._node(kind, updates=self._random.random() < updates)
            getattr(request, f"{kind}s").append(node)
        return Call(f"Put{kind.capitalize()}s", request)

    def _put_masked(self) -> Call:
        r, kind = self._random, self._kind()
        request = getattr(service, f"Put{kind.capitalize()}sRequest")()
        node = self._node(kind, updates=r.random() < 0.9)
        getattr(request, f"{kind}s").append(node)
        state = {"artifact": "state", "execution": "last_known_state"}.get(kind, "name")
        paths = [
            "external_id", state, "properties", "custom_properties", "nonsense",
            *(f"properties.{key}" for key in DECLARED),
            *(f"custom_properties.{key}" for key in CUSTOM),
            *(["uri"] if kind == "artifact" else []),
        ]  # fmt: skip
        request.update_mask.paths.extend(r.sample(paths, r.randrange(1, 5)))
        return Call(f"Put{kind.capitalize()}s", request)

    def _put_guarded(self) -> Call:
        request = service.PutArtifactsRequest()
        request.options.abort_if_latest_updated_time_changed = True
        request.artifacts.append(self._node("artifact", updates=True))
        return Call("PutArtifacts", request, guards=True)

    # Events and links.

    def _event(self, *, stored: bool) -> pb.Event:
        r = self._random
        event = pb.Event()
        if stored and not self._is_wrong():
            event.artifact_id, event.execution_id = self._id(), self._id()
        if not self._is_wrong():
            event.type = r.randrange(1, 8)
        if r.random() < 0.3:
            event.milliseconds_since_epoch = r.randrange(10**12)
        for _ in range(r.randrange(3)):
            step = event.path.steps.add()
            if r.random() < 0.5:
                step.index = r.randrange(3)
            elif r.random() < 0.9:
                step.key = r.choice(TEXTS)
        return event

    def _put_events(self) -> Call:
        count = self._random.choice((1, 1, 2))
        events = [self._event(stored=True) for _ in range(count)]
        return Call("PutEvents", service.PutEventsRequest(events=events))

    def _put_links(self) -> Call:
        r = self._random
        request = service.PutAttributionsAndAssociationsRequest()
        for _ in range(r.randrange(3)):
            link = request.attributions.add(artifact_id=self._id())
            if not self._is_wrong():
                link.context_id = self._id()
        for _ in range(r.randrange(2)):
            request.associations.add(context_id=self._id(), execution_id=self._id())
        return Call("PutAttributionsAndAssociations", request)

    def _put_parents(self) -> Call:
        request = service.PutParentContextsRequest()
        for _ in range(self._random.choice((1, 1, 2))):
            link = request.parent_contexts.add(child_id=self._id())
            if not self._is_wrong():
                link.parent_id = self._id()
        return Call("PutParentContexts", request)

    def _contexts(self, request: Any) -> None:
        for _ in range(self._random.randrange(3)):
            context = self._node("context", updates=self._random.random() < 0.2)
            if not self._is_wrong():
                context.type_id = self._type_id("context")
            request.contexts.append(context)

    def _put_execution(self) -> Call:
        r = self._random
        request = service.PutExecutionRequest()
        if not self._is_wrong():
            updates = r.random() < 0.3
            request.execution.CopyFrom(self._node("execution", updates=updates))
        for _ in range(r.randrange(3)):
            pair = request.artifact_event_pairs.add()
            if r.random() < 0.8:
                pair.artifact.CopyFrom(self._node("artifact", updates=r.random() < 0.3))
            if r.random() < 0.8:
                pair.event.CopyFrom(self._event(stored=False))
                if not pair.HasField("artifact") or self._is_wrong():
                    pair.event.artifact_id = self._id()
                if self._is_wrong():
                    pair.event.execution_id = self._id()
        self._contexts(request)
        options = request.options
        if r.random() < 0.5:
            options.reuse_context_if_already_exist = True
        if r.random() < 0.3:
            options.force_reuse_context = True
        if r.random() < 0.3:
            options.reuse_artifact_if_already_exist_by_external_id = True
        if r.random() < 0.2:
            options.force_update_time = True
        return Call("PutExecution", request)

    def _put_subgraph(self) -> Call:
        r = self._random
        request = service.PutLineageSubgraphRequest()
        for kind in ("execution", "artifact"):
            for _ in range(r.randrange(3)):
                node = self._node(kind, updates=r.random() < 0.2)
                if not self._is_wrong():
                    node.type_id = self._type_id(kind)
                getattr(request, f"{kind}s").append(node)
        self._contexts(request)
        for _ in range(r.randrange(3)):
            edge = request.event_edges.add()
            if not self._is_wrong():
                edge.event.CopyFrom(self._event(stored=False))
            for kind in ("execution", "artifact"):
                count = len(getattr(request, f"{kind}s"))
                if count and r.random() < 0.8:
                    index = r.randrange(count) if not self._is_wrong() else r.choice((-1, count))
                    setattr(edge, f"{kind}_index", index)
                if not count or self._is_wrong():
                    setattr(edge.event, f"{kind}_id", self._id())
        if r.random() < 0.5:
            request.options.reuse_context_if_already_exist = True
        if r.random() < 0.3:
            request.options.reuse_artifact_if_already_exist_by_external_id = True
        return Call("PutLineageSubgraph", request)

    # Reads.

    def _named_type(self, request: Any) -> Any:
        request.type_name = self._type_name()
        version = self._version()
        if version is not None:
            request.type_version = version
        return request

    def _get_type(self) -> Call:
        rpc = f"Get{self._kind().capitalize()}Type"
        return Call(rpc, self._named_type(getattr(service, f"{rpc}Request")()))

    def _get_types(self) -> Call:
        r, kind = self._random, self._kind()
        rpc = f"Get{kind.capitalize()}Types{r.choice(('', 'ByID', 'ByExternalIds'))}"
        request = getattr(service, f"{rpc}Request")()
        if rpc.endswith("ByID"):
            request.type_ids.extend(self._type_id(kind) for _ in range(r.randrange(4)))
        elif rpc.endswith("Ids"):
            self._fill_external_ids(request, f"{kind}{{}}")
        return Call(rpc, request)

    def _fill_external_ids(self, request: Any, pattern: str) -> None:
        for _ in range(self._random.randrange(3)):
            text = pattern.format(self._random.randrange(8))
            request.external_ids.append("" if self._is_wrong() else text)

    def _get_nodes(self) -> Call:
        r, kind = self._random, self._kind()
        name = kind.capitalize()
        which = r.choice(("sByID", "sByID", "ByTypeAndName", "sByExternalIds", "sByURI"))
        if which == "sByURI":
            kind = "artifact"
            uris = [f"s3://u{r.randrange(5)}" for _ in range(r.randrange(3))]
            return Call("GetArtifactsByURI", service.GetArtifactsByURIRequest(uris=uris))
        rpc = f"Get{name}{which}"
        request = getattr(service, f"{rpc}Request")()
        if which == "sByID":
            getattr(request, f"{kind}_ids").extend(self._ids())
            if kind == "artifact" and r.random() < 0.4:
                request.populate_artifact_types = True
        elif which == "ByTypeAndName":
            setattr(self._named_type(request), f"{kind}_name", self._name())
        else:
            self._fill_external_ids(request, "e{}")
        return Call(rpc, request)

    def _list(self) -> Call:
        r, kind = self._random, self._kind()
        name = kind.capitalize()
        which = r.choice(("s", "sByType", "sByContext"))
        if which == "sByContext" and kind == "context":
            which = "s"
        rpc = f"Get{name}{which}"
        request = getattr(service, f"{rpc}Request")()
        if which == "sByType":
            self._named_type(request)
        elif which == "sByContext":
            request.context_id = self._id()
        if r.random() < 0.85:
            self._fill_options(kind, request.options)
        return Call(rpc, request, is_list=True)

    def _fill_options(self, kind: str, options: Any) -> None:
        r = self._random
        if r.random() < 0.8:
            options.max_result_size = 0 if self._is_wrong() else r.choice((1, 1, 2, 3, 100))
        if r.random() < 0.7:
            options.order_by_field.field = r.choice((1, 2, 3, 3))
            options.order_by_field.is_asc = r.random() < 0.6
        if self._is_wrong():
            options.order_by_field.field = 0
        if self._is_wrong():
            options.next_page_token = r.choice(("!!!", "abcd", "é"))
        if r.random() < 0.5:
            options.filter_query = self._filter(kind)
        if not options.IsInitialized() or not options.ListFields():
            options.max_result_size = 2

    def _filter(self, kind: str) -> str:
        r = self._random
        if self._is_wrong():
            return r.choice(("nonsense = 1", "id =", "name = 1", "state = 'x'", "id", "1 = 1;"))
        return " AND ".join(self._condition(kind) for _ in range(r.choice((1, 1, 2))))

    def _condition(self, kind: str) -> str:
        r = self._random
        states = {"artifact": "state", "execution": "last_known_state"}
        conditions = [
            f"id {r.choice(('=', '<', '>=', '!='))} {r.randrange(1, 6)}",
            f"id IN ({r.randrange(1, 6)}, {r.randrange(1, 6)})",
            f"name {r.choice(('=', '!='))} '{self._name()}'",
            "name LIKE 'n%'",
            "name IS NOT NULL",
            "external_id IS NULL",
            f"type = '{r.choice(('t0', 't1'))}'",
            f"type_id = {self._type_id(kind)}",
            f"(id = 1 OR name = '{self._name()}')",
            f"NOT (id = {r.randrange(1, 6)})",
            f"properties.i.int_value {r.choice(('=', '>', '<='))} {r.choice((0, 1, 7))}",
            "properties.d.double_value > 0.1",
            "properties.s.string_value = 'x'",
            "properties.b.bool_value = true",
            "custom_properties.ci.int_value = 1",
            f"custom_properties.cs.string_value = '{r.choice(('x', '100%', 'LIVE'))}'",
        ]
        if kind in states:
            state = r.choice(("LIVE", "PENDING") if kind == "artifact" else ("RUNNING", "COMPLETE"))
            conditions += [
                f"{states[kind]} {r.choice(('=', '!='))} {state}",
                f"{states[kind]} IN ({state})",
                f"contexts_a.name = '{self._name()}'",
                f"contexts_a.type = 't0' AND contexts_a.id > {r.randrange(3)}",
                f"events_0.type = {r.choice(('INPUT', 'OUTPUT'))}",
                f"events_0.{'execution' if kind == 'artifact' else 'artifact'}_id = "
                f"{r.randrange(1, 5)}",
            ]
        else:
            conditions += [
                f"parent_contexts_p.name = '{self._name()}'",
                f"child_contexts_c.id = {r.randrange(1, 6)}",
                "artifacts_a.uri = 's3://u1'",
                "executions_e.last_known_state = RUNNING",
            ]
        if kind == "artifact":
            conditions += ["uri = 's3://u1'", "uri LIKE 's3:%'"]
        return r.choice(conditions)

    def _get_related(self) -> Call:
        r = self._random
        rpc = r.choice(
            (
                "GetEventsByArtifactIDs",
                "GetEventsByExecutionIDs",
                "GetContextsByArtifact",
                "GetContextsByExecution",
                "GetParentContextsByContext",
                "GetChildrenContextsByContext",
            )
        )
        request = getattr(service, f"{rpc}Request")()
        (field,) = (each for each in request.DESCRIPTOR.fields if "_id" in each.name)
        if rpc.endswith("IDs"):
            getattr(request, field.name).extend(self._ids())
        else:
            setattr(request, field.name, self._id())
        return Call(rpc, request)

    def _lineage(self) -> Call:
        r = self._random
        request = service.GetLineageSubgraphRequest()
        options = request.lineage_subgraph_query_options
        kind = r.choice(("artifact", "execution"))
        if not self._is_wrong():
            start = getattr(options, f"starting_{kind}s")
            start.filter_query = "" if self._is_wrong() else self._filter(kind)
        if r.random() < 0.7:
            options.max_num_hops = -1 if self._is_wrong() else r.choice((0, 1, 2, 3, 200))
        if r.random() < 0.8:
            options.direction = r.randrange(4)
        for other in ("artifact", "execution"):
            if r.random() < 0.25:
                ending = getattr(options, f"ending_{other}s")
                ending.filter_query = self._filter(other)
                ending.include_ending_nodes = r.random() < 0.5
        if r.random() < 0.6:
            fields = [each.name for each in pb.LineageGraph.DESCRIPTOR.fields]
            request.read_mask.paths.extend(r.sample([*fields, "nonsense"], r.randrange(1, 6)))
        return Call("GetLineageSubgraph", request)
