"""The same random calls to ML Metadata's engine and to a `Service`: the same answers.

What may differ is an `Exemption`: it names RPC and field, and the decision of docs/contract.md,
section 12, behind it.  Where the stores hold different things afterwards, the sequence ends there.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

from metastore import MemoryMetadataStore
from metastore_flavor_kubeflow.protocol import request_of, response_of
from metastore_flavor_kubeflow.serving._refusals import Refusal
from metastore_flavor_kubeflow.serving._service import Service

from .engine import Answer, Engine
from .random_calls import Call, Calls

OK, INVALID, NOT_FOUND, EXISTS, ABORTED, INTERNAL = 0, 3, 5, 6, 10, 13


@dataclass
class Result:
    """What a sequence came to."""

    counts: Counter[str] = dataclasses.field(default_factory=Counter)
    """Calls by RPC, and by ``error RPC``; ``exempt NAME``."""
    difference: str | None = None


def open_store(flavor: str) -> Any:
    """An empty store, in memory."""
    if flavor == "memory":
        return MemoryMetadataStore.open(None)
    import metastore

    return metastore.connect(f"{flavor}://").backend


def answer_of(service: Service, rpc: str, request: bytes) -> Answer:
    """What a call to our service comes to."""
    try:
        return Answer(OK, service.call(rpc, request))
    except Refusal as refusal:
        return Answer(refusal.code.value[0], message=refusal.message)


class Exemption(NamedTuple):
    """A difference that is meant."""

    rpc: str
    field: str
    decision: str
    """Of docs/contract.md, and so of the design."""
    applies: Callable[[Any, Answer, Answer], bool]
    """Of request, their answer and ours, whose codes differ."""


def run(seed: int, flavor: str) -> Result:
    """Run the sequence of a seed, to its end or to the first difference."""
    result, engine, store = Result(), Engine(), open_store(flavor)
    service, history = Service(store), list[Call]()
    try:
        for call in Calls(seed):
            if not _compare(call, engine, service, result, history):
                break
            history.append(call)
    finally:
        store.close()
    return result


def _compare(
    call: Call, engine: Engine, service: Service, result: Result, history: list[Call]
) -> bool:
    """Make one call of both; whether to go on."""
    theirs_request, ours_request = call.request, call.request
    if call.guards:
        id = call.request.artifacts[0].id
        theirs_request = _with_time(call.request, engine.call, id)
        ours_request = _with_time(call.request, lambda rpc, data: answer_of(service, rpc, data), id)
    if _by_update_time(call):
        return _compare_by_update_time(call, engine, service, result)
    while True:
        theirs = engine.call(call.rpc, theirs_request.SerializeToString())
        ours = answer_of(service, call.rpc, ours_request.SerializeToString())
        result.counts[call.rpc] += 1
        result.counts[f"error {call.rpc}"] += bool(theirs.code)
        if theirs.code != ours.code:
            return _explain(call, theirs, ours, result, history)
        if theirs.code:
            return True
        wanted, given = _parsed(call, theirs), _parsed(call, ours)
        tokens = _token(call, wanted), _token(call, given)
        if bool(tokens[0]) != bool(tokens[1]):
            result.difference = f"{call.rpc}: tokens {tokens}\n{call.request}"
            return False
        if _normal(call.rpc, wanted) != _normal(call.rpc, given):
            result.difference = (
                f"{call.rpc}: answers differ\n{call.request}\nTHEIRS\n{wanted}\nOURS\n{given}"
            )
            return False
        if not tokens[0]:
            return True
        theirs_request = _next(theirs_request, tokens[0])
        ours_request = _next(ours_request, tokens[1])


def _explain(call: Call, theirs: Answer, ours: Answer, result: Result, history: list[Call]) -> bool:
    """Judge two codes that differ; whether to go on."""
    if theirs.code and ours.code and has_both_errors(call, ours.code, history):
        result.counts["several errors in one request"] += 1
        return True
    for each in EXEMPTIONS:
        if each.rpc == call.rpc and each.applies(call.request, theirs, ours):
            result.counts[f"exempt {each.rpc}.{each.field}: {each.decision}"] += 1
            return False
    result.difference = (
        f"{call.rpc}: code {theirs.code} ({theirs.message}), "
        f"ours {ours.code} ({ours.message})\n{call.request}"
    )
    return False


def _compare_by_update_time(call: Call, engine: Engine, service: Service, result: Result) -> bool:
    """Compare the whole lists, as sets.

    Whether two updates fall into one millisecond is chance, the order with it; and of nodes of one
    time ML Metadata's pages repeat some, for ever if they are small (12.21).
    """
    lists, token = [], ""
    # Theirs last: whether it came to an end is asked for below.
    for ask in (lambda rpc, data: answer_of(service, rpc, data), engine.call):
        request, nodes, token = call.request, dict[int, Any](), ""
        for _ in range(30):
            answer = ask(call.rpc, request.SerializeToString())
            result.counts[call.rpc] += 1
            if answer.code:
                result.counts[f"error {call.rpc}"] += 1
                nodes[0] = answer.code
                break
            response = _parsed(call, answer)
            token = _token(call, response)
            nodes |= {node.id: node for node in _nodes(response)}
            if not token:
                break
            request = _next(request, token)
        lists.append(nodes)
    ours, theirs = lists
    is_endless = 0 not in theirs and bool(token)
    if theirs != ({id: ours.get(id) for id in theirs} if is_endless else ours):
        result.difference = f"{call.rpc}: lists differ\n{call.request}\n{theirs}\nOURS\n{ours}"
        return False
    return True


def _with_time(request: Any, ask: Callable[[str, bytes], Answer], id: int) -> Any:
    """The request, with the update time that the store has; every third one a little wrong."""
    changed = type(request)()
    changed.CopyFrom(request)
    read = request_of("GetArtifactsByID")(artifact_ids=[id])
    response = response_of("GetArtifactsByID").FromString(
        ask("GetArtifactsByID", read.SerializeToString()).response
    )
    if response.artifacts:
        time = response.artifacts[0].last_update_time_since_epoch
        wrong = len(request.artifacts[0].uri) % 3 == 0
        changed.artifacts[0].last_update_time_since_epoch = time + wrong
    return changed


def _parsed(call: Call, answer: Answer) -> Any:
    return response_of(call.rpc).FromString(answer.response)


def _token(call: Call, response: Any) -> str:
    return getattr(response, "next_page_token", "") if call.is_list else ""


def _by_update_time(call: Call) -> bool:
    return call.is_list and call.request.options.order_by_field.field == 2


def _nodes(response: Any) -> list[Any]:
    ((_, nodes),) = [
        (field, value) for field, value in response.ListFields() if field.name != "next_page_token"
    ] or [(None, [])]
    for node in nodes:
        _forget_times(node)
    return list(nodes)


def _next(request: Any, token: str) -> Any:
    following = type(request)()
    following.CopyFrom(request)
    following.options.next_page_token = token
    return following


def _normal(rpc: str, response: Any) -> Any:
    """The answer without what is chance, or better with us on purpose."""
    _forget_times(response)
    if hasattr(response, "next_page_token"):
        # Ours have no listed_ids; 12.15.
        response.ClearField("next_page_token")
    for descriptor, messages in response.ListFields():
        # 12.11: they leave out external ids, and here base types.
        if descriptor.name.endswith("_types") and rpc != "PutTypes":
            for each in messages:
                if not rpc.endswith(("TypesByID", "ByExternalIds")):
                    each.ClearField("external_id")
                if rpc == "GetArtifactsByID":
                    each.ClearField("base_type")
    # Theirs come in the order of whatever index SQLite chose.
    if rpc == "GetArtifactsByURI":
        response.artifacts.sort(key=lambda artifact: artifact.id)
    if rpc.startswith("GetEvents"):
        response.events.sort(key=lambda each: (each.artifact_id, each.execution_id, each.type))
    if rpc == "GetLineageSubgraph":
        graph = response.lineage_subgraph
        for descriptor, messages in graph.ListFields():
            if descriptor.name.endswith("_types"):
                for each in messages:
                    each.ClearField("external_id")
                    each.ClearField("base_type")
            # Their order is that of a hash table.
            ordered = sorted(messages, key=lambda each: each.SerializeToString(deterministic=True))
            graph.ClearField(descriptor.name)
            getattr(graph, descriptor.name).extend(ordered)
    return response


def _forget_times(message: Any) -> None:
    """Take the clock's times out of a message, and round its doubles as ML Metadata does (12.1)."""
    for descriptor, value in message.ListFields():
        name, inner = descriptor.name, descriptor.message_type
        is_times = name in ("create_time_since_epoch", "last_update_time_since_epoch")
        # Random times of events are earlier.
        if is_times or (name == "milliseconds_since_epoch" and value > 10**12):
            message.ClearField(name)
        elif name == "double_value":
            message.double_value = float(f"{value:f}")
        elif inner is not None and inner.GetOptions().map_entry:
            if inner.fields_by_name["value"].message_type is not None:
                for each in value.values():
                    _forget_times(each)
        elif inner is not None:
            for each in value if descriptor.label == descriptor.LABEL_REPEATED else [value]:
                _forget_times(each)


