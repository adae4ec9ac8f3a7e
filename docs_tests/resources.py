"""What pages need: servers, which are started once, and what readers call them.

A page names these servers as readers would: ``db.example.com``, the namespace ``ml``.  `replaced`
of its session then holds what they are called in this test.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pymysql
import pytest
from core.kube_tests.worlds import ROLE, StandInWorld
from plugins.kubernetes.tests.controllers import Controllers
from plugins.mysql.tests import servers
from plugins.mysql.tests.certificates import Certificates
from plugins.mysql.tests.servers import Server

from docs_tests.session import Session
from metastore_flavor_kubernetes import KubernetesConfig
from metastore_flavor_kubernetes._rights import role

__all__ = ["Database", "Resources"]

PASSWORDS = ("MYSQL_PASSWORD", "DB_PASSWORD", "READER_PASSWORD")
"""Variables that references of the pages name."""
USERS = ("me", "user", "writer", "reader", "archive", "root")
"""Who is there before the page begins, with all rights, unless the page makes the user itself."""
DATABASES = ("metastore", "metadata", "metadb", "history", "managed", "own")
"""The same of databases, which are empty."""
CONTEXTS = ("prod", "standin")
"""Of the kubeconfig; both lead to one cluster."""

_CLIENT = """\
words=()
for word in "$@"; do
  case "$word" in
    --host=*|--port=*|--password) ;;
    --user={administrator}) words+=(--user=admin); export MYSQL_PWD={password} ;;
    *) words+=("$word") ;;
  esac
done
exec {program} --no-defaults --protocol=tcp --host=127.0.0.1 --port={port} "${{words[@]}}"
"""
"""The database's own programs, led to the test's server, where nobody types a password."""


class Database:
    """The server of a page, as its administrator has it."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def script(self, text: str) -> None:
        """Run statements, each of which ends with a semicolon."""
        many = pymysql.constants.CLIENT.MULTI_STATEMENTS
        connection = self.server.connect(client_flag=many)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(text)
            while cursor.nextset():
                pass


class Resources:
    """What this test process has started; `close` ends it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()

    def close(self) -> None:
        """End the servers."""
        self._stack.close()

    @contextmanager
    def of(self, needs: set[str], session: Session) -> Iterator[None]:
        """Have ready what a page needs."""
        with ExitStack() as stack:
            if needs & {"kubernetes", "kubeflow"}:
                stack.enter_context(self._cluster(session))
            for need in sorted(needs):
                provide: Callable[..., Any] = getattr(self, f"_{need}")
                stack.enter_context(provide(session))
            yield

    @cached_property
    def _certificates(self) -> Certificates:
        return Certificates(self._folder)

    @cached_property
    def _server(self) -> Server:
        # Closed to others, and the server is another user.
        folder = self._stack.enter_context(servers.temporary_folder("tls"))
        options = self._certificates.server_options(folder)
        return self._stack.enter_context(servers.mariadb(*options))

    @contextmanager
    def _mariadb(self, session: Session) -> Iterator[None]:
        server = self._server
        database = session.has["mariadb"] = Database(server)
        password = server.password
        for name in DATABASES:
            database.script(f"DROP DATABASE IF EXISTS {name}")
            if f"CREATE DATABASE {name}" not in session.text:
                database.script(f"CREATE DATABASE {name}")
        for name in USERS:
            database.script(f"DROP USER IF EXISTS {name}@'%'")
            if re.search(rf"CREATE USER '?{name}\b", session.text) is None:
                # As in a cluster of Kubeflow: root has none.
                known = "" if name == "root" else f" IDENTIFIED BY '{password}'"
                database.script(f"CREATE USER {name}@'%'{known}; GRANT ALL ON *.* TO {name}@'%'")
        for name in PASSWORDS:
            session.set(name, password)
        session.replaced |= {
            **{f"{name}=...": f"{name}={password}" for name in PASSWORDS},
            "IDENTIFIED BY '...'": f"IDENTIFIED BY '{password}'",
            "@db.example.com/": f"@localhost:{server.port}/",
            "@db.example/": f"@localhost:{server.port}/",
            "127.0.0.1:3306/": f"127.0.0.1:{server.port}/",
            "/etc/ssl/mysql-ca.pem": str(self._certificates.ca),
        }
        # The root of a pod is known inside of it only.
        root = "create namespace ml" in session.text
        _clients(session, server, administrator="@(root|admin)" if root else "admin")
        yield

    @contextmanager
    def _cluster(self, session: Session) -> Iterator[None]:
        folder = session.folder.with_name("cluster")
        folder.mkdir()
        world = session.has["world"] = StandInWorld(folder)
        try:
            kubeconfig = Path(os.environ["HOME"]) / ".kube" / "config"
            kubeconfig.parent.mkdir(parents=True)
            told = json.loads(world.kubeconfig().read_text())
            (context,) = told["contexts"]
            told["contexts"] = [{**context, "name": name} for name in CONTEXTS]
            kubeconfig.write_text(json.dumps(told))
            world.admin()  # Its kubeconfig is what kubectl's stand-in uses.
            session.set("KUBECTL_CONFIG", str(folder / "admin.config"))
            session.set("KUBECTL_SECRETS", str(folder))
            yield
        finally:
            world.server.close()

    @contextmanager
    def _kubernetes(self, session: Session) -> Iterator[None]:
        world: StandInWorld = session.has["world"]
        config = KubernetesConfig()
        for each in (True, False):
            world.allow("ml", role(config, making=each))
        if "create namespace ml" not in session.text:
            _make_namespace(world, "ml")
        server = self._server
        with Controllers(world, "ml", lambda _: server):
            yield

    @contextmanager
    def _kubeflow(self, session: Session) -> Iterator[None]:
        pytest.importorskip("ml_metadata", reason="the kubeflow flavor needs a wheel of it")
        from plugins.kubeflow.tests.kubeflow_store import fill
        from plugins.kubeflow.tests.served import serving

        world: StandInWorld = session.has["world"]
        file = session.folder.with_name("kubeflow.db")
        fill(file, 20)
        _make_namespace(world, "kubeflow")
        world.allow("kubeflow", ROLE)
        port = {"name": "grpc-api", "port": 8080, "targetPort": 13306, "protocol": "TCP"}
        world.make_service("kubeflow", "metadata-grpc-service", ports=[port])
        world.make_pod("kubeflow", "metadata-0", {"app": "metadata-grpc-service"})
        with serving(f"sqlite:///{file}", folder=file.parent) as found:
            world.lead("kubeflow", "metadata-0", found.port)
            session.replaced["metadata.example:8080"] = found.address
            yield

    @contextmanager
    def _stores(self, session: Session) -> Iterator[None]:
        folder = os.environ.get("METASTORE_TEST_STORES")
        if not folder:
            pytest.skip("METASTORE_TEST_STORES names no folder with the real stores")
        for file in Path(folder).glob("*.sqlite"):
            shutil.copyfile(file, session.folder / file.name)
        yield


def _clients(session: Session, server: Server, administrator: str) -> None:
    for name, program in (("mysql", "mariadb"), ("mysqldump", "mariadb-dump")):
        told = {"program": program, "port": server.port, "password": server.password}
        session.program(
            name, "shopt -s extglob\n" + _CLIENT.format(administrator=administrator, **told)
        )


def _make_namespace(world: StandInWorld, name: str) -> None:
    body = {"kind": "Namespace", "metadata": {"name": name}}
    world.admin().request("POST", "/api/v1/namespaces", body=body)
