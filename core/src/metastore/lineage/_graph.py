"""Artifacts, executions and the events between them, and how they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from metastore.drawing import GRAPH_STYLE, Html, card
from metastore.model import Artifact, Event, Execution, ExecutionState, NodeKind

__all__ = ["Graph", "StepLabel"]


class StepLabel(NamedTuple):
    """What an execution is in its run: the convention may know better than the execution."""

    name: str
    state: ExecutionState
    parent: int | None = None
    """The execution that it is a part of, such as a loop."""
    run: int | None = None
    """The id of its run's context."""


@dataclass(frozen=True)
class Graph:
    """Artifacts and executions, and the events between them.

    A node that events name and the store does not have (a damaged store) is missing from
    `artifacts` or `executions`, but not from `events`.
    """

    title: str
    """What it is the graph of."""
    artifacts: Mapping[int, Artifact]
    executions: Mapping[int, Execution]
    events: tuple[Event, ...]
    """Each event once, by id."""
    steps: Mapping[int, StepLabel]
    """What executions are in their runs, where that is known."""

    def __str__(self) -> str:
        return "\n".join(self.boxes() or [repr(self)])

    def __repr__(self) -> str:
        return f"<Graph of {self.title}: {self._counts()}>"

    def _counts(self) -> str:
        return f"{len(self.artifacts)} artifacts, {len(self.executions)} executions"

    @property
    def marked(self) -> tuple[int, ...]:
        """Ids of the artifacts that a picture marks."""
        return ()

    def boxes(self, width: int | None = None) -> list[str] | None:
        """Lines with a box for each step, and arrows to those that read what it wrote.

        Parts of a step, such as the turns of a loop, are drawn as that step.

        Parameters
        ----------
        width:
            Cells that a line may have; None for as many as it takes.

        Returns
        -------
        The lines; None where there are more than 60 boxes, or `width` is too little for them.
        """
        from metastore.lineage._formats import step_boxes

        return step_boxes(self, width)

    def to_mermaid(self) -> str:
        """A flowchart in Mermaid's language, which Markdown on many sites draws."""
        from metastore.lineage._formats import mermaid

        return mermaid(self)

    def to_dot(self) -> str:
        """A directed graph in Graphviz's language."""
        from metastore.lineage._formats import dot

        return dot(self)

    def to_html(self) -> str:
        """A page that a browser opens, with the graph as a picture; it needs nothing else."""
        from metastore.lineage._formats import html

        return html(self)

    def _repr_html_(self) -> str:
        """The picture, for notebooks; of more than 300 nodes, how many there are."""
        return card("", self.picture())

    def _repr_svg_(self) -> str | None:
        """The picture, for what shows no HTML of notebooks; None beyond 300 nodes."""
        return str(self.picture()) if self.is_drawn else None

    def picture(
        self,
        *,
        link: Callable[[NodeKind, int], str] | None = None,
        on: Collection[tuple[NodeKind, int]] = (),
        style: str | None = GRAPH_STYLE,
    ) -> Html:
        """The picture as an ``<svg>`` element; of more than 300 nodes, how many there are.

        Parameters
        ----------
        link:
            Where a click on a node leads.
        on:
            Nodes that stand out; where there are any, all others are dimmed.
        style:
            As of `metastore.drawing.svg`.
        """
        from metastore.lineage._formats import picture

        return Html(picture(self, link=link, on=on, style=style))

    @property
    def is_drawn(self) -> bool:
        """Whether it is small enough for a picture: 300 nodes."""
        from metastore.lineage._formats import MOST_DRAWN, drawn_nodes

        return len(drawn_nodes(self)) <= MOST_DRAWN

    def to_networkx(self) -> Any:
        """A `networkx.MultiDiGraph`; needs networkx, which is not installed with metastore.

        Nodes are ``("artifact", id)`` and ``("execution", id)`` with the attributes kind, id, label
        and node (the plain record; None where a damaged store lacks it); edges lead from what was
        first to what came of it, with the attributes type, key and time_ms.

        Raises
        ------
        CapabilityError
            networkx is not installed.
        """
        from metastore.lineage._formats import networkx_graph

        return networkx_graph(self)

    def label(self, kind: NodeKind, id: int) -> str:
        """What a node is called where it is drawn."""
        return self._artifact(id) if kind is NodeKind.ARTIFACT else self._execution(id)

    def _artifact(self, id: int) -> str:
        artifact = self.artifacts.get(id)
        if artifact is None:
            return f"artifact {id} (missing)"
        called = artifact.name or artifact.uri
        return f"{artifact.type or 'artifact'} {id}{f' {called}' if called else ''}"

    def _execution(self, id: int) -> str:
        execution = self.executions.get(id)
        if execution is None:
            return f"execution {id} (missing)"
        step = self.steps.get(id)
        called = step.name if step else execution.name or execution.type.rpartition(".")[2]
        state = step.state if step else execution.state
        said = f"execution {id}{f' {state.name}' if state else ''}"
        return f"{called} ({said}{f', run {step.run}' if step and step.run else ''})"
