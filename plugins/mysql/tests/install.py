"""Bring the servers that the tests need, as root on Debian: MariaDB, Galera and Oracle's MySQL.

``python tests/install.py``; what is there already is left alone.  MySQL is in no Debian release
but the next one, from which it is unpacked, with all libraries that it needs, into a folder of its
own: the system's packages stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Not root's home, which the account that a server runs as may not enter.
_CACHE = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
MYSQL_ROOT = Path(os.environ.get("METASTORE_TEST_MYSQL") or _CACHE / "metastore-tests" / "mysql")
"""Where Oracle's MySQL is, with the libraries that it needs."""
_PACKAGES = ("mariadb-server", "mariadb-client", "galera-4", "rsync", "lsof", "iproute2")
_MINUTES = 10


def main() -> int:
    """Install what is missing; 0 even where that fails: the tests say what they lack."""
    without = os.environ.get("METASTORE_TEST_WITHOUT", "").replace(",", " ").split()
    for name, missing, bring in (
        ("mariadb", _mariadb_is_missing, _bring_mariadb),
        ("mysql9", lambda: not (MYSQL_ROOT / "usr/sbin/mysqld").exists(), _bring_mysql),
    ):
        if name in without or not missing():
            continue
        if shutil.which("apt-get") is None:
            sys.stderr.write(f"{name} is not installed, and there is no apt-get\n")
            continue
        for left in (2, 1, 0):
            try:
                bring()
                break
            except (OSError, subprocess.SubprocessError) as error:
                told = getattr(error, "output", None) or error
                sys.stderr.write(f"{name} could not be installed, {left} tries left: {told}\n")
    return 0


def _run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60 * _MINUTES,
        env=os.environ | variables,
    )
    return done.stdout


def _mariadb_is_missing() -> bool:
    there = [Path(each).exists() for each in ("/usr/sbin/mariadbd", "/usr/bin/rsync")]
    return not (all(there) and Path("/usr/lib/galera/libgalera_smm.so").exists())


def _bring_mariadb() -> None:
    if os.geteuid() != 0:
        raise OSError("only root may")
    # RUNLEVEL=1: no server is started; the tests start theirs.
    quiet = {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
    _run("apt-get", "update", **quiet)
    _run("apt-get", "install", "--yes", "--no-install-recommends", *_PACKAGES, **quiet)


def _bring_mysql() -> None:
    """Unpack it beside the folder, and move it there once it is whole."""
    mirror = next(
        line
        for line in _run(
            "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"
        ).splitlines()
        if "security" not in line
    )
    MYSQL_ROOT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=MYSQL_ROOT.parent) as folder:
        # Whoever the servers run as must get in.
        Path(folder).chmod(0o755)
        apt = Path(folder, "apt")
        for each in ("lists/partial", "cache/archives/partial", "parts"):
            (apt / each).mkdir(parents=True)
        keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
        (apt / "sources.list").write_text(f"deb [signed-by={keys}] {mirror} sid main\n")
        (apt / "status").touch()
        settings = {
            "Dir::Etc::sourcelist": apt / "sources.list",
            "Dir::Etc::sourceparts": apt / "parts",
            "Dir::Etc::preferencesparts": apt / "parts",
            "Dir::State": apt,
            "Dir::State::lists": apt / "lists",
            # As if nothing were installed: all libraries come along.
            "Dir::State::status": apt / "status",
            "Dir::Cache": apt / "cache",
            "Debug::NoLocking": 1,
            "APT::Install-Recommends": 0,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
        }
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        _run("apt-get", *options, "update")
        _run("apt-get", *options, "--yes", "--download-only", "install", "mysql-server-core")
        root = Path(folder, "root")
        for each in ("lib", "bin", "sbin", "lib64"):
            (root / "usr" / each).mkdir(parents=True)
            # As in Debian, whose packages put files under both names.
            (root / each).symlink_to(f"usr/{each}")
        for package in sorted((apt / "cache/archives").glob("*.deb")):
            _run(
                "sh", "-c",
                'dpkg-deb --fsys-tarfile "$1" | '
                'tar -x --no-same-owner --keep-directory-symlink -C "$2"',
                "sh", package, root,
            )  # fmt: skip
        root.rename(MYSQL_ROOT)


if __name__ == "__main__":
    sys.exit(main())
