"""The distribution as it is installed: what other programs find it by."""

import subprocess
import sys
from importlib.metadata import distribution
from importlib.resources import files


def test_mysql_is_the_one_flavor_declared() -> None:
    """The distribution adds the flavor "mysql" and no other."""
    declared = distribution("metastore-flavor-mysql").entry_points
    assert [(point.group, point.name, point.value) for point in declared] == [
        ("metastore.flavors", "mysql", "metastore_flavor_mysql.plugin")
    ]


def test_types_are_for_users_too() -> None:
    """The installed package is marked as typed, so that users' type checkers read it."""
    assert files("metastore_flavor_mysql").joinpath("py.typed").is_file()


def test_a_list_of_flavors_imports_no_driver() -> None:
    """The flavor is described, and its settings are shown, without SQLAlchemy or PyMySQL."""
    code = (
        "import sys; from metastore.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'sqlalchemy', 'pymysql'} & set(sys.modules)"
    )
    for words in (("flavor", "list"), ("flavor", "show", "mysql")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "mysql" in done.stdout
