"""Random calls to ML Metadata's engine and to us come to the same answers.

``METASTORE_SEQUENCES`` says how many sequences are tried for each flavor, 200 by default.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing is served; `tox -e protobuf6` tests it here"
)

from .differential import EXEMPTIONS, run

SEQUENCES = int(os.environ.get("METASTORE_SEQUENCES", "200"))
_ENGINE_HAS = 49
"""RPCs of the wheel's extension; it lacks Get{Parent,Children}ContextsByContexts and the deprecated
GetLineageGraph."""


@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["memory", "sqlite"])
def test_random_calls_are_answered_as_by_the_engine(flavor: str) -> None:
    """Responses and codes are equal, but for the exemptions, in every sequence of calls."""
    counts: Counter[str] = Counter()
    with_error = ended = 0
    for seed in range(SEQUENCES):
        result = run(seed, flavor)
        assert result.difference is None, f"sequence {seed}: {result.difference}"
        counts += result.counts
        with_error += any(key.startswith("error ") and n for key, n in result.counts.items())
        ended += any(key.startswith("exempt") for key in result.counts)
    rpcs = [key for key in counts if " " not in key]
    sys.stdout.write(_summary(flavor, counts, rpcs, with_error, ended))
    assert len(rpcs) == _ENGINE_HAS
    assert with_error >= 0.3 * SEQUENCES
    # Exemptions must not become the rule.
    assert ended <= 0.25 * SEQUENCES


def _summary(
    flavor: str, counts: Counter[str], rpcs: list[str], with_error: int, ended: int
) -> str:
    """What pytest shows with -s or -rP."""
    calls = sum(counts[each] for each in rpcs)
    lines = [
        f"{flavor}: {SEQUENCES} sequences, {calls} calls of {len(rpcs)} RPCs",
        f"with an error: {with_error}; ended by an exemption: {ended}",
        *(f"  {counts[key]:6} {key}" for key in sorted(counts.keys() - set(rpcs))),
    ]
    return "\n".join(lines) + "\n"


def test_an_exemption_names_a_field_and_a_decision() -> None:
    """None of them exempts a whole RPC."""
    assert all(each.rpc and each.field and each.decision for each in EXEMPTIONS)
