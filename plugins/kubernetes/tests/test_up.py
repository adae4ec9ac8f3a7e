"""A store is brought up, used, changed, taken down, and brought up again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from core.kube_tests.worlds import World
from plugins.mysql.tests import servers
from plugins.mysql.tests.servers import Server

from metastore import (
    AlreadyExistsError,
    Batch,
    InvalidError,
    MetastoreError,
    NodeKind,
    NodeQuery,
    OpenError,
    StorageError,
    StoreNotFoundError,
)
from metastore_flavor_kubernetes import KubernetesConfig, KubernetesMetadataStore
from metastore_flavor_kubernetes._rights import role

from .controllers import Controllers

Make = Callable[..., KubernetesConfig]
up, down = KubernetesMetadataStore.provision, KubernetesMetadataStore.deprovision
RESOURCES = {
    "secrets": "db",
    "persistentvolumeclaims": "data-db-0",
    "services": "db",
    "networkpolicies": "db",
    "statefulsets": "db",
}


def put(store: KubernetesMetadataStore, name: str) -> None:
    """Write a context."""
    batch = Batch()
    batch.type(NodeKind.CONTEXT, "T", can_omit_properties=True)
    batch.context("T", name=name)
    store.write(batch)


def names(store: KubernetesMetadataStore) -> list[str | None]:
    """The names of all contexts."""
    return [node.name for node in store.read_nodes(NodeQuery(NodeKind.CONTEXT))]


def there(controllers: Controllers) -> dict[str, Any]:
    """What there is of the store, by resource: uid, and what was said of it."""
    found = {each: controllers.get(each, name) for each, name in RESOURCES.items()}
    return {
        each: (got["metadata"]["uid"], got.get("spec"), got.get("data"))
        for each, got in found.items()
        if got is not None
    }


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], dict[str, str]]:
    """What was told of each object since the last time."""
    caplog.set_level("INFO", "metastore.service")

    def newest() -> dict[str, str]:
        texts = [each.getMessage() for each in caplog.records if each.name == "metastore.service"]
        caplog.clear()
        pairs = (each.partition(": ") for each in texts if "': " in each)
        return {what.partition(" '")[0]: done for what, _, done in pairs}

    return newest


def test_up_write_down_up(controllers: Controllers, config: Make, open_store: Any) -> None:
    """What is written is there again after the store was taken down and brought up."""
    up(config())
    store = open_store()
    put(store, "before")
    controllers.replace("db-0")
    assert names(store) == ["before"]
    store.close()
    assert KubernetesMetadataStore.is_running(config())
    down(config())
    assert {*there(controllers)} == {"secrets", "persistentvolumeclaims"}
    assert not KubernetesMetadataStore.is_provisioned(config())
    down(config())
    up(config())
    assert names(open_store()) == ["before"]


def test_writes_while_the_pod_is_replaced(
    controllers: Controllers, config: Make, open_store: Any
) -> None:
    """What is written while pods come and go is there once, through the same local port."""
    up(config())
    store = open_store()
    port = store._database._forward.port
    put(store, "first")
    wanted = [f"name {number}" for number in range(40)]
    written: list[str] = []
    failures: list[MetastoreError] = []

    def write() -> None:
        try:
            for name in wanted:
                put(store, name)
                written.append(name)
        except MetastoreError as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    replaced = 0
    while writer.is_alive() and replaced < 5:
        controllers.replace("db-0")
        replaced += 1
    writer.join()
    assert (failures, written) == ([], wanted)
    assert replaced
    assert names(store) == ["first", *wanted]
    assert store._database._forward.port == port


def test_up_twice_is_one(controllers: Controllers, config: Make, told: Any) -> None:
    """What is up already stays as it is, and is told to be unchanged."""
    up(config())
    assert set(told().values()) == {"made", "made, with new passwords"}
    before = there(controllers)
    up(config())
    assert set(told().values()) == {"unchanged"}
    assert there(controllers) == before
    assert set(before) == set(RESOURCES)


def test_two_ups_at_once(controllers: Controllers, config: Make, open_store: Any) -> None:
    """Two that bring up one store at once make one, with the passwords of one of them."""
    failures: list[BaseException] = []

    def one() -> None:
        try:
            up(config())
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    put(open_store(), "one")


@pytest.mark.parametrize("resource", ["services", "statefulsets", "networkpolicies"])
def test_what_was_deleted_is_made_again(
    controllers: Controllers, config: Make, open_store: Any, resource: str
) -> None:
    """A part that somebody deleted is made again, and the data are there."""
    up(config())
    put(open_store(), "kept")
    before = there(controllers)
    controllers.delete(resource, RESOURCES[resource])
    up(config())
    after = there(controllers)
    assert {each for each in RESOURCES if after[each][0] != before[each][0]} == {resource}
    assert names(open_store()) == ["kept"]


def test_data_without_their_secret(controllers: Controllers, config: Make) -> None:
    """Where the secret of data is gone, nothing is made, and it is said what to do."""
    up(config())
    down(config())
    controllers.delete("secrets", "db")
    with pytest.raises(OpenError, match="passwords is gone; restore the secret"):
        up(config())
    assert {*there(controllers)} == {"persistentvolumeclaims"}


def test_deleted_data_are_gone(controllers: Controllers, config: Make, open_store: Any) -> None:
    """With delete_data nothing stays, and what is made then is new, with other passwords."""
    up(config())
    put(open_store(), "gone")
    before = there(controllers)
    down(config(), delete_data=True)
    assert there(controllers) == {}
    up(config())
    assert names(open_store()) == []
    assert there(controllers)["secrets"][2] != before["secrets"][2]


def test_what_others_changed(
    controllers: Controllers, config: Make, open_store: Any, told: Any
) -> None:
    """A field that another manager changed is ours again; the data stay."""
    up(config())
    put(open_store(), "kept")
    template = {"spec": {"terminationGracePeriodSeconds": 5}}
    controllers.merge("statefulsets", "db", {"spec": {"replicas": 0, "template": template}})
    told()
    assert "terminationGracePeriodSeconds is 5, not 60" in str(
        KubernetesMetadataStore.describe_service(config())
    )
    up(config())
    assert told()["stateful set"] == "changed"
    spec = there(controllers)["statefulsets"][1]
    assert (spec["replicas"], spec["template"]["spec"]["terminationGracePeriodSeconds"]) == (1, 60)
    assert names(open_store()) == ["kept"]


def test_a_bigger_volume(
    world: World, namespace: str, controllers: Controllers, config: Make, told: Any
) -> None:
    """A claim grows where its class lets it, and never shrinks."""
    name = f"grows-{namespace}"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "none.invalid/none",
        "allowVolumeExpansion": True,
    }
    world.admin().request("POST", "/apis/storage.k8s.io/v1/storageclasses", body=body)
    up(config(storage_class=name, storage_size="1Gi"))
    told()
    up(config(storage_class=name, storage_size="2Gi"))
    assert told()["claim"] == "changed"
    up(config(storage_class=name, storage_size="1Gi"))
    assert told()["claim"] == "unchanged (it has 2Gi, and cannot shrink)"
    claim = there(controllers)["persistentvolumeclaims"][1]
    assert claim["resources"]["requests"]["storage"] == "2Gi"


def test_a_volume_that_cannot_grow(controllers: Controllers, config: Make) -> None:
    """What the cluster says against a change is what is said."""
    controllers.binds = False
    up(config(storage_size="1Gi"))
    with pytest.raises(
        StorageError, match=r"persistentvolumeclaims 'data-db-0'.*immutable.*setting"
    ):
        up(config(storage_size="2Gi"))


def test_other_settings(controllers: Controllers, config: Make, open_store: Any, told: Any) -> None:
    """Changed settings change the service, a policy that is unwanted goes; the data stay."""
    up(config(labels={"team": "ml"}))
    put(open_store(), "kept")
    told()
    up(config(memory_limit="2Gi", network_policy=False, tolerations=({"key": "gpu"},)))
    found = told()
    assert (found["stateful set"], found["network policy"]) == ("changed", "deleted")
    owner = controllers.get("statefulsets", "db")
    assert owner is not None
    pod = owner["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "2Gi"
    assert pod["tolerations"] == [{"key": "gpu"}]
    # What is not said any more is taken away.
    assert "team" not in owner["metadata"]["labels"]
    assert names(open_store()) == ["kept"]


def test_another_server_for_the_data(controllers: Controllers, config: Make) -> None:
    """The data of MySQL are not handed to MariaDB."""
    up(config())
    before = there(controllers)
    with pytest.raises(InvalidError, match="set server to mysql"):
        up(config(server="mariadb"))
    assert there(controllers) == before


def test_mariadb(controllers: Controllers, config: Make, open_store: Any) -> None:
    """MariaDB's image is told by its own variables."""
    up(config(server="mariadb"))
    put(open_store(), "one")
    owner = controllers.get("statefulsets", "db")
    assert owner is not None
    container = owner["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].startswith("docker.io/library/mariadb:11.4.")
    assert all(each["name"].startswith("MARIADB_") for each in container["env"])


def test_two_stores_in_one_namespace(
    world: World, namespace: str, mariadb: Server, config: Make, open_store: Any
) -> None:
    """Two stores of one namespace have nothing in common, and one goes without the other."""
    world.allow(namespace, role(KubernetesConfig(name="db2")))
    with servers.mariadb() as second:
        found = {"db": mariadb, "db2": second}
        with Controllers(world, namespace, lambda name: found[name]):
            for name in found:
                up(config(name=name))
            one, two = open_store(), open_store(name="db2")
            put(one, "of the first")
            assert names(two) == []
            assert one.is_same(open_store())
            assert not one.is_same(two)
            two.close()
            down(config(name="db2"), delete_data=True)
            assert names(open_store()) == ["of the first"]


@pytest.mark.parametrize("resource", ["secrets", "services", "statefulsets"])
def test_something_else_has_the_name(
    world: World, controllers: Controllers, config: Make, resource: str
) -> None:
    """An object of the name that is not the store's is left alone, by up and by down."""
    up(config())
    down(config(), delete_data=True)
    bodies: dict[str, Any] = {
        "secrets": {"kind": "Secret", "data": {}},
        "services": {"kind": "Service", "spec": {"clusterIP": "None", "ports": []}},
        "statefulsets": {
            "kind": "StatefulSet",
            "apiVersion": "apps/v1",
            "spec": {
                "serviceName": "x",
                "replicas": 0,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]},
                },
            },
        },
    }
    body = {"apiVersion": "v1", "metadata": {"name": "db"}, **bodies[resource]}
    controllers.admin.request("POST", controllers.path(resource), body=body)
    for call in (up, down):
        with pytest.raises(AlreadyExistsError, match="not of this store; nothing was changed"):
            call(config())
    assert {*there(controllers)} == {resource}


