"""TLS: with it, with clients' certificates, and when the certificate is renewed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip(
    "ml_metadata", reason="without ml-metadata nothing is served; `tox -e protobuf6` tests it here"
)

import grpc
import trustme
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as service
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_grpc

from .served import Served

Serve = Callable[..., Served]


class Authority:
    """A certificate authority of the tests."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._ca = trustme.CA()
        self.certificate = folder / "ca.crt"
        self._ca.cert_pem.write_to_path(self.certificate)

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for localhost and its key."""
        issued = self._ca.issue_cert("localhost", "127.0.0.1")
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return certificate, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A fresh one."""
    return Authority(tmp_path / "ca")


def _ask(port: int, credentials: grpc.ChannelCredentials) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
        stub = service_grpc.MetadataStoreServiceStub(channel)
        stub.GetArtifactTypes(service.GetArtifactTypesRequest(), timeout=10)


def test_the_client_of_ml_metadata_reaches_it_over_tls(serve: Serve, authority: Authority) -> None:
    """With the authority in its config it does; the line on stdout says TLS."""
    certificate, key = authority.issue("server")
    served = serve("memory://", "--tls-cert", str(certificate), "--tls-key", str(key))
    assert "with TLS" in served.line
    config = pb.MetadataStoreClientConfig(host="localhost", port=served.port)
    config.ssl_config.custom_ca = authority.certificate.read_text()
    assert MetadataStore(config).get_artifact_types() == []


def test_strangers_are_refused(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    """A client without TLS, and one that trusts another authority, get no answer."""
    certificate, key = authority.issue("server")
    served = serve("memory://", "--tls-cert", str(certificate), "--tls-key", str(key))
    other = Authority(tmp_path / "other").certificate.read_bytes()
    with pytest.raises(grpc.RpcError) as caught:
        _ask(served.port, grpc.ssl_channel_credentials(other))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with served.stub() as stub, pytest.raises(grpc.RpcError):
        stub.GetArtifactTypes(service.GetArtifactTypesRequest(), timeout=10)


def test_a_client_ca_lets_in_whom_it_signed(serve: Serve, authority: Authority) -> None:
    """With --tls-client-ca a client needs a certificate; and nobody is warned of open doors."""
    certificate, key = authority.issue("server")
    served = serve(
        "memory://", "--host", "0.0.0.0", "--tls-cert", str(certificate), "--tls-key", str(key),
        "--tls-client-ca", str(authority.certificate),
    )  # fmt: skip
    root = authority.certificate.read_bytes()
    mine, my_key = (each.read_bytes() for each in authority.issue("client"))
    _ask(served.port, grpc.ssl_channel_credentials(root, my_key, mine))
    with pytest.raises(grpc.RpcError):
        _ask(served.port, grpc.ssl_channel_credentials(root))
    assert "no authentication" not in served.log


def test_a_renewed_certificate_is_taken_up(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """New connections see the new one without a restart; a half-renewed pair is passed over."""
    certificate, key = authority.issue("server")
    served = serve("memory://", "--tls-cert", str(certificate), "--tls-key", str(key))
    old = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    _ask(served.port, old)

    other = Authority(tmp_path / "other")
    new = grpc.ssl_channel_credentials(other.certificate.read_bytes())
    new_certificate, new_key = other.issue("server")
    certificate.write_bytes(new_certificate.read_bytes())
    _ask(served.port, old)
    key.write_bytes(new_key.read_bytes())
    _ask(served.port, new)
    assert "passed over" in served.log
    assert "the certificate was renewed" in served.log
