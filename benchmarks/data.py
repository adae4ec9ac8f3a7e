"""The one source of data: plain rows that every candidate writes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

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
    created: int | None = None
    """Milliseconds since the epoch, for who fills a store with rows; None is now."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step to record; inputs and contexts are stored already."""

    properties: dict[str, int | float | str]
    inputs: tuple[int, ...]
    outputs: tuple[ArtifactRow, ...]
    contexts: tuple[int, ...]


class Match(NamedTuple):
    """A condition that some of the artifacts of `artifacts_to_find` fulfil: more than a bound."""

    title: str
    key: str
    """The property's name."""
    bound: int | float

    @property
    def column(self) -> str:
        """Where the value stands in the table of properties, and what filters call it."""
        return "int_value" if isinstance(self.bound, int) else "double_value"

    @property
    def filter(self) -> str:
        """The condition in the filter language, which is ml-metadata's as well."""
        return f"properties.{self.key}.{self.column} > {self.bound}"


HALF = Match("half of them match", "accuracy", 0.5)
FEW = Match("one of 1,000 matches", "rows", 10**6)
OLDEST = Match("5 % match, the oldest", "epoch", 100)


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


def artifacts_to_find(count: int, every: int) -> Iterator[ArtifactRow]:
    """So many artifacts, made a second apart, for `HALF`, `FEW` (one of `every`) and `OLDEST`."""
    for number, row in enumerate(artifacts(count, 0)):
        # Beyond what others have, each another value, as of measurements.
        if number % every == every // 2:
            row.properties["rows"] = FEW.bound + 1 + number * 7919 % count
        if number * 20 < count:
            row.properties["epoch"] = OLDEST.bound + 1 + number * 7919 % 100
        yield replace(row, created=1_700_000_000_000 + 1000 * number)


def chains(depth: int, beside: int, known: int) -> Iterator[list[StepRow]]:
    """Chains of steps side by side, layer by layer: each step reads what the one before it made.

    The first layer reads the artifacts 1 to `known`; a store numbers what is made from there.
    """
    for layer in range(depth):
        first = known + layer * beside + 1
        yield [
            _step(first + number, first + number - beside if layer else number % known + 1)
            for number in range(beside)
        ]


def diamonds(executions: int, known: int) -> Iterator[list[StepRow]]:
    """A row of diamonds: two steps read one artifact, a third one what they made; and so on."""
    last = 1
    for first in range(known + 1, known + 1 + executions // 3 * 3, 3):
        yield [_step(first, last), _step(first + 1, last)]
        yield [_step(first + 2, first, first + 1)]
        last = first + 2


def fan(executions: int, known: int) -> Iterator[list[StepRow]]:
    """A wide fan: one step reads what each of the others made."""
    made = range(known + 1, known + executions)
    yield [_step(each, 1) for each in made]
    yield [_step(known + executions, *made)]


def _step(output: int, *inputs: int) -> StepRow:
    """A step of a graph; the artifact that it makes will have that id."""
    chance = random.Random(output)
    row = ArtifactRow(f"s3://bucket/graph/{output}", _properties(chance))
    return StepRow(_properties(chance), inputs, (row,), (1, 2))