def test_suspend_and_resume(controllers: Controllers, config: Make, open_store: Any) -> None:
    """A service that is suspended is there and does not run, until it goes on."""
    up(config())
    put(open_store(), "kept")
    KubernetesMetadataStore.suspend(config())
    controllers.settle()
    assert KubernetesMetadataStore.is_provisioned(config())
    assert not KubernetesMetadataStore.is_running(config())
    with pytest.raises((OpenError, StorageError), match="there is no pod"):
        open_store()
    KubernetesMetadataStore.resume(config())
    assert names(open_store()) == ["kept"]


def test_no_store_there(controllers: Controllers, config: Make, open_store: Any) -> None:
    """Where nothing was brought up, or it was taken down, it is said how to."""
    with pytest.raises(StoreNotFoundError, match=r"the secret 'db'.*'metastore store up'"):
        open_store()
    up(config())
    down(config())
    with pytest.raises(StoreNotFoundError, match=r"no service 'db'.*'metastore store up'"):
        open_store()


def test_who_only_uses_it(
    world: World, controllers: Controllers, config: Make, open_store: Any
) -> None:
    """The Role for users is enough to write and read, and to see that the store answers."""
    up(config())
    name = world.make_namespace(role(config(), making=False))
    # A namespace of its own, in which an administrator makes what the user may only use.
    admin = world.admin().config.kubeconfig
    with Controllers(world, name, controllers.server_of):
        up(config(namespace=name, kubeconfig=admin))
        store = open_store(namespace=name)
        put(store, "by a user")
        store.close()
        shown = dict(KubernetesMetadataStore.describe_service(config(namespace=name)))
        assert shown["pod"] == "this user may not see it"
        assert KubernetesMetadataStore.is_running(config(namespace=name))
        with pytest.raises(OpenError, match=r"lacks rights.*patch statefulsets\.apps 'db'"):
            up(config(namespace=name))


def test_a_forked_child(controllers: Controllers, config: Make, open_store: Any) -> None:
    """A forked child goes on with the store, through a port of its own."""
    up(config())
    store = open_store()
    put(store, "of the parent")
    child = os.fork()
    if child == 0:
        said = 1
        try:
            put(store, "of the child")
            said = 0 if len(names(store)) == 2 else 2
        except MetastoreError:
            said = 3
        finally:
            os._exit(said)
    assert os.waitpid(child, 0)[1] == 0
    assert names(store) == ["of the parent", "of the child"]


def test_the_pod_is_gone_for_a_while(
    world: World, namespace: str, controllers: Controllers, config: Make, open_store: Any
) -> None:
    """While no pod is ready, reads say what the cluster says; then they go on by themselves."""
    up(config())
    store = open_store(busy_timeout=0.5)
    put(store, "kept")
    world.set_ready(namespace, "db-0", False, "CrashLoopBackOff")
    world.cut()
    with pytest.raises(StorageError, match="CrashLoopBackOff"):
        for _ in range(3):
            # One that is on its way may have been answered before it was cut.
            names(store)
    world.set_ready(namespace, "db-0", True)
    assert names(store) == ["kept"]
