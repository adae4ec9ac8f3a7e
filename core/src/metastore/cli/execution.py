"""``metastore execution``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from metastore.cli._errors import hinted
from metastore.cli._lazy import SuggestingGroup
from metastore.cli._nodes import Wanted, listing_options, show_list, show_properties
from metastore.cli._options import opened, reading

if TYPE_CHECKING:
    from metastore.views import ExecutionView, Ports, StepOfRun

__all__ = ["execution"]


@click.group(cls=SuggestingGroup)
def execution() -> None:
    """What ran: the steps of runs, and what is no step of any."""


@execution.command("list")
@listing_options
def list_(wanted: Wanted) -> None:
    """List executions, the newest first.

    JSON fields: id, type, name, state, external_id, create_time, update_time, properties,
    custom_properties; as of 'metastore artifact list'.
    """
    from metastore.cli._output import Column, state_style
    from metastore.display import minute
    from metastore.model import NodeKind

    where = wanted.condition(NodeKind.EXECUTION)
    show_list(
        wanted,
        NodeKind.EXECUTION,
        lambda store, limit: store.executions(
            type=wanted.type, where=where, order_by=wanted.order, limit=limit
        ),
        [
            Column("ID"),
            Column("TYPE", shrinks=16),
            Column("NAME", shrinks=16),
            Column("STATE", style=state_style),
            Column("CREATED (UTC)"),
            Column("UPDATED (UTC)"),
        ],
        lambda each: [
            str(each.id),
            each.type,
            each.name or "",
            each.state.name if each.state is not None else "",
            minute(each.node.create_time_ms),
            minute(each.node.update_time_ms),
        ],
    )


@execution.command("show")
@click.argument("id", type=int)
@reading
def show(store: str | None, id: int, as_json: bool) -> None:
    """Show all of an execution: what it read and wrote, and of which run it is a step.

    JSON fields: those of 'metastore execution list', property_kinds and custom_property_kinds, step
    (its name in its run), step_state (what its run makes of the state), reason (why), run_id, run,
    inputs and outputs (by key a list of artifacts with id, type, name, uri).
    """
    from metastore import json_fields as _fields
    from metastore.cli import _json
    from metastore.views import steps_of_runs

    with opened(store) as found, hinted("'metastore execution list' lists them"):
        view = found.execution(id)
        (place,) = steps_of_runs(found.backend, [view.node])
        if as_json:
            told = place.as_json()
            _json.write_object(
                {
                    **_fields.node(view.node),
                    "property_kinds": _fields.kinds(view.properties),
                    "custom_property_kinds": _fields.kinds(view.custom_properties),
                    "step": told["step"],
                    "step_state": place.step.state.name if place.step else None,
                    "reason": place.step.reason if place.step else None,
                    **{key: told[key] for key in ("run_id", "run")},
                    "inputs": _fields.ports(view.inputs),
                    "outputs": _fields.ports(view.outputs),
                }
            )
        else:
            _show(view, place)


def _show(view: ExecutionView, place: StepOfRun) -> None:
    from metastore.cli._output import fields, line
    from metastore.display import brief, iso
    from metastore.model import ExecutionState

    step = place.step
    other = step is not None and step.state is not (view.state or ExecutionState.UNKNOWN)
    reason = f", because {step.reason}" if step is not None and step.reason else ""

    line(f"execution {view.id}", style="bold")
    fields(
        [
            ("type", view.type or "unknown"),
            ("name", view.name),
            ("state", None if view.state is None else view.state.name),
            ("external id", view.external_id),
            ("created", iso(view.node.create_time_ms) or "unknown"),
            ("updated", iso(view.node.update_time_ms) or "unknown"),
            ("step" if step else "part of", str(place) if step or place.run else None),
            ("state there", f"{step.state.name}{reason}" if step and (other or reason) else None),
            ("error", brief(step.error) if step and step.error else None),
            ("inputs", _ports(view.inputs) or "nothing that is recorded"),
            ("outputs", _ports(view.outputs) or "nothing that is recorded"),
        ]
    )
    show_properties(view.properties, view.custom_properties)


def _ports(ports: Ports) -> list[str]:
    def called(each: Any) -> str:
        text = f"{each.type or 'artifact'} {each.id}"
        return f"{text} {each.name or each.uri}" if each.name or each.uri else text

    return [
        f"{key}: {called(each)}" if key else called(each)
        for key in ports
        for each in ports.all(key)
    ]
