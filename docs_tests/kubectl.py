"""A stand-in for kubectl, for the few things that pages do with it.

It asks the API server of the test.  What is to be run in a pod runs here: no container stands
behind the stand-in for a cluster, but its server does, and the files of its Secret are brought.
"""

from __future__ import annotations

import argparse
import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from metastore.kube import Cluster, ClusterConfig

MOUNTED = "/run/secrets/metastore"
"""Where the server of the kubernetes flavor finds its Secret."""


def main() -> int:
    """Do what the command line says."""
    words = sys.argv[1:]
    inside: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, inside = words[:at], words[at + 1 :]
    parser = argparse.ArgumentParser("kubectl", allow_abbrev=False)
    parser.add_argument("verb", choices=["create", "get", "exec", "port-forward"])
    parser.add_argument("what", nargs="+")
    parser.add_argument("--namespace", "-n", default="default")
    parser.add_argument("--output", choices=["yaml"])
    parser.add_argument("--stdin", action="store_true")
    given = parser.parse_intermixed_args(words)
    if given.verb == "port-forward":
        here, _, there = given.what[1].partition(":")
        sys.stdout.write(f"Forwarding from 127.0.0.1:{here} -> {there}\n")
        sys.stdout.flush()
        signal.pause()
    if given.verb == "exec":
        return _exec(given.namespace, inside, stdin=given.stdin)
    cluster = _cluster()
    if given.verb == "create":
        kind, name = given.what
        assert kind == "namespace"
        body = {"kind": "Namespace", "metadata": {"name": name}}
        cluster.request("POST", "/api/v1/namespaces", body=body)
    else:
        kind, name = given.what
        assert kind == "secret"
        found = cluster.request("GET", f"/api/v1/namespaces/{given.namespace}/secrets/{name}")
        sys.stdout.write(yaml.safe_dump(found))
    return 0


def _cluster() -> Cluster:
    return Cluster.load(ClusterConfig(kubeconfig=Path(os.environ["KUBECTL_CONFIG"])))


def _exec(namespace: str, command: list[str], *, stdin: bool) -> int:
    folder = Path(os.environ.get("KUBECTL_SECRETS", ""))
    if any(MOUNTED in word for word in command):
        secret = _cluster().request("GET", f"/api/v1/namespaces/{namespace}/secrets/metastore")
        for key, value in secret["data"].items():
            (folder / key).write_bytes(base64.b64decode(value))
    words = [word.replace(MOUNTED, str(folder)) for word in command]
    return subprocess.run(
        words, stdin=None if stdin else subprocess.DEVNULL, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
