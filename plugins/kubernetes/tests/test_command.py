"""The command: what it prints and writes, and that no password is ever seen."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from core.kube_tests.worlds import World
from plugins.mysql.tests.servers import Server

from metastore import MetastoreError
from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore

from .controllers import Controllers
from .test_up import put

Make = Callable[..., KubernetesConfig]


class Done(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def command(world: World, namespace: str) -> Command:
    """Runs the command in a process of its own, with the store ``team`` registered there."""

    def run(*words: str, given: str = "") -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "metastore", *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    settings = {
        "namespace": namespace,
        "name": "db",
        "kubeconfig": str(world.kubeconfig()),
        "connect-timeout": "20",
    }
    options = [word for key, value in settings.items() for word in (f"--{key}", value)]
    done = run("store", "register", "team", "--flavor", "kubernetes", *options)
    assert done.code == 0, done.err
    return run


def passwords_of(controllers: Controllers) -> list[str]:
    """Both that were made, as they are and as the API has them."""
    secret = controllers.get("secrets", "db")
    assert secret is not None
    found = [secret["data"][key] for key in ("password", "root-password")]
    plain = [base64.b64decode(each).decode() for each in found]
    assert all(len(each) >= 32 for each in plain)
    assert len({*plain}) == 2
    return plain + found


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is seen of all processes meanwhile, by who lists them."""
    seen: list[str] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(0.01):
            for each in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(each.read_text(errors="replace"))
                except OSError:
                    continue

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def test_from_nothing_and_back(controllers: Controllers, command: Command, tmp_path: Path) -> None:
    """Up, status, a run, down and up again by the command; no password is seen anywhere."""
    said: list[Done] = []
    with watched() as seen:
        done = command("store", "up", "team")
        said.append(done)
        assert (done.code, done.out) == (0, "the store's service is up\n"), done.err
        assert "secret 'db': made, with new passwords" in done.err
        assert "pod db-0: ready" in done.err
        said.append(command("store", "status", "team", "--json"))
        assert said[-1].code == 0
        status = json.loads(said[-1].out)
        assert (status["provisioned"], status["running"], status["answers"]) == (True, True, True)
        assert status["service"]["pod"] == "ready"
        assert "differs" not in said[-1].out
        said.append(command("demo", "--store", "team"))
        assert said[-1].code == 0, said[-1].err
        done = command("store", "status", "team")
        said.append(done)
        assert done.code == 0, done.err
        assert "1 of 1 ready" in done.out
        said.append(command("run", "list", "--store", "team", "--json"))
        runs = json.loads(said[-1].out)
        assert runs
        done = command("store", "down", "team")
        said.append(done)
        assert done.code == 0, done.err
        assert "claim 'data-db-0' and secret 'db' stay" in done.err
        assert "its data stay" in done.out
        said.append(command("store", "up", "team"))
        assert said[-1].code == 0, said[-1].err
        said.append(command("run", "list", "--store", "team", "--json"))
        assert json.loads(said[-1].out) == runs
        said.append(command("store", "show", "team", "--json"))
        said.append(command("--debug", "store", "status", "team"))
    texts = [*seen, *(each.out + each.err for each in said)]
    texts += [each.read_text(errors="replace") for each in tmp_path.glob("*.toml")]
    for password in passwords_of(controllers):
        assert not [text for text in texts if password in text]


def test_data_are_deleted_when_asked(controllers: Controllers, command: Command) -> None:
    """With --delete-data it asks; who says no, or nothing, keeps all."""
    assert command("store", "up", "team").code == 0
    for given in ("n\n", ""):
        assert command("store", "down", "team", "--delete-data", given=given).code != 0
        assert controllers.get("statefulsets", "db")
    done = command("store", "down", "team", "--delete-data", given="y\n")
    assert done.code == 0, done.err
    assert "its data are deleted" in done.out
    assert controllers.get("persistentvolumeclaims", "data-db-0") is None
    assert controllers.get("secrets", "db") is None


def test_what_fails_is_one_line(command: Command, controllers: Controllers) -> None:
    """A failure is one line on stderr behind the progress, and exit code 1."""
    assert command("store", "up", "team").code == 0
    assert command("store", "down", "team").code == 0
    controllers.delete("secrets", "db")
    done = command("store", "up", "team")
    assert (done.code, done.out) == (1, "")
    lines = done.err.splitlines()
    assert [each.startswith("error: ") for each in lines] == [False] * (len(lines) - 1) + [True]
    done = command("store", "status", "team")
    assert done.code == 1
    assert "not there" in done.out


