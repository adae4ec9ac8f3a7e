"""What real stores hold, as pipelines, runs and steps: written by hand from their rows.

Nothing here is computed by a reader of ours: the rows were looked at with ``sqlite3`` and the
tables below typed in, so that a reader and its expectation cannot share a mistake.

Conventions:

- Runs are in order of their context's id, steps in order of their execution's id.
- A port is the first key of an event's path, ``""`` where the event has no path; under a port the
  artifact ids are in order of the path's index.
- A step is FAILED if it stayed RUNNING with the property ``state`` = ``new``, as interactive TFX
  leaves a step that raised.
- A run is FAILED if a step of it is, else RUNNING if a step is, else COMPLETE; it is UNKNOWN if
  all its steps are.
- CMF has no runs: each of its pipelines is one run that bears the pipeline's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "GOLDEN",
    "GOLDEN_KUBEFLOW",
    "GOLDEN_TFX_ORCHESTRATED",
    "GOLDEN_ZENML",
    "GoldenRun",
    "GoldenStep",
    "Ports",
]

Ports = Mapping[str, tuple[int, ...]]
"""Port name to artifact ids."""


class GoldenStep(NamedTuple):
    """One step: one execution."""

    name: str
    state: str
    execution_id: int
    inputs: Ports
    outputs: Ports


class GoldenRun(NamedTuple):
    """One run of a pipeline."""

    name: str
    pipeline: str
    state: str
    steps: tuple[GoldenStep, ...]


_CHICAGO_TAXI = (
    GoldenRun(
        "chicago_taxi_beam.2020-06-17T21:49:51.783778",
        "chicago_taxi_beam",
        "COMPLETE",
        (
            GoldenStep("CsvExampleGen", "COMPLETE", 1, {"input": (1,)}, {"examples": (2,)}),
            GoldenStep("ResolverNode.latest_blessed_model_resolver", "CACHED", 2, {}, {}),
            GoldenStep("StatisticsGen", "COMPLETE", 3, {"examples": (2,)}, {"statistics": (3,)}),
            GoldenStep("SchemaGen", "COMPLETE", 4, {"statistics": (3,)}, {"schema": (4,)}),
            GoldenStep(
                "ExampleValidator",
                "COMPLETE",
                5,
                {"statistics": (3,), "schema": (4,)},
                {"anomalies": (5,)},
            ),
            GoldenStep(
                "Transform",
                "COMPLETE",
                6,
                {"examples": (2,), "schema": (4,)},
                {"transform_graph": (6,), "transformed_examples": (7,)},
            ),
            GoldenStep(
                "Trainer",
                "COMPLETE",
                7,
                {"examples": (7,), "transform_graph": (6,), "schema": (4,)},
                {"model": (8,)},
            ),
            GoldenStep(
                "Evaluator",
                "COMPLETE",
                8,
                {"examples": (2,), "model": (8,)},
                {"evaluation": (9,), "blessing": (10,)},
            ),
            GoldenStep(
                "Pusher",
                "COMPLETE",
                9,
                {"model": (8,), "model_blessing": (10,)},
                {"pushed_model": (11,)},
            ),
        ),
    ),
)

# Sixteen notebooks, each a pipeline with one run, whose one step wrote down where its output would
# go and then raised. Artifact and execution have the same id, the place in this list.
_IOWA_STARTED = (
    # the pipeline's name after "interactive-", the run's id
    ("2021-04-24T09_58_08.278531", "2021-04-24T09:58:08.299739"),
    ("2021-04-24T10_02_27.801047", "2021-04-24T10:02:27.803109"),
    ("2021-04-24T10_24_28.513278", "2021-04-24T10:24:28.515633"),
    ("2021-04-24T10_27_44.512322", "2021-04-24T10:27:44.514812"),
    ("2021-04-24T10_28_36.101453", "2021-04-24T10:28:36.103727"),
    ("2021-04-24T10_31_57.056168", "2021-04-24T10:31:57.057888"),
    ("2021-04-24T10_33_06.248334", "2021-04-24T10:33:06.250385"),
    ("2021-04-24T10_33_27.066338", "2021-04-24T10:33:27.068549"),
    ("2021-04-24T10_38_05.433379", "2021-04-24T10:38:05.435996"),
    ("2021-04-24T10_40_32.509549", "2021-04-24T10:40:32.512898"),
    ("2021-04-24T10_41_25.937111", "2021-04-24T10:41:25.939083"),
    ("2021-04-24T11_11_24.238328", "2021-04-24T11:11:24.240330"),
    ("2021-04-24T11_11_58.908032", "2021-04-24T11:11:58.910649"),
    ("2021-04-24T22_08_01.341902", "2021-04-24T22:08:01.344326"),
    ("2021-04-24T22_17_34.921476", "2021-04-24T22:17:34.925644"),
    ("2021-04-24T22_48_47.175922", "2021-04-24T22:48:47.179078"),
)

_IOWA_LIQUOR = tuple(
    GoldenRun(
        f"interactive-{pipeline}.{run_id}",
        f"interactive-{pipeline}",
        "FAILED",
        (GoldenStep("FileBasedExampleGen", "FAILED", number, {}, {"examples": (number,)}),),
    )
    for number, (pipeline, run_id) in enumerate(_IOWA_STARTED, start=1)
)

_SEPSIS_PIPELINE = "interactive-2022-04-26T02_24_56.812476"

# In a notebook each cell that runs a component is a run of its own.
_SEPSIS = tuple(
    GoldenRun(f"{_SEPSIS_PIPELINE}.{run_id}", _SEPSIS_PIPELINE, "COMPLETE", (step,))
    for run_id, step in (
        (
            "2022-04-26T02:24:58.270238",
            GoldenStep("CsvExampleGen", "COMPLETE", 1, {}, {"examples": (1,)}),
        ),
        (
            "2022-04-26T02:25:27.806035",
            GoldenStep("StatisticsGen", "COMPLETE", 2, {"examples": (1,)}, {"statistics": (2,)}),
        ),
        (
            "2022-04-26T02:26:15.627205",
            GoldenStep("SchemaGen", "COMPLETE", 3, {"statistics": (2,)}, {"schema": (3,)}),
        ),
        (
            "2022-04-26T02:26:18.780647",
            GoldenStep(
                "ExampleValidator",
                "COMPLETE",
                4,
                {"statistics": (2,), "schema": (3,)},
                {"anomalies": (4,)},
            ),
        ),
        (
            "2022-04-26T02:26:24.285137",
            GoldenStep(
                "Transform",
                "COMPLETE",
                5,
                {"examples": (1,), "schema": (3,)},
                {
                    "transform_graph": (5,),
                    "transformed_examples": (6,),
                    "updated_analyzer_cache": (7,),
                    "pre_transform_schema": (8,),
                    "pre_transform_stats": (9,),
                    "post_transform_schema": (10,),
                    "post_transform_stats": (11,),
                    "post_transform_anomalies": (12,),
                },
            ),
        ),
        (
            "2022-04-26T02:27:10.105713",
            GoldenStep(
                "Trainer",
                "COMPLETE",
                6,
                {"examples": (6,), "transform_graph": (5,), "schema": (3,)},
                {"model": (13,), "model_run": (14,)},
            ),
        ),
        (
            "2022-04-26T02:29:51.629832",
            GoldenStep("latest_blessed_model_resolver", "CACHED", 7, {}, {}),
        ),
        (
            "2022-04-26T02:29:51.678552",
            GoldenStep(
                "Evaluator",
                "COMPLETE",
                8,
                {"examples": (1,), "model": (13,)},
                {"evaluation": (15,), "blessing": (16,)},
            ),
        ),
        (
            "2022-04-26T02:30:54.546701",
            GoldenStep(
                "Pusher",
                "COMPLETE",
                9,
                {"model": (13,), "model_blessing": (16,)},
                {"pushed_model": (17,)},
            ),
        ),
    )
)

_FAILED_RUNS = (
    GoldenRun(
        "interactive-2024-05-04T16_54_26.328949.2024-05-04T16:55:03.774048",
        "interactive-2024-05-04T16_54_26.328949",
        "FAILED",
        (GoldenStep("StatisticsGen", "FAILED", 1, {}, {"statistics": (1,)}),),
    ),
    GoldenRun(
        "interactive-2024-05-04T16_54_26.328949.2024-05-04T16:55:37.130987",
        "interactive-2024-05-04T16_54_26.328949",
        "FAILED",
        (GoldenStep("CsvExampleGen", "FAILED", 2, {}, {"examples": (2,)}),),
    ),
)

# CMF writes an artifact that it has seen before with a path of one key, the artifact's whole name,
# and no index; what it sees first has no path.
_ACTIVE_LEARNING = (
    GoldenRun(
        "active_learning",
        "active_learning",
        "UNKNOWN",
        (
            GoldenStep("Initial_select_with_5percent", "UNKNOWN", 1, {"": (1,)}, {"": (2, 3, 4)}),
            GoldenStep(
                "Train-0",
                "UNKNOWN",
                2,
                {
                    "work_dirs/test/X_L_0.npy:84e52a5da234c849655b276561889960": (2,),
                    "work_dirs/test/X_U_0.npy:60c0ebf589d21493fcd7ee6744558063": (4,),
                },
                {"": (5, 6, 7, 8)},
            ),
            GoldenStep(
                "Cycle_Select_with_5_percent-0",
                "UNKNOWN",
                3,
                {"work_dirs/test/cycle_0.pth:43b7ae48099741419a1cf520b8ac8fae": (8,)},
                {"": (9, 10, 11)},
            ),
            GoldenStep(
                "Train-1",
                "UNKNOWN",
                4,
                {
                    "work_dirs/test/X_L_1.npy:c534ea8d9bb64a9b68802334cda12d11": (9,),
                    "work_dirs/test/X_U_1.npy:7013dd0522de32928fb216366458140f": (10,),
                },
                {"": (12, 13, 14, 15)},
            ),
            GoldenStep(
                "Cycle_Select_with_5_percent-1",
                "UNKNOWN",
                5,
                {"work_dirs/test/cycle_1.pth:6b4c9484d65e6357b694125fe9bd842e": (15,)},
                {"": (16, 17, 18)},
            ),
            GoldenStep(
                "Train-2",
                "UNKNOWN",
                6,
                {
                    "work_dirs/test/X_L_2.npy:60632314f146caeefa4622bd38ebfbd7": (16,),
                    "work_dirs/test/X_U_2.npy:4b3e007d73b2ead9daaa058f365b412a": (17,),
                },
                {"": (19, 20, 21, 22)},
            ),
            GoldenStep(
                "Cycle_Select_with_5_percent-2",
                "UNKNOWN",
                7,
                {"work_dirs/test/cycle_2.pth:ebd5ec89297061df40174a5db5c74ec2": (22,)},
                {"": (23, 24, 25)},
            ),
        ),
    ),
    GoldenRun(
        "active_learning_demo",
        "active_learning_demo",
        "UNKNOWN",
        (
            GoldenStep(
                "Initial_select_with_5percent",
                "UNKNOWN",
                8,
                {
                    "hdcdatasets/hdc_single/JPEGImages:5ccd6cefba4a460ea5a9edad75a1e4af.dir": (1,),
                    "slice-0:0eef7540aa910839ad064798927b5b78": (3,),
                },
                {"work_dirs/test/X_L_0.npy:84e52a5da234c849655b276561889960": (2,)},
            ),
        ),
    ),
)

GOLDEN: dict[str, tuple[GoldenRun, ...]] = {
    "active-learning.sqlite": _ACTIVE_LEARNING,
    "failed-runs.sqlite": _FAILED_RUNS,
    "iowa-liquor.sqlite": _IOWA_LIQUOR,
    "sepsis.sqlite": _SEPSIS,
    "tfx-chicago-taxi.sqlite": _CHICAGO_TAXI,
}
"""The runs of each real store, by file name."""

GOLDEN_TFX_ORCHESTRATED: tuple[GoldenRun, ...] = (
    GoldenRun(
        "2024-03-01T10:00:00.000001",
        "penguin.v2",
        "COMPLETE",
        (
            GoldenStep("CsvExampleGen", "COMPLETE", 1, {}, {"examples": (1,)}),
            GoldenStep("StatisticsGen", "COMPLETE", 2, {"examples": (1,)}, {"statistics": (2,)}),
            GoldenStep(
                "Transform",
                "COMPLETE",
                3,
                {"examples": (1,)},
                {"transform_graph": (3,), "transformed_examples": (4,)},
            ),
            GoldenStep(
                "Trainer.wide",
                "COMPLETE",
                4,
                {"examples": (4,), "transform_graph": (3,)},
                {"model": (5,), "model_run": (6,)},
            ),
            GoldenStep("Pusher", "COMPLETE", 5, {"model": (5,)}, {"pushed_model": (7,)}),
        ),
    ),
    GoldenRun(
        "2024-03-02T10:00:00.000002",
        "penguin.v2",
        "FAILED",
        (
            GoldenStep("CsvExampleGen", "CACHED", 6, {}, {"examples": (1,)}),
            GoldenStep("StatisticsGen", "CACHED", 7, {"examples": (1,)}, {"statistics": (2,)}),
            GoldenStep(
                "Transform",
                "COMPLETE",
                8,
                {"examples": (1,)},
                {"transform_graph": (8,), "transformed_examples": (9,)},
            ),
            GoldenStep(
                "Trainer.wide", "FAILED", 9, {"examples": (9,), "transform_graph": (8,)}, {}
            ),
        ),
    ),
    GoldenRun(
        "nightly-7",
        "audit",
        "RUNNING",
        (
            GoldenStep("ImportSchema", "COMPLETE", 10, {}, {"result": (10,)}),
            # a resolver hands on a model of the other pipeline, by an INTERNAL_OUTPUT event
            GoldenStep("latest_model", "COMPLETE", 11, {}, {"model": (5,)}),
            GoldenStep("ImportExampleGen", "COMPLETE", 12, {}, {"examples": (11, 12)}),
            # one event with two paths: the same model on two ports
            GoldenStep(
                "Evaluator",
                "RUNNING",
                13,
                {
                    "examples": (11, 12),
                    "model": (5,),
                    "baseline_model": (5,),
                    "schema": (10,),
                },
                {},
            ),
        ),
    ),
)
"""The runs of a store that ``mlmd.write_tfx_orchestrated`` made."""

GOLDEN_KUBEFLOW: tuple[GoldenRun, ...] = (
    GoldenRun(
        "11111111-aaaa",
        "churn",
        "FAILED",
        (
            GoldenStep("importer", "COMPLETE", 2, {}, {"artifact": (1,)}),
            GoldenStep("train", "COMPLETE", 3, {"dataset": (1,)}, {"model": (2,)}),
            GoldenStep("condition-1", "COMPLETE", 4, {}, {}),
            GoldenStep("condition-1/evaluate", "CACHED", 5, {}, {"metrics": (3,)}),
            GoldenStep("for-loop-2", "FAILED", 6, {}, {}),
            GoldenStep("for-loop-2[0]", "COMPLETE", 7, {}, {}),
            GoldenStep("for-loop-2[0]/tune", "COMPLETE", 8, {}, {}),
            GoldenStep("for-loop-2[1]", "FAILED", 9, {}, {}),
            GoldenStep("for-loop-2[1]/tune", "FAILED", 10, {}, {}),
            GoldenStep("deploy", "CANCELED", 11, {}, {}),
        ),
    ),
    GoldenRun(
        "22222222-bbbb",
        "churn",
        "RUNNING",
        (GoldenStep("train", "RUNNING", 13, {}, {}),),
    ),
)
"""What ``mlmd.write_kubeflow`` writes.