_NODES = {"artifacts": "artifact", "executions": "execution", "contexts": "context"}


def has_both_errors(call: Call, code: int, history: list[Call]) -> bool:
    """Whether a request that ML Metadata refuses has a mistake of that code besides: then which of
    the two is told is chance (contract 7.7).

    Asks the engine itself: one that has the same history, with requests of which all but one or two
    parts were mended.
    """
    parts = _parts(call.request)
    engine = None
    for kept in [*([each] for each in parts), *combinations(parts, 2)]:
        for variant in _variants(call.request, kept):
            if engine is None:
                engine = Engine()
                for each in history:
                    engine.call(each.rpc, each.request.SerializeToString())
            mended = _mended(variant, kept, engine)
            answer = engine.call(call.rpc, mended.SerializeToString())
            if answer.code == code:
                return True
            if answer.code == OK:
                # It is written, and the history is another one.
                engine = None
    return False


def _variants(request: Any, kept: Collection[tuple[str, int]]) -> Iterator[Any]:
    """The request, and the request without one field of its own or of one of the parts."""
    yield request
    for field, _ in request.ListFields():
        if field.label != field.LABEL_REPEATED and field.name != "execution":
            variant = type(request)()
            variant.CopyFrom(request)
            variant.ClearField(field.name)
            yield variant
    for name, index in kept:
        part = getattr(request, name) if name == "execution" else getattr(request, name)[index]
        for paths in _fields(part):
            variant = type(request)()
            variant.CopyFrom(request)
            at = getattr(variant, name) if name == "execution" else getattr(variant, name)[index]
            for path in paths[:-1]:
                at = getattr(at, path)
            at.ClearField(paths[-1])
            yield variant


