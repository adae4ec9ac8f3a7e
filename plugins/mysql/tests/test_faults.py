"""Servers that die, and connections that are cut, while processes write."""

from __future__ import annotations

import os

import pytest

from metastore_flavor_mysql import MySQLConfig, MySQLMetadataStore

from . import servers
from .processes import started, wait_for_more, writers
from .proxy import cutting
from .servers import Cluster, Server

KILLS = int(os.environ.get("METASTORE_TEST_KILLS", "20"))
"""Of a server, under four writers."""
NODE_KILLS = int(os.environ.get("METASTORE_TEST_NODE_KILLS", "5"))
"""Of a node of a cluster."""
CUTS = int(os.environ.get("METASTORE_TEST_CUTS", "500"))
"""Of connections, in the middle of replies."""


@pytest.mark.slow
@pytest.mark.usefixtures("wants_mariadb")
def test_a_server_that_is_killed() -> None:
    """Of what four processes write while their server is killed and started again and again,
    nothing that was acknowledged is lost, nothing is there twice or in part, and they go on.
    """
    with servers.mariadb() as server:
        database = server.new_database()
        config = server.config(database)
        with writers(config, config, config, config) as workers:
            for _ in range(KILLS):
                wait_for_more(workers)
                server.kill()
                server.start()


@pytest.mark.slow
@pytest.mark.usefixtures("wants_galera")
def test_a_node_that_is_killed() -> None:
    """The same holds for processes that write to a cluster of which one node after the other is
    killed: through their list of hosts they go on at another one.
    """
    with servers.galera() as cluster:
        database = cluster.nodes[0].new_database()
        configs = [
            cluster.config(database, first=number % 3, connect_timeout=2.0) for number in range(4)
        ]
        with writers(*configs) as workers:
            for number in range(NODE_KILLS):
                node = cluster.nodes[number % len(cluster.nodes)]
                wait_for_more(workers)
                node.kill()
                # By the others, while the node is away.
                wait_for_more(workers, 5)
                node.start()


@pytest.mark.slow
def test_writers_at_two_nodes(galera: Cluster) -> None:
    """Three writers at one node never keep a fourth one at another node from writing for good."""
    database = galera.nodes[0].new_database()
    configs = [galera.config(database, first=number) for number in (0, 0, 0, 1)]
    with writers(*configs) as workers:
        wait_for_more(workers, 30)


@pytest.mark.slow
def test_connections_that_are_cut(mariadb: Server) -> None:
    """The same holds for processes whose connections are cut in the middle of replies, also of the
    reply to COMMIT.
    """
    database = mariadb.new_database()
    with cutting(mariadb.port, seed=7) as proxy:
        proxy.is_cutting = False
        config = mariadb.config(database, port=proxy.port)
        with writers(config, config, config, config) as workers:
            proxy.is_cutting = True
            proxy.wait_for(CUTS, patience=900)
            wait_for_more(workers)
            proxy.is_cutting = False
    assert proxy.cuts_in_transactions >= 0.3 * proxy.cuts
    assert proxy.cuts_of_commits > 0


@pytest.mark.slow
@pytest.mark.parametrize("made_by", ["us", "mlmd"])
def test_processes_that_make_one_type(mariadb: Server, made_by: str) -> None:
    """Two processes that make the same type at the same time, 100 times, make one."""
    database = mariadb.new_database()
    config = mariadb.config(database)
    _make_store(mariadb, database, made_by)
    _check_types(mariadb, database, [config, config])


@pytest.mark.slow
@pytest.mark.parametrize("made_by", ["us", "mlmd"])
def test_nodes_that_make_one_type(galera: Cluster, made_by: str) -> None:
    """Two processes at two nodes of a cluster, neither of which knows the other's locks, too."""
    node = galera.nodes[0]
    database = node.new_database()
    _make_store(node, database, made_by)
    configs = [galera.config(database, host=f"127.0.0.1:{each.port}") for each in galera.nodes[:2]]
    _check_types(node, database, configs)


def _make_store(server: Server, database: str, made_by: str) -> None:
    MySQLMetadataStore.open(server.config(database)).close()
    if made_by == "mlmd":
        server.run("DROP TABLE metastore_writer, metastore_setting", database=database)


def _check_types(server: Server, database: str, configs: list[MySQLConfig]) -> None:
    with started("make_types", *configs) as workers:
        for worker in workers:
            worker.wait_for(1)
        for number in range(100):
            for worker in workers:
                worker.tell(f"Type {number}")
            wait = number + 2
            for worker in workers:
                worker.wait_for(wait)
        for worker in workers:
            worker.end()
    # Both were told the same id, and there is one row of each.
    assert workers[0].told[1:] == workers[1].told[1:]
    rows = server.run(
        "SELECT name, COUNT(*) FROM Type WHERE name LIKE 'Type %' GROUP BY name", database=database
    )
    assert [count for _, count in rows] == [1] * 100


@pytest.mark.slow
@pytest.mark.parametrize("times", range(3))
def test_processes_that_make_one_store(mariadb: Server, times: int) -> None:
    """Processes that make the same store at the same time make one, with the nine simple types."""
    database = mariadb.new_database()
    config = mariadb.config(database)
    with started("make_store", *[config] * 4) as workers:
        for worker in workers:
            worker.wait_for(1)
        for worker in workers:
            worker.tell("go")
        for worker in workers:
            worker.wait_for(2)
            worker.end()
    ((simple, versions, executions),) = mariadb.run(
        "SELECT (SELECT COUNT(*) FROM Type WHERE name LIKE 'mlmd.%'),"
        " (SELECT COUNT(*) FROM MLMDEnv), (SELECT COUNT(*) FROM Execution)",
        database=database,
    )
    assert (simple, versions, executions) == (9, 1, 4)
