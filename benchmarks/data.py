"""The one source of data: plain rows that every candidate writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

ARTIFACT_TYPE = "BenchModel"
EXECUTION_TYPE = "BenchTrain"
CONTEXT_TYPE = "BenchRun"

# Declared properties of both types: name -> Python type.
PROPERTIES: dict[str, type] = {
    "epoch": int,
    "rows": int,
    "accuracy": float,
    "framework": str,
    "digest": str,
}


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """An artifact to write."""

    uri: str
    properties: dict[str, int | float | str]


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step to record; inputs and contexts are stored already."""

    properties: dict[str, int | float | str]
    inputs: tuple[int, int]
    outputs: tuple[ArtifactRow, ArtifactRow]
    contexts: tuple[int, int]


def _properties(chance: random.Random) -> dict[str, int | float | str]:
    return {
        "epoch": chance.randrange(100),
        "rows": chance.randrange(10**6),
        "accuracy": chance.random(),
        "framework": chance.choice(("torch", "jax", "sklearn")),
        "digest": f"{chance.getrandbits(128):032x}",
    }


def artifacts(count: int, seed: int) -> list[ArtifactRow]:
    """So many artifacts."""
    chance = random.Random(seed)
    return [
        ArtifactRow(f"s3://bucket/{seed}/{number}", _properties(chance)) for number in range(count)
    ]


def steps(count: int, seed: int, inputs: int, contexts: tuple[int, int]) -> Iterator[StepRow]:
    """So many steps, each reading two of the artifacts 1 to `inputs`."""
    chance = random.Random(seed)
    outputs = iter(artifacts(2 * count, seed))
    for _ in range(count):
        first, second = chance.sample(range(1, inputs + 1), 2)
        yield StepRow(
            _properties(chance), (first, second), (next(outputs), next(outputs)), contexts
        )
