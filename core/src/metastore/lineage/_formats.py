"""Lineage in the languages of other programs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from metastore.drawing import GRAPH_STYLE, Box, Line, boxes, page, svg
from metastore.errors import CapabilityError
from metastore.lineage._ways import Node
from metastore.model import Event, ExecutionState, NodeKind

if TYPE_CHECKING:
    from metastore.lineage._graph import Graph

__all__ = ["dot", "drawn_nodes", "html", "mermaid", "networkx_graph", "picture", "step_boxes"]

_ARTIFACT = NodeKind.ARTIFACT
MOST_DRAWN = 300
"""Nodes of a picture that is still one."""
MOST_BOXES = 60
"""Steps of one that a terminal shows."""


def _nodes(graph: Graph) -> list[Node]:
    """All nodes, those that a damaged store lacks too: artifacts first, by id."""
    artifacts = {*graph.marked, *graph.artifacts, *(e.artifact_id for e in graph.events)}
    executions = {*graph.executions, *(e.execution_id for e in graph.events)}
    return [
        *((NodeKind.ARTIFACT, id) for id in sorted(artifacts)),
        *((NodeKind.EXECUTION, id) for id in sorted(executions)),
    ]


def _edges(graph: Graph) -> Iterator[tuple[Node, Node, Event, str]]:
    """From what was first to what came of it, with the event and its keys."""
    for event in graph.events:
        artifact = (NodeKind.ARTIFACT, event.artifact_id)
        execution = (NodeKind.EXECUTION, event.execution_id)
        keys = ", ".join(dict.fromkeys(step for step in event.path if isinstance(step, str)))
        if event.type.is_output:
            yield execution, artifact, event, keys
        elif event.type.is_input:
            yield artifact, execution, event, keys


def _name(node: Node) -> str:
    return f"{node[0].label[0]}{node[1]}"


def _is_missing(graph: Graph, node: Node) -> bool:
    kind, id = node
    return id not in (graph.artifacts if kind is NodeKind.ARTIFACT else graph.executions)


def mermaid(graph: Graph) -> str:
    """Artifacts are rounded, executions boxes; what is missing is dashed, what failed is red."""
    lines = ["flowchart LR"]
    for node in _nodes(graph):
        label = _mermaid_text(graph.label(*node))
        shape = ("([", "])") if node[0] is NodeKind.ARTIFACT else ("[", "]")
        lines.append(f'    {_name(node)}{shape[0]}"{label}"{shape[1]}')
    for source, target, _, keys in _edges(graph):
        said = f'-- "{_mermaid_text(keys)}" -->' if keys else "-->"
        lines.append(f"    {_name(source)} {said} {_name(target)}")
    lines += [
        f"    style {_name(node)} stroke-dasharray: 5 5"
        for node in _nodes(graph)
        if _is_missing(graph, node)
    ]
    lines += [f"    style {_name(node)} stroke: #c00" for node in _failed(graph)]
    return "\n".join(lines) + "\n"


def _failed(graph: Graph) -> list[Node]:
    failed = []
    for id, execution in sorted(graph.executions.items()):
        step = graph.steps.get(id)
        if (step.state if step else execution.state) is ExecutionState.FAILED:
            failed.append((NodeKind.EXECUTION, id))
    return failed


def _mermaid_text(text: str) -> str:
    """The text inside quotes: Mermaid reads entities, Markdown and HTML there."""
    return "".join(
        each if each.isalnum() or each in " -.:/()=," else f"#{ord(each)};"
        for each in _one_line(text)
    )


def dot(graph: Graph) -> str:
    """Artifacts are ellipses, executions boxes; what is missing is dashed, what failed is red."""
    lines = ["digraph lineage {", "    rankdir=LR;"]
    failed = set(_failed(graph))
    for node in _nodes(graph):
        shape = "ellipse" if node[0] is NodeKind.ARTIFACT else "box"
        more = ", style=dashed" if _is_missing(graph, node) else ""
        more += ", color=red" if node in failed else ""
        lines.append(
            f'    {_name(node)} [shape={shape}, label="{_dot_text(graph.label(*node))}"{more}];'
        )
    for source, target, _, keys in _edges(graph):
        said = f' [label="{_dot_text(keys)}"]' if keys else ""
        lines.append(f"    {_name(source)} -> {_name(target)}{said};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _one_line(text: str) -> str:
    """Without control characters and marks that turn the direction of writing around."""
    return "".join(each if each.isprintable() else " " for each in text)


def drawn_nodes(graph: Graph) -> list[Node]:
    """What a picture has a box for."""
    # What only holds others together, such as a loop, hangs together with nothing.
    frames = {step.parent for step in graph.steps.values()}
    frames -= {event.execution_id for event in graph.events}
    return [(kind, id) for kind, id in _nodes(graph) if kind is _ARTIFACT or id not in frames]


def picture(
    graph: Graph,
    *,
    link: Callable[[NodeKind, int], str] | None = None,
    on: Collection[Node] = (),
    style: str | None = GRAPH_STYLE,
) -> str:
    """The graph as SVG; of too many nodes a sentence."""
    nodes = drawn_nodes(graph)
    if len(nodes) > MOST_DRAWN:
        return (
            f"<p>{escape(graph.title)}: {len(nodes)} artifacts and executions, too many for a "
            "picture; narrow it with max_hops or paths_to, or write it with to_dot</p>"
        )
    number = {node: at for at, node in enumerate(nodes)}

    def look(*ends: Node) -> str:
        return "" if not on else "on" if all(each in on for each in ends) else "dim"

    lines = [
        Line(number[source], number[target], keys, look(source, target))
        for source, target, _, keys in _edges(graph)
    ]
    boxes = []
    for node in nodes:
        box = _box(graph, node)
        href = link(*node) if link is not None and not _is_missing(graph, node) else ""
        boxes.append(box._replace(look=f"{box.look} {look(node)}".strip(), href=href))
    return svg(boxes, lines, title=graph.title, style=style)


def step_boxes(graph: Graph, width: int | None) -> list[str] | None:
    """The executions as boxes for a terminal; of too many, or in too little room, None."""
    outermost = {id: _outermost(graph, id) for id in graph.executions}
    number = {id: at for at, id in enumerate(dict.fromkeys(outermost.values()))}
    if len(number) > MOST_BOXES:
        return None
    readers: dict[int, list[int]] = {}
    writers: dict[int, list[int]] = {}
    for event in graph.events:
        if event.execution_id in outermost:
            side = writers if event.type.is_output else readers
            side.setdefault(event.artifact_id, []).append(outermost[event.execution_id])
    edges = [
        (number[writer], number[reader])
        for artifact in writers
        for writer in dict.fromkeys(writers[artifact])
        for reader in dict.fromkeys(readers.get(artifact, ()))
    ]
    return boxes([_short(graph, id) for id in number], edges, width=width)


def _outermost(graph: Graph, id: int) -> int:
    """What an execution is a part of, as far as that is in the graph."""
    seen = {id}
    while (step := graph.steps.get(id)) and step.parent in graph.executions.keys() - seen:
        id = step.parent
        seen.add(id)
    return id


def _short(graph: Graph, id: int) -> str:
    execution, step = graph.executions[id], graph.steps.get(id)
    called = step.name if step else execution.name or execution.type.rpartition(".")[2]
    state = step.state if step else execution.state
    # That it is complete is what nobody needs to be told.
    unusual = state not in (None, ExecutionState.COMPLETE, ExecutionState.UNKNOWN)
    return _one_line(f"{called} {state}" if unusual else called)


def html(graph: Graph) -> str:
    """The picture in a page of its own."""
    return page(graph.title, picture(graph))


_LOOKS = {
    ExecutionState.FAILED: "bad",
    ExecutionState.COMPLETE: "good",
    ExecutionState.CACHED: "good",
    ExecutionState.RUNNING: "busy",
    ExecutionState.NEW: "busy",
}


def _box(graph: Graph, node: Node) -> Box:
    kind, id = node
    if _is_missing(graph, node):
        look = "missing round" if kind is NodeKind.ARTIFACT else "missing"
        return Box(f"{kind.label} {id}", "missing", look)
    if kind is NodeKind.ARTIFACT:
        artifact = graph.artifacts[id]
        look = "round start" if id in graph.marked else "round"
        return Box(f"{artifact.type or 'artifact'} {id}", artifact.name or artifact.uri, look)
    execution, step = graph.executions[id], graph.steps.get(id)
    state = step.state if step else execution.state
    called = step.name if step else execution.name or execution.type.rpartition(".")[2]
    text = f"execution {id}" + (f" {state}" if state else "")
    return Box(called, text, "" if state is None else _LOOKS.get(state, ""))


def networkx_graph(graph: Graph) -> Any:
    """A `networkx.MultiDiGraph`."""
    try:
        networkx: Any = importlib.import_module("networkx")
    except ImportError as error:
        raise CapabilityError("networkx is not installed", hint="pip install networkx") from error
    made = networkx.MultiDiGraph()
    for kind, id in _nodes(graph):
        records: Any = graph.artifacts if kind is NodeKind.ARTIFACT else graph.executions
        made.add_node(
            (kind.label, id),
            kind=kind.label,
            id=id,
            label=graph.label(kind, id),
            node=records.get(id),
        )
    for source, target, event, keys in _edges(graph):
        made.add_edge(
            (source[0].label, source[1]),
            (target[0].label, target[1]),
            type=event.type.name,
            key=keys or None,
            time_ms=event.time_ms,
        )
    return made
