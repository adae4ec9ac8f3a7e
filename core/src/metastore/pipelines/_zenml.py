"""ZenML up to 0.13: TFX's contexts of an orchestrated pipeline, steps with properties of their own.

Its steps bear what ZenML keeps for itself as custom properties ``zenml-...``, and their parameters
as JSON (zenml/steps/utils.py, zenml/metadata_stores/base_metadata_store.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from metastore.model import Execution, Value

__all__ = ["NAME", "is_step", "name_of", "parameters_of"]

NAME = "zenml"

_PREFIX = "zenml-"
_STEP_NAME = "zenml-pipeline_parameter_name"


def is_step(execution: Execution) -> bool:
    """Whether ZenML wrote the execution."""
    return any(key.startswith(_PREFIX) for key in execution.custom_properties)


def name_of(execution: Execution) -> str | None:
    """What the step is called in its pipeline; None before ZenML 0.5.4, which did not say."""
    name = _decoded(execution.custom_properties.get(_STEP_NAME))
    return name if isinstance(name, str) and name else None


def parameters_of(parameters: Mapping[str, Value]) -> dict[str, Value]:
    """Parameters as they were before ZenML wrote them as JSON, without what is ZenML's own."""
    return {
        key: _decoded(value) for key, value in parameters.items() if not key.startswith(_PREFIX)
    }


def _decoded(value: Value | None) -> Value:
    """What the JSON says, where a property can hold it; what cannot be held stays JSON."""
    if not isinstance(value, str):
        return "" if value is None else value
    try:
        found = json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return value
    return found if isinstance(found, str | int | float | dict) else value


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and the infinities are no values of properties.