def _fields(part: Any) -> Iterator[list[str]]:
    for field, value in part.ListFields():
        yield [field.name]
        if field.name in ("event", "artifact"):
            for inner in _fields(value):
                yield [field.name, *inner]


def _parts(request: Any) -> list[tuple[str, int]]:
    parts = []
    for field, value in request.ListFields():
        if field.label == field.LABEL_REPEATED and field.message_type is not None:
            parts += [(field.name, index) for index in range(len(value))]
        elif field.name == "execution":
            parts.append((field.name, 0))
    return parts


def _mended(request: Any, kept: Collection[tuple[str, int]], engine: Engine) -> Any:
    mended = type(request)()
    mended.CopyFrom(request)
    for name, index in reversed(_parts(request)):
        if (name, index) in kept:
            continue
        if name == "execution":
            _mend(mended.execution, "execution", index, engine)
        elif name in _NODES:
            _mend(getattr(mended, name)[index], _NODES[name], index, engine)
        elif name == "artifact_event_pairs":
            pair = getattr(mended, name)[index]
            pair.Clear()
        else:
            del getattr(mended, name)[index]
    return mended


def _mend(node: Any, kind: str, index: int, engine: Engine) -> None:
    """Make a node one that is surely right: new, of a type that is there, without properties."""
    rpc = f"Get{kind.capitalize()}Types"
    answer = engine.call(rpc, request_of(rpc)().SerializeToString())
    types = getattr(response_of(rpc).FromString(answer.response), f"{kind}_types")
    node.Clear()
    node.type_id = types[0].id if types else 0
    if kind == "context":
        node.name = f"mended {index}"


