"""Where a pod finds the metadata service: what Kubeflow Pipelines and Kubernetes tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("ml_metadata", reason="the client needs its protocol modules")

from metastore import InvalidError
from metastore_flavor_kubeflow import KubeflowConfig
from metastore_flavor_kubeflow.client._address import address_in_pod, message_bytes_in_pod

CONFIG = KubeflowConfig()


@pytest.mark.parametrize(
    ("environment", "target"),
    [
        pytest.param({}, "metadata-grpc-service.kubeflow:8080", id="nothing"),
        pytest.param(
            {
                "METADATA_GRPC_SERVICE_HOST": "metadata-grpc-service",
                "METADATA_GRPC_SERVICE_PORT": "8080",
            },
            "metadata-grpc-service:8080",
            id="the config map",
        ),
        pytest.param(
            {
                "METADATA_GRPC_SERVICE_HOST": "metadata-grpc-service.kubeflow",
                "METADATA_GRPC_SERVICE_PORT": "8080",
                "POD_NAMESPACE": "team",
            },
            "metadata-grpc-service.kubeflow:8080",
            id="the config map of a profile",
        ),
        pytest.param(
            {
                "METADATA_GRPC_SERVICE_HOST": "metadata-grpc-service",
                "METADATA_GRPC_SERVICE_PORT": "tcp://10.0.0.7:8081",
            },
            "metadata-grpc-service:8081",
            id="the port is a link",
        ),
        pytest.param(
            {"METADATA_GRPC_SERVICE_PORT": "tcp://10.0.0.7:8081"},
            "10.0.0.7:8081",
            id="only a link",
        ),
        pytest.param(
            {"METADATA_GRPC_SERVICE_PORT": "tcp://[fd00::7]:8081"},
            "[fd00::7]:8081",
            id="a link of IPv6",
        ),
        pytest.param(
            {
                "METADATA_GRPC_SERVICE_SERVICE_HOST": "10.0.0.7",
                "METADATA_GRPC_SERVICE_SERVICE_PORT": "8082",
            },
            "10.0.0.7:8082",
            id="links without the port's own",
        ),
        pytest.param(
            {
                "METADATA_GRPC_SERVICE_SERVICE_HOST": "10.0.0.7",
                "METADATA_GRPC_SERVICE_SERVICE_PORT": "8082",
                "METADATA_GRPC_SERVICE_PORT": "tcp://10.0.0.9:8083",
            },
            "10.0.0.7:8083",
            id="all links",
        ),
        pytest.param(
            {"METADATA_GRPC_SERVICE_HOST": " ", "METADATA_GRPC_SERVICE_PORT": " 8081 "},
            "metadata-grpc-service.kubeflow:8081",
            id="blanks",
        ),
        pytest.param(
            {"METADATA_GRPC_SERVICE_HOST": "fd00::7"}, "[fd00::7]:8080", id="a host of IPv6"
        ),
        pytest.param(
            {"POD_NAMESPACE": "pipelines"},
            "metadata-grpc-service.pipelines:8080",
            id="nothing but the pod's namespace",
        ),
    ],
)
def test_the_service_is_found(environment: dict[str, str], target: str) -> None:
    """Each form of the variables comes to host and port."""
    assert address_in_pod(CONFIG, environment).target == target


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({"port": 9000}, "from-variable:9000"),
        ({"namespace": "other"}, "metadata-grpc-service.other:8080"),
        ({"service": "mine"}, "mine.team:8080"),
        ({"service": "mine", "namespace": "other", "port": 1}, "mine.other:1"),
    ],
    ids=str,
)
def test_settings_come_before_variables(settings: dict[str, object], target: str) -> None:
    """What people say counts, and the variables of another service do not."""
    environment = {
        "METADATA_GRPC_SERVICE_HOST": "from-variable",
        "METADATA_GRPC_SERVICE_PORT": "8081",
        "POD_NAMESPACE": "team",
    }
    assert address_in_pod(KubeflowConfig.model_validate(settings), environment).target == target


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METADATA_GRPC_SERVICE_PORT", "http"),
        ("METADATA_GRPC_SERVICE_PORT", "0"),
        ("METADATA_GRPC_SERVICE_PORT", "65536"),
        ("METADATA_GRPC_SERVICE_PORT", "-1"),
        ("METADATA_GRPC_SERVICE_PORT", "\uff18\uff10"),
        ("METADATA_GRPC_SERVICE_PORT", "tcp://10.0.0.7:port"),
        ("METADATA_GRPC_SERVICE_PORT", "tcp://10.0.0.7:99999"),
        ("METADATA_GRPC_SERVICE_PORT", "tcp://[fd00::7:8080"),
        ("METADATA_GRPC_SERVICE_SERVICE_PORT", "eighty"),
    ],
)
def test_what_is_no_port_is_refused(name: str, value: str) -> None:
    """The error names the variable that is wrong, and what to do."""
    with pytest.raises(InvalidError, match=f"the variable {name} is ") as caught:
        address_in_pod(CONFIG, {name: value})
    assert "host and port" in str(caught.value)


@pytest.mark.parametrize(
    ("enabled", "tls"),
    [("1", True), ("true", True), ("YES", True), (" True ", True), ("false", False), ("", False)],
)
def test_tls_is_what_the_variable_says(enabled: str, tls: bool) -> None:
    """The file of the CA counts where TLS is on, and only there."""
    environment = {"METADATA_TLS_ENABLED": enabled, "CA_CERT_PATH": "/ca/ca.crt"}
    address = address_in_pod(CONFIG, environment)
    assert address.tls is tls
    assert address.ca == (Path("/ca/ca.crt") if tls else None)
    assert address_in_pod(CONFIG, {"METADATA_TLS_ENABLED": enabled}).ca is None


def test_the_size_of_messages_is_what_the_variable_says() -> None:
    """Bytes, as for Kubeflow's own client; a setting counts before it."""
    environment = {"METADATA_GRPC_MESSAGE_SIZE": " 209715200 "}
    assert message_bytes_in_pod(CONFIG, environment) == 209_715_200
    assert message_bytes_in_pod(CONFIG, {}) == CONFIG.max_message_bytes
    said = KubeflowConfig(max_message_bytes=5000)
    assert message_bytes_in_pod(said, environment) == 5000


@pytest.mark.parametrize("value", ["100MiB", "0", "-5", "12", str(2**31), "1e9"])
def test_what_is_no_size_is_refused(value: str) -> None:
    """The error names the variable and the setting."""
    with pytest.raises(InvalidError, match="METADATA_GRPC_MESSAGE_SIZE") as caught:
        message_bytes_in_pod(CONFIG, {"METADATA_GRPC_MESSAGE_SIZE": value})
    assert "max_message_bytes" in str(caught.value)
