"""Lineage in the languages of other programs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from metastore.drawing import Box, Line, page, svg
from metastore.errors import CapabilityError
from metastore.lineage._ways import Node
from metastore.model import Event, ExecutionState, NodeKind

if TYPE_CHECKING:
    from metastore.lineage._lineage import Lineage

__all__ = ["dot", "html", "mermaid", "networkx_graph", "picture"]

MOST_DRAWN = 300
"""Nodes of a picture that is still one."""


def _nodes(lineage: Lineage) -> list[Node]:
    """All nodes, those that a damaged store lacks too: artifacts first, by id."""
    artifacts = {*lineage.start, *lineage.artifacts, *(e.artifact_id for e in lineage.events)}
    executions = {*lineage.executions, *(e.execution_id for e in lineage.events)}
    return [
        *((NodeKind.ARTIFACT, id) for id in sorted(artifacts)),
        *((NodeKind.EXECUTION, id) for id in sorted(executions)),
    ]


def _edges(lineage: Lineage) -> Iterator[tuple[Node, Node, Event, str]]:
    """From what was first to what came of it, with the event and its keys."""
    for event in lineage.events:
        artifact = (NodeKind.ARTIFACT, event.artifact_id)
        execution = (NodeKind.EXECUTION, event.execution_id)
        keys = ", ".join(dict.fromkeys(step for step in event.path if isinstance(step, str)))
        if event.type.is_output:
            yield execution, artifact, event, keys
        elif event.type.is_input:
            yield artifact, execution, event, keys


def _name(node: Node) -> str:
    return f"{node[0].label[0]}{node[1]}"


def _is_missing(lineage: Lineage, node: Node) -> bool:
    kind, id = node
    return id not in (lineage.artifacts if kind is NodeKind.ARTIFACT else lineage.executions)


def mermaid(lineage: Lineage) -> str:
    """Artifacts are rounded, executions boxes; what is missing is dashed, what failed is red."""
    lines = ["flowchart LR"]
    for node in _nodes(lineage):
        label = _mermaid_text(lineage.label(*node))
        shape = ("([", "])") if node[0] is NodeKind.ARTIFACT else ("[", "]")
        lines.append(f'    {_name(node)}{shape[0]}"{label}"{shape[1]}')
    for source, target, _, keys in _edges(lineage):
        said = f'-- "{_mermaid_text(keys)}" -->' if keys else "-->"
        lines.append(f"    {_name(source)} {said} {_name(target)}")
    lines += [
        f"    style {_name(node)} stroke-dasharray: 5 5"
        for node in _nodes(lineage)
        if _is_missing(lineage, node)
    ]
    lines += [f"    style {_name(node)} stroke: #c00" for node in _failed(lineage)]
    return "\n".join(lines) + "\n"


def _failed(lineage: Lineage) -> list[Node]:
    failed = []
    for id, execution in sorted(lineage.executions.items()):
        step = lineage.steps.get(id)
        if (step.state if step else execution.state) is ExecutionState.FAILED:
            failed.append((NodeKind.EXECUTION, id))
    return failed


def _mermaid_text(text: str) -> str:
    """The text inside quotes: Mermaid reads entities, Markdown and HTML there."""
    return "".join(
        each if each.isalnum() or each in " -.:/()=," else f"#{ord(each)};"
        for each in _one_line(text)
    )


def dot(lineage: Lineage) -> str:
    """Artifacts are ellipses, executions boxes; what is missing is dashed, what failed is red."""
    lines = ["digraph lineage {", "    rankdir=LR;"]
    failed = set(_failed(lineage))
    for node in _nodes(lineage):
        shape = "ellipse" if node[0] is NodeKind.ARTIFACT else "box"
        more = ", style=dashed" if _is_missing(lineage, node) else ""
        more += ", color=red" if node in failed else ""
        lines.append(
            f'    {_name(node)} [shape={shape}, label="{_dot_text(lineage.label(*node))}"{more}];'
        )
    for source, target, _, keys in _edges(lineage):
        said = f' [label="{_dot_text(keys)}"]' if keys else ""
        lines.append(f"    {_name(source)} -> {_name(target)}{said};")
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _one_line(text: str) -> str:
    """Without control characters and marks that turn the direction of writing around."""
    return "".join(each if each.isprintable() else " " for each in text)


def picture(lineage: Lineage) -> str:
    """The graph as SVG; of too many nodes a sentence."""
    nodes = _nodes(lineage)
    said = f"Lineage of {', '.join(f'artifact {id}' for id in lineage.start)}"
    if len(nodes) > MOST_DRAWN:
        return (
            f"<p>{said}: {len(nodes)} artifacts and executions, too many for a picture; "
            "narrow it with max_hops or paths_to, or write it with to_dot</p>"
        )
    number = {node: at for at, node in enumerate(nodes)}
    boxes = [_box(lineage, node) for node in nodes]
    lines = [
        Line(number[source], number[target], keys) for source, target, _, keys in _edges(lineage)
    ]
    return svg(boxes, lines, title=said)


def html(lineage: Lineage) -> str:
    """The picture in a page of its own."""
    return page(
        f"Lineage of {', '.join(f'artifact {id}' for id in lineage.start)}", picture(lineage)
    )


_LOOKS = {
    ExecutionState.FAILED: "bad",
    ExecutionState.COMPLETE: "good",
    ExecutionState.CACHED: "good",
    ExecutionState.RUNNING: "busy",
    ExecutionState.NEW: "busy",
}


def _box(lineage: Lineage, node: Node) -> Box:
    kind, id = node
    if _is_missing(lineage, node):
        look = "missing round" if kind is NodeKind.ARTIFACT else "missing"
        return Box(f"{kind.label} {id}", "missing", look)
    if kind is NodeKind.ARTIFACT:
        artifact = lineage.artifacts[id]
        look = "round start" if id in lineage.start else "round"
        return Box(f"{artifact.type or 'artifact'} {id}", artifact.name or artifact.uri, look)
    execution, step = lineage.executions[id], lineage.steps.get(id)
    state = step.state if step else execution.state
    called = step.name if step else execution.name or execution.type.rpartition(".")[2]
    text = f"execution {id}" + (f" {state}" if state else "")
    return Box(called, text, "" if state is None else _LOOKS.get(state, ""))


def networkx_graph(lineage: Lineage) -> Any:
    """A `networkx.MultiDiGraph`."""
    try:
        networkx: Any = importlib.import_module("networkx")
    except ImportError as error:
        raise CapabilityError("networkx is not installed", hint="pip install networkx") from error
    graph = networkx.MultiDiGraph()
    for kind, id in _nodes(lineage):
        records: Any = lineage.artifacts if kind is NodeKind.ARTIFACT else lineage.executions
        graph.add_node(
            (kind.label, id),
            kind=kind.label,
            id=id,
            label=lineage.label(kind, id),
            node=records.get(id),
        )
    for source, target, event, keys in _edges(lineage):
        graph.add_edge(
            (source[0].label, source[1]),
            (target[0].label, target[1]),
            type=event.type.name,
            key=keys or None,
            time_ms=event.time_ms,
        )
    return graph
