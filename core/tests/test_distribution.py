"""The distribution as it is installed: what other programs find it by."""

from importlib.metadata import distribution
from importlib.resources import files


def test_memory_is_an_entry_point_like_any_flavor() -> None:
    """The memory flavor is found the way every other flavor is, not by a special case."""
    declared = distribution("metastore-core").entry_points.select(group="metastore.flavors")
    assert [(point.name, point.value) for point in declared] == [
        ("memory", "metastore.plugins.memory")
    ]


def test_every_declared_entry_point_loads() -> None:
    """Each entry point, the command's too, names something that can be imported."""
    for point in distribution("metastore-core").entry_points:
        point.load()


def test_types_are_for_users_too() -> None:
    """The installed package is marked as typed, so that users' type checkers read it."""
    assert files("metastore").joinpath("py.typed").is_file()
