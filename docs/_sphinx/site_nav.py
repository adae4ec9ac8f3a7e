"""What stands in the margin of every page, in its order."""

from __future__ import annotations

__all__ = ["NAV", "PAGES"]

NAV: dict[str, list[str]] = {
    "Start": [
        "docs/tutorial",
        "docs/recording",
        "docs/asking",
        "docs/filters",
        "docs/ui",
    ],
    "Flavors": [
        "docs/flavors/memory",
        "docs/flavors/sqlite",
        "docs/flavors/mysql",
        "docs/flavors/kubeflow",
        "docs/flavors/kubernetes",
    ],
    "Your history": [
        "docs/history/tfx",
        "docs/history/kubeflow",
        "docs/history/zenml",
        "docs/history/cmf",
    ],
    "Working with stores": [
        "docs/copying",
        "docs/exporting",
        "docs/pruning",
        "docs/older-stores",
        "docs/damaged-stores",
        "docs/serving",
    ],
    "Plugins": [
        "docs/plugins",
        "docs/writing-a-flavor",
        "docs/testing-a-flavor",
        "docs/kube",
        "docs/contract",
        "cookiecutter-flavor/README",
    ],
    "Reference": [
        "docs/configuration",
        "docs/command",
        "docs/json",
        "docs/api/index",
        "docs/changelog",
    ],
    "What to expect": [
        "docs/status",
        "docs/reliability",
        "docs/speed",
        "SECURITY",
    ],
    "Behind it": [
        "CONTRIBUTING",
        "faults/README",
        "benchmarks/README",
        "benchmarks/NOTES",
        "core/README",
        "plugins/sqlite/README",
        "plugins/mysql/README",
        "plugins/kubeflow/README",
        "plugins/kubernetes/README",
    ],
}
"""Pages by the heading over them: paths from the top of the repository, without ``.md``."""

PAGES = [page for pages in NAV.values() for page in pages]
"""All of these; pages below them, as of the API, are listed by the pages themselves."""
