"""Forks wait for connections that are being made: OpenSSL's locks belong to the whole process."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("posix", reason="nothing forks here")

_TWO_THREADS = """
import os, threading, time, warnings
from metastore import forks
from metastore.forks import carrying, connecting, watch_forks

warnings.simplefilter("ignore", DeprecationWarning)
inside, waits = threading.Event(), threading.Event()

class Told:
    def give_up_idle(self): print("gave up what was idle", flush=True)
    def leave_parent(self): print("left the parent", flush=True)

told = Told()

def fork():
    assert inside.wait(60)
    process = os.fork()
    if not process:
        with connecting(), carrying():
            print("child", flush=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0

def until_it_waits(gate):
    while not gate._shut:
        time.sleep(0.001)

threads = [threading.Thread(target=each) for each in (connect, fork)]
for each in threads:
    each.start()
for each in threads:
    each.join()
with connecting(), carrying():
    print("parent")
"""


def _printed(connect: str) -> list[str]:
    """What two threads print: one that forks once the other is `inside`, and that other one."""
    head, _, tail = _TWO_THREADS.partition("threads = ")
    done = subprocess.run(
        [sys.executable, "-c", f"{head}\n{connect}\nthreads = {tail}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("gate", ["connecting", "carrying"])
def test_a_fork_waits_for_a_connection(gate: str) -> None:
    """A fork waits until the connection that another thread is making is made; then both sides of
    it connect as they like.
    """
    assert _printed(f"""
def connect():
    with {gate}():
        inside.set()
        until_it_waits(forks._{gate})
        print("made", flush=True)
""") == ["made", "child", "parent"]


def test_a_connection_may_wait_for_the_one_that_carries_it() -> None:
    """A connection that is being made through a tunnel gets its tunnel while a fork waits."""
    assert _printed("""
def tunnel():
    with carrying():
        print("tunnel", flush=True)

def connect():
    with connecting():
        inside.set()
        until_it_waits(forks._connecting)
        other = threading.Thread(target=tunnel)
        other.start()
        other.join()
        print("made", flush=True)
""") == ["tunnel", "made", "child", "parent"]


def test_a_thread_that_connects_is_let_in_again() -> None:
    """A thread that is making a connection may make another one for it while a fork waits."""
    assert _printed("""
def connect():
    with connecting():
        inside.set()
        until_it_waits(forks._connecting)
        with connecting():
            print("within", flush=True)
        print("made", flush=True)
""") == ["within", "made", "child", "parent"]


def test_what_is_idle_goes_when_all_are_made() -> None:
    """What is watched gives up what is idle once no connection is being made, and the child
    leaves what the parent has.
    """
    assert _printed("""
watch_forks(told)

def connect():
    with connecting():
        inside.set()
        until_it_waits(forks._connecting)
        print("made", flush=True)
""") == ["made", "gave up what was idle", "left the parent", "child", "parent"]


def test_a_fork_does_not_wait_for_ever() -> None:
    """A connection to a host that does not answer delays a fork, and does not prevent it."""
    found = _printed("""
forks._PATIENCE = 0.01

def connect():
    with connecting():
        inside.set()
        until_it_waits(forks._connecting)
        while forks._connecting._shut:
            time.sleep(0.001)
""")
    assert found == ["child", "parent"]
