"""The distribution as it is installed: what other programs find it by."""

from importlib.metadata import distribution
from importlib.resources import files


def test_sqlite_is_the_one_flavor_declared() -> None:
    """The distribution adds the flavor "sqlite" and no other."""
    declared = distribution("metastore-flavor-sqlite").entry_points
    assert [(point.group, point.name, point.value) for point in declared] == [
        ("metastore.flavors", "sqlite", "metastore_flavor_sqlite.plugin")
    ]


def test_types_are_for_users_too() -> None:
    """The installed package is marked as typed, so that users' type checkers read it."""
    assert files("metastore_flavor_sqlite").joinpath("py.typed").is_file()