def _names_missing_end(request: Any, theirs: Answer, ours: Answer) -> bool:
    return theirs.code == OK and ours.code == INVALID and "which event at" in ours.message


def _is_taken(request: Any, theirs: Answer, ours: Answer) -> bool:
    said = theirs.code, theirs.message
    raw = said[0] == INTERNAL and "UNIQUE" in said[1]
    # To create a context that is there in vain, because its external id is another's.
    raced = said[0] == ABORTED and "Concurrent creation of the same" in said[1]
    return ours.code == EXISTS and (raw or raced)


def _is_kept(request: Any, theirs: Answer, ours: Answer) -> bool:
    kept = request.options.reuse_context_if_already_exist
    return bool(kept) and theirs.code == INVALID and ours.code == OK


def _repeats_state(request: Any, theirs: Answer, ours: Answer) -> bool:
    return theirs.code == INVALID and "cannot be rewritten successfully" in theirs.message


def _is_taken_away(request: Any, theirs: Answer, ours: Answer) -> bool:
    return theirs.code == OK and ours.code == EXISTS and "takes its name" in ours.message


def _names_id_of_its_own(request: Any, theirs: Answer, ours: Answer) -> bool:
    told = (
        "to update",
        "of an event is another one than that of",
        "of an event is another one than its",
    )
    refused = ours.code == INVALID and any(each in ours.message for each in told)
    # A context to be reused by its id, which an earlier one of the request got.
    missed = ours.code == NOT_FOUND and "there is no context with id" in ours.message
    return theirs.code == OK and (refused or missed)


_FILTERING = (
    "GetLineageSubgraph",
    *(
        f"Get{kind}s{suffix}"
        for kind in ("Artifact", "Execution", "Context")
        for suffix in ("", "ByType", "ByContext")
    ),
)
_PUTTING_NODES = (
    "PutArtifacts",
    "PutExecutions",
    "PutContexts",
    "PutExecution",
    "PutLineageSubgraph",
)

EXEMPTIONS = [
    *(
        Exemption(rpc, field, decision, applies)
        for rpc in _PUTTING_NODES
        for field, decision, applies in (
            ("name, external_id", "12.16", _is_taken_away),
            ("id", "12.19", _names_id_of_its_own),
            ("name, external_id", "12.20", _is_taken),
        )
    ),
    *(
        Exemption(rpc, "external_id", "12.11", _is_taken)
        for rpc in ("PutArtifactType", "PutExecutionType", "PutContextType", "PutTypes")
    ),
    Exemption("PutLineageSubgraph", "contexts.properties", "4.19", _is_kept),
    *(Exemption(rpc, "filter_query", "12.22", _repeats_state) for rpc in _FILTERING),
    Exemption("PutExecution", "event.artifact_id", "12.6", _names_missing_end),
    Exemption("PutLineageSubgraph", "event_edges.event", "12.6", _names_missing_end),
]