def test_passwords_in_no_log_and_no_error(
    mariadb: Server,
    controllers: Controllers,
    config: Make,
    open_store: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With all loggers at their loudest, and in errors of the driver, no password is seen."""
    caplog.set_level(logging.DEBUG)
    KubernetesMetadataStore.provision(config())
    store = open_store()
    put(store, "one")
    texts = [repr(store), str(store.location), repr(vars(store)), repr(config().model_dump())]
    texts += [str(KubernetesMetadataStore.manifest(config()))]
    texts += [str(KubernetesMetadataStore.describe_service(config()))]
    store.close()
    mariadb.run("ALTER USER metastore@'%' ACCOUNT LOCK")
    for call in (KubernetesMetadataStore.open, KubernetesMetadataStore.provision):
        with pytest.raises(MetastoreError) as raised:
            call(config(connect_timeout=2.0))
        texts += _with_variables(raised.value)
    # What some releases of the client do with every answer.
    logging.getLogger("kubernetes.client.rest").debug("body: %s", passwords_of(controllers))
    texts += [caplog.text, *map(str, caplog.records)]
    for password in passwords_of(controllers):
        assert not [text for text in texts if password in text]


def _with_variables(error: BaseException | None) -> list[str]:
    """An error, all that led to it, and the variables of our frames, as debuggers show them."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error))]
        at = error.__traceback__
        while at is not None:
            if "metastore_flavor" in at.tb_frame.f_code.co_filename:
                texts += [repr(each) for each in at.tb_frame.f_locals.values()]
            at = at.tb_next
        error = error.__cause__ or error.__context__
    return texts


# Without a cluster.


def run(*words: str) -> Done:
    """The command, in a process whose kubeconfig is not there."""
    done = subprocess.run(
        [sys.executable, "-m", "metastore", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "KUBECONFIG": "/nowhere"},
    )
    return Done(done.returncode, done.stdout, done.stderr)


URL = "kubernetes://ml/db?server=mariadb&storage_class=fast&storage_size=5Gi"


def test_dry_run_prints_what_would_be_made() -> None:
    """Without a cluster all objects are printed, with placeholders that no cluster takes."""
    done = run("store", "up", URL, "--dry-run")
    assert (done.code, done.err) == (0, "")
    found = {each["kind"]: each for each in yaml.safe_load_all(done.out)}
    assert [*found] == [
        "Secret",
        "PersistentVolumeClaim",
        "Service",
        "NetworkPolicy",
        "StatefulSet",
    ]
    assert all(each["metadata"]["namespace"] == "ml" for each in found.values())
    claim = found["PersistentVolumeClaim"]["spec"]
    assert claim["storageClassName"] == "fast"
    assert claim["resources"]["requests"]["storage"] == "5Gi"
    for text in found["Secret"]["data"].values():
        with pytest.raises(ValueError, match="base64"):
            base64.b64decode(text, validate=True)
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    # No password as a value, or on a command line.
    assert {each["name"] for each in container["env"] if "PASSWORD" in each["name"]} == {
        "MARIADB_ROOT_PASSWORD_FILE",
        "MARIADB_PASSWORD_FILE",
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_output_writes_files(tmp_path: Path) -> None:
    """A file gets all of them, a folder one each; both are what --dry-run prints."""
    printed = run("store", "up", URL, "--dry-run").out
    path = tmp_path / "all.yaml"
    assert run("store", "up", URL, "--output", str(path)).code == 0
    assert path.read_text() == printed
    folder = tmp_path / "git"
    done = run("store", "up", URL, "--output", f"{folder}/")
    assert done.code == 0
    assert [each.name for each in sorted(folder.iterdir())] == [
        "networkpolicy.yaml",
        "persistentvolumeclaim.yaml",
        "secret.yaml",
        "service.yaml",
        "statefulset.yaml",
    ]
    assert done.out.count(" is written\n") == 5
    texts = [each.read_text() for each in folder.iterdir()]
    assert sorted(map(str, yaml.safe_load_all("---\n".join(texts)))) == sorted(
        map(str, yaml.safe_load_all(printed))
    )
    for words, said in (
        (("--output", f"{path}/x"), "cannot be written"),
        (("--output", str(path), "--dry-run"), "not both"),
    ):
        done = run("store", "up", URL, *words)
        assert done.code != 0
        assert said in done.err