A step is called by its path of DAGs, an iteration by its loop and index; the root DAG is no step. A
run's state is that of its tasks, of which those that were not triggered say nothing. A DAG that
stayed RUNNING is FAILED where all below it has ended and something of it failed, and COMPLETE where
all that it was to have is there and has ended.
"""

GOLDEN_ZENML: tuple[GoldenRun, ...] = (
    GoldenRun(
        "mnist_pipeline-12_Aug_22-10_00_00_000001",
        "mnist_pipeline",
        "COMPLETE",
        (
            GoldenStep("importer", "COMPLETE", 1, {}, {"X_train": (1,), "X_test": (2,)}),
            GoldenStep("trainer", "COMPLETE", 2, {"X_train": (1,)}, {"output": (3,)}),
            GoldenStep(
                "evaluator", "COMPLETE", 3, {"X_test": (2,), "model": (3,)}, {"output": (4,)}
            ),
        ),
    ),
    GoldenRun(
        "mnist_pipeline-13_Aug_22-10_00_00_000002",
        "mnist_pipeline",
        "FAILED",
        (
            GoldenStep("importer", "CACHED", 4, {}, {"X_train": (1,), "X_test": (2,)}),
            GoldenStep("trainer", "FAILED", 5, {"X_train": (1,)}, {}),
            GoldenStep("evaluator", "COMPLETE", 6, {}, {"output": (5,)}),
        ),
    ),
)
"""The runs of a store that ``mlmd.write_zenml`` made."""
