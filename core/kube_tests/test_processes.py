"""Processes: forks, and the end of the interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .backends import PATIENCE
from .worlds import World

COMMON = """
import os, socket, sys, threading
from pathlib import Path
from metastore.errors import ForkError, MetastoreError
from metastore.kube import Cluster, ClusterConfig, PortForward

config = ClusterConfig(kubeconfig=Path(sys.argv[1]), namespace=sys.argv[2])
cluster = Cluster.load(config)

def read(client, size):
    found = b""
    while len(found) < size and (piece := client.recv(size - len(found))):
        found += piece
    return found

def connect(forward):
    client = socket.create_connection((forward.host, forward.port), timeout=60)
    assert read(client, 6) == b"hello\\n"
    return client

def echo(client, word):
    client.sendall(word)
    assert read(client, len(word)) == word

def in_child(work):
    pid = os.fork()
    if not pid:
        try:
            work()
            sys.stdout.flush()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]
"""


@pytest.fixture
def run(world: World, namespace: str, pod: str):
    """Runs a script with a cluster, in a process of its own; what it printed, and nothing else."""

    def start(script: str) -> str:
        done = subprocess.run(
            # Forking with threads is warned of, from 3.12 on; that it works is what is tested.
            [
                sys.executable,
                "-X",
                "dev",
                "-W",
                "ignore::DeprecationWarning",
                "-c",
                COMMON + script,
                str(world.kubeconfig()),
                namespace,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            cwd=Path(__file__).parent,
        )
        assert (done.stderr, done.returncode) == ("", 0)
        return done.stdout

    return start


def test_fork(run) -> None:
    """A forked child has a port of its own; the parent's connections and port stay the parent's."""
    run("""
with PortForward(cluster, service="db", port=3306) as forward:
    before, port = connect(forward), forward.port

    def work():
        assert forward.port != port
        with connect(forward) as client:
            echo(client, b"child")
        cluster.ready_pod(service="db")
        forward.check()
        forward.close()

    for _ in range(3):
        assert in_child(work) == 0
        echo(before, b"parent")
    assert forward.port == port
    before.close()
    connect(forward).close()
""")


def test_fork_of_fork(run) -> None:
    """A child's child has yet another port."""
    run("""
with PortForward(cluster, service="db", port=3306) as forward:
    first = forward.port

    def work():
        second = forward.port
        connect(forward).close()

        def again():
            assert forward.port not in (first, second)
            connect(forward).close()

        assert in_child(again) == 0

    assert in_child(work) == 0
""")


def test_fork_with_fixed_port(run) -> None:
    """A fixed port is the parent's: a child is told so, and what to do."""
    out = run("""
with socket.create_server(("127.0.0.1", 0)) as other:
    wanted = other.getsockname()[1]
with PortForward(cluster, service="db", port=3306, local_port=wanted) as forward:
    def work():
        try:
            forward.port
        except ForkError as error:
            print(error)
        connect_to = socket.create_connection((forward.host, wanted), timeout=60)
        assert read(connect_to, 6) == b"hello\\n"
        connect_to.close()

    assert in_child(work) == 0
""")
    assert "belongs to the parent process; leave local_port out" in out


def test_port_after_parent(run) -> None:
    """A child keeps nothing of its parent's port: closed by the parent it is closed."""
    run("""
forward = PortForward(cluster, service="db", port=3306)
port = forward.port
read, write = os.pipe()
pid = os.fork()
if not pid:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
os.close(read)
forward.close()
try:
    socket.create_connection(("127.0.0.1", port), timeout=60)
except ConnectionRefusedError:
    print("closed")
os.close(write)
assert os.waitpid(pid, 0)[1] == 0
""")


def test_fork_during_traffic(run) -> None:
    """Forking while other threads send and receive hangs neither side, and mixes nothing up."""
    run("""
with PortForward(cluster, service="db", port=3306) as forward:
    done = threading.Event()
    failed = []
    clients = [connect(forward) for _ in range(4)]

    def traffic(client):
        try:
            while not done.is_set():
                echo(client, os.urandom(10000))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=traffic, args=(each,)) for each in clients]
    for each in threads:
        each.start()

    def work():
        with connect(forward) as client:
            echo(client, b"child")

    assert [in_child(work) for _ in range(10)] == [0] * 10
    done.set()
    for each in threads:
        each.join()
    for each in clients:
        each.close()
    assert not failed, failed
""")


def test_fork_waits(run) -> None:
    """A fork waits until a connection that another thread is making is made."""
    out = run("""
from metastore.forks import carrying
inside, leave = threading.Event(), threading.Event()

def connect():
    with carrying():
        inside.set()
        leave.wait(60)
        print("made", flush=True)

def fork():
    inside.wait(60)
    # The order is the point: the fork begins first.
    threading.Timer(0.2, leave.set).start()
    assert in_child(lambda: print("forked")) == 0

threads = [threading.Thread(target=each) for each in (connect, fork)]
for each in threads:
    each.start()
for each in threads:
    each.join()
""")
    assert out == "made\nforked\n"


@pytest.mark.parametrize("traffic", ["none", "idle", "busy", "unread"])
def test_exit(run, traffic: str) -> None:
    """The interpreter ends with a port-forward open, at once and without a word."""
    run(
        f"traffic = {traffic!r}"
        + """
forward = PortForward(cluster, service="db", port=3306)
if traffic != "none":
    clients = [connect(forward) for _ in range(5)]
if traffic == "unread":
    for each in clients:
        each.sendall(b"x" * 1000000)
if traffic == "busy":
    def send(client):
        while True:
            echo(client, b"x" * 10000)
    for each in clients:
        threading.Thread(target=send, args=(each,), daemon=True).start()
    last = connect(forward)
    echo(last, b"y")
import warnings; warnings.simplefilter("ignore", ResourceWarning)
"""
    )


def test_exit_while_connecting(run) -> None:
    """The interpreter does not wait for a server that does not answer."""
    run("""
silent = socket.create_server(("127.0.0.1", 0))
server = "http://127.0.0.1:%d" % silent.getsockname()[1]
import json
path = Path(sys.argv[1]).with_name("silent.config")
path.write_text(json.dumps({
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c"}}],
    "clusters": [{"name": "c", "cluster": {"server": server}}],
}))
slow = Cluster.load(ClusterConfig(kubeconfig=path, connect_timeout=3600))
forward = PortForward(slow, service="db", port=3306)
client = socket.create_connection((forward.host, forward.port))
taken = silent.accept()
import warnings; warnings.simplefilter("ignore", ResourceWarning)
""")


def test_logging_is_left_alone(world: World, run) -> None:
    """A program for credentials that fails sets up no logging, and prints nothing."""
    out = run("""
import json, logging
path = Path(sys.argv[1]).with_name("plugin.config")
config = Path(sys.argv[1]).read_text()
path.write_text(json.dumps({
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "u", "user": {"exec": {"apiVersion": "v1", "command": "/nowhere/plugin"}}}],
}))
try:
    Cluster.load(ClusterConfig(kubeconfig=path))
except MetastoreError as error:
    print(error, logging.getLogger().handlers)
""")
    assert "'plugin'" in out
    assert out.endswith("[]\n")
