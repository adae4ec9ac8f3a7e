"""The pipeline of ``metastore demo``: real work on a small scale, recorded as a user would."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from metastore.recording import RecordedArtifact, RunRecorder, StepRecorder
    from metastore.store import Store

__all__ = ["PIPELINE", "record"]

PIPELINE = "demo-flowers"

_SEED = 7
_ROWS = 200
_RATE = 0.02
_COLUMNS = ("petal_length", "petal_width", "is_rose")


class Flower(NamedTuple):
    """A row of the datasets."""

    petal_length: float
    """Centimetres."""
    petal_width: float
    """Centimetres."""
    is_rose: int
    """0 or 1."""


class Model(NamedTuple):
    """Logistic regression: the weights of both measures, and the bias."""

    length: float
    width: float
    bias: float

    def probability(self, flower: Flower) -> float:
        """That the flower is a rose."""
        score = self.length * flower.petal_length + self.width * flower.petal_width + self.bias
        return 1 / (1 + math.exp(-score))


def record(store: Store, folder: Path, epochs: int) -> tuple[str, int]:
    """Run the pipeline once; the name of the run, and the id of its model."""
    with store.run(PIPELINE, parameters={"seed": _SEED, "epochs": epochs}) as run:
        # Each run has a folder of its own: several stores may be tried out here.
        own = folder / run.name
        own.mkdir()
        flowers = _generate(store, run, folder / "flowers.csv")
        train, test = _split(run, flowers, own)
        model = _train(run, train, own / "model.json", epochs)
        _evaluate(run, model, test, own / "evaluation.json")
    return run.name, model.id


def _generate(store: Store, run: RunRecorder, path: Path) -> RecordedArtifact:
    parameters = {"seed": _SEED, "rows": _ROWS}
    with run.step("generate", parameters=parameters) as step:
        known = store.artifacts(type="Dataset", uri=path.as_uri(), order_by="-id", limit=1)
        for dataset in known:
            # Made by an earlier run with the same parameters, and nobody touched the file since.
            if (
                path.is_file()
                and dataset.custom_properties.get("sha256") == _digest(path)
                and dataset.custom_properties.get("parameters") == parameters
            ):
                step.cached()
                return step.output("flowers", dataset, type="Dataset", uri=path.as_uri())
        dice = random.Random(_SEED)
        flowers = [_flower(dice) for _ in range(_ROWS)]
        return _write(step, "flowers", path, flowers, parameters=parameters)


def _flower(dice: random.Random) -> Flower:
    is_rose = dice.randrange(2)
    length, width = (4.2, 1.4) if is_rose else (3.0, 0.9)
    return Flower(round(dice.gauss(length, 0.5), 2), round(dice.gauss(width, 0.3), 2), is_rose)


def _split(
    run: RunRecorder, flowers: RecordedArtifact, folder: Path
) -> tuple[RecordedArtifact, RecordedArtifact]:
    with run.step("split", parameters={"test_share": 0.25}) as step:
        step.input("flowers", flowers)
        rows = _read(flowers)
        middle = len(rows) * 3 // 4
        return (
            _write(step, "train", folder / "train.csv", rows[:middle]),
            _write(step, "test", folder / "test.csv", rows[middle:]),
        )


def _train(run: RunRecorder, train: RecordedArtifact, path: Path, epochs: int) -> RecordedArtifact:
    parameters = {"epochs": epochs, "learning_rate": _RATE}
    with run.step("train", parameters=parameters) as step:
        step.input("train", train)
        flowers = _read(train)
        model = _fit(flowers, epochs, _RATE)
        path.write_text(json.dumps(model._asdict()), encoding="utf-8")
        step.metric("loss", _loss(model, flowers))
        return step.output(
            "model", type="Model", uri=path.as_uri(), name=f"flowers-{epochs}-epochs-{run.id}"
        )


def _evaluate(
    run: RunRecorder, model: RecordedArtifact, test: RecordedArtifact, path: Path
) -> None:
    with run.step("evaluate") as step:
        step.input("model", model)
        step.input("test", test)
        fitted = Model(**json.loads(_path(model).read_text(encoding="utf-8")))
        flowers = _read(test)
        right = sum((fitted.probability(each) > 0.5) == bool(each.is_rose) for each in flowers)
        results = {"accuracy": right / len(flowers), "loss": _loss(fitted, flowers)}
        path.write_text(json.dumps(results), encoding="utf-8")
        step.metrics(results)
        step.output("evaluation", type="Evaluation", uri=path.as_uri(), properties=results)


def _fit(flowers: Sequence[Flower], epochs: int, rate: float) -> Model:
    """Gradient descent, one flower at a time."""
    model = Model(0.0, 0.0, 0.0)
    for _ in range(epochs):
        for each in flowers:
            error = rate * (each.is_rose - model.probability(each))
            model = Model(
                model.length + error * each.petal_length,
                model.width + error * each.petal_width,
                model.bias + error,
            )
    return model


def _loss(model: Model, flowers: Sequence[Flower]) -> float:
    """Mean cross entropy."""
    chances = (
        model.probability(each) if each.is_rose else 1 - model.probability(each) for each in flowers
    )
    return -sum(math.log(max(chance, 1e-12)) for chance in chances) / len(flowers)


def _write(
    step: StepRecorder, key: str, path: Path, flowers: Sequence[Flower], **facts: object
) -> RecordedArtifact:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(flowers)
    return step.output(
        key,
        type="Dataset",
        uri=path.as_uri(),
        properties={"rows": len(flowers)},
        custom_properties={"sha256": _digest(path), **facts},
    )


def _read(dataset: RecordedArtifact) -> list[Flower]:
    with _path(dataset).open(newline="", encoding="utf-8") as file:
        rows: Iterable[dict[str, str]] = csv.DictReader(file)
        return [
            Flower(float(row["petal_length"]), float(row["petal_width"]), int(row["is_rose"]))
            for row in rows
        ]


def _path(artifact: RecordedArtifact) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(artifact.uri).path))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
